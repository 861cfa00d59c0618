//! What a program reads at start.
#![cfg(feature = "boot")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::{fs, num::NonZeroUsize, path::Path, time::Duration};

use clap::Parser;
use common::Folder;
use due_config::boot::{Boot, Cli, Layers, reference};
use due_core::{
    Kind,
    boot::{Args, KEYS, ShardCount},
};
use serde::Deserialize;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    due: Cli,
}

fn cli(arguments: &[&str]) -> Cli {
    Program::try_parse_from(["game"].iter().chain(arguments)).unwrap().due
}

fn file(name: &str, text: &str) -> Result<Boot, String> {
    let folder = Folder::new();
    folder.write(name, text);
    Layers::new().folder(&folder.root).read().map_err(|e| {
        assert_eq!(e.kind(), Kind::Config);
        e.to_string().replace(&folder.root.display().to_string(), "")
    })
}

const FULL: [(&str, &str); 3] = [
    (
        "due.toml",
        "registry = 'etcd://a:1,b:2/ns'\nroles = ['game']\nshards = 4\ndrain = '1m30s'\n\n\
         [gate.lobby]\nlisten = ['ws://0.0.0.0:1']\n\n[node.game]\nweight = 3\n\n[app]\nlevel = 7\n",
    ),
    (
        "due.yaml",
        "registry: etcd://a:1,b:2/ns\nroles: [game]\nshards: 4\ndrain: 1m30s\n\
         gate:\n  lobby:\n    listen: ['ws://0.0.0.0:1']\nnode: {game: {weight: 3}}\napp:\n  level: 7\n",
    ),
    (
        "due.json",
        "{\"registry\": \"etcd://a:1,b:2/ns\", \"roles\": [\"game\"], \"shards\": 4, \"drain\": \"1m30s\",\n\
         \"gate\": {\"lobby\": {\"listen\": [\"ws://0.0.0.0:1\"]}}, \"node\": {\"game\": {\"weight\": 3}},\n\
         \"app\": {\"level\": 7}}",
    ),
];

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct App {
    level: u32,
    name: String,
}

#[test]
fn the_same_settings_in_three_formats() {
    for (name, text) in FULL {
        let boot = file(name, text).unwrap();
        let settings = boot.settings();
        assert_eq!(settings.registry.as_ref().map(|a| a.as_str()), Some("etcd://a:1,b:2/ns"), "{name}");
        assert_eq!(settings.roles.as_deref(), Some(&["game".to_owned()][..]));
        assert_eq!(settings.shards, NonZeroUsize::new(4).map(ShardCount::Count));
        assert_eq!(settings.drain, Some(Duration::from_secs(90)));
        let listen = settings.gate.get("lobby").and_then(|g| g.listen.clone()).unwrap();
        assert_eq!(listen.first().map(|a| a.as_str()), Some("ws://0.0.0.0:1"));
        assert_eq!(settings.node.get("game").and_then(|n| n.weight), Some(3));
        assert_eq!(boot.app::<App>().unwrap(), App { level: 7, name: String::new() });
        assert_eq!((&settings.locator, &settings.id), (&None, &None));
    }
    assert_eq!(file("other.toml", "x = 1").unwrap().settings(), &due_core::boot::Settings::default());
}

#[test]
fn each_layer_goes_over_the_one_before() {
    let folder = Folder::new();
    folder.write(
        "due.toml",
        "id = 'file'\nlocator = 'file://f'\ncache = 'file://a'\n[node.game]\nweight = 1\ndeadline = '1s'\n",
    );
    let variables = [
        ("DUE_ID", "007"),
        ("DUE_LOCATOR", "file://e"),
        ("DUE_NODE__GAME__WEIGHT", "2"),
        ("DUE_SHARED_SHARDS", "on"),
        ("DUE_ROLES", "gate, game"),
        ("DUE_GATE__LOBBY__LISTEN", "etcd://a:1,b:2,ws://c:3"),
        ("DUE_APP__LEVEL", "9"),
        ("PATH", "/bin"),
    ];
    let arguments = [
        "--locator",
        "file://args",
        "--set",
        "node.game.weight=3",
        "--set",
        "app.name=x",
        "--config-source",
        "file:///x",
    ];
    let layers = Layers::new().folder(&folder.root).variables(variables);
    let boot = cli(&arguments).over(layers).unwrap().read().unwrap();
    let settings = boot.settings();
    assert_eq!(
        (settings.id.as_deref(), settings.locator.as_ref().map(|a| a.as_str())),
        (Some("007"), Some("file://args"))
    );
    let game = settings.node.get("game").unwrap();
    assert_eq!((game.weight, game.deadline), (Some(3), Some(Duration::from_secs(1))));
    assert_eq!((settings.shared_shards, settings.roles.as_ref().map(Vec::len)), (Some(true), Some(2)));
    assert_eq!(settings.config.as_ref().map(|a| a.as_str()), Some("file:///x"));
    let listen = settings.gate.get("lobby").and_then(|g| g.listen.clone()).unwrap();
    assert_eq!(listen.iter().map(|a| a.as_str()).collect::<Vec<_>>(), ["etcd://a:1,b:2", "ws://c:3"]);
    assert_eq!(boot.app::<App>().unwrap(), App { level: 9, name: "x".into() });
    assert_eq!(boot.settings().cache.as_ref().map(|a| a.as_str()), Some("file://a"));
    assert_eq!(boot.clone().settings().id, Args::into_settings(boot).unwrap().id);
}

#[test]
fn a_wrong_line_is_named_with_what_to_write() {
    for (name, text, parts) in [
        ("due.toml", "\nregistri = 'etcd://a:1'", &["/due.toml:2: ", "`registri`", "did you mean `registry`"][..]),
        ("due.toml", "id = 'a'\n\ndrain = 5", &["/due.toml:3: ", "`drain` = 5", "\"10s\""]),
        ("due.toml", "[node.game]\nwieght = 1", &["/due.toml:2: ", "did you mean `node.game.weight`"]),
        ("due.toml", "[node.game]\nweight = '1'", &["/due.toml:2: ", "`node.game.weight` = \"1\"", "without quotes"]),
        ("due.toml", "listen = ['ws://a:1']", &["/due.toml:1: ", "[gate.NAME]"]),
        ("due.toml", "level = 7", &["/due.toml:1: ", "`level`", "[app]"]),
        ("due.toml", "node = 3", &["/due.toml:1: ", "[node.NAME]"]),
        ("due.toml", "[node]\nweight = 3", &["/due.toml:2: ", "`node.weight`", "[node.NAME]"]),
        ("due.toml", "shards = 0", &["/due.toml:1: ", "per-core", "1024"]),
        ("due.toml", "[gate.g]\ndispatch = 'best'", &["/due.toml:2: ", "sticky, random, rr, wrr"]),
        ("due.toml", "[log]\nlevels = 'loud'", &["/due.toml:2: ", "`log.levels` = \"loud\"", "error, warn, info"]),
        ("due.toml", "[log]\nlevel = 'info'", &["/due.toml:2: ", "did you mean `log.levels`"]),
        ("due.toml", "[log.file]\nlevels = 'info'", &["/due.toml", "log.file"]),
        ("due.toml", "log = 'info'", &["/due.toml:1: ", "[log]"]),
        ("due.toml", "[log]\nsinks = 'stderr://'", &["/due.toml:2: ", "list of URLs"]),
        ("due.toml", "id = 1\nid = 2", &["/due.toml", "line 2"]),
        ("due.toml", "registry = 'etcd'", &["/due.toml:1: ", "no `://`", "scheme://host:port"]),
        ("due.yaml", "id: a\nnode:\n  game:\n    weight: -1\n", &["/due.yaml:4: ", "0 or more"]),
        ("due.yaml", "- a", &["/due.yaml", "a list where keys"]),
        ("due.yaml", "shared-shards: yes", &["/due.yaml:1: ", "true or false"]),
        ("due.json", "{\n\"id\": \"a\",\n\"cach\": \"memory://\"}", &["/due.json:3: ", "did you mean `cache`"]),
        ("due.json", "{\n\"id\": ", &["/due.json", "line 2"]),
        ("due.yml", "id: a\nid: b", &["/due.yml", "line 2"]),
    ] {
        let why = file(name, text).unwrap_err();
        assert!(parts.iter().all(|part| why.contains(part)), "{text}\n{why}");
    }
}

#[test]
fn a_wrong_variable_or_argument_is_named_with_what_to_write() {
    let variable = |name: &str, value: &str| Layers::new().variables([(name, value)]).read().unwrap_err().to_string();
    let why = variable("DUE_REGISTRI", "etcd://a:1");
    assert!(why.contains("DUE_REGISTRI") && why.contains("`registry`"), "{why}");
    let why = variable("DUE_SHARED_SHARDS", "maybe");
    assert!(why.contains("DUE_SHARED_SHARDS") && why.contains("true or false"), "{why}");
    let why = variable("DUE_LOG", "loud");
    assert!(why.contains("DUE_LOG") && why.contains("\"loud\"") && why.contains("error, warn, info"), "{why}");
    let why = variable("DUE_LOG_LEVELS", "info");
    assert!(why.contains("DUE_LOG_LEVELS") && why.contains("LOG__LEVELS"), "{why}");
    let argument = |arguments: &[&str]| {
        let layers = cli(arguments).over(Layers::new());
        layers.and_then(Layers::read).unwrap_err().to_string()
    };
    for (arguments, parts) in [
        (&["--drain", "5"][..], &["--drain", "\"10s\""][..]),
        (&["--registry", "etcd"], &["--registry", "no `://`"]),
        (&["--set", "node.game.weight"], &["--set node.game.weight", "key=value"]),
        (&["--set", "nod.game.weight=1"], &["--set nod.game.weight", "no key"]),
        (&["--roles", "a b"], &["--roles", "list of names"]),
        (&["--log", "a b=info"], &["--log", "is no target"]),
    ] {
        let why = argument(arguments);
        assert!(parts.iter().all(|part| why.contains(part)), "{arguments:?}\n{why}");
    }
}

#[test]
fn the_log_is_set_in_each_layer() {
    let folder = Folder::new();
    folder.write("due.toml", "[log]\nlevels = 'warn'\nsinks = ['file:///a?keep=3']\nrepeats = 0\n");
    let here = || Layers::new().folder(&folder.root);
    let read = |layers: Layers| layers.read().unwrap().settings().log.clone();
    let log = read(here());
    assert_eq!((log.levels.unwrap().to_string().as_str(), log.repeats), ("warn", Some(0)));
    let variables = here().variables([("DUE_LOG", "info,due=debug"), ("DUE_LOG__SINKS", "stderr://,file:///b")]);
    let log = read(variables.clone());
    assert_eq!(log.levels.unwrap().to_string(), "info,due=debug");
    let sinks: Vec<_> = log.sinks.unwrap().into_iter().map(String::from).collect();
    assert_eq!(sinks, ["stderr://", "file:///b"]);
    let log = read(cli(&["--log", "off", "--set", "log.repeats=5"]).over(variables).unwrap());
    assert_eq!((log.levels.unwrap().to_string().as_str(), log.repeats), ("off", Some(5)));
}

#[test]
fn the_programs_own_keys_are_named_too() {
    let boot = file("due.toml", "[app]\nlevel = 'high'").unwrap();
    let why = boot.app::<App>().unwrap_err().to_string();
    assert!(why.contains("due.toml") && why.contains("`app.level`"), "{why}");
    let boot = Layers::new().set("app.levle", "1").read().unwrap();
    let why = boot.app::<App>().unwrap_err().to_string();
    assert!(why.contains("levle") && why.contains("level"), "{why}");
}

#[test]
fn no_secret_is_shown() {
    for text in
        ["registry = 'etcd//u:hunter2@a'", "registry = 'etcd://u:hunter2@a b'", "registry = ['etcd://u:hunter2@a']"]
    {
        let why = file("due.toml", text).unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
    let cli = cli(&["--registry", "redis://u:hunter2@a:1"]);
    let layers = cli.over(Layers::new()).unwrap();
    let shown = format!("{cli:?} {layers:?} {:?}", layers.clone().read().unwrap());
    assert!(!shown.contains("hunter2") && shown.contains("a:1"), "{shown}");
}

#[test]
fn which_file_is_read() {
    let folder = Folder::new();
    folder.write("due.toml", "id = 'found'");
    folder.write("own.yaml", "id: own");
    folder.write("third.json", "{\"id\": \"third\"}");
    let id = |layers: Layers| layers.read().unwrap().settings().id.clone().unwrap();
    let here = || Layers::new().folder(&folder.root);
    assert_eq!(id(here()), "found");
    let named = here().variables([("DUE_CONFIG_FILE", folder.path("own.yaml"))]);
    assert_eq!(id(named.clone()), "own");
    let path = folder.path("third.json").display().to_string();
    assert_eq!(id(cli(&["--config", &path]).over(named).unwrap()), "third");
    folder.write("due.json", "{}");
    let two = here().read().unwrap_err().to_string();
    assert!(two.contains("due.toml") && two.contains("due.json") && two.contains("--config"), "{two}");
    for missing in ["none.toml", "due.ini", "due.xml"] {
        let e = Layers::new().file(folder.path(missing)).read().unwrap_err();
        assert!(e.kind() == Kind::Config && e.to_string().contains(missing), "{e}");
    }
}

/// B127
#[test]
fn what_is_no_file_of_settings_is_refused() {
    let folder = Folder::new();
    fs::File::create(folder.path("large.toml")).unwrap().set_len(100 << 20).unwrap();
    fs::write(folder.path("bytes.toml"), [0xff, 0xfe]).unwrap();
    fs::create_dir(folder.path("folder.toml")).unwrap();
    for (name, part) in [("large.toml", "over"), ("bytes.toml", "UTF-8"), ("folder.toml", "cannot read")] {
        let e = Layers::new().file(folder.path(name)).read().unwrap_err();
        assert!(e.to_string().contains(part) && e.to_string().contains(name), "{e}");
    }
}

/// `BLESS=1` writes it anew.
#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/due.toml");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, reference()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == reference(), "docs/due.toml is stale: run this test with BLESS=1");
}

#[test]
fn every_line_of_the_reference_is_valid() {
    let is_key = |line: &str| {
        let name = line.split([' ', ']']).next().unwrap_or_default();
        KEYS.iter().any(|(_, keys)| keys.iter().any(|k| k.name == name && line.contains(" = ")))
    };
    let lines = reference();
    let lines = lines.lines().filter_map(|line| line.strip_prefix("# "));
    let text: String = lines.filter(|line| line.starts_with('[') || is_key(line)).map(|l| format!("{l}\n")).collect();
    let boot = file("due.toml", &text).unwrap();
    let settings = boot.settings();
    assert!(settings.gate.contains_key("lobby") && settings.node.contains_key("game"), "{text}");
    assert!(settings.cache.is_some() && settings.drain.is_some() && settings.shards == Some(ShardCount::PerCore));
    assert_eq!(text.matches(" = ").count(), KEYS.iter().map(|(_, keys)| keys.len()).sum::<usize>());
}
