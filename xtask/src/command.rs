//! Runs programs in the repository.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Nothing, or one sentence for the person at the terminal.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A program started at the root.
pub(crate) fn program(name: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(name.into());
    command.current_dir(root());
    command
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The cargo of the steps, without the state that makes a second build quick: they build everything, and that state is
/// as large again as all they build. What `CARGO_INCREMENTAL` says goes before it.
pub(crate) fn cargo_once() -> Command {
    let mut cargo = cargo();
    if env::var_os("CARGO_INCREMENTAL").is_none() {
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

/// Shows the command, runs it with the terminal as its output, and wants it to succeed.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|e| format!("cannot start `{line}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// What the command prints, or why it failed.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let line = shown(command);
    let output = command.stderr(Stdio::piped()).output().map_err(|e| format!("cannot start `{line}`: {e}"))?;
    if !output.status.success() {
        return Err(format!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("`{line}` prints no text: {e}"))
}

/// Shows the command, wants it to succeed, and gives what it tells beside its output.
pub(crate) fn told(command: &mut Command) -> Outcome<String> {
    let line = shown(command);
    eprintln!("$ {line}");
    let output = command.output().map_err(|e| format!("cannot start `{line}`: {e}"))?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(told) } else { Err(format!("`{line}` failed ({}):\n{told}", output.status)) }
}

/// Whether the program is there.
pub(crate) fn answers(name: &str, question: &str) -> bool {
    program(name).arg(question).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// The command as one would type it, without the folder its program is in.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
