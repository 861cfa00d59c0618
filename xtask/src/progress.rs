//! Long work: what it takes, said while it takes it.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use crate::command::{Outcome, shown};

/// Between two lines about work that goes on.
const EVERY: Duration = Duration::from_secs(15);

/// Bytes of a log that an error shows.
const TAIL: usize = 2 * 1024;

/// Runs a command that writes too much for a terminal: its output goes to `log`, its end to the error.
pub(crate) fn long(what: &str, command: &mut Command, log: &Path) -> Outcome {
    let line = shown(command);
    let begin = Instant::now();
    eprintln!("$ {line}");
    let started = File::create(log).and_then(|out| command.stdout(out.try_clone()?).stderr(out).spawn());
    let child = started.map_err(|e| format!("cannot start `{line}` with its output in {}: {e}", log.display()))?;
    let status = watch(child, what, begin).map_err(|e| format!("cannot wait for `{line}`: {e}"))?;
    if !status.success() {
        return Err(format!("`{line}` failed ({status}); the end of {}:\n{}", log.display(), tail(log)));
    }
    eprintln!("{what}: done in {}", span(begin.elapsed()));
    Ok(())
}

fn watch(mut child: Child, what: &str, begin: Instant) -> std::io::Result<ExitStatus> {
    let mut next = EVERY;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begin.elapsed() >= next {
            eprintln!("{what}: {} so far", span(begin.elapsed()));
            next += EVERY;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let end = text.get(text.len().saturating_sub(TAIL)..).unwrap_or_default();
    String::from_utf8_lossy(end).trim().to_owned()
}

/// A time as people say it.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    #[test]
    fn spans_are_for_people() {
        for (seconds, expected) in [(0, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (754, "12 min 34 s")] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_failure_shows_what_the_command_said_last() {
        let log = env::temp_dir().join(format!("due-progress-{}", std::process::id()));
        let why = long("work", Command::new("sh").args(["-c", "echo so so; exit 3"]), &log).unwrap_err();
        assert!(why.contains("so so") && why.contains('3') && why.contains("sh -c"), "{why}");
        assert_eq!(long("work", Command::new("sh").args(["-c", "true"]), &log), Ok(()));
        fs::remove_file(log).unwrap();
    }
}
