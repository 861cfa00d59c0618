//! Load, list, store, delete.

use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    config::{Cas, Expect, LARGEST, Version, Write},
};

use super::{Bench, CANNOT, Fault, Ran, folder, text, value};

pub(super) async fn what_is_stored_is_loaded_elsewhere(bench: Bench) -> Result<Ran> {
    let key = folder("limits.json");
    assert_eq!(bench.a.load(&key).await?, None);
    let bytes = Bytes::from((0..=255).collect::<Vec<u8>>());
    let version = bench.a.store(&key, bytes.clone(), Expect::Any).await?;
    let entry = bench.b.load(&key).await?;
    assert_eq!(entry.as_ref().map(|e| (&e.value, &e.version)), Some((&bytes, &version)));
    let largest = Bytes::from(vec![7; 200_000]);
    bench.a.store(&key, largest.clone(), Expect::Any).await?;
    assert_eq!(value(bench.b.load(&key).await?.as_ref()), Some(&largest[..]));
    Ok(Ran::Yes)
}

pub(super) async fn every_write_has_a_new_version(bench: Bench) -> Result<Ran> {
    let key = folder("a");
    let mut versions: Vec<Version> = Vec::new();
    for n in 0..5 {
        let version = bench.a.store(&key, text(&n.to_string()), Expect::Any).await?;
        assert!(!versions.contains(&version), "{version}");
        assert!(versions.last().is_none_or(|last| last < &version || matches!(version, Version::Tag(_))));
        versions.push(version);
    }
    Ok(Ran::Yes)
}

pub(super) async fn a_write_happens_only_as_expected(bench: Bench) -> Result<Ran> {
    let key = folder("cas");
    let old = bench.a.store(&key, text("1"), Expect::Absent).await?;
    let kinds = [
        bench.b.store(&key, text("x"), Expect::Absent).await.err().map(|e| e.kind()),
        bench.b.store(&key, text("x"), Expect::Version(Version::Tag("never".into()))).await.err().map(|e| e.kind()),
    ];
    assert_eq!(kinds, [Some(Kind::Duplicate), Some(Kind::Stale)]);
    let new = bench.b.store(&key, text("2"), Expect::Version(old.clone())).await?;
    let late = bench.a.store(&key, text("3"), Expect::Version(old.clone())).await;
    assert_eq!(late.err().map(|e| e.kind()), Some(Kind::Stale));
    let late = bench.a.delete(&key, Expect::Version(old)).await;
    assert_eq!(late.err().map(|e| e.kind()), Some(Kind::Stale));
    assert_eq!(value(bench.a.load(&key).await?.as_ref()), Some(&b"2"[..]));
    bench.a.delete(&key, Expect::Version(new)).await?;
    assert_eq!(bench.b.load(&key).await?, None);
    Ok(Ran::Yes)
}

pub(super) async fn a_deleted_key_is_absent(bench: Bench) -> Result<Ran> {
    let key = folder("gone");
    let stored = bench.a.store(&key, text("1"), Expect::Any).await?;
    bench.a.delete(&key, Expect::Any).await?;
    assert_eq!(bench.b.load(&key).await?, None);
    assert!(bench.b.list(&key).await?.is_empty());
    bench.b.delete(&key, Expect::Any).await?;
    let gone = bench.a.store(&key, text("2"), Expect::Version(stored.clone())).await;
    assert_eq!(gone.err().map(|e| e.kind()), Some(Kind::Stale));
    let again = bench.a.store(&key, text("2"), Expect::Absent).await?;
    assert_ne!(again, stored);
    Ok(Ran::Yes)
}

/// B123
pub(super) async fn a_list_holds_its_prefix_and_no_cousins(bench: Bench) -> Result<Ran> {
    let folder = folder("game");
    for key in ["/a", "/b/c", "2/a", "-x"] {
        bench.a.store(&format!("{folder}{key}"), text(key), Expect::Any).await?;
    }
    let under = bench.b.list(&format!("{folder}/")).await?;
    let keys: Vec<_> = under.iter().map(|(k, e)| (k.strip_prefix(&*folder), value(Some(e)))).collect();
    assert_eq!(keys, [(Some("/a"), Some(&b"/a"[..])), (Some("/b/c"), Some(&b"/b/c"[..]))]);
    assert_eq!(bench.b.list(&folder).await?.len(), 4);
    Ok(Ran::Yes)
}

/// proves P18: no update is lost.
pub(super) async fn of_many_writers_none_is_overwritten_unseen(bench: Bench) -> Result<Ran> {
    if bench.a.capability().cas != Cas::Atomic {
        return Ok(Ran::Skipped("conditional writes are best effort"));
    }
    let key = folder("counter");
    bench.a.store(&key, text("0"), Expect::Absent).await?;
    let writers = (0..6).map(|n| {
        let (source, key) = (if n % 2 == 0 { bench.a.clone() } else { bench.b.clone() }, key.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                loop {
                    let entry = source.load(&key).await?.ok_or(Kind::Gone)?;
                    let n: u64 =
                        std::str::from_utf8(&entry.value).ok().and_then(|t| t.parse().ok()).ok_or(Kind::Malformed)?;
                    tokio::task::yield_now().await;
                    match source.store(&key, text(&(n + 1).to_string()), Expect::Version(entry.version)).await {
                        Ok(_) => break,
                        Err(e) if e.kind() == Kind::Stale => {}
                        Err(e) => return Err(e),
                    }
                }
            }
            Ok::<_, Error>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.map_err(|_| Kind::Internal)??;
    }
    assert_eq!(value(bench.b.load(&key).await?.as_ref()), Some(&b"60"[..]));
    Ok(Ran::Yes)
}

/// A source that cannot says so and does nothing.
pub(super) async fn writes_that_go_together_all_happen_or_none(bench: Bench) -> Result<Ran> {
    let (one, two) = (folder("one"), folder("two"));
    let write = |key: &str, value: &str, expect| Write { key: key.into(), value: Some(text(value)), expect };
    let both = vec![write(&one, "1", Expect::Absent), write(&two, "1", Expect::Absent)];
    let version = match bench.a.write_together(both.clone()).await {
        Err(e) if e.kind() == Kind::Unsupported => {
            assert_eq!((bench.b.load(&one).await?, bench.b.load(&two).await?), (None, None));
            return Ok(Ran::Yes);
        }
        outcome => outcome?,
    };
    for key in [&one, &two] {
        let entry = bench.b.load(key).await?;
        assert_eq!(entry.as_ref().map(|e| (&*e.value, &e.version)), Some((&b"1"[..], &version)), "one version for all");
    }
    let half = vec![write(&one, "2", Expect::Version(version.clone())), write(&two, "2", Expect::Absent)];
    assert_eq!(bench.a.write_together(half).await.err().map(|e| e.kind()), Some(Kind::Duplicate));
    let stale = vec![write(&two, "2", Expect::Any), write(&one, "2", Expect::Version(Version::Tag("never".into())))];
    assert_eq!(bench.a.write_together(stale).await.err().map(|e| e.kind()), Some(Kind::Stale));
    assert_eq!(value(bench.b.load(&one).await?.as_ref()), Some(&b"1"[..]));
    assert_eq!(value(bench.b.load(&two).await?.as_ref()), Some(&b"1"[..]));
    let bad = vec![write(&one, "2", Expect::Any), write("../up", "2", Expect::Any)];
    assert_eq!(bench.a.write_together(bad).await.err().map(|e| e.kind()), Some(Kind::BadRequest));
    let gone = Write { value: None, ..write(&two, "", Expect::Version(version)) };
    let last = bench.a.write_together(vec![write(&one, "3", Expect::Any), gone]).await?;
    assert_eq!(bench.b.load(&one).await?.map(|e| (e.value, e.version)), Some((text("3"), last)));
    assert_eq!(bench.b.load(&two).await?, None);
    Ok(Ran::Yes)
}

/// B109, B127
pub(super) async fn odd_keys_and_large_values_are_refused(bench: Bench) -> Result<Ran> {
    let long = "x".repeat(257);
    for odd in ["", "/a", "a/", "a//b", "..", "a/../b", "../../etc/passwd", "%2e%2e/a", "c:\\a", "a\0", "a b", &*long] {
        let answers = [
            bench.a.load(odd).await.err().map(|e| e.kind()),
            bench.a.store(odd, text("x"), Expect::Any).await.err().map(|e| e.kind()),
            bench.a.delete(odd, Expect::Any).await.err().map(|e| e.kind()),
        ];
        assert_eq!(answers, [Some(Kind::BadRequest); 3], "{odd:?}");
    }
    let large = bench.a.store(&folder("large"), vec![0; LARGEST + 1].into(), Expect::Any).await;
    assert_eq!(large.err().map(|e| e.kind()), Some(Kind::TooLarge));
    Ok(Ran::Yes)
}

pub(super) async fn a_source_that_is_away_says_so(bench: Bench) -> Result<Ran> {
    let key = folder("away");
    bench.a.store(&key, text("1"), Expect::Any).await?;
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    let answers = [
        bench.a.load(&key).await.err().map(|e| e.kind()),
        bench.a.list(&key).await.err().map(|e| e.kind()),
        bench.a.watch(&key).await.err().map(|e| e.kind()),
        bench.a.store(&key, text("2"), Expect::Any).await.err().map(|e| e.kind()),
        bench.a.delete(&key, Expect::Any).await.err().map(|e| e.kind()),
    ];
    assert_eq!(answers, [Some(Kind::Unavailable); 5]);
    bench.faults.play(Fault::Unavailable(false)).await;
    assert_eq!(value(bench.a.load(&key).await?.as_ref()), Some(&b"1"[..]));
    Ok(Ran::Yes)
}
