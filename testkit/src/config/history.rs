//! Versions and the way back.

use due_core::{
    Kind, Result,
    config::{Expect, History, Outcome, Record},
};

use super::{Bench, Ran, folder, text, value};

fn applied(records: &[Record]) -> Vec<&[u8]> {
    let applied = records.iter().filter(|r| matches!(r.outcome, Outcome::Applied(_)));
    applied.map(|r| r.value.as_deref().unwrap_or(b"deleted")).collect()
}

/// proves P18
pub(super) async fn the_last_ten_versions_are_kept(bench: Bench) -> Result<Ran> {
    let (key, history) = (folder("limits"), History::new(bench.a.clone()));
    assert_eq!(history.records(&key).await?, []);
    for n in 0..14 {
        history.store(&key, text(&n.to_string()), Expect::Any, "anna\nb").await?;
    }
    history.delete(&key, Expect::Any, "bert").await?;
    let records = History::new(bench.b.clone()).records(&key).await?;
    let wanted: Vec<_> = std::iter::once("deleted".to_owned()).chain((5..14).rev().map(|n| n.to_string())).collect();
    assert_eq!(applied(&records), wanted.iter().map(|w| w.as_bytes()).collect::<Vec<_>>());
    assert_eq!(
        (records.len(), records.first().map(|r| &*r.author), records.last().map(|r| &*r.author)),
        (10, Some("bert"), Some("annab"))
    );
    assert!(records.iter().all(|r| r.time.elapsed().is_ok_and(|age| age.as_secs() < 3600)));
    assert!(records.is_sorted_by(|a, b| a.number > b.number));
    Ok(Ran::Yes)
}

pub(super) async fn a_rollback_writes_a_new_version(bench: Bench) -> Result<Ran> {
    let (key, history) = (folder("limits"), History::new(bench.a.clone()));
    let first = history.store(&key, text("good\n\nbytes"), Expect::Absent, "anna").await?;
    let bad = history.store(&key, text("bad"), Expect::Version(first), "bert").await?;
    let good = history.records(&key).await?.last().map_or(0, |r| r.number);
    let back = history.roll_back(&key, good, "anna").await?;
    let entry = bench.b.load(&key).await?;
    assert_eq!(value(entry.as_ref()), Some(&b"good\n\nbytes"[..]));
    assert_eq!(entry.map(|e| e.version), Some(back.clone()));
    assert_ne!(back, bad);
    assert_eq!(applied(&history.records(&key).await?), [&b"good\n\nbytes"[..], b"bad", b"good\n\nbytes"]);
    let same = history.roll_back(&key, good, "anna").await;
    assert_eq!(same.err().map(|e| e.kind()), Some(Kind::Duplicate));
    let unknown = history.roll_back(&key, 99, "anna").await;
    assert_eq!(unknown.err().map(|e| e.kind()), Some(Kind::Gone));
    Ok(Ran::Yes)
}

pub(super) async fn a_refused_write_is_an_attempt(bench: Bench) -> Result<Ran> {
    let (key, history) = (folder("limits"), History::new(bench.a.clone()));
    history.store(&key, text("1"), Expect::Any, "anna").await?;
    let refused = history.store(&key, text("2"), Expect::Absent, "bert").await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Duplicate));
    let records = history.records(&key).await?;
    assert_eq!(records.first().map(|r| (&r.outcome, &*r.author)), Some((&Outcome::Attempt, "bert")));
    assert_eq!(applied(&records), [b"1"]);
    for n in 0..30 {
        let refused = history.store(&key, text(&n.to_string()), Expect::Absent, "bert").await;
        assert!(refused.is_err());
    }
    history.store(&key, text("3"), Expect::Any, "anna").await?;
    let records = history.records(&key).await?;
    assert_eq!((applied(&records), records.len()), (vec![&b"3"[..], b"1"], 12), "attempts do not push versions out");
    Ok(Ran::Yes)
}

pub(super) async fn a_writer_that_died_behind_its_write_is_found_out(bench: Bench) -> Result<Ran> {
    let (key, history) = (folder("limits"), History::new(bench.a.clone()));
    history.store(&key, text("1"), Expect::Any, "anna").await?;
    let refused = history.store(&key, text("2"), Expect::Absent, "bert").await;
    assert!(refused.is_err());
    // As if bert's write had happened and only its mark was missing.
    let version = bench.b.store(&key, text("2"), Expect::Any).await?;
    let records = history.records(&key).await?;
    assert_eq!(records.first().map(|r| &r.outcome), Some(&Outcome::Applied(version)));
    Ok(Ran::Yes)
}

pub(super) async fn two_writers_share_a_history(bench: Bench) -> Result<Ran> {
    let key = folder("limits");
    let (a, b) = (History::new(bench.a.clone()), History::new(bench.b.clone()));
    // A record that cannot be read takes a number, nothing more.
    bench.a.store(&format!(".history/{key}/{:016}", 1), text("junk"), Expect::Absent).await?;
    let (one, two) =
        tokio::join!(a.store(&key, text("1"), Expect::Any, "a"), b.store(&key, text("2"), Expect::Any, "b"));
    assert_ne!(one?, two?);
    let records = a.records(&key).await?;
    assert_eq!((records.len(), applied(&records).len()), (2, 2));
    Ok(Ran::Yes)
}
