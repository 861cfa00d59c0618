//! The memory transport passes the suite.

use due_testkit::transport;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_transport_does() {
    let report = transport::suite(|| async { transport::memory().unwrap() }).await.unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), transport::CASES.len());
}
