//! The page on operating, from its first step to its last, on a fleet that is played on: by curl, and by `due`. Each step is
//! judged by its answer and by what came of it.

use due::Kind;
use due_sdk::Closed;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    history::{Entry, Tale},
    page::{By, Desk, Ran},
    process::Process,
    scene::Scene,
};

/// The user that the page is about.
const USER: i64 = 3;
const KEY: &str = "config/game/rules.json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_on_operating_is_true_by_curl() {
    walk(By::Curl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_on_operating_is_true_by_due() {
    walk(By::Due).await;
}

async fn walk(by: By) {
    let mut scene = Scene::set().await;
    let desk = Desk::new(by, &scene.master(), &scene.token);
    all_are_ready(&scene, &desk).await;
    a_user_is_found_told_and_sent_away(&scene, &desk).await;
    a_setting_is_made_changed_refused_and_taken_back(&scene, &desk).await;
    a_node_is_emptied(&mut scene, &desk).await;
    a_gate_is_emptied(&mut scene, &desk).await;
    all_of_it_stands_in_the_audit_log(&desk).await;
    assert_eq!(desk.left(), [""; 0], "each command of the page is run");
    let Scene { fleet, bots, masters: [_first, second], .. } = scene;
    bots.end().await;
    a_master_says_that_it_stops(second, &fleet.meshes[0], &desk).await;
}

/// Status and reasons of the three paths.
async fn probe(desk: &Desk, process: &Process) -> [(String, Vec<String>); 3] {
    let said = desk.probe(&process.of_part("probes")).await;
    assert!(said.good, "{}: {}", process.name(), said.err);
    let mut lines = said.out.lines();
    ["livez", "startupz", "readyz"].map(|path| {
        let line = lines.next().unwrap_or_else(|| panic!("no {path}: {}", said.out));
        let (body, status) = line.split_once(&format!(" {path} ")).unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let reasons = body["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned());
        (status.to_owned(), reasons.collect())
    })
}

async fn all_are_ready(scene: &Scene, desk: &Desk) {
    let parts = scene.fleet.gates.iter().chain(&scene.fleet.nodes).chain(&scene.fleet.meshes);
    for process in parts.chain(&scene.masters) {
        let said = probe(desk, process).await;
        assert!(said.iter().all(|(status, why)| status == "200" && why.is_empty()), "{}: {said:?}", process.name());
    }
}

/// Alive, started, and ready for nothing new, for this reason.
async fn takes_nothing_new(desk: &Desk, process: &Process, why: &str) {
    let [alive, started, ready] = probe(desk, process).await;
    assert_eq!((alive.0.as_str(), started.0.as_str(), ready.0.as_str()), ("200", "200", "503"), "{}", process.name());
    assert!(ready.1.iter().any(|reason| reason.contains(why)), "{}: {:?}", process.name(), ready.1);
}

async fn a_user_is_found_told_and_sent_away(scene: &Scene, desk: &Desk) {
    let (history, logs) = (&scene.bots.history, || scene.logs());
    let user = desk.until("Find a user", |user| !user["session"].is_null() && !user["actors"][0].is_null()).await;
    assert!(scene.fleet.gates.iter().any(|gate| user["gate"] == gate.name()), "{user}");
    assert_eq!((&user["uid"], &user["actors"][0]), (&Value::from(USER), &Value::from("room/1")), "{user}");

    let pushed = desk.json("Say something to the user").await;
    assert_eq!((&pushed["queued"], &pushed["offline"]), (&Value::from(1), &Value::from(0)), "{pushed}");
    let heard = |tale: &Tale| tale.heard.iter().filter(|(_, text, _)| text == "from the desk").count();
    let told = |tale: &Tale| tale.heard.contains(&(USER, "from the desk".to_owned(), 0));
    history.until("the push", logs, told).await;
    if desk.by == By::Curl {
        assert_eq!(desk.json("Say something to the user").await, pushed, "the same key is the same push");
    }

    desk.json("Send the user away").await;
    let sent_away = |(who, why): &(i64, Closed)| {
        *who == USER && matches!(why, Closed::Kicked { code: 1001, text } if text == "enough")
    };
    history.until("the kick", logs, |tale| tale.closed.iter().any(sent_away)).await;
    let back = desk.until("Find a user", |user| !user["session"].is_null()).await;
    assert_eq!(back["last_end"]["what"], "kicked", "{back}");
    assert_eq!(history.read(heard), 1, "nobody else was told, and nobody twice");
}

async fn a_setting_is_made_changed_refused_and_taken_back(scene: &Scene, desk: &Desk) {
    let made = desk.json("Make a setting").await;
    in_use_everywhere(scene, desk, &made).await;
    let changed = desk.json("Change it").await;
    assert_eq!(changed["checked_by"].as_array().unwrap().len(), 1, "one node speaks for its like: {changed}");
    in_use_everywhere(scene, desk, &changed).await;
    let wild = |tale: &Tale| tale.rolls().any(|(_, _, rolled)| rolled.value > 6);
    scene.bots.history.until("a throw above 6", || scene.logs(), wild).await;

    let Ran { good, out, err } = desk.run("Be refused").await;
    assert!(!good, "a bad value is stored: {out}");
    match desk.by {
        By::Curl => {
            let problem: Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&problem["code"], &problem["status"]), (&"validation_failed".into(), &422.into()), "{problem}");
            assert!(problem["fields"]["value/sides"].is_string(), "the field is named: {problem}");
        }
        By::Due => assert!(err.contains("validation_failed") && err.contains("value/sides"), "{err}"),
    }
    in_use_everywhere(scene, desk, &changed).await;
    let before = desk.json("See what was written").await;
    let [newest, oldest] = [0, 1].map(|n| &before["items"][n]);
    assert_eq!((&newest["number"], &newest["version"]), (&2.into(), &changed["version"]), "nothing is new: {before}");

    let back = desk.json("Take it back").await;
    let after = desk.json("See what was written").await;
    let written = &after["items"][0];
    assert_eq!((&written["number"], &written["value"]), (&3.into(), &oldest["value"]), "{after}");
    assert_eq!((&written["version"], &oldest["value"]), (&back["version"], &r#"{"sides": 6}"#.into()), "{after}");
    assert_ne!(back["version"], made["version"], "it is a version of its own");
    in_use_everywhere(scene, desk, &back).await;
    let since = tokio::time::Instant::now();
    scene.all_roll(2).await;
    let tame = |tale: &Tale| tale.rolls().filter(|(e, ..)| e.sent > since).all(|(_, _, rolled)| rolled.value <= 6);
    assert!(scene.bots.history.read(tame), "dice have 6 sides again");
}

/// Every node of the game says that it uses what was written.
async fn in_use_everywhere(scene: &Scene, desk: &Desk, written: &Value) {
    let all = |status: &Value| {
        let users = status["items"].as_array().unwrap();
        let same = users.iter().all(|user| user["version"] == written["version"]);
        status["version"] == written["version"] && users.len() == scene.fleet.nodes.len() && same
    };
    desk.until("See who uses it", all).await;
}

async fn a_gate_is_emptied(scene: &mut Scene, desk: &Desk) {
    scene.bots.go_by(scene.fleet.gates.iter().skip(1).map(Process::tcp).collect());
    let begun = desk.json("Empty a gate").await;
    assert!(begun["began_with"].as_u64().unwrap() > 0, "{begun}");
    takes_nothing_new(desk, &scene.fleet.gates[0], "takes no new work").await;
    let over = desk.until("See how far it is", |drain| drain["phase"] == "empty").await;
    let count = |name: &str| over[name].as_u64().unwrap();
    let left = count("moved") + count("finished") + count("cut") + count("connections");
    assert_eq!(count("began_with") + count("came"), left, "{over}");
    assert_eq!((count("connections"), count("cut")), (0, 0), "all went by themselves: {over}");
    takes_nothing_new(desk, &scene.fleet.gates[0], "takes no new work").await;
    stopped_with_nobody(scene.fleet.gates.remove(0)).await;
    scene.all_roll(2).await;
}

async fn a_node_is_emptied(scene: &mut Scene, desk: &Desk) {
    let pid = scene.fleet.nodes[0].pid();
    assert!(scene.bots.history.read(Tale::homes).values().any(|rolled| rolled.process == pid), "it has a room");
    let began = tokio::time::Instant::now();
    let begun = desk.json("Empty a node").await;
    assert!(begun["began_with"].as_u64().unwrap() > 0, "{begun}");
    takes_nothing_new(desk, &scene.fleet.nodes[0], "takes no new work").await;
    let over = desk.until("See what holds it", |drain| drain["phase"] == "empty").await;
    let count = |name: &str| over[name].as_u64().unwrap();
    assert_eq!(count("began_with") + count("came"), count("moved") + count("finished") + count("cut"), "{over}");
    assert_eq!((count("bound"), count("busy"), count("cut"), &over["holders"]), (0, 0, 0, &json!([])), "{over}");
    let elsewhere = |tale: &Tale| tale.homes().values().all(|rolled| rolled.process != pid);
    scene.bots.history.until("all rooms are open elsewhere", || scene.logs(), elsewhere).await;
    scene.all_roll(2).await;
    takes_nothing_new(desk, &scene.fleet.nodes[0], "takes no new work").await;
    stopped_with_nobody(scene.fleet.take_node(pid)).await;
    scene.all_roll(2).await;
    scene.bots.history.read(|tale| {
        let told = [Kind::OwnerLost, Kind::Moved, Kind::NotBound];
        let bad = |e: &&Entry| !e.end.is_good() && !told.iter().any(|kind| e.end.is(*kind));
        let bad: Vec<_> = tale.since(began).filter(bad).collect();
        assert!(bad.is_empty(), "played on, or told that the room is elsewhere now: {bad:?}");
    });
}

/// One that is empty is asked to stop: nobody had to leave any more, and nothing held it.
async fn stopped_with_nobody(process: Process) {
    process.signal(Signal::TERM);
    let name = process.name().to_owned();
    let (status, lines, log) = process.finish().await;
    assert!(status.success(), "{name}: {lines:?}\n{log}");
    let account = "stopped sessions=0 moved=0 finished=0 cut=0 dropped=0 released=0";
    assert_eq!(lines, [account], "{name}");
}

async fn all_of_it_stands_in_the_audit_log(desk: &Desk) {
    let log = desk.json("See what was done").await;
    let records = log["items"].as_array().unwrap();
    let ended = records.iter().rev().filter(|r| r["outcome"].is_string());
    let text = |r: &Value, name: &str| r[name].as_str().unwrap_or_default().to_owned();
    let ended: Vec<[String; 4]> =
        ended.map(|r| ["verb", "resource", "reason", "outcome"].map(|name| text(r, name))).collect();
    let wanted = [
        ["user.push", "user/3", "a greeting", "done"],
        ["user.kick", "user/3", "cheating", "done"],
        ["config.put", KEY, "plain dice", "done"],
        ["config.put", KEY, "a wild night", "done"],
        ["config.put", KEY, "a slip", "validation_failed"],
        ["config.rollback", KEY, "too wild", "done"],
        ["node.drain", "node/node-1", "more memory", "done"],
        ["node.drain", "gate/gate-1", "a new version", "done"],
    ];
    assert_eq!(ended, wanted.map(|step| step.map(str::to_owned)), "{log}");
    let actors: Vec<_> = records.iter().map(|r| (&r["actor"], &r["actor_name"])).collect();
    assert!(actors.iter().all(|who| *who == actors[0] && !who.1.as_str().unwrap().is_empty()), "{actors:?}");
}

/// It cannot leave the registry while that sleeps: long enough to be asked.
async fn a_master_says_that_it_stops(master: Process, home: &Process, desk: &Desk) {
    home.signal(Signal::STOP);
    master.signal(Signal::TERM);
    let [alive, _, ready] = loop {
        let said = probe(desk, &master).await;
        if said[2].1.iter().any(|why| why == "stopping") {
            break said;
        }
    };
    assert_eq!((alive.0.as_str(), ready.0.as_str()), ("200", "503"));
    home.signal(Signal::CONT);
    let (status, lines, log) = master.finish().await;
    assert!(status.success(), "{lines:?}\n{log}");
}
