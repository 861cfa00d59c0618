//! Sockets made for links.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use due_core::{Result, Url};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use crate::{
    peer::{Carrier, Door, Socket, tcp},
    settings::Settings,
};

/// Connections that have not proven themselves.
const HALF_OPEN: usize = 64;
/// So long each of them is safe from those that come after it.
const PATIENCE: Duration = Duration::from_millis(500);
/// A pause after the system could not accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Carries a link over one TCP connection.
pub(super) struct Tcp;

#[async_trait]
impl Carrier for Tcp {
    async fn connect(&self, url: &Url, settings: &Settings) -> Result<Socket> {
        tcp::connect(url, settings).await.map(Socket::Tcp)
    }

    fn listen(&self, listener: TcpListener, door: Arc<Door>) -> AbortHandle {
        tokio::spawn(run(listener, door)).abort_handle()
    }
}

async fn run(listener: TcpListener, door: Arc<Door>) {
    let mut greeting = JoinSet::new();
    let mut half_open: VecDeque<(Instant, AbortHandle)> = VecDeque::new();
    loop {
        while greeting.try_join_next().is_some() {}
        half_open.retain(|(_, task)| !task.is_finished());
        if let Some((since, _)) = half_open.front()
            && half_open.len() >= HALF_OPEN
        {
            // Strangers must not keep members out: the oldest goes, after it had its chance.
            if since.elapsed() < PATIENCE {
                let _ = timeout(PAUSE, greeting.join_next()).await;
            } else if let Some((_, oldest)) = half_open.pop_front() {
                oldest.abort();
            }
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let task = greeting.spawn(door.clone().greet(Socket::Tcp(stream), || {}));
                half_open.push_back((Instant::now(), task));
            }
            Err(e) => {
                tracing::warn!(error = %e, "a link cannot be accepted; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}
