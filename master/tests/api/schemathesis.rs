//! [schemathesis](https://schemathesis.readthedocs.io) reads the contract and asks whatever comes to its mind: nothing is
//! answered with 5xx, and nothing in a way that the contract does not tell.
//!
//! Python 3 with venv must be installed; the packages of `requirements.txt` are fetched from PyPI into the target folder.
//! What it asks is the same in each run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::world::World;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";
/// For each operation and phase.
const EXAMPLES: &str = "30";

/// The program, installed where the build puts what tests make.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let wanted = include_str!("requirements.txt");
    if fs::read_to_string(folder.join("installed")).is_ok_and(|have| have == wanted) {
        return folder.join("bin/schemathesis");
    }
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/requirements.txt");
    let mut install = Command::new(folder.join("bin/python"));
    done(install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements));
    fs::write(folder.join("installed"), wanted).unwrap();
    folder.join("bin/schemathesis")
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; install python3 and python3-venv"));
    assert!(output.status.success(), "{command:?} failed:\n{}", text(&output));
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn schemathesis_finds_no_5xx_and_no_undocumented_answer() {
    let world = World::new().await;
    let _player = world.user("gate-1", 7).await;
    let url = world.master.url("master").unwrap().to_string();
    let token = world.api.token.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let mut ask = Command::new(installed());
        ask.arg("run").arg(format!("{}/api/v1/openapi.json", url.trim_end_matches('/')));
        ask.args(["--header", &format!("Authorization: Bearer {token}")]).args(["--checks", CHECKS]);
        ask.args(["--max-examples", EXAMPLES, "--generation-deterministic"]);
        // It never ends, so there is no answer to look at.
        ask.args(["--exclude-path", "/api/v1/events/stream", "--request-timeout", "30", "--no-color"]);
        ask.current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap()
    });
    let output = asked.await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(world.api.get("/api/v1/cluster").await.body["partial"], false);
}
