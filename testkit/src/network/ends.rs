//! How connections begin and end.

use due_core::{Kind, Result};

use super::{Bench, Ran, SOON, Server, Wire, within};

pub(super) async fn a_graceful_end_loses_nothing(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    // Unread input must not cut off what was sent.
    client.queue(&[1; 5000]);
    client.flush().await?;
    conn.queue(&[2; 60_000]);
    let reading = async {
        let read = client.rest().await?;
        drop(client);
        Ok::<_, due_core::Error>(read)
    };
    let (shut, read) = tokio::join!(conn.shut_down(), reading);
    shut?;
    assert_eq!(read?.len(), 60_000);
    Ok(Ran::Yes)
}

pub(super) async fn what_the_client_sent_before_it_left_is_read(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    client.queue(b"goodbye");
    let (left, read) = tokio::join!(client.shut_down(), async {
        let read = conn.rest().await;
        drop(conn);
        read
    });
    left?;
    assert_eq!(read?, b"goodbye");
    Ok(Ran::Yes)
}

pub(super) async fn a_dropped_end_is_seen(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, conn) = server.pair(&bench).await?;
    drop(conn);
    assert_eq!(client.rest().await?, b"");
    let (client, mut conn) = server.pair(&bench).await?;
    drop(client);
    assert_eq!(conn.rest().await?, b"");
    Ok(Ran::Yes)
}

pub(super) async fn a_busy_address_is_a_setting_to_change(bench: Bench) -> Result<Ran> {
    let first = Server::bind(&bench, 1).await?;
    let other = Server::bind(&bench, 1).await?;
    assert_ne!(first.url, other.url, "port 0 is a free one each time");
    let Err(busy) = bench.network.bind(&first.url, 1).await else { return Err(Kind::Internal.into()) };
    assert_eq!(busy.kind(), Kind::Config);
    assert!(busy.to_string().contains(first.url.host()), "{busy}");
    Ok(Ran::Yes)
}

pub(super) async fn nobody_is_unavailable(bench: Bench) -> Result<Ran> {
    let url = Server::bind(&bench, 1).await?.url;
    let nobody = within(SOON, "the refusal", bench.network.connect(&url)).await?;
    assert_eq!(nobody.err().map(|e| e.kind()), Some(Kind::Unavailable));
    Ok(Ran::Yes)
}

/// proves P15
pub(super) async fn closing_takes_what_is_queued_and_no_more(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    server.listeners.iter_mut().for_each(|l| l.close());
    client.queue(b"alive");
    client.flush().await?;
    assert_eq!(conn.bytes(5).await?, b"alive");
    let late = within(SOON, "the refusal", bench.network.connect(&server.url)).await?;
    assert_eq!(late.err().map(|e| e.kind()), Some(Kind::Unavailable));
    Ok(Ran::Yes)
}

pub(super) async fn every_client_belongs_to_one_shard(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 3).await?;
    let url = server.url.clone();
    let mut shards = [0; 3];
    for n in 0..12u8 {
        let (client, accepted) =
            tokio::join!(within(SOON, "a connection", bench.network.connect(&url)), server.accept());
        let (shard, mut conn) = accepted?;
        let mut client = Wire::new(client??);
        client.queue(&[n]);
        client.flush().await?;
        assert_eq!(conn.bytes(1).await?, [n]);
        if let Some(count) = shards.get_mut(shard) {
            *count += 1;
        }
    }
    assert_eq!(shards.iter().sum::<i32>(), 12);
    Ok(Ran::Yes)
}

pub(super) async fn peers_have_addresses(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (_client, conn) = server.pair(&bench).await?;
    let (_other, second) = server.pair(&bench).await?;
    assert!(conn.conn.peer().ip().is_loopback());
    assert_ne!(conn.conn.peer(), second.conn.peer());
    Ok(Ran::Yes)
}
