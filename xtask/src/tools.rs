//! Programs of the system that builds, tests and servers need.

use crate::{
    apt,
    command::{Outcome, answers, output, program, root},
};

/// A program of the system.
pub(crate) struct Tool {
    name: &'static str,
    /// What needs it.
    purpose: &'static str,
    /// Debian packages it comes in.
    packages: &'static [&'static str],
    present: fn() -> bool,
}

pub(crate) const GO: Tool = Tool {
    name: "Go, of the version that xtask/servers/etcd/go.mod names",
    purpose: "clients of due in Go play against ours, and some servers are built with it",
    packages: &["golang-go", "ca-certificates"],
    present: has_go,
};
const C: Tool = Tool {
    name: "a C and C++ compiler, make and perl",
    purpose: "the crypto library and the client of Kafka are C",
    packages: &["gcc", "g++", "libc6-dev", "make", "perl"],
    present: || ["cc", "c++", "make", "perl"].iter().all(|name| answers(name, "--version")),
};
pub(crate) const PROTOC: Tool = Tool {
    name: "protoc and its standard .proto files",
    purpose: "the client of etcd is built with it",
    packages: &["protobuf-compiler", "libprotobuf-dev"],
    present: || {
        output(program("protoc").args(["--descriptor_set_out=/dev/null", "google/protobuf/empty.proto"])).is_ok()
    },
};
const NODE: Tool =
    Tool { name: "Node.js 20 or later", purpose: "it drives the browser", packages: &["nodejs"], present: has_node };
const NPM: Tool = Tool {
    name: "npm",
    purpose: "it fetches what drives the browser",
    packages: &["npm"],
    present: || answers("npm", "--version"),
};
const CHROMIUM: Tool = Tool {
    name: "Chromium",
    purpose: "the chat page is opened in it",
    packages: &["chromium", "fonts-dejavu-core"],
    present: || answers("chromium", "--version"),
};
const PYTHON: Tool = Tool {
    name: "Python 3 with venv",
    purpose: "it runs what tries the API of the master",
    packages: &["python3", "python3-venv"],
    present: || output(program("python3").args(["-c", "import ensurepip, venv"])).is_ok(),
};
const CURL: Tool = Tool {
    name: "curl 7.84 or later",
    purpose: "the page on operating is tried with it",
    packages: &["curl", "ca-certificates"],
    present: has_curl,
};
pub(crate) const REDIS: Tool = Tool {
    name: "Redis",
    purpose: "its backends are tested on it",
    packages: &["redis-server"],
    present: || answers("redis-server", "--version"),
};
pub(crate) const RABBITMQ: Tool = Tool {
    name: "RabbitMQ",
    purpose: "its backend is tested on it",
    packages: &["rabbitmq-server"],
    present: || due_servers::Program::Rabbitmq.installed().is_ok(),
};
pub(crate) const JAVA: Tool = Tool {
    name: "Java 17 or later",
    purpose: "Kafka runs on it",
    packages: &["default-jre-headless"],
    present: has_java,
};
pub(crate) const MAVEN: Tool =
    Tool { name: "Maven", purpose: "it fetches Kafka", packages: &["maven"], present: || answers("mvn", "--version") };

/// What builds and tests need beside Rust. In the order of installation: some packages of Node.js bring npm along, and
/// then refuse Debian's.
pub(crate) const TOOLS: [&Tool; 8] = [&GO, &C, &PROTOC, &NODE, &NPM, &CHROMIUM, &PYTHON, &CURL];

/// Installs those that are missing with apt-get.
pub(crate) fn ensure(tools: &[&Tool]) -> Outcome {
    let missing: Vec<&&Tool> = tools.iter().filter(|tool| !(tool.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.iter().for_each(|tool| eprintln!("missing: {} ({})", tool.name, tool.purpose));
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    apt::usable(&packages)?;
    apt::update()?;
    missing.iter().try_for_each(|tool| install(tool))
}

fn install(tool: &Tool) -> Outcome {
    if !(tool.present)() {
        apt::install(tool.packages)?;
    }
    if (tool.present)() {
        return Ok(());
    }
    Err(format!("the packages of this system do not bring {}: install it by hand, then run this again", tool.name))
}

/// Within a module, `go` answers this only when it is new enough or may fetch a newer one.
fn has_go() -> bool {
    let modules = ["tests/interop/go", "xtask/servers/etcd"];
    modules.iter().all(|module| output(program("go").args(["list", "-m"]).current_dir(root().join(module))).is_ok())
}

fn has_node() -> bool {
    major(&output(program("node").arg("--version")).unwrap_or_default()).is_some_and(|major| major >= 20)
}

/// That version can print a header of an answer.
fn has_curl() -> bool {
    // `curl 7.88.1 (x86_64-pc-linux-gnu) ..`
    let version = output(program("curl").arg("--version")).unwrap_or_default();
    version.split_whitespace().nth(1).is_some_and(|version| numbers(version) >= (7, 84))
}

fn has_java() -> bool {
    // `openjdk 17.0.15 2025-04-15`
    let version = output(program("java").arg("--version")).unwrap_or_default();
    version.split_whitespace().nth(1).and_then(major).is_some_and(|major| major >= 17)
}

/// The first number of `v20.1.0` or `17.0.15`.
fn major(version: &str) -> Option<u32> {
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

/// The first two numbers of `7.88.1`.
fn numbers(version: &str) -> (u32, u32) {
    let second = version.split('.').nth(1).and_then(|n| n.parse().ok());
    (major(version).unwrap_or_default(), second.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_begin_with_a_number() {
        for (version, expected) in [("v20.1.0\n", Some(20)), ("17.0.15", Some(17)), ("21", Some(21)), ("", None)] {
            assert_eq!(major(version), expected, "{version:?}");
        }
        assert!(numbers("7.88.1") >= (7, 84) && numbers("8.0") >= (7, 84) && numbers("7.9.8") < (7, 84));
        assert_eq!(numbers("x"), (0, 0));
    }
}
