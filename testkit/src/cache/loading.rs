//! Loading what is not there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use due_core::{Error, Kind, Result, Retry};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use super::{Bench, CANNOT, Fault, LONG, Ran, SOON, key, within};

/// A loader that counts how often it ran and waits to be let go.
#[derive(Clone, Default)]
struct Loader(Arc<State>);

#[derive(Default)]
struct State {
    ran: AtomicU32,
    begun: Notify,
    go: Gate,
}

/// Closed until it is opened, then open for all.
#[derive(Default)]
struct Gate(watch::Sender<bool>);

impl Gate {
    fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Loader {
    async fn waits(self, value: Result<Option<Bytes>>) -> Result<Option<Bytes>> {
        self.0.ran.fetch_add(1, Ordering::SeqCst);
        self.0.begun.notify_one();
        self.0.go.pass().await;
        value
    }

    async fn runs(self, value: Option<&'static str>) -> Result<Option<Bytes>> {
        self.0.ran.fetch_add(1, Ordering::SeqCst);
        Ok(value.map(Bytes::from))
    }

    fn ran(&self) -> u32 {
        self.0.ran.load(Ordering::SeqCst)
    }
}

/// Starts `count` callers that share one loader, and waits until it runs.
async fn crowd(
    bench: &Bench,
    key: &str,
    loader: &Loader,
    value: fn() -> Result<Option<Bytes>>,
) -> Result<Vec<tokio::task::JoinHandle<Result<Option<Bytes>>>>> {
    let callers = (0..20).map(|_| {
        let (cache, key, loader) = (bench.a.clone(), key.to_owned(), loader.clone());
        tokio::spawn(async move { cache.get_or_load(&key, LONG, move || loader.waits(value())).await })
    });
    let callers = callers.collect();
    within(SOON, "the loader", loader.0.begun.notified()).await?;
    Ok(callers)
}

pub(super) async fn one_loads_for_all(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("flight"), Loader::default());
    let callers = crowd(&bench, &key, &loader, || Ok(Some("v".into()))).await?;
    loader.0.go.open();
    for caller in callers {
        let value = within(SOON, "the value", caller).await?.map_err(|_| Kind::Internal)??;
        assert_eq!(value, Some("v".into()));
    }
    assert_eq!((loader.ran(), bench.b.get(&key).await?), (1, Some("v".into())));
    Ok(Ran::Yes)
}

pub(super) async fn what_is_there_is_not_loaded(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("there"), Loader::default());
    bench.b.set(&key, "old".into(), LONG).await?;
    let (a, l) = (&bench.a, loader.clone());
    assert_eq!(a.get_or_load(&key, LONG, move || l.runs(Some("new"))).await?, Some("old".into()));
    assert_eq!(loader.ran(), 0);
    bench.b.delete(&key).await?;
    let l = loader.clone();
    assert_eq!(a.get_or_load(&key, LONG, move || l.runs(Some("new"))).await?, Some("new".into()));
    assert_eq!(loader.ran(), 1);
    Ok(Ran::Yes)
}

pub(super) async fn absence_is_remembered_for_a_while(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("absent"), Loader::default());
    for cache in [&bench.a, &bench.b, &bench.a] {
        let l = loader.clone();
        assert_eq!(cache.get_or_load(&key, LONG, move || l.runs(None)).await?, None);
    }
    assert_eq!(loader.ran(), 1);
    sleep(Duration::from_secs(11)).await;
    let l = loader.clone();
    assert_eq!(bench.b.get_or_load(&key, LONG, move || l.runs(Some("late"))).await?, Some("late".into()));
    assert_eq!(loader.ran(), 2);
    Ok(Ran::Yes)
}

pub(super) async fn absence_is_no_value(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("nil"), Loader::default());
    let absent = |l: Loader| bench.a.get_or_load(&key, LONG, move || l.runs(None));
    assert_eq!(absent(loader.clone()).await?, None);
    assert_eq!((bench.a.get(&key).await?, bench.a.has(&key).await?), (None, false));
    assert_eq!(bench.b.incr(&key, 3).await?, 3);
    assert_eq!(absent(loader.clone()).await?, Some("3".into()), "a value counts more than remembered absence");
    bench.b.delete(&key).await?;
    assert_eq!(absent(loader.clone()).await?, None);
    assert_eq!(loader.ran(), 2, "deleting forgets the absence too");
    assert!(bench.b.set_if_absent(&key, "x".into(), LONG).await?);
    Ok(Ran::Yes)
}

pub(super) async fn an_error_is_told_to_all_and_forgotten(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("error"), Loader::default());
    let callers = crowd(&bench, &key, &loader, || Err(Error::new(Kind::RateLimited, "slow down"))).await?;
    loader.0.go.open();
    for caller in callers {
        let answer = within(SOON, "the error", caller).await?.map_err(|_| Kind::Internal)?;
        let Err(e) = answer else { return Err(Kind::Internal.into()) };
        assert_eq!((e.kind(), e.retry(), e.text()), (Kind::RateLimited, Retry::Safe, "slow down"));
    }
    // Who has not asked the server yet when the first load ends begins another: an error is not remembered.
    assert!(loader.ran() <= 20);
    let l = loader.clone();
    assert_eq!(bench.a.get_or_load(&key, LONG, move || l.runs(Some("v"))).await?, Some("v".into()));
    Ok(Ran::Yes)
}

/// proves P22
pub(super) async fn a_panic_of_the_loader_hurts_nobody_else(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("panic"), Loader::default());
    async fn boom() -> Result<Option<Bytes>> {
        assert!(std::hint::black_box(false), "on purpose");
        Ok(None)
    }
    let boom = within(SOON, "an answer", bench.a.get_or_load(&key, LONG, boom)).await?;
    assert_eq!(boom.err().map(|e| e.kind()), Some(Kind::Internal));
    let l = loader.clone();
    assert_eq!(bench.a.get_or_load(&key, LONG, move || l.runs(Some("v"))).await?, Some("v".into()));
    Ok(Ran::Yes)
}

pub(super) async fn a_load_outlives_its_caller(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("gone"), Loader::default());
    let callers = crowd(&bench, &key, &loader, || Ok(Some("v".into()))).await?;
    callers.iter().for_each(|c| c.abort());
    let (cache, l) = (bench.a.clone(), loader.clone());
    let late = async {
        loader.0.go.open();
        within(SOON, "the value", cache.get_or_load(&key, LONG, move || l.runs(Some("another")))).await?
    };
    assert_eq!(late.await?, Some("v".into()));
    assert_eq!(loader.ran(), 1);
    Ok(Ran::Yes)
}

pub(super) async fn a_cache_that_is_away_costs_a_load(bench: Bench) -> Result<Ran> {
    let (key, loader) = (key("away"), Loader::default());
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    let answers = [
        bench.a.get(&key).await.err().map(|e| e.kind()),
        bench.a.set(&key, Bytes::new(), LONG).await.err().map(|e| e.kind()),
        bench.a.incr(&key, 1).await.err().map(|e| e.kind()),
    ];
    assert_eq!(answers, [Some(Kind::Unavailable); 3]);
    for n in 1..3 {
        let l = loader.clone();
        assert_eq!(bench.a.get_or_load(&key, LONG, move || l.runs(Some("v"))).await?, Some("v".into()));
        assert_eq!(loader.ran(), n);
    }
    bench.faults.play(Fault::Unavailable(false)).await;
    assert_eq!(bench.a.get(&key).await?, None);
    Ok(Ran::Yes)
}
