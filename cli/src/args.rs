//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::{api::Access, client, operate};

/// Talks to servers built with due.
#[derive(Debug, Parser)]
#[command(name = "due", version, about, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Prints JSON, one value a line, for programs that read it.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Operate(operate::Command),
    /// Connects as a client: calls routes, prints pushes, runs a script.
    Client(client::Args),
    /// Prints the completion of this command for a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
