//! What a fuzzer calls. No part of the interface.

use std::{
    net::{Ipv4Addr, SocketAddr},
    task::{Poll, Waker},
};

use due_core::{Url, net::Segments};

use super::{endpoint::Endpoint, settings::Settings, slots::Key};

/// Feeds `data` as datagrams of a few peers to a server that answers, reads and lets time pass; it must neither panic
/// nor grow. The first byte of each datagram says how long it is, from whom it comes and how much time has passed.
pub fn segment(data: &[u8]) {
    let Some(settings) =
        Url::parse("kcp://fuzz?half-open=3&max-sessions=5").ok().and_then(|url| Settings::of(&url).ok())
    else {
        return;
    };
    let mut endpoint = Endpoint::new(&settings);
    let (mut rest, mut now, mut conns) = (data, 0, Vec::new());
    while let Some((&steer, after)) = rest.split_first() {
        let len = (usize::from(steer & 0x0f) * 16 + 24).min(after.len());
        let (datagram, after) = after.split_at_checked(len).unwrap_or_default();
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1 + u16::from(steer >> 6)));
        now += u64::from(steer >> 4 & 3) * 40;
        endpoint.datagram(now, from, None, datagram);
        turn(&mut endpoint, &mut conns, now);
        rest = after;
    }
}

/// One turn of a shard that echoes what it reads, and drops connections that failed or said so.
fn turn(endpoint: &mut Endpoint, conns: &mut Vec<Key>, now: u64) {
    endpoint.expire(now);
    conns.extend(std::iter::from_fn(|| endpoint.accept()).map(|(key, _)| key));
    conns.retain(|&key| {
        let stays = echo(endpoint, key);
        if !stays {
            endpoint.leave(key);
        }
        stays
    });
    endpoint.flush(now, |_, _, out| out.iter().all(|datagram| datagram.len() <= 1400));
    assert!(endpoint.len() <= 5, "more sessions than allowed");
}

fn echo(endpoint: &mut Endpoint, key: Key) -> bool {
    let mut space = [0; 64];
    let Poll::Ready(read) = endpoint.read(key, &mut space, Waker::noop()) else { return true };
    let Ok((len, _)) = read else { return false };
    let mut out = Segments::default();
    out.append(space.get(..len).unwrap_or_default());
    let _ = endpoint.write(key, &mut out, Waker::noop());
    space.first() != Some(&0xff)
}
