//! The query keys of a `kcp://` address.

use std::time::Duration;

use due_core::{Error, Result, Url};
use serde::Deserialize;

use super::{arq::Tuning, segment::HEAD};

/// Most bytes of a peer's datagram, whatever our own `mtu` is: other implementations take no more.
const LARGEST: usize = 1500;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Settings {
    nodelay: bool,
    #[serde(with = "due_core::units::serde_duration")]
    interval: Duration,
    resend: u32,
    nc: bool,
    mtu: usize,
    snd_wnd: u16,
    rcv_wnd: u16,
    ack_nodelay: bool,
    stream: bool,
    pub(crate) max_sessions: usize,
    pub(crate) half_open: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodelay: true,
            interval: Duration::from_millis(10),
            resend: 2,
            nc: true,
            mtu: 1200,
            snd_wnd: 256,
            rcv_wnd: 256,
            ack_nodelay: false,
            stream: true,
            max_sessions: 100_000,
            half_open: 4096,
        }
    }
}

impl Settings {
    /// Reads and checks the keys of `url`.
    pub(crate) fn of(url: &Url) -> Result<Self> {
        let settings: Self = url.query()?;
        let interval = settings.interval.as_millis() as usize;
        within(url, "interval in ms", interval, 10..=5000)?;
        within(url, "mtu", settings.mtu, 64..=LARGEST)?;
        within(url, "snd-wnd", settings.snd_wnd.into(), 2..=8192)?;
        within(url, "rcv-wnd", settings.rcv_wnd.into(), 2..=8192)?;
        within(url, "max-sessions", settings.max_sessions, 1..=10_000_000)?;
        within(url, "half-open", settings.half_open, 1..=10_000_000)?;
        Ok(settings)
    }

    /// What the state machine of a session needs of it.
    pub(crate) fn tuning(&self) -> Tuning {
        Tuning {
            nodelay: self.nodelay,
            interval: self.interval.as_millis() as u32,
            resend: self.resend,
            congestion: !self.nc,
            mss: self.mtu.saturating_sub(HEAD),
            send_window: self.snd_wnd.into(),
            receive_window: self.rcv_wnd.into(),
            ack_nodelay: self.ack_nodelay,
            stream: self.stream,
        }
    }

    /// Most bytes of a datagram that leaves.
    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    /// Most bytes of segments that are taken from one datagram.
    pub(crate) fn largest(&self) -> usize {
        LARGEST
    }

    /// One of `shards` equal parts of the bounds that hold for the whole address.
    pub(crate) fn share(&self, shards: usize) -> Self {
        let part = |all: usize| all.div_ceil(shards.max(1));
        Self { max_sessions: part(self.max_sessions), half_open: part(self.half_open), ..self.clone() }
    }
}

fn within(url: &Url, key: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!("{key} = {value} is not in {}..={} in {url}", range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read() {
        let url = "kcp://a:1?nodelay=0&interval=20ms&resend=0&nc=off&mtu=512&snd-wnd=32&rcv-wnd=64&ack-nodelay=on&stream=off&max-sessions=9&half-open=3";
        let settings = Settings::of(&Url::parse(url).unwrap()).unwrap();
        let want = Tuning {
            nodelay: false,
            interval: 20,
            resend: 0,
            congestion: true,
            mss: 488,
            send_window: 32,
            receive_window: 64,
            ack_nodelay: true,
            stream: false,
        };
        assert_eq!(settings.tuning(), want);
        let part = settings.share(2);
        assert_eq!((part.max_sessions, part.half_open), (5, 2));
    }

    #[test]
    fn a_value_out_of_range_or_an_unknown_key_names_itself() {
        for wrong in
            ["interval=1ms", "mtu=9000", "snd-wnd=0", "rcv-wnd=9999", "half-open=0", "max-sessions=0", "window=3"]
        {
            let e = Settings::of(&Url::parse(&format!("kcp://a:1?{wrong}")).unwrap()).unwrap_err().to_string();
            assert!(e.contains(wrong.split('=').next().unwrap()), "{e}");
        }
        assert!(Settings::of(&Url::parse("kcp://a:1").unwrap()).is_ok());
    }
}
