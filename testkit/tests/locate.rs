//! The memory locator passes the suite.

use due_testkit::locate;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_locator_does() {
    let report = locate::suite(|| async { locate::memory() }).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|(case, _)| *case).collect();
    assert_eq!(skipped, ["epochs_do_not_fall_over_a_wipe_without_a_floor"]);
    assert_eq!(report.passed.len(), locate::CASES.len() - 1);
}
