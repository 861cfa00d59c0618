//! One message and its echo, for those who want to know that a server answers, not how fast.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    Fallible,
    frame::{Frame, HEAD},
    load::dial,
};

/// Length of the body.
const BODY: usize = 1024;

/// One exchange on a connection of its own.
pub(crate) fn exchange(address: SocketAddr, limit: Duration) -> Fallible<()> {
    let mut stream = dial(address)?;
    stream.set_read_timeout(Some(limit))?;
    echo(&mut stream, &message())
}

/// The message.
pub(crate) fn message() -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + BODY);
    Frame { header: 0, route: 1, seq: 1, body: &[7; BODY] }.put(&mut frame);
    frame
}

/// Sends `frame` and wants it back.
pub(crate) fn echo(stream: &mut TcpStream, frame: &[u8]) -> Fallible<()> {
    stream.write_all(frame)?;
    let mut reply = vec![0; frame.len()];
    stream.read_exact(&mut reply)?;
    if reply == frame { Ok(()) } else { Err("a reply differs from its request".into()) }
}
