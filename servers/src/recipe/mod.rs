//! How each server is started.

mod consul;
mod etcd;
mod kafka;
mod nats;
mod rabbitmq;
mod redis;

use std::{fs, io, path::Path, process::Command};

use crate::{Program, Result, place};

/// All that differs between servers.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    /// Ports it takes, in a row.
    pub(crate) ports: u16,
    /// What it lacks here, if anything.
    pub(crate) missing: fn() -> Option<String>,
    /// Writes what it reads at its first start.
    pub(crate) prepare: fn(&Site<'_>) -> Result,
    pub(crate) command: fn(&Site<'_>) -> Command,
    /// Whether it serves.
    pub(crate) ready: fn(&Site<'_>) -> io::Result<bool>,
}

/// Where one server runs.
pub(crate) struct Site<'a> {
    pub(crate) folder: &'a Path,
    /// The first of its ports, the one clients use.
    pub(crate) port: u16,
    pub(crate) args: &'a [String],
}

impl Site<'_> {
    /// The command of an installed program, in the server's folder.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(place::program(program));
        command.current_dir(self.folder);
        command
    }

    /// The path of a file of the server.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) -> Result {
        fs::write(self.folder.join(name), text).map_err(|e| format!("cannot write {}: {e}", self.file(name)))
    }
}

pub(crate) fn of(program: Program) -> Recipe {
    match program {
        Program::Redis => redis::RECIPE,
        Program::Etcd => etcd::RECIPE,
        Program::Consul => consul::RECIPE,
        Program::Nats => nats::RECIPE,
        Program::Kafka => kafka::RECIPE,
        Program::Rabbitmq => rabbitmq::RECIPE,
    }
}

fn missing(program: &str) -> Option<String> {
    place::find(program).is_none().then(|| format!("the program {program}"))
}

fn nothing(_: &Site<'_>) -> Result {
    Ok(())
}
