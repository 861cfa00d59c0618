//! Kept inputs of the fuzzer, run as they are and with every byte cut, dropped and flipped.
#![allow(clippy::unwrap_used, reason = "the functions beside the tests are tests too")]

use std::{fs, path::Path};

use due_protocol::fuzz;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/frame");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn kept_inputs_and_their_neighbours_break_nothing() {
    let corpus = corpus();
    assert!(corpus.len() >= 10, "the corpus is missing: {} files", corpus.len());
    for (name, data) in corpus {
        println!("{name}");
        fuzz::frame(&data);
        for at in 0..data.len() {
            fuzz::frame(&data[..at]);
            fuzz::frame(&[&data[..at], &data[at + 1..]].concat());
            for bit in [0x01, 0x10, 0x80] {
                let mut flipped = data.clone();
                flipped[at] ^= bit;
                fuzz::frame(&flipped);
            }
        }
    }
}
