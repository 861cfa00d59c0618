//! The memory registry passes the suite.

use due_testkit::registry;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_registry_does() {
    let report = registry::suite(|| async { registry::memory() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), registry::CASES.len());
}
