//! Programs whose system calls are counted: by a small library in C that is put before the C library. It needs no rights
//! and no tools but the C compiler that links every Rust program.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stderr, reason = "only tests use it, and they may")]

use std::{
    env, fs,
    ops::{Add, Sub},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Running, scratch};

/// System calls since the start of a program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    /// For events, and to say for which.
    pub(crate) waits: u64,
    /// Locks, options, accepted clients.
    pub(crate) others: u64,
}

impl Calls {
    /// All of them, for each of so many messages.
    pub(crate) fn each(self, messages: usize) -> f64 {
        (self.reads + self.writes + self.waits + self.others) as f64 / messages as f64
    }
}

impl Sub for Calls {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            reads: self.reads - other.reads,
            writes: self.writes - other.writes,
            waits: self.waits - other.waits,
            others: self.others - other.others,
        }
    }
}

impl Add for Calls {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            waits: self.waits + other.waits,
            others: self.others + other.others,
        }
    }
}

/// A program that counts.
pub(crate) struct Counted {
    running: Running,
    file: PathBuf,
}

impl Counted {
    /// Starts `program` and waits until it says `ready`; `None`, and a line, where nothing can be counted.
    pub(crate) fn start(program: &Path, args: &[String]) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let library = library()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = scratch().join(format!("calls-{}-{number}", process::id()));
        fs::write(&file, [0; 32]).expect("the folder of tests can be written");
        let set = [format!("LD_PRELOAD={}", library.display()), format!("CALLS_FILE={}", file.display())];
        let program = program.to_str().expect("a path of letters").to_owned();
        let words: Vec<String> = set.into_iter().chain([program]).chain(args.iter().cloned()).collect();
        let running = Running::start(Path::new("/usr/bin/env"), &words);
        running.line("`ready`", |line| line == "ready");
        Some(Self { running, file })
    }

    /// What it has called so far.
    pub(crate) fn calls(&self) -> Calls {
        let bytes = fs::read(&self.file).unwrap();
        let at = |i: usize| u64::from_ne_bytes(bytes[8 * i..][..8].try_into().unwrap());
        Calls { reads: at(0), writes: at(1), waits: at(2), others: at(3) }
    }

    /// Holds the whole program still while `meanwhile` runs: what comes then, it finds all at once. So its batches do not
    /// depend on how fast the machine is or on who else uses it.
    pub(crate) fn held(&self, meanwhile: impl FnOnce()) {
        self.signal(Signal::STOP);
        while !self.is_still() {
            thread::sleep(Duration::from_micros(100));
        }
        meanwhile();
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.running.pid()).ok().and_then(Pid::from_raw).expect("a number of a process");
        kill_process(pid, signal).expect("it runs");
    }

    /// Are all its threads stopped?
    fn is_still(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.running.pid())).expect("it runs");
        let states = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
        states.into_iter().all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// The library, built once.
fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let (built, library) = (scratch().join(format!("calls-{}.so", process::id())), scratch().join("calls.so"));
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&built);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counted/calls.c")).arg("-ldl");
    match command.status() {
        Ok(status) if status.success() => {
            // At once, for whoever builds it at the same time.
            fs::rename(&built, &library).expect("the folder of tests can be written");
            Some(library)
        }
        Ok(status) => panic!("tests/counted/calls.c does not build: {status}"),
        Err(e) => {
            eprintln!("skipped: system calls are counted by a library in C, and the C compiler cannot be run: {e}");
            None
        }
    }
}
