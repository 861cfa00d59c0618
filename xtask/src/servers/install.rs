//! Installs servers: packages of the system, or built here from a module of ours that names their version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use due_servers::{Program, home};

use crate::{
    command::{Outcome, program, root},
    progress::long,
    tools::{self, Tool},
};

/// Installs those that are missing.
pub(crate) fn install(programs: &[Program]) -> Outcome {
    let needed: Vec<&Tool> = programs.iter().flat_map(|p| tools_of(*p)).copied().collect();
    tools::ensure(&needed)?;
    for server in programs.iter().copied() {
        make(server).map_err(|why| format!("cannot install {server}: {why}"))?;
        server.installed()?;
    }
    Ok(())
}

fn tools_of(server: Program) -> &'static [&'static Tool] {
    match server {
        Program::Redis => &[&tools::REDIS],
        Program::Rabbitmq => &[&tools::RABBITMQ],
        Program::Etcd | Program::Consul | Program::Nats => &[&tools::GO],
        Program::Kafka => &[&tools::JAVA, &tools::MAVEN],
    }
}

fn make(server: Program) -> Outcome {
    match server {
        Program::Redis | Program::Rabbitmq => Ok(()),
        Program::Etcd => go(server, "etcd", "go.etcd.io/etcd/server/v3"),
        Program::Consul => go(server, "consul", "github.com/hashicorp/consul"),
        Program::Nats => go(server, "nats-server", "github.com/nats-io/nats-server/v2"),
        Program::Kafka => kafka(),
    }
}

/// Builds the package, at the version that the server's go.mod names.
fn go(server: Program, file: &str, package: &str) -> Outcome {
    let goal = Goal { target: home().join("bin").join(file), recipe: recipe(server).join("go.mod") };
    goal.reach(server, |new| {
        let mut go = program("go");
        go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(new);
        if server == Program::Consul {
            // The largest of all: without optimisation it takes two thirds of the time, and it does little in tests.
            go.arg("-gcflags=all=-N -l");
        }
        go.arg(package).current_dir(recipe(server)).env("GOFLAGS", "").env("GOWORK", "off");
        go
    })
}

/// Copies the jars of the broker and all it needs, at the version that its pom.xml names.
fn kafka() -> Outcome {
    let goal = Goal { target: home().join("kafka"), recipe: recipe(Program::Kafka).join("pom.xml") };
    goal.reach(Program::Kafka, |new| {
        let mut maven = program("mvn");
        maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
        maven.arg(format!("-DoutputDirectory={}", new.display())).current_dir(recipe(Program::Kafka));
        maven
    })
}

/// The folder with the file that names the version of a server.
fn recipe(server: Program) -> PathBuf {
    root().join("xtask/servers").join(server.name())
}

/// A file or folder made by a command, and the file that says how: when that changes, it is made again.
struct Goal {
    target: PathBuf,
    recipe: PathBuf,
}

impl Goal {
    /// The command makes what it is given, beside the target: a run that is broken off leaves the old one.
    fn reach(&self, server: Program, command: impl FnOnce(&Path) -> Command) -> Outcome {
        if self.is_current() || (!self.target.exists() && server.installed().is_ok()) {
            return Ok(());
        }
        let new = self.beside("new");
        let folder = new.parent().unwrap_or(&new);
        fs::create_dir_all(folder).map_err(|e| format!("cannot make the folder {}: {e}", folder.display()))?;
        remove(&new)?;
        long(&format!("{server} ({})", usual(server)), &mut command(&new), &self.beside("log"))?;
        remove(&self.target)?;
        fs::rename(&new, &self.target).map_err(|e| format!("cannot write {}: {e}", self.target.display()))?;
        let stamp = self.beside("made-by");
        fs::copy(&self.recipe, &stamp).map_err(|e| format!("cannot write {}: {e}", stamp.display()))?;
        Ok(())
    }

    fn is_current(&self) -> bool {
        let same = || Some(fs::read(&self.recipe).ok()? == fs::read(self.beside("made-by")).ok()?);
        self.target.exists() && same() == Some(true)
    }

    fn beside(&self, what: &str) -> PathBuf {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        self.target.with_file_name(format!(".{name}.{what}"))
    }
}

/// How long it takes on two cores the first time.
fn usual(server: Program) -> &'static str {
    match server {
        Program::Consul => "a large one: 3 to 4 minutes, and 2.5 GB in the cache of Go",
        _ => "about half a minute",
    }
}

fn remove(path: &Path) -> Outcome {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false if path.exists() => fs::remove_file(path),
        false => Ok(()),
    };
    removed.map_err(|e| format!("cannot remove {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str, new: &Path) -> Command {
        let mut sh = Command::new("sh");
        sh.args(["-c", text, "sh"]).arg(new);
        sh
    }

    #[test]
    fn a_server_is_made_again_when_its_recipe_changes() {
        let folder = std::env::temp_dir().join(format!("due-goal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let goal = Goal { target: folder.join("made"), recipe: folder.join("recipe") };
        // Made here, so that nobody's installed server counts.
        fs::write(&goal.target, "old").unwrap();
        for (recipe, text, expected) in [("1", "first", "first"), ("1", "never", "first"), ("2", "second", "second")] {
            fs::write(&goal.recipe, recipe).unwrap();
            goal.reach(Program::Nats, |new| script(&format!("printf {text} > \"$1\""), new)).unwrap();
            assert_eq!(fs::read_to_string(&goal.target).unwrap(), expected);
        }
        fs::write(&goal.recipe, "3").unwrap();
        assert!(goal.reach(Program::Nats, |new| script("exit 1", new)).is_err());
        assert_eq!(fs::read_to_string(&goal.target).unwrap(), "second", "a failure leaves the old one");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_recipe_is_there() {
        for (server, file) in [
            (Program::Etcd, "go.sum"),
            (Program::Nats, "go.sum"),
            (Program::Consul, "go.sum"),
            (Program::Kafka, "pom.xml"),
        ] {
            assert!(recipe(server).join(file).is_file(), "{server}: {file}");
        }
    }
}
