//! Programs of this repository as processes: started with the same care as servers.

use std::{fs, process::Command};

use crate::{
    Result,
    folder::Folder,
    group::{Alive, Group, stop},
};

/// A program of our own: a process group with its output in a file, killed with this process, however that ends.
pub struct Process {
    name: String,
    group: Group,
    // Dropped after the group that writes into it.
    folder: Folder,
}

impl Process {
    /// Starts the command.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let folder = Folder::temporary(name)?;
        let group = Group::start(command, &folder.log())?.watched(folder.path())?;
        Ok(Self { name: name.to_owned(), group, folder })
    }

    /// What it was called at its start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(self.folder.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of that.
    #[must_use]
    pub fn log(&self) -> String {
        self.folder.tail()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        self.group.ended()
    }

    /// Asks it to end, waits up to 20 s, then kills it. One that has ended is left alone.
    ///
    /// # Errors
    /// When it cannot be signalled, or does not end.
    pub fn stop(&mut self) -> Result {
        if self.ended().is_some() {
            return Ok(());
        }
        Alive::of(self.group.id()).map_or(Ok(()), stop)
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    fn wait_for(process: &Process, text: &str) {
        while !process.output().contains(text) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_process_is_asked_to_end() {
        let mut asked = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
        wait_for(&asked, "ready");
        assert_eq!(asked.ended(), None);
        asked.stop().unwrap();
        assert!(asked.output().contains("bye"));
        assert!(asked.ended().is_some_and(|how| how.contains('0')));
        asked.stop().unwrap();
    }

    #[test]
    fn one_that_ends_by_itself_says_how() {
        let mut ended = shell("echo no >&2; exit 3");
        while ended.ended().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(ended.ended().is_some_and(|how| how.contains('3')) && ended.log() == "no");
    }
}
