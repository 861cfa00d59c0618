//! Programs of the workspace, built once and run as processes of their own.
#![allow(clippy::expect_used, clippy::panic, reason = "only tests use it, and they may")]

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// How long a program may take until it prints the line that is waited for. A limit against hanging, not a measure.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where tests may leave files: inside the target folder.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Where the binary of `package` is: in the folder `DUE_TEST_PROGRAMS`, whose programs somebody has just built, or built
/// here in the profile of the running test.
#[allow(dead_code, reason = "some test programs ask for features")]
pub(crate) fn build(package: &str) -> PathBuf {
    build_with(package, &[])
}

/// The same with features, as words for cargo. Programs of `DUE_TEST_PROGRAMS` have all of them.
#[allow(dead_code, reason = "some test programs ask for none")]
pub(crate) fn build_with(package: &str, features: &[&str]) -> PathBuf {
    build_bin((package, package), features)
}

/// The same of a package whose program has another name.
pub(crate) fn build_bin((package, name): (&str, &str), features: &[&str]) -> PathBuf {
    if let Some(folder) = std::env::var_os("DUE_TEST_PROGRAMS") {
        let program = Path::new(&folder).join(name);
        assert!(program.is_file(), "DUE_TEST_PROGRAMS has no {}", program.display());
        return program;
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--message-format=json", "-p", package])
        .args(features)
        .args(["--profile", &profile(), "--target-dir"])
        .arg(scratch().parent().expect("the folder is inside the target folder"))
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo could not build {package}");
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    text.lines().find_map(|line| executable(line, name)).expect("cargo names the program it built")
}

/// The path in a message of cargo, if the message is about the binary `name`.
fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    (message["target"]["name"] == name).then_some(())?;
    Some(message["executable"].as_str()?.into())
}

/// The profile whose folder holds this test: `target/PROFILE/deps/test`.
fn profile() -> String {
    let test = std::env::current_exe().expect("the test has a path");
    match test.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".into(),
        Some(name) => name.into(),
    }
}

/// A port that is free for TCP and UDP now, below those that the system hands out by itself, and never given twice by
/// one process.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that those that run side by side seldom look at the same port.
    let start = (std::process::id().wrapping_mul(251) % u32::from(COUNT)) as u16;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < COUNT, "no port is free");
        let port = FIRST + (start + step) % COUNT;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free {
            return port;
        }
    }
}

/// A running program; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts `program`.
    pub(crate) fn start(program: &Path, args: &[String]) -> Running {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start: {e}", program.display()));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let (send, lines) = mpsc::channel();
        // Reads to the end: a full pipe would stop the program.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Running { child, lines }
    }

    /// The number of the process.
    #[allow(dead_code, reason = "few test programs ask")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line from now on that `wanted` likes. Panics if the program ends or keeps silent.
    pub(crate) fn line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.lines.recv_timeout(START_LIMIT) {
                Ok(line) if wanted(&line) => return line,
                Ok(_) => {}
                Err(e) => panic!("the program did not print {what}: {e}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
