//! Where lines come from.

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

use tokio::sync::mpsc;

use crate::failure::{Failure, Outcome};

/// Lines read ahead of what is done.
const AHEAD: usize = 16;

/// Lines, and what becomes of one that fails.
pub(crate) struct Lines {
    waiting: mpsc::Receiver<String>,
    /// The first line that fails ends it.
    pub(crate) strict: bool,
    /// What it is called.
    pub(crate) name: String,
    number: usize,
}

impl Lines {
    /// The next one and its number, from 1.
    pub(crate) async fn next(&mut self) -> Option<(usize, String)> {
        let line = self.waiting.recv().await?;
        self.number += 1;
        Some((self.number, line))
    }
}

/// Those of a script, or of standard input.
pub(crate) fn lines(script: Option<&Path>) -> Outcome<Lines> {
    let (send, waiting) = mpsc::channel(AHEAD);
    let (name, strict) = match script {
        Some(path) => (path.display().to_string(), true),
        None => ("line".to_owned(), !io::stdin().is_terminal()),
    };
    match script {
        Some(path) => {
            let text =
                fs::read_to_string(path).map_err(|e| Failure::new(format!("--script {}: {e}", path.display())))?;
            std::thread::spawn(move || text.lines().try_for_each(|line| send.blocking_send(line.to_owned())));
        }
        None => {
            // A thread of its own: an open terminal does not keep the command from ending.
            std::thread::spawn(move || {
                io::stdin().lines().map_while(Result::ok).try_for_each(|line| send.blocking_send(line))
            });
        }
    }
    Ok(Lines { waiting, strict, name, number: 0 })
}
