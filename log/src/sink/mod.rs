//! Where lines go.

mod console;
mod file;
mod outbox;
mod rotate;

use std::{collections::VecDeque, io, sync::Arc};

pub use console::Console;
pub use file::File;
pub use rotate::{Rotation, Turn};

use crate::record::Record;

/// A place for lines. Each sink has a thread and a bounded queue of its own: it may block, fail or panic, and nobody but
/// itself waits.
///
/// Events that the thread of a sink emits are left out of the log: a sink that logs what it does would feed itself. A
/// sink with threads of its own sees to that for them, as with the level `off` for the targets it uses.
pub trait Sink: Send {
    /// Takes records from the front and writes them, as many as it likes. Those it leaves come again with the next call,
    /// before newer ones. A sink may keep what it has taken in a bounded buffer and write it later; after a call that
    /// failed it is called again, if need be without any records.
    ///
    /// # Errors
    /// What the other sinks are told once. The next call comes after a pause, which grows from 100 ms to 5 s while calls
    /// fail; meanwhile the queue fills, and what it cannot hold is lost and counted. With `WouldBlock` the next call
    /// comes after 10 ms, and nobody is told.
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()>;

    /// Brings to its place what is still in a buffer. Called when there is nothing more to write, and at the end.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Something that the other sinks should be told although writing goes on: a file that cannot be rotated, say.
    /// Asked after each `write`.
    fn trouble(&mut self) -> Option<String> {
        None
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        (**self).write(batch)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn trouble(&mut self) -> Option<String> {
        (**self).trouble()
    }
}
