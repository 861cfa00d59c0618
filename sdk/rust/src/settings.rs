//! What a client can be set to, in its URL or by its builder.

use std::{sync::Arc, time::Duration};

use due_core::{Drivers, Encryptor, Error, Result, Url, crypto::check_both, units};
use due_protocol::Dialect;

use crate::Backoff;

/// Shared by all clients of one builder.
#[derive(Clone)]
pub(crate) struct Settings {
    /// For the network: without the keys of the dialect and of the client.
    pub(crate) url: Url,
    pub(crate) drivers: Drivers,
    pub(crate) dialect: Dialect,
    /// `None`: where the dialect can carry it.
    pub(crate) hello: Option<bool>,
    /// Zero: off.
    pub(crate) heartbeat: Duration,
    pub(crate) timeout: Duration,
    pub(crate) reconnect: Option<Backoff>,
    pub(crate) outbox: usize,
    pub(crate) in_flight: usize,
    pub(crate) pushes: usize,
    pub(crate) encryptor: Option<Arc<dyn Encryptor>>,
}

/// The query keys of a client.
const KEYS: &[&str] = &["hello", "heartbeat", "timeout", "reconnect", "outbox", "in-flight", "pushes"];
/// Longest heartbeat and timeout: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Settings {
    /// Reads all keys but those of the network.
    pub(crate) fn of(text: &str) -> Result<Self> {
        let url = Url::parse(text)?;
        let (dialect, url) = Dialect::from_url(&url)?;
        let mut set = Self {
            url: url.without(KEYS),
            drivers: drivers(),
            dialect,
            hello: None,
            heartbeat: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            reconnect: None,
            outbox: 1 << 20,
            in_flight: 1024,
            pushes: 256,
            encryptor: None,
        };
        for key in KEYS {
            if let Some(value) = url.value(key) {
                set.read(key, value).map_err(|e| Error::config(format!("{key} = {value:?}: {}", e.text())))?;
            }
        }
        Ok(set)
    }

    fn read(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "hello" => self.hello = Some(switch(value)?),
            "heartbeat" => self.heartbeat = units::duration(value)?,
            "timeout" => self.timeout = units::duration(value)?,
            "reconnect" => self.reconnect = switch(value)?.then(Backoff::default),
            "outbox" => self.outbox = units::size(value)?,
            "in-flight" => self.in_flight = units::size(value)?,
            _ => self.pushes = units::size(value)?,
        }
        Ok(())
    }

    /// Refuses what cannot work; the error names the key and what is accepted.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = |what: &str| Err(Error::config(format!("{what} (client of {})", self.url)));
        if !self.heartbeat.is_zero() && !(Duration::from_millis(10)..=LONGEST).contains(&self.heartbeat) {
            return refused("heartbeat: write off, or 10ms to 1d");
        }
        if !(Duration::from_millis(10)..=LONGEST).contains(&self.timeout) {
            return refused("timeout: write 10ms to 1d");
        }
        if !(1..=1 << 30).contains(&self.outbox) {
            return refused("outbox: write 1 to 1GiB");
        }
        if !(1..=1 << 20).contains(&self.in_flight) || !(1..=1 << 20).contains(&self.pushes) {
            return refused("in-flight, pushes: write 1 to 1048576");
        }
        if self.hello == Some(true) && !self.dialect.accepts_hello() {
            return refused("hello=on needs seq-bytes of 1, 2 or 4");
        }
        if let Some(by) = &self.encryptor {
            check_both(&**by).map_err(|e| e.context("client of", &self.url))?;
        }
        Ok(())
    }

    pub(crate) fn says_hello(&self) -> bool {
        self.hello.unwrap_or_else(|| self.dialect.accepts_hello())
    }

    /// The largest sequence number of the dialect; 0 where it has none.
    pub(crate) fn largest_seq(&self) -> i32 {
        match self.dialect.settings().seq_bytes {
            0 => 0,
            1 => i8::MAX.into(),
            2 => i16::MAX.into(),
            _ => i32::MAX,
        }
    }
}

/// The networks compiled in.
fn drivers() -> Drivers {
    let mut drivers = Drivers::memory();
    due_network::install(&mut drivers);
    drivers
}

fn switch(value: &str) -> Result<bool> {
    match value {
        "on" | "true" | "1" | "" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(Error::config("write on or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_read_and_kept_from_the_network() {
        let set = Settings::of(
            "tcp://h:1?route-bytes=4&hello=off&heartbeat=3s&timeout=250ms&reconnect=on&outbox=64KiB&in-flight=7&pushes=9&connect-timeout=1s",
        )
        .unwrap();
        assert_eq!(set.dialect.settings().route_bytes, 4);
        assert_eq!((set.says_hello(), set.heartbeat.as_secs(), set.timeout.as_millis()), (false, 3, 250));
        assert_eq!((set.outbox, set.in_flight, set.pushes), (65_536, 7, 9));
        assert_eq!(set.reconnect, Some(Backoff::default()));
        assert_eq!(set.url.to_string(), "tcp://h:1?connect-timeout=1s");
    }

    #[test]
    fn hello_follows_the_dialect_unless_it_is_set() {
        assert!(Settings::of("tcp://h:1").unwrap().says_hello());
        assert!(!Settings::of("tcp://h:1?seq-bytes=0").unwrap().says_hello());
        let e = Settings::of("tcp://h:1?seq-bytes=0&hello=on").unwrap().check().unwrap_err();
        assert!(e.text().contains("seq-bytes"), "{e}");
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        for wrong in ["heartbeat=fast", "timeout=7", "hello=maybe", "outbox=x", "route-bytes=3"] {
            let Err(e) = Settings::of(&format!("tcp://h:1?{wrong}")) else { panic!("{wrong}") };
            assert!(e.text().contains(wrong.split('=').next().unwrap()), "{e}");
        }
        for wrong in ["heartbeat=1ms", "timeout=off", "outbox=0", "in-flight=0", "pushes=0", "timeout=2d"] {
            let e = Settings::of(&format!("tcp://h:1?{wrong}")).unwrap().check().unwrap_err();
            assert!(e.text().contains(wrong.split('=').next().unwrap()), "{e}");
        }
    }
}
