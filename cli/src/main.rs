//! `due`: what an operator and a developer ask of a running system, from a terminal or a script.

mod args;
mod client;
mod failure;
mod print;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use failure::Outcome;
use print::Printer;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Outcome {
    let printer = Printer::new(args.json);
    match args.command {
        Command::Client(client) => runtime()?.block_on(client::run(client, &printer)),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "due", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| failure::Failure::new(format!("no runtime: {e}")))
}
