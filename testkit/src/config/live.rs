//! Live settings over a source.

use std::sync::Arc;

use due_core::{
    Error, Kind, Result,
    config::{ConfigSource, Expect, Live, Validate, Version},
};

use super::{Bench, CANNOT, Fault, Ran, SOON, folder, text, within};

/// `a,b` with `a` no larger than `b`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Span(u32, u32);

impl Validate for Span {
    fn validate(&self) -> Result<(), String> {
        if self.0 > self.1 { Err(format!("span: {} is above {}", self.0, self.1)) } else { Ok(()) }
    }
}

/// Like [`Span`], but its default is not valid.
#[derive(Debug, PartialEq, Eq)]
struct Needed(Span);

impl Default for Needed {
    fn default() -> Self {
        Self(Span(1, 0))
    }
}

impl Validate for Needed {
    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

fn span(bytes: &[u8]) -> Result<Span, String> {
    let parts = || {
        let (a, b) = std::str::from_utf8(bytes).ok()?.split_once(',')?;
        Some(Span(a.parse().ok()?, b.parse().ok()?))
    };
    parts().ok_or_else(|| "write a,b".to_owned())
}

fn needed(bytes: &[u8]) -> Result<Needed, String> {
    span(bytes).map(Needed)
}

async fn put(source: &Arc<dyn ConfigSource>, key: &str, value: &str) -> Result<()> {
    source.store(key, text(value), Expect::Any).await.map(drop)
}

async fn following(bench: &Bench, key: &str) -> Result<Live<Span>> {
    let live = Live::new(span);
    live.follow(bench.b.clone(), key).await?;
    Ok(live)
}

/// Waits until the status is as wanted; it changes without a value to wait for.
async fn status<T: Send + Sync + 'static>(
    live: &Live<T>,
    what: &'static str,
    wanted: impl Fn(&due_core::config::Status) -> bool,
) -> Result<()> {
    within(SOON, what, async {
        while !wanted(&live.status()) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
}

pub(super) async fn a_stored_value_is_in_use_at_once(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "3,4").await?;
    let live = following(&bench, &key).await?;
    assert_eq!(*live.get(), Span(3, 4));
    let status = live.status();
    assert_eq!((status.applied, status.rejected, status.error, status.connected), (1, 0, None, true));
    assert_eq!(status.version, bench.a.load(&key).await?.map(|e| e.version));
    assert_eq!(*following(&bench, &folder("none")).await?.get(), Span(0, 0));
    Ok(Ran::Yes)
}

pub(super) async fn a_change_is_seen_by_every_handle(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    let mut live = following(&bench, &key).await?;
    let mut other = live.clone();
    for n in 1..5 {
        put(&bench.a, &key, &format!("{n},9")).await?;
        assert_eq!(*within(SOON, "the change", live.changed()).await?, Span(n, 9));
        assert_eq!(*within(SOON, "the change", other.changed()).await?, Span(n, 9));
    }
    assert!(live.check(b"1,2").is_ok() && live.check(b"2,1").is_err());
    assert_eq!(*live.get(), Span(4, 9), "a dry run changes nothing");
    Ok(Ran::Yes)
}

/// proves P18
pub(super) async fn a_bad_value_is_refused_and_does_not_stick(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "1,2").await?;
    let live = following(&bench, &key).await?;
    for n in 1..=100 {
        put(&bench.a, &key, if n % 2 == 0 { "9,1" } else { "junk" }).await?;
        status(&live, "the refusal", |s| s.rejected == n).await?;
        assert_eq!(*live.get(), Span(1, 2));
    }
    assert!(live.status().error.is_some_and(|e| e.contains("span: 9 is above 1")));
    put(&bench.a, &key, "1,2").await?;
    status(&live, "the good value again", |s| s.error.is_none()).await?;
    put(&bench.a, &key, "2,3").await?;
    status(&live, "a good value", |s| s.applied == 3).await?;
    assert_eq!((*live.get() == Span(2, 3), live.status().rejected), (true, 100));
    Ok(Ran::Yes)
}

pub(super) async fn a_deletion_brings_the_default(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "1,2").await?;
    let mut live = following(&bench, &key).await?;
    live.changed().await;
    bench.a.delete(&key, Expect::Any).await?;
    assert_eq!(*within(SOON, "the default", live.changed()).await?, Span(0, 0));
    assert_eq!((live.status().version, live.status().rejected), (None, 0));
    Ok(Ran::Yes)
}

pub(super) async fn a_deletion_without_a_valid_default_keeps_the_last_value(bench: Bench) -> Result<Ran> {
    let key = folder("needed");
    put(&bench.a, &key, "1,2").await?;
    let live = Live::new(needed);
    live.follow(bench.b.clone(), &key).await?;
    bench.a.delete(&key, Expect::Any).await?;
    status(&live, "the refusal", |s| s.rejected == 1).await?;
    assert_eq!(*live.get(), Needed(Span(1, 2)));
    put(&bench.a, &key, "3,4").await?;
    status(&live, "the new value", |s| s.error.is_none()).await?;
    assert_eq!(*live.get(), Needed(Span(3, 4)));
    Ok(Ran::Yes)
}

pub(super) async fn nothing_valid_at_the_start_is_an_error(bench: Bench) -> Result<Ran> {
    let key = folder("needed");
    let live = Live::new(needed);
    assert_eq!(live.follow(bench.b.clone(), &key).await.err().map(|e| e.kind()), Some(Kind::Config));
    put(&bench.a, &key, "2,1").await?;
    let refused = live.follow(bench.b.clone(), &key).await;
    assert!(refused.is_err_and(|e| e.kind() == Kind::Config && e.to_string().contains("2 is above 1")));
    put(&bench.a, &key, "1,2").await?;
    live.follow(bench.b.clone(), &key).await?;
    assert_eq!(*live.get(), Needed(Span(1, 2)));
    Ok(Ran::Yes)
}

/// B127
pub(super) async fn half_written_values_are_refused(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "10,20").await?;
    let live = following(&bench, &key).await?;
    for (n, half) in ["", "1", "10,", "\u{feff}10,20"].into_iter().enumerate() {
        put(&bench.a, &key, half).await?;
        status(&live, "the refusal", |s| s.rejected == n as u64 + 1).await?;
        assert_eq!(*live.get(), Span(10, 20), "{half:?}");
    }
    let credulous = Live::new(|_: &[u8]| Ok::<_, String>(Span(7, 7)));
    put(&bench.a, &key, "").await?;
    credulous.follow(bench.b.clone(), &key).await?;
    assert_eq!((*credulous.get() == Span(0, 0), credulous.status().rejected), (true, 1), "an emptied file is no value");
    Ok(Ran::Yes)
}

/// proves P22
pub(super) async fn a_panic_in_user_code_is_a_refusal(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    let live = Live::new(|bytes: &[u8]| {
        assert!(bytes != b"boom", "on purpose");
        span(bytes)
    });
    live.follow(bench.b.clone(), &key).await?;
    put(&bench.a, &key, "boom").await?;
    status(&live, "the refusal", |s| s.rejected == 1).await?;
    put(&bench.a, &key, "1,2").await?;
    status(&live, "the good value", |s| s.error.is_none() && s.applied == 1).await?;
    assert_eq!(*live.get(), Span(1, 2));
    Ok(Ran::Yes)
}

pub(super) async fn a_restored_source_wins(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "1,1").await?;
    let mut live = following(&bench, &key).await?;
    live.changed().await;
    if !bench.faults.play(Fault::Backup).await {
        return Ok(CANNOT);
    }
    put(&bench.a, &key, "2,2").await?;
    assert_eq!(*within(SOON, "the change", live.changed()).await?, Span(2, 2));
    bench.faults.play(Fault::Restore).await;
    assert_eq!(*within(SOON, "the restored value", live.changed()).await?, Span(1, 1));
    // Only numbers tell what is older.
    let rewinds = matches!(live.status().version, Some(Version::Number(_)));
    assert_eq!(live.status().rewound, u64::from(rewinds));
    Ok(Ran::Yes)
}

pub(super) async fn an_outage_changes_nothing(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "1,2").await?;
    let live = following(&bench, &key).await?;
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    assert_eq!(*live.get(), Span(1, 2));
    bench.faults.play(Fault::Unavailable(false)).await;
    put(&bench.a, &key, "4,3").await?;
    status(&live, "the refusal", |s| s.rejected == 1).await?;
    for _ in 0..3 {
        bench.faults.play(Fault::Unavailable(true)).await;
        bench.faults.play(Fault::Unavailable(false)).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    put(&bench.a, &key, "3,4").await?;
    status(&live, "the change", |s| s.error.is_none()).await?;
    assert_eq!(
        (live.get(), live.status().applied, live.status().rejected),
        (Span(3, 4).into(), 2, 1),
        "each state counts once"
    );
    Ok(Ran::Yes)
}

/// proves P18
pub(super) async fn readers_never_see_half(bench: Bench) -> Result<Ran> {
    let key = folder("span");
    put(&bench.a, &key, "0,0").await?;
    let live = following(&bench, &key).await?;
    let reader = live.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reading = std::thread::spawn(move || {
        let mut seen = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let span = reader.get();
            assert_eq!(span.0, span.1);
            seen = seen.max(span.0);
        }
        seen
    });
    for n in 1..=200 {
        put(&bench.a, &key, &format!("{n},{n}")).await?;
        tokio::task::yield_now().await;
    }
    status(&live, "the last value", |_| *live.get() == Span(200, 200)).await?;
    drop(stop);
    assert!(reading.join().is_ok_and(|seen| seen <= 200));
    Ok(Ran::Yes)
}

pub(super) async fn nobody_watches_when_the_last_handle_is_gone(bench: Bench) -> Result<Ran> {
    let source = Arc::downgrade(&bench.b);
    let key = folder("span");
    let (first, second) = (following(&bench, &key).await?, following(&bench, &key).await?);
    let other = first.clone();
    drop((first, second));
    put(&bench.a, &key, "1,2").await?;
    status(&other, "the change", |s| s.applied == 1).await?;
    let before = source.strong_count();
    drop(other);
    within(SOON, "the end of the follower", async {
        while source.strong_count() >= before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
    .map_err(|e| Error::new(Kind::Internal, format!("{e}: {} hold the source", source.strong_count())))?;
    Ok(Ran::Yes)
}
