//! One message and its echo, for those who want to know that a server answers, not how fast.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    Fallible,
    dialect::{Dialect, Piece},
    load::{Content, dial},
};

/// Length of the body.
const BODY: usize = 1024;
/// Bytes that may come before the reply is whole.
const LIMIT: usize = 64 * 1024;

/// One exchange on a connection of its own.
pub(crate) fn exchange(address: SocketAddr, dialect: Dialect, content: Content, limit: Duration) -> Fallible<()> {
    let mut stream = open(address, dialect)?;
    stream.set_read_timeout(Some(limit))?;
    echo(&mut stream, dialect, &content.body(BODY))
}

/// A connection that may send its first message.
pub(crate) fn open(address: SocketAddr, dialect: Dialect) -> Fallible<TcpStream> {
    let mut stream = dial(address)?;
    dialect.greet(&mut stream)?;
    Ok(stream)
}

/// Sends `body` as the first message of a connection and wants it back.
pub(crate) fn echo(stream: &mut TcpStream, dialect: Dialect, body: &[u8]) -> Fallible<()> {
    let mut frame = Vec::new();
    dialect.put(0, body, &mut frame);
    stream.write_all(&frame)?;
    let (mut read, mut scratch) = (Vec::new(), [0; 4096]);
    loop {
        match dialect.cut(&read)? {
            Piece::Reply(reply) if reply.body == body => return Ok(()),
            Piece::Reply(_) => return Err("a reply differs from its request".into()),
            Piece::Other(len) => drop(read.drain(..len)),
            Piece::Part if read.len() > LIMIT => return Err("a reply without an end".into()),
            Piece::Part => match stream.read(&mut scratch)? {
                0 => return Err("the server closed the connection".into()),
                n => read.extend_from_slice(scratch.get(..n).unwrap_or_default()),
            },
        }
    }
}
