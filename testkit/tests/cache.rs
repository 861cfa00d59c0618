//! The memory cache passes the suite, and is bounded.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use due_core::{
    Error, Kind,
    cache::{Cache, Cached, Ttl, memory::Store},
};
use due_testkit::cache;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_cache_does() {
    let report = cache::suite(|| async { cache::memory() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), cache::CASES.len());
}

#[tokio::test(start_paused = true)]
async fn the_longest_unused_goes_first() {
    // proves P19
    let cache = Cached::new(Store::with_size(100_000));
    for n in 0..1000 {
        cache.set(&format!("key-{n}"), vec![0; 1000].into(), Ttl::Forever).await.unwrap();
        assert!(cache.has("key-0").await.unwrap(), "what is used stays");
    }
    let mut kept = 0;
    for n in 0..1000 {
        kept += usize::from(cache.has(&format!("key-{n}")).await.unwrap());
    }
    assert!((50..100).contains(&kept), "{kept}");
    assert!(cache.has("key-999").await.unwrap() && !cache.has("key-1").await.unwrap());
    cache.set("large", vec![0; 200_000].into(), Ttl::Forever).await.unwrap();
    assert!(!cache.has("large").await.unwrap() && cache.has("key-999").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_error_is_told_to_all_who_wait() {
    let cache: Arc<dyn Cache> = Arc::new(Cached::new(Store::default()));
    let ran = Arc::new(AtomicU32::new(0));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (cache, ran) = (cache.clone(), ran.clone());
            let load = move || async move {
                ran.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                Err(Error::new(Kind::RateLimited, "slow down"))
            };
            tokio::spawn(async move { cache.get_or_load("a", Ttl::Forever, load).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), Kind::RateLimited);
    }
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}
