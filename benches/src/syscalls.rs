//! System calls of a process, and instructions of its own where the machine counts those, both told by `perf`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::Fallible;

const CALLS: &str = "raw_syscalls:sys_enter";
const INSTRUCTIONS: &str = "instructions:u";
const EVENTS: &str = "raw_syscalls:sys_enter,instructions:u";

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) calls: u64,
    /// Outside the kernel; `None`: this machine does not tell.
    pub(crate) instructions: Option<u64>,
}

/// A count that runs from [`Counter::start`] to [`Counter::stop`]. Dropping it earlier ends `perf`.
pub(crate) struct Counter {
    perf: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Counter {
    /// Counts what these processes call from now on, together.
    pub(crate) fn start(pids: impl Iterator<Item = u32>) -> Fallible<Self> {
        let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
        let mut perf = Command::new("perf")
            .args(["stat", "--field-separator", ",", "--delay", "-1", "--control", "fd:0,1"])
            .args(["--event", EVENTS, "--pid", &pids.join(",")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("system calls are counted by perf: {e}"))?;
        let pipes = perf.stdin.take().zip(perf.stdout.take());
        let (orders, answers) = pipes.ok_or("perf has no pipes")?;
        let mut counter = Self { perf, orders, answers: BufReader::new(answers) };
        counter.order("enable")?;
        Ok(counter)
    }

    /// Stops counting and says how many there were.
    pub(crate) fn stop(mut self) -> Fallible<Counted> {
        self.order("disable")?;
        let pid = rustix::process::Pid::from_child(&self.perf);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        let mut text = String::new();
        if let Some(mut stderr) = self.perf.stderr.take() {
            stderr.read_to_string(&mut text)?;
        }
        self.perf.wait()?;
        Ok(count(&text).ok_or_else(|| format!("perf counted nothing: {}", text.trim()))?)
    }

    /// Gives an order and waits until it is carried out.
    fn order(&mut self, order: &str) -> Fallible<()> {
        let said = writeln!(self.orders, "{order}");
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        // perf ends each answer with a zero byte after the line.
        if said.is_ok() && answer.trim_matches(['\0', '\n']) == "ack" {
            return Ok(());
        }
        let mut text = String::new();
        if let Some(mut stderr) = self.perf.stderr.take() {
            let _ = self.perf.kill();
            stderr.read_to_string(&mut text)?;
        }
        Err(format!("perf cannot count system calls here: {}", text.trim()).into())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}

/// From perf's lines; `None` without system calls.
fn count(text: &str) -> Option<Counted> {
    Some(Counted { calls: number(text, CALLS)?, instructions: number(text, INSTRUCTIONS) })
}

/// The number at the front of perf's line about an event.
fn number(text: &str, event: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains(event))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_the_first_field_of_the_line_of_the_event() {
        let told = "Events disabled\nEvents enabled\n420387,,raw_syscalls:sys_enter,373228899,100.00,,\n";
        assert_eq!(count(told), Some(Counted { calls: 420_387, instructions: None }));
        let both = format!("{told}1234567,,instructions:u,373228899,100.00,,\n");
        assert_eq!(count(&both), Some(Counted { calls: 420_387, instructions: Some(1_234_567) }));
        let refused = format!("{told}<not supported>,,instructions:u,0,100.00,,\n");
        assert_eq!(count(&refused), Some(Counted { calls: 420_387, instructions: None }));
        assert_eq!(count("<not supported>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        assert_eq!(count("Events disabled\n"), None);
    }
}
