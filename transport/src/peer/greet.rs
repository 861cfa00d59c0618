//! The handshake over a socket: each message has a `u32` length before it.

use std::{io, time::Duration};

use due_core::Owner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::socket::Socket;
use crate::handshake::{Answering, Dialing, Hail, Keys, LONGEST, Refusal};

/// How long both sides together may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// Why a handshake ended.
pub(super) enum Ended {
    Broken(io::Error),
    Refused(Refusal),
}

impl From<io::Error> for Ended {
    fn from(e: io::Error) -> Self {
        Self::Broken(e)
    }
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Proves this side to the acceptor, then has it prove itself.
pub(super) async fn dial(stream: &mut Socket, keys: &Keys, hail: &Hail) -> Result<(), Ended> {
    let (dialing, hello) = Dialing::begin(keys, hail, &rand::random());
    write(stream, &hello).await?;
    let challenge = read(stream).await?;
    let (proved, tag) = dialing.prove(keys, &challenge, &[])?;
    write(stream, &tag).await?;
    Ok(proved.finish(&read(stream).await?)?)
}

/// Has the dialer prove itself. Gives what it wants, and the proof that is owed to it.
pub(super) async fn answer(stream: &mut Socket, keys: &Keys, own: &Owner) -> Result<(Hail, [u8; 32]), Ended> {
    let hello = read(stream).await?;
    let (answering, challenge) = Answering::begin(keys, own, &hello, &rand::random())?;
    write(stream, &challenge).await?;
    Ok(answering.finish(keys, &read(stream).await?, &[])?)
}

/// Writes one message in one piece.
pub(super) async fn write(stream: &mut Socket, message: &[u8]) -> io::Result<()> {
    let length = (message.len() as u32).to_be_bytes();
    stream.write_all(&[&length, message].concat()).await
}

async fn read(stream: &mut Socket) -> io::Result<Vec<u8>> {
    let len = stream.read_u32().await? as usize;
    if len > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
