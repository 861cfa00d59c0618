//! The fuzz entries over the bodies in `tests/corpus`, over parts and mutations of them, and over noise.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use due_codec::fuzz;
use proptest::{collection, prelude::*, sample};

/// A fuzz entry.
type Entry = fn(&[u8]);

const ENTRIES: [(&str, Entry); 3] = [("json", fuzz::json), ("msgpack", fuzz::msgpack), ("protobuf", fuzz::protobuf)];

fn corpus(of: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(of);
    fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// Bodies of all formats: what is one format's truth is another's noise.
fn bodies() -> Vec<Vec<u8>> {
    ENTRIES.iter().flat_map(|(name, _)| corpus(name)).collect()
}

#[test]
fn every_body_of_the_corpus_keeps_the_promises_of_every_codec() {
    for (name, _) in ENTRIES {
        assert!(corpus(name).len() >= 8, "the corpus of {name} is there");
    }
    for body in bodies() {
        ENTRIES.iter().for_each(|(_, entry)| entry(&body));
    }
}

#[test]
fn every_prefix_of_a_body_keeps_them() {
    for (name, entry) in ENTRIES {
        for body in corpus(name) {
            (0..body.len()).for_each(|end| entry(&body[..end]));
        }
    }
}

proptest! {
    #[test]
    fn noise_keeps_them(bytes in collection::vec(any::<u8>(), 0..300)) {
        ENTRIES.iter().for_each(|(_, entry)| entry(&bytes));
    }

    #[test]
    fn a_body_with_some_bytes_changed_keeps_them(
        mut body in sample::select(bodies()),
        changes in collection::vec((any::<sample::Index>(), any::<u8>()), 1..6),
    ) {
        for (at, byte) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        ENTRIES.iter().for_each(|(_, entry)| entry(&body));
    }
}
