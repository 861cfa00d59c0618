//! Each scenario runs for a fraction of a second: its table has its columns, and its figures are there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail")]

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

/// Runs a scenario as shortly as can be; what it printed and what it wrote.
fn run(scenario: &str, arguments: &str) -> (String, Value) {
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{scenario}-{}.json", arguments.len()));
    let output = Command::new(env!("CARGO_BIN_EXE_due-benches"))
        .arg(scenario)
        .args(arguments.split_whitespace())
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let (out, err) = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).into();
    assert!(output.status.success(), "{scenario} {arguments}\n{out}\n{err}");
    let report = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    (out, report)
}

const SHORT: &str = "--free --repetitions 1 --retries 0 --seconds 0.1 --warm-up 0.02";

/// A scenario whose table names these servers; every one has figures, and each ratio too.
fn check(scenario: &str, arguments: &str, servers: &[&str]) {
    let (out, report) = run(scenario, &format!("{SHORT} {arguments}"));
    for column in ["p50 us", "p99 us", "p99.9 us", "MiB", "foreign"] {
        assert!(out.contains(column), "{scenario}: no {column}: {out}");
    }
    let cases = report["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{scenario}");
    for case in cases {
        let series = case["series"].as_array().unwrap();
        let names: Vec<_> = series.iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(names, servers, "{scenario}");
        for run in series.iter().flat_map(|s| s["runs"].as_array().unwrap()) {
            for figure in ["messages_per_second", "memory"] {
                assert!(run[figure].as_f64().is_some_and(|figure| figure > 0.0), "{scenario}: {figure} of {run}");
            }
            assert!(run["server_ns"].as_f64().is_some_and(|nanos| (0.0..1e9).contains(&nanos)), "{scenario}: {run}");
        }
        let ratios = case["ratios"].as_array().unwrap();
        assert!(ratios.iter().all(|r| r["throughput"]["median"].as_f64().is_some_and(|m| m > 0.0)), "{scenario}");
        assert_eq!(ratios.is_empty(), servers.len() == 1, "{scenario}");
    }
}

#[test]
fn s1_is_a_ping_pong_of_two() {
    check("s1", "--connections 4 --bodies 128", &["epoll", "ours"]);
}

#[test]
fn s2_is_pipelined_by_both_clients() {
    check("s2", "--connections 4 --bodies 128", &["epoll", "ours"]);
}

#[test]
fn s3_goes_through_every_link() {
    check("s3", "--connections 4 --bodies 128", &["epoll", "memory", "link", "grpc", "tarpc"]);
}

#[test]
fn s4_decodes_and_encodes_json() {
    check("s4", "--against epoll --no-go --connections 4 --bodies 100", &["memory", "link"]);
}

#[test]
fn s5_sends_by_a_clock() {
    check("s5", "--rates 8@400", &["epoll", "link"]);
}

#[test]
fn s6_pushes_to_rooms() {
    check("s6", "--members 6 --rooms 1,3 --messages 2 --bodies 64", &["epoll", "ours"]);
}

#[test]
fn s7_has_members_that_do_not_read() {
    check("s7", "--members 6 --messages 2 --bodies 64 --rate 100", &["all read", "1 % stalled"]);
}

#[test]
fn neighbours_has_clients_that_block_do_not_read_and_flood() {
    let servers = ["alone", "blocking handler", "slow client", "flooding client"];
    check("neighbours", "--connections 8 --rate 400 --disturbers 2 --flood 20000", &servers);
}

#[test]
fn s9_comes_and_goes_and_storms() {
    check("s9", "--visitors 3 --storm 20", &["epoll", "ours, tcp", "ours, ws"]);
}

#[test]
fn s10_calls_over_every_link() {
    check("s10", "--callers 4 --bodies 100", &["pool of 5", "link", "grpc", "tarpc"]);
}

#[test]
fn s12_calls_over_kcp() {
    check("s12", "--sessions 3 --loss 0,10", &["ours"]);
}

#[test]
fn s13_compares_ws_with_tcp() {
    check("s13", "--connections 4 --bodies 128", &["tcp", "ws"]);
}

#[test]
fn s8_weighs_silent_connections() {
    let (out, report) = run("s8", "--free --connections 20");
    assert!(out.contains("20 connections"), "{out}");
    let idle = report["idle"].as_array().unwrap();
    let names: Vec<_> = idle.iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["epoll", "ours, tcp", "ours, ws"]);
    assert!(idle.iter().all(|i| i["empty"].as_u64().is_some_and(|bytes| bytes > 100_000)), "{report}");
}

#[test]
fn s11_measures_actors_and_channels() {
    let (out, report) = run("s11", &format!("{SHORT} --actors 50"));
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 9, "{out}");
    let nanos = figures.iter().filter(|f| f["unit"] == "ns");
    assert_eq!(nanos.filter(|f| f["value"]["median"].as_f64().is_some_and(|ns| ns > 0.0)).count(), 7, "{out}");
}

#[test]
fn extras_measures_each_against_none() {
    let (out, report) = run("extras", &format!("{SHORT} --connections 2 --body 64"));
    let cases = report["cases"].as_array().unwrap();
    let names: Vec<_> = cases.iter().map(|case| case["series"].as_array().unwrap().len()).collect();
    assert_eq!(names, [7, 7, 2], "{out}");
    for case in cases {
        let ratios = case["ratios"].as_array().unwrap();
        assert_eq!(ratios.len() + 1, case["series"].as_array().unwrap().len(), "each is given against none: {out}");
        assert!(ratios.iter().all(|r| r["cpu"]["median"].as_f64().is_some_and(|m| m > 0.0)), "{out}");
    }
    assert_eq!(report["verdicts"].as_array().unwrap().len(), 2, "{out}");
}

#[test]
fn growth_measures_and_draws_its_curves() {
    let svg = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("growth-{}.svg", std::process::id()));
    let svg_argument = format!("--connections 2,4 --shards 1,2 --nodes 1,2 --svg {}", svg.display());
    let (out, report) = run("growth", &format!("{SHORT} {svg_argument}"));
    let names = |case: &Value| -> Vec<String> {
        case["series"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().into()).collect()
    };
    let all: Vec<_> = report["cases"].as_array().unwrap().iter().map(names).collect();
    let [many, shards, nodes] =
        [&["epoll", "gate", "gate + node"][..], &["1 shard", "2 shards"], &["1 node", "2 nodes"]];
    assert_eq!(all, [many, many, shards, nodes, nodes], "{out}");
    assert!(out.contains("gate: time with 4 connections / with 2"), "{out}");
    let drawn = fs::read_to_string(&svg).unwrap();
    assert_eq!(drawn.matches("<circle").count(), 3 * 2 + 2 + 2 * 2, "{drawn}");
    fs::remove_file(&svg).unwrap();
}

#[test]
fn all_runs_its_plan_and_puts_a_summary_into_the_document() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("figures-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let document = folder.join("document.md");
    fs::write(
        &document,
        "Before.\n<!-- figures of `due-benches all --document` -->\n<!-- end of figures -->\nAfter.\n",
    )
    .unwrap();
    let all = |only: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_due-benches"));
        command.args(["all", "--quick", "--free", "--against", "epoll", "--only", only, "--json"]).arg(&folder);
        let output = command.arg("--document").arg(&document).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let out = all("s1,s8");
    assert!(out.contains("== s1 (1 of 2), about ") && out.contains("== s8 (2 of 2), about "), "{out}");
    // A scenario by itself keeps the figures of the others.
    all("s13");
    let text = fs::read_to_string(&document).unwrap();
    for part in ["Before.\n", "\nAfter.", "| s1 |", "| s8 |", "| s13 |", "ours / epoll", "targets are met"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(fs::read_to_string(folder.join("summary.md")).unwrap().lines().count() + 6, text.lines().count());
    fs::remove_dir_all(&folder).unwrap();
}

// Needs go, as the tests of Go clients do.
#[test]
fn due_is_built_and_measured_beside_ours() {
    check("s1", "--against epoll,due --connections 4 --bodies 128", &["epoll", "ours", "due"]);
    check("s4", "--against due --messages 1000 --connections 4 --bodies 100", &["memory", "link", "due"]);
    let stalled = ["all read", "1 % stalled", "due, all read", "due, 1 % stalled"];
    check("s7", "--against due --members 6 --messages 2 --bodies 64 --rate 100", &stalled);
    check("s6", "--against epoll,due --members 6 --rooms 3 --messages 2 --bodies 64", &["epoll", "ours", "due"]);
}
