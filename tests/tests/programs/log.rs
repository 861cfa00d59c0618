//! What real programs log when they log everything.

use std::{
    io::{BufRead, BufReader, Read, Write, pipe},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock, Mutex, mpsc},
    thread,
    time::Duration,
};

use crate::program::{build, free_port, scratch};

/// How long anything may take. A limit against hanging, not a measure.
const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";
/// The first words of a NATS server.
const INFO: &str =
    "INFO {\"server_id\":\"a\",\"version\":\"2.12.0\",\"proto\":1,\"max_payload\":1024,\"auth_required\":true}\r\n";

static FLEET: LazyLock<PathBuf> = LazyLock::new(|| build("fleet"));

/// A program with all that it writes.
struct Talker {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Talker {
    fn start(args: &[String]) -> Self {
        let (from, to) = pipe().unwrap();
        let mut command = Command::new(&*FLEET);
        command.args(args).args(["--log", "trace", "--set", "log.repeats=0"]).current_dir(scratch());
        let child = command.stdin(Stdio::null()).stdout(to.try_clone().unwrap()).stderr(to).spawn().unwrap();
        // It holds the other ends of the pipe.
        drop(command);
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, said: String::new() }
    }

    /// Reads until a line that is wanted, or the end of the program.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                    if wanted(&line) {
                        return;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(e) => panic!("{e}:\n{}", self.said),
            }
        }
    }

    /// All it said, which is a lot, and no secret.
    fn check(mut self) {
        self.child.kill().unwrap();
        self.until(|_| false);
        let Self { said, .. } = &self;
        assert!(said.contains("TRACE "), "it does not log everything:\n{said}");
        let leak = said.lines().find(|line| line.contains(SECRET));
        assert_eq!(leak, None, "a secret was logged");
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that greets, hears once, answers and hangs up. Keeps what it heard.
fn deaf(greeting: &'static str, answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = vec![0; 64 << 10];
            let _ = stream.write_all(greeting.as_bytes());
            let n = stream.read(&mut bytes).unwrap_or(0);
            keep.lock().unwrap().extend_from_slice(&bytes[..n]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, heard)
}

/// Starts a program whose server refuses it, and reads what it says until it has complained.
fn check(option: &str, url: &str, greeting: &'static str, answer: &'static str) {
    let (address, heard) = deaf(greeting, answer);
    let url = url.replace("ADDRESS", &address.to_string()).replace("SECRET", SECRET);
    let mut program = Talker::start(&["node".to_owned(), format!("--{option}"), url]);
    program.until(|line| line.contains("  WARN due_") || line.starts_with("Error:"));
    program.check();
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert!(heard.contains(SECRET), "{option}: the server was not told the secret, so this proves nothing: {heard:?}");
}

#[test] // invariant 13
fn a_password_for_redis_is_not_logged() {
    check("locator", "redis://due:SECRET@ADDRESS/0", "", "-ERR no\r\n-ERR no\r\n-ERR no\r\n-ERR no\r\n");
}

#[test] // invariant 13
fn a_token_for_consul_is_not_logged() {
    let answer = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    check("registry", "consul://ADDRESS/game?token=SECRET", "", answer);
}

#[test] // invariant 13
fn a_password_for_nats_is_not_logged() {
    check("eventbus", "nats://due:SECRET@ADDRESS", INFO, "-ERR 'Authorization Violation'\r\n");
}

#[test] // invariant 13
fn the_secret_between_processes_is_not_logged() {
    let home = format!("127.0.0.1:{}?secret={SECRET}", free_port());
    let args = |role: &str| {
        let transport = format!("link://127.0.0.1:0?secret={SECRET}");
        [role.to_owned(), "--peers".to_owned(), home.clone(), "--transport".to_owned(), transport]
    };
    let mut both = ["gate", "node"].map(|role| Talker::start(&args(role)));
    for program in &mut both {
        program.until(|line| line == "ready");
        assert!(program.said.ends_with("\nready\n"), "{}", program.said);
    }
    both.into_iter().for_each(Talker::check);
}
