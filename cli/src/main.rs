//! `due`: what an operator and a developer ask of a running system, from a terminal or a script.

mod api;
mod args;
mod client;
mod failure;
mod operate;
mod print;
mod table;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use api::Api;
use args::{Args, Command};
use failure::Outcome;
use operate::Operator;
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
        Command::Operate(command) => {
            let operator = Operator { api: Api::new(&args.access)?, printer: &printer };
            runtime()?.block_on(operator.run(command))
        }
    }
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| failure::Failure::new(format!("no runtime: {e}")))
}
