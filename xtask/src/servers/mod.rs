//! Real servers: `cargo xtask servers --help`.

mod install;
mod play;
mod state;

use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use due_servers::Program;

use crate::command::Outcome;

pub(crate) use install::install;
pub(crate) use play::all;

/// What to do with real servers. Without names: with all of them.
#[derive(Subcommand)]
pub(crate) enum Order {
    /// Installs those that are missing into `$DUE_SERVERS_DIR` (`target/servers`), or as packages of the system.
    Install {
        /// Which ones.
        #[arg(value_name = "NAME", value_parser = names())]
        programs: Vec<Program>,
    },
    /// Starts them on loopback, installs what is missing, and prints `NAME host:port` for each. They run until `down`.
    Up {
        /// Which ones.
        #[arg(value_name = "NAME", value_parser = names())]
        programs: Vec<Program>,
        /// Prints lines for a shell instead, by which tests find them: `eval "$(cargo xtask servers up --env redis)"`.
        #[arg(long)]
        env: bool,
        /// Takes this port instead of its usual one. For one server.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Stops them.
    Down {
        /// Which ones.
        #[arg(value_name = "NAME", value_parser = names())]
        programs: Vec<Program>,
    },
    /// Says which ones are up, and where.
    Status {
        /// Which ones.
        #[arg(value_name = "NAME", value_parser = names())]
        programs: Vec<Program>,
    },
}

impl Order {
    pub(crate) fn obey(self) -> Outcome {
        match self {
            Self::Install { programs } => install(&chosen(programs)),
            Self::Up { programs, port: Some(port), env } => match programs[..] {
                [program] => play::up(&[program], env, |_| port),
                _ => Err("--port is for one server: name it".into()),
            },
            Self::Up { programs, port: None, env } => play::up(&chosen(programs), env, Program::usual_port),
            Self::Down { programs } => play::down(&chosen(programs)),
            Self::Status { programs } => play::status(&chosen(programs)),
        }
    }
}

fn chosen(programs: Vec<Program>) -> Vec<Program> {
    if programs.is_empty() { Program::ALL.to_vec() } else { programs }
}

fn names() -> impl TypedValueParser<Value = Program> {
    let names = Program::ALL.map(Program::name);
    PossibleValuesParser::new(names).try_map(|name| named(&name).ok_or("no such server"))
}

fn named(name: &str) -> Option<Program> {
    Program::ALL.into_iter().find(|p| p.name() == name)
}
