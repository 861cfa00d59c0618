//! Standard error and standard output.

use std::{
    collections::VecDeque,
    fs,
    io::{self, IsTerminal},
    sync::Arc,
};

use super::{Sink, outbox::Outbox};
use crate::{format::Format, record::Record};

/// Lines on standard error or standard output. A pipe that nobody reads, or that was closed, holds up nobody but this
/// sink.
pub struct Console {
    to: fs::File,
    format: Format,
    outbox: Outbox,
    line: String,
}

impl Console {
    /// Standard error.
    ///
    /// # Errors
    /// When the process has none.
    pub fn stderr(format: Format) -> io::Result<Self> {
        Ok(Self::to(own(&io::stderr())?, format))
    }

    /// Standard output.
    ///
    /// # Errors
    /// When the process has none.
    pub fn stdout(format: Format) -> io::Result<Self> {
        Ok(Self::to(own(&io::stdout())?, format))
    }

    fn to(to: fs::File, format: Format) -> Self {
        Self { to, format, outbox: Outbox::default(), line: String::new() }
    }

    /// Has a stream colours? Terminals do, unless the variable `NO_COLOR` says something.
    pub fn has_colours(stream: &impl IsTerminal) -> bool {
        stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}

/// A handle of our own: the lock of the standard one would hold up whoever prints while this sink is blocked.
#[cfg(unix)]
fn own(stream: &impl std::os::fd::AsFd) -> io::Result<fs::File> {
    stream.as_fd().try_clone_to_owned().map(fs::File::from)
}

#[cfg(windows)]
fn own(stream: &impl std::os::windows::io::AsHandle) -> io::Result<fs::File> {
    stream.as_handle().try_clone_to_owned().map(fs::File::from)
}

impl Sink for Console {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        self.outbox.drain(&mut self.to).1?;
        while let Some(record) = batch.pop_front() {
            self.line.clear();
            self.format.write(&record, &mut self.line);
            self.outbox.push(&self.line);
            if self.outbox.is_full() {
                self.outbox.drain(&mut self.to).1?;
            }
        }
        self.outbox.drain(&mut self.to).1
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outbox.drain(&mut self.to).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use tracing::Level;

    fn batch(texts: &[&str]) -> VecDeque<Arc<Record>> {
        texts.iter().map(|text| Arc::new(Record::new(Level::INFO, "t", *text))).collect()
    }

    #[test]
    fn lines_go_out_in_order() {
        let (mut read, write) = io::pipe().unwrap();
        let mut console = Console::to(std::os::fd::OwnedFd::from(write).into(), Format::Text);
        console.write(&mut batch(&["one", "two"])).unwrap();
        drop(console);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        let ends: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(ends, ["one", "two"]);
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_no_end() {
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let mut console = Console::to(std::os::fd::OwnedFd::from(write).into(), Format::Json);
        let why = console.write(&mut batch(&["one"])).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::BrokenPipe);
    }
}
