//! Taking connections, a bounded number at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::to_bytes, http::Request, response::IntoResponse};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_service::Service;

use super::head;
use crate::problem::Problem;

/// Connections at a time; more wait.
const MOST: usize = 256;
/// How long one may last.
const LONGEST: Duration = Duration::from_secs(60);
/// How long one may last whose answer goes on and on. Its client comes back with the last id that it has read.
const LASTING: Duration = Duration::from_secs(3600);
/// How long a client may take to read why it was refused.
const FAREWELL: Duration = Duration::from_secs(1);

/// Of one connection: its answer goes on and on.
#[derive(Clone, Default)]
pub(crate) struct Lasting(Arc<AtomicBool>);

impl Lasting {
    /// It is not ended after the time that others have.
    pub(crate) fn last(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Serves for ever; dropped, it ends all connections.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    let lasting = Lasting::default();
                    bounded(connection(socket, router, lasting.clone()), &lasting).await;
                    drop(permit);
                });
            }
            Err(e) => {
                tracing::warn!(error = %e, "the master cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Runs it as long as a connection may last.
async fn bounded(serving: impl Future<Output = ()>, lasting: &Lasting) {
    let mut serving = std::pin::pin!(serving);
    let late = timeout(LONGEST, &mut serving).await.is_err();
    if late && lasting.0.load(Ordering::Relaxed) {
        let _ = timeout(LASTING, serving).await;
    }
}

async fn connection(socket: TcpStream, router: Router, lasting: Lasting) {
    let _ = socket.set_nodelay(true);
    let begun = match head::begin(socket).await {
        Ok(begun) => begun,
        Err((socket, Some(problem))) => return refuse(socket, problem).await,
        Err((_, None)) => return,
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(lasting.clone());
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).keep_alive(false);
    if let Err(e) = http.serve_connection(TokioIo::new(begun), service).await {
        tracing::debug!(error = %e, "a connection to the master ended early");
    }
}

/// Says why, and reads a little on, so that the answer is not lost to a reset.
async fn refuse(mut socket: TcpStream, problem: Problem) {
    let response = problem.into_response();
    let status = response.status();
    let body = to_bytes(response.into_body(), 64 * 1024).await.unwrap_or_default();
    let (code, reason, length) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"), body.len());
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: application/problem+json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = socket.write_all(head.as_bytes()).await;
    let _ = socket.write_all(&body).await;
    let _ = socket.shutdown().await;
    let mut rest = [0; 4096];
    let drain = async { while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    let _ = timeout(FAREWELL, drain).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_after_its_time_and_one_that_lasts_after_a_longer_one() {
        let (short, long) = (Lasting::default(), Lasting::default());
        long.last();
        for (lasting, expected) in [(short, LONGEST), (long, LONGEST + LASTING)] {
            let begun = Instant::now();
            bounded(std::future::pending(), &lasting).await;
            assert_eq!(begun.elapsed(), expected);
        }
    }
}
