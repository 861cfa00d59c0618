//! Installs what the tests need beside Rust. What is there already is left alone.

use std::process::{Command, Stdio};

use crate::command::{Outcome, output, program, root, run};

/// A program that tests start.
struct Tool {
    name: &'static str,
    /// What needs it.
    purpose: &'static str,
    /// Debian packages it comes in.
    packages: &'static [&'static str],
    present: fn() -> bool,
}

/// In the order of installation: some packages of Node.js bring npm along, and then refuse Debian's.
const TOOLS: [Tool; 4] = [
    Tool {
        name: "Go, of the version that tests/interop/go/go.mod names",
        purpose: "clients of due in Go play against ours",
        packages: &["golang-go", "ca-certificates"],
        present: has_go,
    },
    Tool { name: "Node.js 20 or later", purpose: "it drives the browser", packages: &["nodejs"], present: has_node },
    Tool {
        name: "npm",
        purpose: "it fetches what drives the browser",
        packages: &["npm"],
        present: || answers("npm", "--version"),
    },
    Tool {
        name: "Chromium",
        purpose: "the chat page is opened in it",
        packages: &["chromium", "fonts-dejavu-core"],
        present: || answers("chromium", "--version"),
    },
];

/// Installs the missing tools with apt-get. Go modules and npm packages are fetched by the tests that use them.
pub(crate) fn setup() -> Outcome {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.present)()).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

fn install(missing: &[&Tool]) -> Outcome {
    missing.iter().for_each(|tool| eprintln!("missing: {} ({})", tool.name, tool.purpose));
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    let by_hand = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !answers("apt-get", "--version") {
        return Err(format!("there is no apt-get here: install the programs above by hand (on Debian: {by_hand})"));
    }
    if !is_root() {
        return Err(format!("only root may install packages: run `sudo sh -c '{by_hand}'`, then this again"));
    }
    run(apt().arg("update"))?;
    missing.iter().try_for_each(|tool| install_one(tool))
}

fn install_one(tool: &Tool) -> Outcome {
    if !(tool.present)() {
        run(apt().args(["install", "-y", "--no-install-recommends"]).args(tool.packages))?;
    }
    if (tool.present)() {
        return Ok(());
    }
    Err(format!("the packages of this system do not bring {}: install it by hand, then run this again", tool.name))
}

/// Asks nothing, and waits for another installation to end.
fn apt() -> Command {
    let mut apt = program("apt-get");
    apt.args(["-o", "DPkg::Lock::Timeout=120"]).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// Within a module, `go` answers this only when it is new enough or may fetch a newer one.
fn has_go() -> bool {
    output(program("go").args(["list", "-m"]).current_dir(root().join("tests/interop/go"))).is_ok()
}

fn has_node() -> bool {
    let version = output(program("node").arg("--version")).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    major.is_some_and(|major: u32| major >= 20)
}

fn answers(name: &str, question: &str) -> bool {
    program(name).arg(question).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

fn is_root() -> bool {
    output(program("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
