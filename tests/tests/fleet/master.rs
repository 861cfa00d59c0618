//! Operators at a fleet while it is played on: what they see is true, what they do happens, and players notice nothing of
//! the masters.

use std::{
    path::PathBuf,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use due_sdk::Closed;
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{
    bot::Bots,
    history::Op,
    process::{LIMIT, Process},
    world::{Fleet, World, words},
};

const BOTS: i64 = 12;
static MASTER: LazyLock<PathBuf> = LazyLock::new(|| crate::program::build_with("due-master", &["--features", "etcd"]));
static DUE: LazyLock<PathBuf> = LazyLock::new(|| crate::program::build_bin(("due-cli", "due"), &[]));

/// An operator: the command `due`, a master and a token.
struct Operator {
    master: String,
    token: String,
}

impl Operator {
    /// Its exit code, its output, what it complained of.
    async fn run(&self, args: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(&*DUE);
        command.args(args).env("DUE_MASTER", &self.master).env("DUE_TOKEN", &self.token).kill_on_drop(true);
        let done = timeout(LIMIT, command.output()).await.expect("due ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.success(), text(done.stdout), text(done.stderr))
    }

    async fn json(&self, args: &[&str]) -> Value {
        let (good, out, err) = self.run(&[args, &["--json"]].concat()).await;
        assert!(good, "{args:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    async fn refused(&self, args: &[&str], code: &str) {
        let (good, out, err) = self.run(args).await;
        assert!(!good && err.contains(code), "{args:?}: {out}{err}");
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let met = timeout(LIMIT, async {
            loop {
                last = self.json(args).await;
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        let met = met.await.is_ok();
        assert!(met, "{args:?} never said it: {last}");
        last
    }
}

/// A master of the fleet as a process of its own.
async fn master(world: &World, id: &str) -> Process {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let audit = crate::program::scratch().join(format!("{id}-{}-{number}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&audit);
    let mut args: Vec<String> = world.args("", id).into_iter().skip(1).collect();
    args.extend(words(&["--listen", "127.0.0.1:0", "--audit", audit.to_str().unwrap()]));
    Process::of(&MASTER, id, &args).ready().await
}

/// The token that the first master of all has printed.
async fn first_token(master: &Process) -> String {
    let found = timeout(LIMIT, async {
        loop {
            if let Some((_, rest)) = master.log().split_once("shown this once: ") {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    found.await.expect("a token is printed")
}

/// A fleet that is played on, two masters, and an operator at the second.
struct Scene {
    world: World,
    fleet: Fleet,
    bots: Bots,
    masters: [Process; 2],
    operator: Operator,
}

impl Scene {
    async fn set() -> Self {
        let world = World::on_peers().await;
        let fleet = world.play(2).await;
        let first = master(&world, "master-1").await;
        let token = first_token(&first).await;
        let second = master(&world, "master-2").await;
        let operator = Operator { master: second.url("http"), token };
        let bots = Bots::play(BOTS, fleet.doors());
        bots.all_roll(2, || fleet.logs()).await;
        Self { world, fleet, bots, masters: [first, second], operator }
    }

    fn logs(&self) -> String {
        let masters = self.masters.iter().map(Process::log).collect::<String>();
        format!("{}\nmasters:\n{masters}", self.fleet.logs())
    }

    async fn all_roll(&self, times: usize) {
        self.bots.all_roll(times, || self.logs()).await;
    }

    /// Messages that bots have sent and got answers to.
    fn sent(&self) -> u64 {
        self.bots.history.read(|tale| tale.entries.iter().filter(|e| !matches!(e.op, Op::Connect)).count() as u64)
    }
}

async fn messages(operator: &Operator) -> u64 {
    operator.json(&["ps"]).await["cluster"]["messages"].as_u64().unwrap()
}

// issue: figures are true within 5 %
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_a_fleet_and_its_users_as_they_are_and_reach_them() {
    let scene = Scene::set().await;
    let due = &scene.operator;
    due.until(&["ps"], |all| all["cluster"]["users"] == BOTS && all["cluster"]["partial"] == false).await;
    let (seen, sent) = (messages(due).await, scene.sent());
    scene.all_roll(50).await;
    let (seen, sent) = ((messages(due).await - seen) as f64, (scene.sent() - sent) as f64);
    assert!((seen - sent).abs() <= sent * 0.05 + BOTS as f64, "bots sent {sent}, the API says {seen}");

    let user = due.until(&["user", "show", "3"], |user| !user["session"].is_null()).await;
    assert!(scene.fleet.gates.iter().any(|gate| user["gate"] == gate.name()), "{user}");
    let cheer = r#"{"text": "from the desk", "process": 0}"#;
    let pushed = due.json(&["push", "3", "102", cheer, "--reason", "a greeting"]).await;
    assert_eq!(pushed["queued"], 1);
    let heard = |who: i64| (who, "from the desk".to_owned(), 0);
    scene.bots.history.until("the push", || scene.logs(), |tale| tale.heard.contains(&heard(3))).await;
    due.json(&["kick", "3", "--code", "1001", "--message", "enough", "--reason", "a test"]).await;
    let kicked = |end: &(i64, Closed)| end.0 == 3 && matches!(end.1, Closed::Kicked { code: 1001, .. });
    scene.bots.history.until("the kick", || scene.logs(), |tale| tale.closed.iter().any(kicked)).await;
    let done = due.json(&["audit", "--resource", "user/3"]).await;
    assert!(
        done["items"].as_array().unwrap().iter().any(|r| r["verb"] == "user.kick" && r["outcome"] == "done"),
        "{done}"
    );
    scene.all_roll(2).await;
    scene.bots.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_is_edited_under_load_refused_when_bad_and_rolled_back() {
    let scene = Scene::set().await;
    let (due, key) = (&scene.operator, "game/rules.json");
    let set = |value: &'static str, more: &'static [&'static str]| {
        [&["config", "set", key, value, "--reason", "a test"], more].concat()
    };
    due.json(&set(r#"{"sides": 6}"#, &["--create"])).await;
    let high = due.json(&set(r#"{"sides": 1000}"#, &[])).await;
    assert_eq!(high["checked_by"].as_array().unwrap().len(), 1, "one node speaks for its like: {high}");
    let above = |tale: &crate::history::Tale| tale.rolls().any(|(_, _, rolled)| rolled.value > 6);
    scene.bots.history.until("a throw above 6", || scene.logs(), above).await;
    for bad in [r#"{"sides": 1}"#, r#"{"sides": "many"}"#, "not even JSON"] {
        due.refused(&set(bad, &[]), "validation_failed").await;
    }
    let both = |all: &Value, stored: &str| {
        let users = all["items"].as_array().unwrap();
        users.len() == 2 && users.iter().all(|user| user["version"] == stored)
    };
    let stored = high["version"].as_str().unwrap();
    due.until(&["config", "status", key], |all| both(all, stored)).await;
    let history = due.json(&["config", "history", key]).await;
    let first = history["items"].as_array().unwrap().last().unwrap()["number"].to_string();
    let back = due.json(&["config", "rollback", key, "--to", &first, "--reason", "too wild"]).await;
    let stored = back["version"].as_str().unwrap();
    due.until(&["config", "status", key], |all| both(all, stored)).await;
    assert_eq!(due.json(&["config", "get", key]).await["value"], r#"{"sides": 6}"#);
    scene.all_roll(2).await;
    scene.bots.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_is_drained_its_counts_balance_and_no_player_notices_that_all_masters_die() {
    let mut scene = Scene::set().await;
    scene.fleet.gates.push(scene.world.start("gate", "gate-3").await);
    let due = &scene.operator;
    due.until(&["node", "list", "--kind", "gate"], |all| all["items"].as_array().unwrap().len() == 3).await;
    scene.bots.go_by(scene.fleet.gates.iter().skip(1).map(Process::tcp).collect());
    let drain = ["drain", "start", "gate-1", "--mode", "goaway", "--deadline", "8", "--reason", "a new version"];
    let begun = due.json(&drain).await;
    assert!(begun["began_with"].as_u64().unwrap() > 0, "{begun}");
    due.refused(&drain, "already_draining").await;
    let over = due.until(&["drain", "show", "gate-1"], |drain| drain["connections"] == 0).await;
    let count = |name: &str| over[name].as_u64().unwrap();
    let left = count("moved") + count("finished") + count("cut");
    assert_eq!(count("began_with") + count("came"), left, "{over}");
    scene.all_roll(2).await;

    let [first, second] = scene.masters;
    first.kill().await;
    second.kill().await;
    let (since, logs) = (tokio::time::Instant::now(), || scene.fleet.logs());
    scene.bots.all_roll(5, logs).await;
    scene.bots.end().await.read(|tale| {
        let bad: Vec<_> = tale.since(since).filter(|e| !e.end.is_good()).collect();
        assert!(bad.is_empty(), "players notice nothing: {bad:?}");
    });
}
