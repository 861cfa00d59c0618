//! A log that is that of its process. Each test runs itself again, as a process of its own.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::{
    collections::VecDeque,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output as Ended, Stdio},
    sync::Arc,
    thread,
};

use common::{Folder, Shelf};
use due_core::Kind;
use due_log::{Output, Record, Setup, Sink};
use serde_json::{Value as Json, json};

/// Where the child of a test is to write.
const CHILD: &str = "DUE_TEST_LOG_CHILD";

fn file() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

/// Runs the test of this name again.
fn again(test: &str, file: &Path) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, file);
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    child
}

fn ended(child: &mut Command) -> (Ended, String) {
    let ended = child.output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended, text)
}

fn lines(path: &Path) -> Vec<Json> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn setup(path: &Path) -> Setup {
    Setup::new().url(&format!("file://{}?format=json", path.display())).unwrap()
}

#[test]
fn panics_are_logged_and_all_is_written_before_the_end() {
    if let Some(path) = file() {
        let _log = setup(&path).repeats(0).url("stderr://").unwrap().start().unwrap();
        (0..1_000).for_each(|n| tracing::info!(n, "line"));
        let side = thread::Builder::new().name("side".into()).spawn(|| panic!("on the side, token=hunter2"));
        assert!(side.unwrap().join().is_err());
        panic!("at the end");
    }
    let folder = Folder::new();
    let path = folder.path("a.json");
    let (child, stderr) = ended(&mut again("panics_are_logged_and_all_is_written_before_the_end", &path));
    assert!(!child.status.success());
    let lines = lines(&path);
    assert_eq!(lines.iter().filter(|line| line["message"] == "line").count(), 1_000);
    let panics: Vec<&Json> = lines.iter().filter(|line| line["target"] == "panic").collect();
    assert_eq!(panics[0]["message"], "on the side, token=***");
    assert_eq!((&panics[0]["fields"]["thread"], &panics[0]["level"]), (&json!("side"), &json!("error")));
    assert!(panics[0]["fields"]["at"].as_str().unwrap().contains("process.rs:"));
    assert_eq!((&panics[1]["message"], panics.len()), (&json!("at the end"), 2));
    assert!(stderr.contains("ERROR panic: at the end") && !stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn there_is_one_log_and_after_its_end_panics_are_told_as_before() {
    if let Some(path) = file() {
        let log = setup(&path).start().unwrap();
        let why = setup(&path.with_extension("second")).start().unwrap_err();
        assert_eq!(why.kind(), Kind::Duplicate);
        tracing::info!("first");
        drop(log);
        tracing::info!("too late");
        panic!("after the end");
    }
    let folder = Folder::new();
    let path = folder.path("a.json");
    let (child, stderr) = ended(&mut again("there_is_one_log_and_after_its_end_panics_are_told_as_before", &path));
    assert!(!child.status.success() && stderr.contains("after the end"), "{stderr}");
    let messages: Vec<Json> = lines(&path).into_iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["first"]);
}

#[test]
fn records_of_the_crate_log_are_lines_with_their_own_target_and_level() {
    if let Some(path) = file() {
        let log = setup(&path).levels("info,old=debug".parse().unwrap()).start().unwrap();
        tracing_log::log::debug!(target: "old::part", "one");
        tracing_log::log::debug!(target: "new", "not logged");
        log.levels().set("new", due_log::LevelFilter::TRACE, std::time::Duration::from_secs(60)).unwrap();
        tracing_log::log::trace!(target: "new", "two");
        return;
    }
    let folder = Folder::new();
    let path = folder.path("a.json");
    let (child, stderr) =
        ended(&mut again("records_of_the_crate_log_are_lines_with_their_own_target_and_level", &path));
    assert!(child.status.success(), "{stderr}");
    let lines: Vec<Json> = lines(&path).into_iter().filter(|line| line["target"] != "due_log").collect();
    let shown: Vec<Json> = lines.iter().map(|line| json!([line["target"], line["level"], line["message"]])).collect();
    assert_eq!(shown, [json!(["old::part", "debug", "one"]), json!(["new", "trace", "two"])]);
    assert!(lines.iter().all(|line| line.get("fields").is_none()), "{lines:?}");
}

#[test] // invariant 15
fn standard_error_that_nobody_reads_or_that_is_closed_stops_nothing() {
    if let Some(path) = file() {
        let log = setup(&path).repeats(0).url("stderr://?queue=64KiB").unwrap().start().unwrap();
        (0..5_000).for_each(|n| tracing::info!(n, "a line that is long enough to fill a pipe soon"));
        assert!(!log.flush());
        return;
    }
    const NAME: &str = "standard_error_that_nobody_reads_or_that_is_closed_stops_nothing";
    let (folder, read) = (Folder::new(), |path: &Path| {
        let lines = lines(path);
        assert_eq!(lines.iter().filter(|line| line["fields"]["n"].is_u64()).count(), 5_000);
        lines.into_iter().filter(|line| line["target"] == "due_log").map(|line| line.to_string()).collect::<String>()
    });
    let path = folder.path("blocked.json");
    let mut child = again(NAME, &path).stdout(Stdio::null()).spawn().unwrap();
    let unread = child.stderr.take();
    assert!(child.wait().unwrap().success());
    drop(unread);
    let told = read(&path);
    assert!(told.contains("does not keep up") && told.contains("stderr"), "{told}");
    let path = folder.path("closed.json");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    assert!(again(NAME, &path).stderr(writer).stdout(Stdio::null()).status().unwrap().success());
    let told = read(&path);
    assert!(told.contains("fails") && told.to_lowercase().contains("broken pipe"), "{told}");
}

/// Logs what it does.
struct Talking(Shelf);

impl Sink for Talking {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        tracing::info!("wrote {}", batch.len());
        self.0.write(batch)
    }
}

#[test]
fn a_sink_that_logs_does_not_feed_itself() {
    if file().is_some() {
        let shelf = Shelf::default();
        let log = Setup::new().sink(Output::new("talking", Talking(shelf.clone()))).start().unwrap();
        tracing::info!("line");
        assert!(log.flush());
        tracing::info!("another");
        assert!(log.flush());
        assert_eq!(shelf.messages(), ["line", "another"]);
        return;
    }
    let folder = Folder::new();
    let (child, stderr) = ended(&mut again("a_sink_that_logs_does_not_feed_itself", &folder.path("none")));
    let stdout = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{stdout}{stderr}");
}

#[test]
fn without_a_console_the_log_tells_its_trouble_on_standard_error() {
    if file().is_some() {
        let _log = Setup::new().url("file:///dev/full").unwrap().start().unwrap();
        tracing::info!("line");
        return;
    }
    let folder = Folder::new();
    let test = "without_a_console_the_log_tells_its_trouble_on_standard_error";
    let (child, stderr) = ended(&mut again(test, &folder.path("none")));
    assert!(child.status.success(), "{stderr}");
    assert!(stderr.contains("a sink of the log fails") && stderr.contains("file:///dev/full"), "{stderr}");
}
