//! Values, their lives, counters.

use std::time::Duration;

use bytes::Bytes;
use due_core::{Error, Kind, Result, cache::Ttl};
use tokio::time::sleep;

use super::{Bench, LONG, Ran, SOON, key, within};

/// Whole seconds: not every server counts finer.
const LIFE: Duration = Duration::from_secs(1);

pub(super) async fn what_is_set_is_there_elsewhere(bench: Bench) -> Result<Ran> {
    let key = key("a");
    assert_eq!((bench.a.get(&key).await?, bench.a.has(&key).await?), (None, false));
    for value in [Bytes::new(), Bytes::from_static(b"\0\xff\r\n"), vec![7; 100_000].into()] {
        bench.a.set(&key, value.clone(), Ttl::Forever).await?;
        assert_eq!((bench.b.get(&key).await?, bench.b.has(&key).await?), (Some(value), true));
    }
    assert_eq!(bench.b.get(&format!("{key}:b")).await?, None);
    Ok(Ran::Yes)
}

pub(super) async fn a_value_ends_with_its_life(bench: Bench) -> Result<Ran> {
    let (short, long) = (key("short"), key("long"));
    bench.a.set(&short, "x".into(), Ttl::For(LIFE)).await?;
    bench.a.set(&long, "x".into(), LONG).await?;
    assert!(bench.b.has(&short).await?);
    sleep(LIFE * 2).await;
    assert_eq!(
        (bench.b.get(&short).await?, bench.b.has(&short).await?, bench.b.has(&long).await?),
        (None, false, true)
    );
    Ok(Ran::Yes)
}

pub(super) async fn a_kept_life_is_not_made_longer(bench: Bench) -> Result<Ran> {
    let (key, new) = (key("kept"), key("new"));
    bench.a.set(&key, "1".into(), Ttl::For(LIFE)).await?;
    bench.a.set(&key, "2".into(), Ttl::Keep).await?;
    bench.a.set(&new, "3".into(), Ttl::Keep).await?;
    assert_eq!(bench.b.get(&key).await?, Some("2".into()));
    sleep(LIFE * 2).await;
    assert_eq!((bench.b.get(&key).await?, bench.b.get(&new).await?), (None, Some("3".into())));
    Ok(Ran::Yes)
}

pub(super) async fn a_random_life_is_within_its_bounds(bench: Bench) -> Result<Ran> {
    let key = key("random");
    let mut kept = 0;
    for n in 0..40 {
        bench.a.set(&format!("{key}:{n}"), "x".into(), Ttl::Between(LIFE * 2..=LIFE * 6)).await?;
    }
    sleep(LIFE).await;
    for n in 0..40 {
        assert!(bench.b.has(&format!("{key}:{n}")).await?, "not before the lower bound");
    }
    sleep(LIFE * 3).await;
    for n in 0..40 {
        kept += usize::from(bench.b.has(&format!("{key}:{n}")).await?);
    }
    assert!((1..40).contains(&kept), "they do not end together: {kept} of 40 in the middle");
    sleep(LIFE * 4).await;
    for n in 0..40 {
        assert!(!bench.b.has(&format!("{key}:{n}")).await?, "not beyond the upper bound");
    }
    Ok(Ran::Yes)
}

pub(super) async fn only_one_sets_what_is_absent(bench: Bench) -> Result<Ran> {
    let key = key("nx");
    let tasks = (0..8).map(|n| {
        let (cache, key) = (if n % 2 == 0 { bench.a.clone() } else { bench.b.clone() }, key.clone());
        tokio::spawn(async move { cache.set_if_absent(&key, n.to_string().into(), LONG).await })
    });
    let mut winners = Vec::new();
    for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        if task.await.map_err(|_| Kind::Internal)?? {
            winners.push(n.to_string());
        }
    }
    let value = bench.a.get(&key).await?.ok_or(Kind::Lost)?;
    assert_eq!(winners, [String::from_utf8_lossy(&value)]);
    Ok(Ran::Yes)
}

pub(super) async fn a_deleted_key_is_absent(bench: Bench) -> Result<Ran> {
    let key = key("gone");
    bench.a.set(&key, "x".into(), LONG).await?;
    assert_eq!(
        (bench.b.delete(&key).await?, bench.a.has(&key).await?, bench.b.delete(&key).await?),
        (true, false, false)
    );
    assert!(bench.a.set_if_absent(&key, "y".into(), LONG).await?);
    Ok(Ran::Yes)
}

pub(super) async fn counting_loses_nothing(bench: Bench) -> Result<Ran> {
    let key = key("count");
    let tasks = (0..6).map(|n| {
        let (cache, key) = (if n % 2 == 0 { bench.a.clone() } else { bench.b.clone() }, key.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                cache.incr(&key, if n == 5 { -1 } else { 2 }).await?;
            }
            Ok::<_, Error>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        within(SOON, "a counter", task).await?.map_err(|_| Kind::Internal)??;
    }
    assert_eq!(bench.a.incr(&key, 0).await?, 5 * 50 * 2 - 50);
    assert_eq!(bench.b.get(&key).await?, Some("450".into()));
    Ok(Ran::Yes)
}

pub(super) async fn a_counter_keeps_its_life(bench: Bench) -> Result<Ran> {
    let key = key("life");
    bench.a.set(&key, "5".into(), Ttl::For(LIFE)).await?;
    assert_eq!(bench.a.incr(&key, 1).await?, 6);
    sleep(LIFE * 2).await;
    assert_eq!(bench.b.incr(&key, 1).await?, 1);
    Ok(Ran::Yes)
}

pub(super) async fn what_is_no_number_is_not_counted(bench: Bench) -> Result<Ran> {
    let key = key("text");
    for value in ["abc", "", "1.5", "9223372036854775807"] {
        bench.a.set(&key, value.into(), LONG).await?;
        assert_eq!(bench.a.incr(&key, 1).await.err().map(|e| e.kind()), Some(Kind::BadRequest), "{value}");
        assert_eq!(bench.a.get(&key).await?, Some(value.into()));
    }
    Ok(Ran::Yes)
}

pub(super) async fn odd_keys_and_lives_are_refused(bench: Bench) -> Result<Ran> {
    let long = "x".repeat(201);
    for odd in ["", "a b", "a\n", "a\0", "~a", &*long] {
        let answers = [
            bench.a.get(odd).await.err().map(|e| e.kind()),
            bench.a.set(odd, Bytes::new(), LONG).await.err().map(|e| e.kind()),
            bench.a.delete(odd).await.err().map(|e| e.kind()),
            bench.a.incr(odd, 1).await.err().map(|e| e.kind()),
        ];
        assert_eq!(answers, [Some(Kind::BadRequest); 4], "{odd:?}");
    }
    let empty = Ttl::Between(Duration::from_secs(2)..=Duration::from_secs(1));
    for ttl in [Ttl::For(Duration::ZERO), empty] {
        let refused = bench.a.set(&key("life"), Bytes::new(), ttl).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::BadRequest));
    }
    bench.a.set(&key("eternal"), Bytes::new(), Ttl::For(Duration::MAX)).await?;
    Ok(Ran::Yes)
}
