//! Settings in files: the suite, and what goes wrong with files.
#![cfg(feature = "file")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use common::Folder;
use due_config::{file::File, format::Format};
use due_core::{
    Kind, Url,
    config::{Cas, ConfigSource, Entry, Expect, Live, Update, Validate, Version, Watch},
};
use due_testkit::config::{self, Bench, Fault, Faults};
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(20);

fn open(path: &Path, query: &str) -> Arc<dyn ConfigSource> {
    let url = format!("file://{}?quiet=10ms&{query}", path.display());
    Arc::new(File::new(&Url::parse(&url).unwrap()).unwrap())
}

fn refused(url: &str) -> String {
    let e = File::new(&Url::parse(url).unwrap()).err().unwrap();
    assert_eq!(e.kind(), Kind::Config);
    e.to_string()
}

async fn next(watch: &mut Watch) -> Update {
    tokio::time::timeout(SOON, watch.next()).await.expect("an update in time").expect("the watch goes on")
}

/// The next update, which is one key's value.
async fn told(watch: &mut Watch) -> (String, Option<String>) {
    match next(watch).await {
        Update::Key(key, entry) => (key.to_string(), entry.map(|e| text(&e))),
        Update::All(all) => panic!("a full set: {all:?}"),
    }
}

fn text(entry: &Entry) -> String {
    String::from_utf8(entry.value.to_vec()).unwrap()
}

fn is(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

/// Moves the directory away, and copies it.
struct Moves {
    root: PathBuf,
    backup: Mutex<Option<PathBuf>>,
}

#[async_trait]
impl Faults for Moves {
    async fn play(&self, fault: Fault) -> bool {
        let mut backup = self.backup.lock().unwrap_or_else(PoisonError::into_inner);
        let away = self.root.with_extension("away");
        match fault {
            Fault::Unavailable(true) => fs::rename(&self.root, &away).unwrap(),
            Fault::Unavailable(false) => fs::rename(&away, &self.root).unwrap(),
            Fault::Backup => {
                let copy = self.root.with_extension("copy");
                common::copy(&self.root, &copy);
                *backup = Some(copy);
            }
            Fault::Restore => {
                let copy = backup.take().unwrap();
                fs::rename(&self.root, &away).unwrap();
                fs::rename(&copy, &self.root).unwrap();
                fs::remove_dir_all(&away).unwrap();
            }
        }
        true
    }
}

#[tokio::test]
async fn file_does_what_every_config_source_does() {
    let folder = Folder::new();
    let count = std::sync::atomic::AtomicU32::new(0);
    let report = config::suite(|| async {
        let root = folder.path(&format!("bench-{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        fs::create_dir(&root).unwrap();
        let faults = Moves { root: root.clone(), backup: Mutex::default() };
        Bench { a: open(&root, ""), b: open(&root, "reread=500ms"), faults: Arc::new(faults) }
    })
    .await
    .unwrap();
    assert_eq!(report.skipped, [("of_many_writers_none_is_overwritten_unseen", "conditional writes are best effort")]);
    assert_eq!(report.passed.len() + 1, config::CASES.len());
}

#[tokio::test]
async fn a_file_that_is_replaced_again_and_again_is_followed() {
    let folder = Folder::new();
    folder.write("a.toml", "0");
    let source = open(&folder.root, "reread=1h");
    let mut watch = source.watch("a.toml").await.unwrap();
    next(&mut watch).await;
    for n in 1..6 {
        folder.write("new", &n.to_string());
        fs::rename(folder.path("new"), folder.path("a.toml")).unwrap();
        assert_eq!(told(&mut watch).await, is("a.toml", &n.to_string()));
    }
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_followed() {
    let folder = Folder::new();
    folder.write("deep/er/a.toml", "0");
    let source = open(&folder.root, "reread=1h");
    let mut watch = source.watch("deep/").await.unwrap();
    next(&mut watch).await;
    for n in 1..6 {
        folder.write("deep/er/a.toml", &n.to_string());
        assert_eq!(told(&mut watch).await, is("deep/er/a.toml", &n.to_string()));
    }
    folder.write("deep/later/b", "in a new folder");
    assert_eq!(told(&mut watch).await, is("deep/later/b", "in a new folder"));
}

/// Kubernetes swaps `..data`; the files are links through it.
#[tokio::test]
async fn a_swapped_config_map_is_followed() {
    let folder = Folder::new();
    for n in ["1", "2"] {
        folder.write(&format!("..gen{n}/a.toml"), n);
        folder.write(&format!("..gen{n}/b.toml"), "same");
    }
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path(name)).unwrap();
    link("..gen1", "..data");
    link("..data/a.toml", "a.toml");
    link("..data/b.toml", "b.toml");
    let (all, one) = (open(&folder.root, "reread=1h"), open(&folder.path("a.toml"), "reread=1h"));
    let (mut watch, mut single) = (all.watch("").await.unwrap(), one.watch("").await.unwrap());
    let Update::All(first) = next(&mut watch).await else { panic!("no full set") };
    assert_eq!(first.keys().map(|k| &**k).collect::<Vec<_>>(), ["a.toml", "b.toml"]);
    next(&mut single).await;
    link("..gen2", "..data_tmp");
    fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    assert_eq!(told(&mut watch).await, is("a.toml", "2"));
    assert_eq!(told(&mut single).await, is("a.toml", "2"));
}

#[tokio::test]
async fn a_file_that_is_gone_and_back_is_told_both_times() {
    let folder = Folder::new();
    folder.write("a", "1");
    folder.write("b", "1");
    let source = open(&folder.root, "");
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    fs::remove_file(folder.path("a")).unwrap();
    assert_eq!(told(&mut watch).await, ("a".to_owned(), None));
    folder.write("a", "2");
    assert_eq!(told(&mut watch).await, is("a", "2"));
}

#[tokio::test]
async fn a_directory_that_was_made_anew_is_followed_again() {
    let folder = Folder::new();
    folder.write("root/a", "1");
    let source = open(&folder.path("root"), "reread=200ms");
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    fs::remove_dir_all(folder.path("root")).unwrap();
    assert_eq!(source.load("a").await.unwrap_err().kind(), Kind::Unavailable);
    folder.write("root/a", "2");
    let mut seen = next(&mut watch).await;
    while !matches!(&seen, Update::All(all) if all.get("a").is_some_and(|e| text(e) == "2")) {
        seen = next(&mut watch).await;
    }
    folder.write("root/a", "3");
    assert_eq!(told(&mut watch).await, is("a", "3"));
}

/// proves P18
#[tokio::test(start_paused = true)]
async fn an_emptied_directory_counts_as_away_for_a_while() {
    let folder = Folder::new();
    folder.write("root/a", "1");
    let source = open(&folder.path("root"), "");
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    fs::remove_file(folder.path("root/a")).unwrap();
    let since = Instant::now();
    let gone = tokio::time::timeout(SOON * 10, watch.next()).await.unwrap();
    assert_eq!(gone, Some(Update::Key("a".into(), None)));
    assert!(since.elapsed() >= Duration::from_secs(30));
}

/// B127
#[tokio::test]
async fn what_cannot_be_used_keeps_the_last_good_value() {
    let folder = Folder::new();
    for name in ["half.json", "large.json", "loop.json", "other.json"] {
        folder.write(name, "1");
    }
    let source = open(&folder.root, "format=auto&reread=200ms");
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    folder.write("half.json", "{\"a\": ");
    fs::File::create(folder.path("large.json")).unwrap().set_len(100 << 20).unwrap();
    fs::remove_file(folder.path("loop.json")).unwrap();
    std::os::unix::fs::symlink("loop.json", folder.path("loop.json")).unwrap();
    let kinds = [source.load("half.json").await, source.load("large.json").await, source.load("loop.json").await];
    assert_eq!(kinds.map(|answer| answer.unwrap_err().kind()), [Kind::Malformed, Kind::TooLarge, Kind::Unavailable]);
    assert_eq!(source.watch("half.json").await.err().map(|e| e.kind()), Some(Kind::Unavailable));
    assert_eq!(source.list("").await.unwrap().len(), 1);
    for n in 2..5 {
        folder.write("other.json", &n.to_string());
        assert_eq!(told(&mut watch).await, is("other.json", &n.to_string()), "the others are none of it");
    }
    folder.write("half.json", "{\"a\": 2}");
    assert_eq!(told(&mut watch).await, is("half.json", "{\"a\": 2}"));
    folder.write("large.json", "2");
    assert_eq!(told(&mut watch).await, is("large.json", "2"));
    fs::remove_file(folder.path("loop.json")).unwrap();
    folder.write("loop.json", "2");
    assert_eq!(told(&mut watch).await, is("loop.json", "2"));
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    players: u32,
}

impl Validate for Limits {
    fn validate(&self) -> Result<(), String> {
        if self.players > 100 { Err("players: at most 100".to_owned()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_live_setting_is_read_from_a_file() {
    let folder = Folder::new();
    folder.write("limits.yaml", "players: 7\n");
    let mut live: Live<Limits> = Live::new(Format::Yaml.decoder());
    live.follow(open(&folder.root, ""), "limits.yaml").await.unwrap();
    assert_eq!(live.changed().await.players, 7);
    folder.write("limits.yaml", "players: 8\n");
    assert_eq!(tokio::time::timeout(SOON, live.changed()).await.unwrap().players, 8);
}

/// B109
#[tokio::test]
async fn nothing_outside_of_the_directory_is_reached() {
    let folder = Folder::new();
    folder.write("secret", "1");
    folder.write("root/a", "1");
    let source = open(&folder.path("root"), "");
    for prefix in ["../", "..", "../secret", "/", "a/../../", "x/../../s"] {
        assert_eq!(source.list(prefix).await.unwrap().len(), 0, "{prefix}");
    }
    assert_eq!(source.load("../secret").await.unwrap_err().kind(), Kind::BadRequest);
}

#[tokio::test]
async fn odd_things_in_the_directory_are_passed_over() {
    let folder = Folder::new();
    folder.write("a", "1");
    folder.write(".a~new", "left by a killed writer");
    folder.write("no key", "1");
    fs::create_dir(folder.path("sub")).unwrap();
    std::os::unix::fs::symlink(".", folder.path("around")).unwrap();
    std::os::unix::fs::symlink("../sub", folder.path("sub/again")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    let source = open(&folder.root, "");
    assert_eq!(source.list("").await.unwrap().keys().map(|k| &**k).collect::<Vec<_>>(), ["a"]);
    assert_eq!(source.load("sub").await.unwrap(), None);
    assert_eq!(source.load("dangling").await.unwrap(), None);
    assert_eq!(source.load("socket").await.unwrap_err().kind(), Kind::Unavailable);
    let inside = source.store("a/b", Bytes::from_static(b"1"), Expect::Any).await.unwrap_err();
    assert!(inside.kind() == Kind::BadRequest && inside.to_string().contains("folder"), "{inside}");
}

#[tokio::test]
async fn more_files_than_are_sane_are_refused() {
    let folder = Folder::new();
    for n in 0..10_001 {
        fs::File::create(folder.path(&format!("f{n}"))).unwrap();
    }
    let source = open(&folder.root, "");
    assert_eq!(source.list("f1").await.unwrap_err().kind(), Kind::TooLarge);
    assert!(source.load("f7").await.unwrap().is_some());
}

#[tokio::test]
async fn one_file_is_one_key() {
    let folder = Folder::new();
    let path = folder.path("game.toml");
    let source = open(&path, "");
    assert_eq!(source.load("game.toml").await.unwrap(), None);
    source.store("game.toml", Bytes::from_static(b"a = 1"), Expect::Absent).await.unwrap();
    folder.write("other", "1");
    assert_eq!(source.list("").await.unwrap().len(), 1);
    assert_eq!(source.load("other").await.unwrap(), None);
    let other = source.store("other", Bytes::from_static(b"1"), Expect::Any).await.unwrap_err();
    assert!(other.kind() == Kind::Forbidden && other.to_string().contains("game.toml"), "{other}");
    let mut watch = source.watch("").await.unwrap();
    next(&mut watch).await;
    fs::write(&path, "a = 2").unwrap();
    assert_eq!(told(&mut watch).await, is("game.toml", "a = 2"));
}

#[tokio::test]
async fn a_read_only_source_writes_nothing() {
    let folder = Folder::new();
    folder.write("a", "1");
    let source = open(&folder.root, "read-only=on");
    assert!(!source.capability().writable);
    let refused =
        [source.store("a", Bytes::new(), Expect::Any).await.map(drop), source.delete("a", Expect::Any).await.map(drop)];
    assert_eq!(refused.map(|answer| answer.unwrap_err().kind()), [Kind::Forbidden; 2]);
    assert_eq!(fs::read_dir(&folder.root).unwrap().count(), 1, "not even a lock");
}

#[tokio::test]
async fn a_value_that_breaks_its_format_is_not_written() {
    let folder = Folder::new();
    let source = open(&folder.root, "format=toml");
    let e = source.store("a", Bytes::from_static(b"a = 1\nb = "), Expect::Any).await.unwrap_err();
    assert!(e.kind() == Kind::Malformed && e.to_string().contains("line 2"), "{e}");
    assert_eq!(source.load("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_write_keeps_links_and_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("real/a", "1");
    fs::set_permissions(folder.path("real/a"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real/a", folder.path("a")).unwrap();
    let source = open(&folder.root, "");
    source.store("a", Bytes::from_static(b"2"), Expect::Any).await.unwrap();
    assert!(fs::symlink_metadata(folder.path("a")).unwrap().is_symlink());
    assert_eq!(fs::read(folder.path("real/a")).unwrap(), b"2");
    assert_eq!(fs::metadata(folder.path("real/a")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// On one host the lock makes conditional writes exact.
#[tokio::test]
async fn of_many_writers_on_one_host_none_is_overwritten_unseen() {
    let folder = Folder::new();
    folder.write("n", "0");
    assert_eq!(open(&folder.root, "").capability().cas, Cas::BestEffort);
    let writers = (0..4).map(|_| {
        let source = open(&folder.root, "");
        tokio::spawn(async move {
            for _ in 0..10 {
                loop {
                    let entry = source.load("n").await.unwrap().unwrap();
                    let next = text(&entry).parse::<u32>().unwrap() + 1;
                    match source.store("n", next.to_string().into(), Expect::Version(entry.version)).await {
                        Ok(_) => break,
                        Err(e) => assert_eq!(e.kind(), Kind::Stale, "{e}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(fs::read(folder.path("n")).unwrap(), b"40");
}

#[tokio::test]
async fn a_writer_that_stopped_with_the_lock_holds_nobody_up() {
    let folder = Folder::new();
    let source = open(&folder.root, "");
    source.store("a", Bytes::from_static(b"1"), Expect::Any).await.unwrap();
    let stopped = fs::File::open(folder.path(".due~lock")).unwrap();
    stopped.lock().unwrap();
    let e = source.store("a", Bytes::from_static(b"2"), Expect::Any).await.unwrap_err();
    assert!(e.kind() == Kind::Unavailable && e.to_string().contains("lock"), "{e}");
    drop(stopped);
    source.store("a", Bytes::from_static(b"2"), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn the_same_bytes_are_the_same_version() {
    let folder = Folder::new();
    let source = open(&folder.root, "");
    let one = source.store("a", Bytes::from_static(b"1"), Expect::Any).await.unwrap();
    let two = source.store("b", Bytes::from_static(b"1"), Expect::Any).await.unwrap();
    assert!(one == two && matches!(one, Version::Tag(_)));
}

#[test]
fn a_wrong_url_is_refused_with_its_fix() {
    let folder = Folder::new();
    folder.write("a b.toml", "");
    let at = |rest: &str| format!("file://{}{rest}", folder.root.display());
    assert!(refused("file://etc/due").contains("three slashes"));
    assert!(refused("file://").contains("file:///path"));
    assert!(refused(&at("/none")).contains("create it"));
    assert!(refused(&at("/none/a.toml")).contains("create it"));
    assert!(refused(&at("/a%20b.toml")).contains("rename"));
    assert!(refused(&at("?format=ini")).contains("ini"));
    assert!(refused(&at("?quiet=1h")).contains("quiet"));
    assert!(refused(&at("?reread=off")).contains("reread"));
    assert!(refused(&at("?watch=on")).contains("watch"));
}
