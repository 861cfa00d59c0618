//! The memory locks pass the suite.

use due_testkit::lock;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_lock_does() {
    let report = lock::suite(|| async { lock::memory() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), lock::CASES.len());
}
