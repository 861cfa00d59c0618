//! What the kernel tells about processes: time on a core, memory, who else is busy.

use std::{
    fmt::{self, Display},
    fs, io,
    time::Duration,
};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::Fallible;

/// One tick of `/proc/stat`; the kernel reports it in hundredths of a second everywhere.
const TICK: Duration = Duration::from_millis(10);

/// Time on a core of all threads of process `pid` since it began.
pub(crate) fn cpu_time(pid: u32) -> Fallible<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
            nanos += first_number(&text).ok_or("schedstat has another form here")?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Time that all cores together were busy, or taken away by a hypervisor, since the machine began.
pub(crate) fn busy_time() -> Fallible<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = busy_ticks(&stat).ok_or("/proc/stat has another form here")?;
    Ok(TICK * u32::try_from(ticks)?)
}

/// Busy ticks of the first line: `cpu user nice system idle iowait irq softirq steal ..`.
fn busy_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(str::parse::<u64>);
    let mut sum = 0;
    for i in 0..8 {
        let ticks = fields.next()?.ok()?;
        sum += if i == 3 || i == 4 { 0 } else { ticks };
    }
    Some(sum)
}

/// Proportional set size of process `pid` in bytes: its own memory and its share of what it shares.
pub(crate) fn pss(pid: u32) -> Fallible<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kilobytes = text.lines().find_map(|line| first_number(line.strip_prefix("Pss:")?));
    Ok(kilobytes.ok_or("smaps_rollup has no Pss line")? * 1024)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The cores this thread may run on, in order.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Pins this thread, and what it will start, to `core`.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the limit of open files of this process, and of those it starts, to `files` at least.
pub(crate) fn allow_files(files: u64) -> Fallible<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < files) {
        return Err(format!("{files} open files are needed, the hard limit is {:?}", limit.maximum).into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// What the figures were taken on.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            // Of the machine: this thread may be pinned to one of them.
            cores: processor.lines().filter(|line| line.starts_with("processor")).count(),
            processor: name.map_or_else(String::new, |(_, name)| name.into()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().into(),
        }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel } = self;
        write!(f, "{cores} cores of {processor}, Linux {kernel}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 64 0\ncpu0 9"), Some(63));
        assert_eq!(busy_ticks("cpu  1 2 4"), None);
    }

    #[test]
    fn the_kernel_knows_this_process() {
        let me = std::process::id();
        assert!(cpu_time(me).is_ok_and(|time| !time.is_zero()));
        assert!(busy_time().is_ok_and(|busy| !busy.is_zero()));
        assert!(pss(me).is_ok_and(|bytes| bytes > 4096));
        assert!(cores().is_ok_and(|cores| !cores.is_empty()));
    }
}
