//! How links begin and end.

use std::sync::Arc;

use due_core::{Kind, Result, Retry, transport::Refused};

use super::{Bench, Inbox, Ran, SOON, Server, dialer, message, owner, pair, refused, server, within};

pub(super) async fn a_dropped_end_ends_the_other_after_what_was_flushed(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    for n in 0..5 {
        near.send(message(1, n), b"last words").map_err(refused)?;
    }
    near.flush().await?;
    drop(near);
    assert_eq!(far.frames(5).await?.len(), 5);
    assert_eq!(far.recv(64).await.map_or(0, |n| n), 0);
    let gone = within(SOON, "the end", async {
        loop {
            // A socket learns by writing.
            match far.send(message(1, 0), b"anybody?") {
                Err(gone) => return gone,
                Ok(()) if far.flush().await.is_err() => return Refused::Gone,
                Ok(()) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        }
    });
    assert_eq!(gone.await?, Refused::Gone);
    Ok(Ran::Yes)
}

pub(super) async fn the_acceptor_learns_who_dials(bench: Bench) -> Result<Ran> {
    let mut listening = Server::listen(&bench).await?;
    let _near = bench.transport.connect(&listening.listening.url, dialer(), &server()).await?;
    let accepted = within(SOON, "the accepted link", listening.accepted.recv()).await?;
    assert_eq!(accepted.map(|(from, _)| from), Some(dialer()));
    Ok(Ran::Yes)
}

pub(super) async fn nobody_and_somebody_else_are_unavailable(bench: Bench) -> Result<Ran> {
    let listening = Server::listen(&bench).await?;
    let url = listening.listening.url.clone();
    for wrong in [owner("node-2"), due_core::Owner { incarnation: due_core::Incarnation(99), ..server() }] {
        let refused = within(SOON, "the refusal", bench.transport.connect(&url, dialer(), &wrong)).await?;
        let end = refused.err().map(|e| (e.kind(), e.retry()));
        assert_eq!(end, Some((Kind::Unavailable, Retry::Never)), "{wrong} does not live there any more");
    }
    drop(listening);
    loop {
        let nobody = within(SOON, "the refusal", bench.transport.connect(&url, dialer(), &server())).await?;
        let nobody = nobody.err();
        assert_eq!(nobody.as_ref().map(|e| (e.kind(), e.retry())), Some((Kind::Unavailable, Retry::Safe)));
        // One that was queued while the listener went is reset; the next one finds nobody.
        if nobody.is_some_and(|e| is_refused(&e)) {
            return Ok(Ran::Yes);
        }
    }
}

fn is_refused(e: &(dyn std::error::Error + 'static)) -> bool {
    let own = e.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    own == Some(std::io::ErrorKind::ConnectionRefused) || e.source().is_some_and(is_refused)
}

pub(super) async fn a_busy_address_is_a_setting_to_change(bench: Bench) -> Result<Ran> {
    let first = Server::listen(&bench).await?;
    let other = Server::listen(&bench).await?;
    assert_ne!(first.listening.url, other.listening.url, "port 0 is a free one each time");
    let (tell, _accepted) = tokio::sync::mpsc::unbounded_channel();
    let busy = bench.transport.listen(&first.listening.url, owner("node-3"), Arc::new(Inbox(tell))).await;
    assert_eq!(busy.err().map(|e| e.kind()), Some(Kind::Config));
    Ok(Ran::Yes)
}

pub(super) async fn live_links_stay_when_listening_ends(bench: Bench) -> Result<Ran> {
    let (server, mut near, mut far) = pair(&bench).await?;
    drop(server);
    near.send(message(1, 1), b"still here").map_err(refused)?;
    near.flush().await?;
    assert_eq!(far.frames(1).await?, [(message(1, 1), b"still here".to_vec())]);
    Ok(Ran::Yes)
}
