//! Where a shard takes its new sockets from, whatever is spoken on them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    task::{Context, Poll},
};

use due_core::{
    Url,
    error::{Error, Kind, Result},
};
use tokio::net::TcpStream;

use super::{
    accept::{Accept, Client, Manner},
    deal::{Dealt, deal},
    settings::Listen,
    socket,
};

/// One shard's new sockets.
pub(crate) enum Sockets {
    /// Dealt by the common acceptor.
    Dealt(Dealt),
    /// A socket of its own, registered with the shard's runtime at the first poll.
    Bound(Option<TcpListener>, Manner, bool),
    /// The same, registered.
    Own(Accept),
}

impl Sockets {
    /// Binds `url` for `shards`. A client for which there is no descriptor left is sent `refusal`.
    pub(crate) async fn bind(
        url: &Url,
        settings: &Listen,
        shards: usize,
        refusal: &'static [u8],
    ) -> Result<(Url, Vec<Self>)> {
        let shards = shards.max(1);
        let manner = Manner { backlog: settings.backlog, refusal };
        let count = if settings.reuseport { shards } else { 1 };
        let (url, mut listeners) = socket::listen(url, settings, count).await?;
        if settings.reuseport {
            return Ok((url, listeners.drain(..).map(|l| Self::Bound(Some(l), manner, false)).collect()));
        }
        let Some(listener) = listeners.pop() else { return Err(Error::config("no listening socket")) };
        let accept = Accept::new(listener, manner).map_err(registered)?;
        Ok((url, deal(accept, shards).into_iter().map(Self::Dealt).collect()))
    }

    /// The next client, registered with the runtime that calls.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Client>> {
        loop {
            let polled = match self {
                Self::Dealt(dealt) => {
                    dealt.poll(cx).map(|item| item.and_then(|client| adopt(client).map_err(registered)))
                }
                Self::Own(accept) => match accept.poll(cx) {
                    Poll::Ready(Some(client)) => Poll::Ready(client),
                    Poll::Ready(None) | Poll::Pending => Poll::Pending,
                },
                Self::Bound(listener, manner, closed) => {
                    let Some(listener) = listener.take() else { return Poll::Pending };
                    match Accept::new(listener, *manner) {
                        Ok(mut accept) => {
                            if *closed {
                                accept.finish();
                            }
                            *self = Self::Own(accept);
                            continue;
                        }
                        Err(e) => return Poll::Ready(Err(registered(e))),
                    }
                }
            };
            return polled.map(|client| client.and_then(prompt));
        }
    }

    /// Takes what is queued, then no more.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Dealt(dealt) => dealt.close(),
            Self::Bound(_, _, closed) => *closed = true,
            Self::Own(accept) => accept.finish(),
        }
    }
}

fn adopt((stream, address): (std::net::TcpStream, SocketAddr)) -> io::Result<Client> {
    Ok((TcpStream::from_std(stream)?, address))
}

fn prompt((stream, address): Client) -> Result<Client> {
    stream.set_nodelay(true).map_err(registered)?;
    Ok((stream, address))
}

fn registered(e: io::Error) -> Error {
    Error::new(Kind::Unavailable, "cannot register a socket").because(e)
}
