//! Ports that no other test takes.
//!
//! Outgoing connections take theirs from 32768 up, so a port of ours is below. A lock on a file of its number keeps it
//! for its holder also while the server is down: without it another test would take the port of a killed server.

use std::{
    env,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use rustix::process::getuid;

use crate::Result;

/// Where ports are looked for.
const RANGE: Range<u16> = 12_000..32_000;

/// Starts tried before the machine is called full.
const TRIES: u16 = 500;

/// Ports of loopback in a row, kept for this process until dropped.
pub struct Ports {
    first: u16,
    locks: Vec<File>,
}

impl Ports {
    /// `count` free ports, somewhere below those of outgoing connections.
    ///
    /// # Errors
    /// When none are found.
    pub fn free(count: u16) -> Result<Self> {
        let span = RANGE.end - RANGE.start - count;
        for _ in 0..TRIES {
            let random = RandomState::new().hash_one(count) % u64::from(span);
            let first = RANGE.start + u16::try_from(random).unwrap_or_default();
            if let Ok(ports) = Self::at(first, count) {
                return Ok(ports);
            }
        }
        Err(format!("no {count} free ports in a row on loopback between {} and {}", RANGE.start, RANGE.end))
    }

    /// `count` ports from `first` on.
    ///
    /// # Errors
    /// Names the port that somebody else has.
    pub fn at(first: u16, count: u16) -> Result<Self> {
        let mut locks = Vec::new();
        for port in first..first.saturating_add(count) {
            locks.push(lock(port)?);
            listen(port)?;
        }
        Ok(Self { first, locks })
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Whether nobody listens on any of them.
    ///
    /// # Errors
    /// Names the one somebody listens on.
    pub fn vacant(&self) -> Result {
        (self.first..).take(self.locks.len()).try_for_each(listen)
    }
}

fn listen(port: u16) -> Result {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    listener.map(drop).map_err(|e| format!("port {port} is taken by another program ({e}): stop it first"))
}

/// The system lets go of the lock when this process ends, however it ends.
fn lock(port: u16) -> Result<File> {
    // One user may not write what another made.
    let folder = env::temp_dir().join(format!("due-ports-{}", getuid().as_raw()));
    let path = folder.join(port.to_string());
    let file = fs::create_dir_all(&folder).and_then(|()| File::create(&path));
    let file = file.map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    file.try_lock().map_err(|_| format!("port {port} is kept by another test (lock {})", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_port_is_nobody_elses() {
        let kept = Ports::free(3).unwrap();
        let second = kept.first() + 1;
        assert!(Ports::at(second, 1).is_err_and(|why| why.contains(&second.to_string())));
        drop(kept);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_named() {
        let ports = Ports::free(1).unwrap();
        ports.vacant().unwrap();
        let foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.first())).unwrap();
        assert!(ports.vacant().is_err_and(|why| why.contains(&ports.first().to_string())));
        drop(foreign);
        ports.vacant().unwrap();
    }
}
