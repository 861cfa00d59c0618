use due_servers::Program;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{Server, start::wanted};

/// For tests of failover.
impl Server {
    /// Starts a Redis that copies `master`, and waits until it has all of it.
    ///
    /// # Panics
    /// When `master` is no Redis that runs.
    pub async fn replica_of(master: &Self) -> Option<Self> {
        let (host, port) = master.address().split_once(':').unwrap_or_default();
        let replica = Self::start_with(Program::Redis, &["--replicaof", &format!("{host} {port}")]).await?;
        while !replica.redis("INFO replication").await.contains("master_link_status:up") {
            tokio::task::yield_now().await;
        }
        Some(replica)
    }

    /// Makes a replica a master.
    ///
    /// # Panics
    /// When it is no Redis that runs.
    pub async fn promote(&self) {
        let answer = self.redis("REPLICAOF NO ONE").await;
        wanted(if answer.starts_with("+OK") { Ok(()) } else { Err(format!("REPLICAOF NO ONE: {answer}")) });
    }

    /// Sends one command on a connection of its own and returns what comes back: a line, or a text.
    ///
    /// # Panics
    /// When it is no Redis that runs.
    pub async fn redis(&self, command: &str) -> String {
        let mut stream = BufReader::new(wanted(TcpStream::connect(self.address()).await));
        wanted(stream.write_all(format!("{command}\r\n").as_bytes()).await);
        let mut answer = String::new();
        wanted(stream.read_line(&mut answer).await);
        let Some(length) = answer.strip_prefix('$').and_then(|n| n.trim().parse::<usize>().ok()) else { return answer };
        let mut text = String::new();
        while text.len() < length && wanted(stream.read_line(&mut text).await) > 0 {}
        text
    }
}
