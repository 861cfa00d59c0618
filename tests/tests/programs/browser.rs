//! The chat page in a real browser: two tabs, one types, the other reads.
//!
//! The script is `tests/browser/chat.mjs`. Node, npm and Chromium must be installed; missing ones are a failure, not a
//! reason to skip.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::{Running, build, free_port, scratch, workspace};

/// The folder of the script, with its one package installed as the lock file says.
fn script_folder() -> PathBuf {
    let folder = workspace().join("tests/browser");
    if !is_installed(&folder) {
        let status = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])
            .current_dir(&folder)
            .status()
            .expect("this test drives a browser: install Node 20 or later, `npm` must be on the PATH");
        assert!(status.success(), "npm could not install tests/browser");
    }
    folder
}

/// npm leaves its own copy of the lock file: it must be there and not older than ours.
fn is_installed(folder: &Path) -> bool {
    let written = |path: &str| fs::metadata(folder.join(path)).and_then(|data| data.modified());
    match (written("node_modules/.package-lock.json"), written("package-lock.json")) {
        (Ok(installed), Ok(wanted)) => installed >= wanted,
        _ => false,
    }
}

#[test]
fn a_message_typed_in_one_tab_is_read_in_the_other() {
    play("chat", &[]);
}

/// The page does with the browser's own cryptography what the node and its other clients do.
#[test]
fn a_room_that_encrypts_is_the_same_in_a_browser() {
    let keys = scratch().join("keys");
    play("chat-encrypted", &["--keys".to_owned(), keys.display().to_string()]);
}

fn play(name: &str, more: &[String]) {
    let chat = build("chat");
    let ports = ["http", "ws", "tcp", "kcp"].map(|name| (name, free_port()));
    let args: Vec<String> = ports.iter().flat_map(|(name, port)| [format!("--{name}"), address(*port)]).collect();
    let args = [&args[..], more].concat();
    let running = Running::start(&chat, &args);
    let (_, http) = ports[0];
    running.line("the address of its page", |line| line.contains(&address(http)));
    let picture = scratch().join(format!("{name}.png"));
    let output = Command::new("node")
        .args([Path::new("chat.mjs").as_os_str(), format!("http://{}/", address(http)).as_ref(), picture.as_os_str()])
        .current_dir(script_folder())
        .output()
        .expect("node runs");
    let (told, fault) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{fault}");
    assert!(fs::metadata(&picture).is_ok_and(|data| data.len() > 1000), "no picture at {}", picture.display());
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
