//! What of an event stands in its lines.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::{
    fmt, fs,
    sync::atomic::{AtomicU32, Ordering},
};

use common::{Folder, Shelf, setup, with};
use due_core::Url;
use due_log::{Format, Level, LevelFilter, Output, Value, sink};
use serde_json::{Value as Json, json};

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path(name)).unwrap()
}

fn parsed(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn several_sinks_get_each_line_in_their_own_form_and_level() {
    let (folder, shelf) = (Folder::new(), Shelf::default());
    let file = |name: &str, query: &str| format!("file://{}?{query}", folder.path(name).display());
    let setup = setup("debug")
        .sink(shelf.output("shelf"))
        .url(&file("all.json", "format=json"))
        .unwrap()
        .url(&file("bad.log", "level=warn"))
        .unwrap();
    let ((), guard) = with(setup, |_| {
        tracing::trace!("not logged");
        tracing::debug!(room = 7, who = "ann", ratio = 0.5, on = true, "open");
        tracing::warn!(target: "game", left = -1, "close\nd");
    });
    assert!(guard.flush());
    assert_eq!(shelf.messages(), ["open", "close\nd"]);
    let bad = read(&folder, "bad.log");
    assert!(bad.ends_with("  WARN game: close\\nd left=-1\n") && bad.lines().count() == 1, "{bad}");
    let all = parsed(&read(&folder, "all.json"));
    assert_eq!(all[0]["fields"], json!({"room": 7, "who": "ann", "ratio": 0.5, "on": true}));
    assert_eq!((&all[0]["level"], &all[0]["target"]), (&json!("debug"), &json!("lines")));
    assert_eq!((&all[1]["message"], &all[1]["fields"]), (&json!("close\nd"), &json!({"left": -1})));
}

#[test]
fn spans_and_what_was_recorded_later_are_in_the_line() {
    let (folder, shelf) = (Folder::new(), Shelf::default());
    let json = sink::File::new(folder.path("a.json"), Format::Json, sink::Rotation::default()).unwrap();
    let ((), guard) = with(setup("info").sink(shelf.output("shelf")).sink(Output::new("file", json)), |_| {
        let room = tracing::info_span!("room", id = 7, host = tracing::field::Empty);
        room.record("host", "ann");
        let _room = room.entered();
        tracing::info_span!("turn").in_scope(|| tracing::info!("played"));
    });
    drop(guard);
    let line = &parsed(&read(&folder, "a.json"))[0];
    assert_eq!(line["spans"], json!([{"name": "room", "fields": {"id": 7, "host": "ann"}}, {"name": "turn"}]));
    let record = shelf.wait_for("played");
    assert_eq!((record.spans()[0].name, record.level()), ("room", Level::INFO));
}

/// Counts how often it is shown.
struct Shown<'a>(&'a AtomicU32);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        f.write_str("shown")
    }
}

#[test]
fn what_is_not_logged_is_not_even_shown() {
    let (shelf, shown) = (Shelf::default(), AtomicU32::new(0));
    let ((), guard) = with(setup("info,lines=warn").sink(shelf.output("shelf")), |_| {
        for _ in 0..1_000 {
            tracing::info!(value = ?Shown(&shown), "no");
        }
        tracing::warn!(value = ?Shown(&shown), "yes");
    });
    assert!(guard.flush());
    assert_eq!(shown.load(Ordering::Relaxed), 1);
    assert_eq!(shelf.messages(), ["yes"]);
}

#[test]
fn a_level_that_no_sink_takes_is_not_logged() {
    let (shelf, shown) = (Shelf::default(), AtomicU32::new(0));
    let ((), guard) = with(setup("trace").sink(shelf.output("shelf").level(LevelFilter::ERROR)), |_| {
        tracing::warn!(value = ?Shown(&shown), "no");
        tracing::error!("yes");
    });
    assert!(guard.flush());
    assert_eq!((shown.load(Ordering::Relaxed), shelf.messages()), (0, vec!["yes".to_owned()]));
}

#[test] // invariant 4
fn no_event_is_larger_than_its_bound() {
    let shelf = Shelf::default();
    let large = "x".repeat(1 << 20);
    let ((), guard) = with(setup("info").sink(shelf.output("shelf")), |_| {
        let deep: Vec<_> = (0..100)
            .map(|n| {
                let span = tracing::info_span!("deep", n, a = large, b = tracing::field::Empty);
                for _ in 0..10 {
                    span.record("b", &large);
                }
                span.entered()
            })
            .collect();
        tracing::info!(a = large, b = large, c = ?large, d = %large, "{large}");
        deep.into_iter().rev().for_each(drop);
    });
    assert!(guard.flush());
    let mut line = String::new();
    Format::Json.write(&shelf.records()[0], &mut line);
    assert!(line.len() < 40_000, "{}", line.len());
    let read: Json = serde_json::from_str(&line).unwrap();
    assert!(read["message"].as_str().unwrap().ends_with("x…"));
    let spans: Vec<u64> = (0..).map_while(|n| read["spans"][n]["fields"]["n"].as_u64()).collect();
    assert_eq!(spans, (84..100).collect::<Vec<_>>(), "the innermost, the outer ones first");
}

#[test] // invariant 13
fn planted_secrets_are_in_no_line() {
    const SECRET: &str = "hunter2";
    let (folder, shelf) = (Folder::new(), Shelf::default());
    let file = |format| {
        let path = folder.path(&format!("{format:?}"));
        Output::new(format!("{format:?}"), sink::File::new(path, format, sink::Rotation::default()).unwrap())
    };
    let formats = [Format::Text, Format::Colour, Format::Json];
    let setup = formats.into_iter().fold(setup("trace").sink(shelf.output("shelf")), |s, f| s.sink(file(f)));
    let url = Url::parse(&format!("redis://root:{SECRET}@a:1?token={SECRET}")).unwrap();
    let plain = format!("redis://root:{SECRET}@a:1/0?secret={SECRET}");
    let ((), guard) = with(setup, |_| {
        tracing::info!(%url, ?url, "opened {url}");
        tracing::warn!(address = plain, ?plain, error = format!("cannot reach {plain}"), "no link to {plain}");
        tracing::info!(password = SECRET, auth_token = ?Some(SECRET), user.secret = %SECRET, "login");
        tracing::debug!(request = %format!("GET /\r\nAuthorization: Bearer {SECRET}\r\n"), "sent");
        tracing::trace!(body = %format!("{{\"user\":\"a\",\"password\":\"{SECRET}\"}}"), "read");
        let _span = tracing::info_span!("login", password = SECRET, at = %plain).entered();
        tracing::error!(error = std::io::Error::other(plain.clone()).to_string(), "failed");
    });
    assert!(guard.flush());
    let shown: String = formats.iter().map(|format| read(&folder, &format!("{format:?}"))).collect();
    assert_eq!(shown.lines().count(), 6 * formats.len(), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!format!("{:?}", shelf.records()).contains(SECRET));
    assert_eq!(shelf.records()[2].fields()[0].value, Value::Text("***".into()));
}
