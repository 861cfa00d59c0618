//! Files that take turns. The time is that of the lines.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::{
    collections::VecDeque,
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use common::Folder;
use due_log::{
    Format, Level, Record, Sink,
    sink::{File, Rotation, Turn},
};

const DAY: u64 = 86_400;
/// 2023-11-14, 00:00 UTC.
const MIDNIGHT: u64 = 1_699_920_000;

fn line(n: u64, seconds: u64) -> Arc<Record> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Arc::new(Record::new(Level::INFO, "t", format!("line-{n:04}")).at(time))
}

fn write(file: &mut File, lines: impl IntoIterator<Item = Arc<Record>>) {
    let mut batch: VecDeque<_> = lines.into_iter().collect();
    file.write(&mut batch).unwrap();
    assert!(batch.is_empty());
}

fn open(folder: &Folder, rotation: Rotation) -> File {
    File::new(folder.path("game.log"), Format::Text, rotation).unwrap()
}

fn by_size(max_size: u64, keep: usize) -> Rotation {
    Rotation { max_size, turn: Turn::Off, keep }
}

/// The numbers of all lines in the files with these names.
fn numbers(folder: &Folder, names: &[String]) -> Vec<u64> {
    let text: String = names.iter().map(|name| fs::read_to_string(folder.path(name)).unwrap()).collect();
    text.lines().map(|line| line.rsplit_once("line-").unwrap().1.parse().unwrap()).collect()
}

/// Names that were rotated, then the one that is written.
fn in_order(folder: &Folder) -> Vec<String> {
    let mut names = folder.names();
    names.retain(|name| name != "game.log");
    names.push("game.log".to_owned());
    names
}

#[test]
fn no_file_is_larger_than_its_limit_and_no_line_is_lost() {
    const MAX: u64 = 1_000;
    let folder = Folder::new();
    let mut file = open(&folder, by_size(MAX, 1_000));
    for n in 0..50 {
        write(&mut file, (0..10).map(|m| line(n * 10 + m, MIDNIGHT + n)));
    }
    let names = in_order(&folder);
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let size = fs::metadata(folder.path(name)).unwrap().len();
        assert!(size <= MAX && size > 0, "{name}: {size}");
    }
    assert_eq!(numbers(&folder, &names), (0..500).collect::<Vec<_>>(), "the names sort as the lines do");
}

#[test]
fn a_line_that_is_larger_than_a_file_gets_one_of_its_own() {
    let folder = Folder::new();
    let mut file = open(&folder, by_size(200, 10));
    let large = Arc::new(Record::new(Level::INFO, "t", "x".repeat(1_000)));
    write(&mut file, [line(0, MIDNIGHT), large, line(1, MIDNIGHT)]);
    let sizes: Vec<u64> = in_order(&folder).iter().map(|name| fs::metadata(folder.path(name)).unwrap().len()).collect();
    assert!(sizes.len() == 3 && sizes[0] < 200 && sizes[1] > 1_000 && sizes[2] < 200, "{sizes:?}");
}

#[test]
fn a_new_day_and_a_new_hour_begin_a_file() {
    let times = [MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 3_599, MIDNIGHT + 3_600, MIDNIGHT + DAY];
    for (turn, expected) in [
        (Turn::Daily, vec!["game.20231113T235959.0000.log", "game.20231114T010000.0000.log", "game.log"]),
        (
            Turn::Hourly,
            vec![
                "game.20231113T235959.0000.log",
                "game.20231114T005959.0000.log",
                "game.20231114T010000.0000.log",
                "game.log",
            ],
        ),
        (Turn::Off, vec!["game.log"]),
    ] {
        let folder = Folder::new();
        let mut file = open(&folder, Rotation { max_size: 0, turn, keep: 10 });
        write(&mut file, times.iter().zip(0..).map(|(time, n)| line(n, *time)));
        let names = in_order(&folder);
        assert_eq!(names, expected, "{turn:?}");
        assert_eq!(numbers(&folder, &names), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn old_files_are_removed_and_others_stay() {
    let folder = Folder::new();
    fs::write(folder.path("game.other.log"), "mine").unwrap();
    fs::write(folder.path("games.20231113T235959.0000.log"), "mine").unwrap();
    let mut file = open(&folder, Rotation { max_size: 0, turn: Turn::Daily, keep: 2 });
    (0..6).for_each(|day| write(&mut file, [line(day, MIDNIGHT + day * DAY)]));
    let expected = [
        "game.20231117T000000.0000.log",
        "game.20231118T000000.0000.log",
        "game.log",
        "game.other.log",
        "games.20231113T235959.0000.log",
    ];
    assert_eq!(folder.names(), expected);
}

#[test]
fn a_restart_goes_on_and_counts_what_is_there() {
    let folder = Folder::new();
    for n in 0..10 {
        let mut file = open(&folder, by_size(150, 100));
        write(&mut file, [line(n, MIDNIGHT)]);
    }
    let names = in_order(&folder);
    assert_eq!(numbers(&folder, &names), (0..10).collect::<Vec<_>>());
    assert!(names.len() > 3 && names.len() < 10, "{names:?}");
}

#[test]
fn a_restart_on_another_day_begins_a_file() {
    let folder = Folder::new();
    let daily = Rotation { max_size: 0, turn: Turn::Daily, keep: 10 };
    write(&mut open(&folder, daily), [line(0, MIDNIGHT)]);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(MIDNIGHT);
    fs::File::options().append(true).open(folder.path("game.log")).unwrap().set_modified(old).unwrap();
    write(&mut open(&folder, daily), [line(1, MIDNIGHT + DAY)]);
    assert_eq!(in_order(&folder), ["game.20231114T000000.0000.log", "game.log"]);
}

#[test]
fn a_file_or_folder_that_vanished_is_made_anew() {
    let folder = Folder::new();
    let path = folder.path("a/b/game.log");
    let mut file = File::new(&path, Format::Text, Rotation::default()).unwrap();
    write(&mut file, [line(0, MIDNIGHT)]);
    fs::remove_dir_all(folder.path("a")).unwrap();
    write(&mut file, [line(1, MIDNIGHT)]);
    assert!(fs::read_to_string(&path).unwrap().ends_with("line-0001\n"));
    // As another program would rotate it.
    fs::rename(&path, folder.path("moved.log")).unwrap();
    write(&mut file, [line(2, MIDNIGHT)]);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn a_file_that_cannot_be_rotated_grows_on_and_that_is_told() {
    let folder = Folder::new();
    let mut file = open(&folder, by_size(150, 100));
    // All names of this second are taken.
    fs::write(folder.path("game.20231114T000000.9999.log"), "").unwrap();
    write(&mut file, (0..10).map(|n| line(n, MIDNIGHT)));
    let why = file.trouble().unwrap();
    assert!(why.contains("cannot rotate") && why.contains("game.log"), "{why}");
    assert!(file.trouble().is_none(), "told twice");
    assert_eq!(numbers(&folder, &["game.log".to_owned()]), (0..10).collect::<Vec<_>>());
    fs::remove_file(folder.path("game.20231114T000000.9999.log")).unwrap();
    write(&mut file, (10..12).map(|n| line(n, MIDNIGHT + 61)));
    assert_eq!(numbers(&folder, &["game.log".to_owned()]), [10, 11], "a minute later it is tried again");
}
