//! The memory source of settings passes the suite.

use due_testkit::config;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_config_source_does() {
    let report = config::suite(|| async { config::memory() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), config::CASES.len());
}
