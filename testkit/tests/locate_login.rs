//! Duplicate login on the memory locator.

use due_testkit::locate::{
    self,
    login::{Plan, SOUND, explore},
};

const SEEDS: u64 = 5_000;

// proves P7, P8
#[tokio::test(start_paused = true)]
async fn one_session_survives() {
    for plan in SOUND {
        let (bad, rounds) = explore(plan, SEEDS, || async { locate::memory() }).await.unwrap();
        assert_eq!(bad, 0);
        assert!(rounds <= 4, "{rounds} sweeps");
    }
}

#[tokio::test(start_paused = true)]
async fn each_rule_is_needed() {
    for plan in [
        Plan { kick_not_remembered: true, without_sweep: true, ..Plan::default() },
        Plan { installs_in_reply_order: true, ..Plan::default() },
        Plan { no_tie_rule: true, failover: true, ..Plan::default() },
        Plan { lost_kick: true, without_sweep: true, ..Plan::default() },
        Plan { displaced_unbind_too: true, failover: true, ..Plan::default() },
    ] {
        assert!(explore(plan, SEEDS, || async { locate::memory() }).await.unwrap().0 > 0, "{plan:?}");
    }
}
