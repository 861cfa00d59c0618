//! Masters of a fleet while it is played on: their figures are true, and players notice nothing of them.

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{
    history::Op,
    process::{LIMIT, Process},
    scene::{DUE, Scene},
};

/// An operator: the command `due`, a master and a token.
struct Operator {
    master: String,
    token: String,
}

impl Operator {
    async fn json(&self, args: &[&str]) -> Value {
        let mut command = Command::new(&*DUE);
        command.args(args).arg("--json").env("DUE_MASTER", &self.master).env("DUE_TOKEN", &self.token);
        let done = timeout(LIMIT, command.kill_on_drop(true).output()).await.expect("due ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(done.stdout), text(done.stderr));
        assert!(done.status.success(), "{args:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        let met = timeout(LIMIT, async {
            while !wanted(&last) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                last = self.json(args).await;
            }
        });
        let met = met.await.is_ok();
        assert!(met, "{args:?} never said it: {last}");
    }

    async fn messages(&self) -> u64 {
        self.json(&["ps"]).await["cluster"]["messages"].as_u64().unwrap()
    }
}

/// Messages that bots have sent and got answers to.
fn sent(scene: &Scene) -> u64 {
    let asked = |tale: &crate::history::Tale| tale.entries.iter().filter(|e| !matches!(e.op, Op::Connect)).count();
    scene.bots.history.read(asked) as u64
}

// issue: figures are true within 5 %
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_true_under_load_and_no_player_notices_that_all_masters_die() {
    let scene = Scene::set().await;
    let due = Operator { master: scene.master(), token: scene.token.clone() };
    due.until(&["ps"], |all| all["cluster"]["users"] == scene.bots.count && all["cluster"]["partial"] == false).await;
    let (seen, before) = (due.messages().await, sent(&scene));
    scene.all_roll(50).await;
    let (seen, sent) = ((due.messages().await - seen) as f64, (sent(&scene) - before) as f64);
    assert!((seen - sent).abs() <= sent * 0.05 + scene.bots.count as f64, "bots sent {sent}, the API says {seen}");

    let Scene { fleet, bots, masters, .. } = scene;
    for master in masters {
        Process::kill(master).await;
    }
    let since = tokio::time::Instant::now();
    bots.all_roll(5, || fleet.logs()).await;
    bots.end().await.read(|tale| {
        let bad: Vec<_> = tale.since(since).filter(|e| !e.end.is_good()).collect();
        assert!(bad.is_empty(), "players notice nothing: {bad:?}");
    });
}
