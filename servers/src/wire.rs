//! One question over a connection of its own: enough to learn whether a server is ready.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// For connecting and for each read and write.
const PATIENCE: Duration = Duration::from_secs(2);

/// An answer longer than this is cut.
const ANSWER_MAX: u64 = 64 * 1024;

/// Sends `question` and returns the first bytes that come back, at most `ANSWER_MAX`, empty when the server hangs up.
pub(crate) fn ask(port: u16, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(port, question)?;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// The answer to `GET path`, head and body, when its status is 200.
pub(crate) fn http(port: u16, path: &str) -> io::Result<String> {
    let question = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
    let mut answer = Vec::new();
    connect(port, question.as_bytes())?.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(answer) } else { Err(io::Error::other(format!("GET {path}: status {status}"))) }
}

fn connect(port: u16, question: &[u8]) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(question)?;
    Ok(stream)
}
