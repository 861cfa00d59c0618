//! A tcp relay that can keep answers for itself: what is written is done, and nobody hears of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) struct Relay {
    address: String,
    deaf: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (deaf, server) = (Arc::new(AtomicBool::new(false)), server.to_owned());
        let heard = deaf.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                if let Ok(server) = TcpStream::connect(&server).await {
                    tokio::spawn(carry(client, server, heard.clone()));
                }
            }
        });
        Self { address, deaf, task }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// While on, the first answer after a script or a count closes the connection instead of arriving.
    pub(crate) fn deaf(&self, on: bool) {
        self.deaf.store(on, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, deaf: Arc<AtomicBool>) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    let mut asked = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Some(bytes) = read.ok().and_then(|n| from_client.get(..n)).filter(|b| !b.is_empty()) else { return };
                asked |= deaf.load(Ordering::SeqCst) && bytes.windows(4).any(|w| w == b"EVAL" || w == b"INCR");
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Some(bytes) = read.ok().and_then(|n| from_server.get(..n)).filter(|b| !b.is_empty()) else { return };
                if asked || client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}
