//! What all scenarios share: the arguments, the servers that run, the report that is written in the end.

use std::{path::PathBuf, time::Duration};

use clap::ArgAction;

use crate::{
    Fallible,
    contest::{Begin, Entry, Pace, Title, run_case},
    dialect::Dialect,
    load::{Content, Load, MAX_CONNECTIONS, Shape},
    measure::{Machine, allow_files, cores},
    peers::{self, Against},
    report::{Case, Figure, Idle, Report},
    server::{Cores, Server},
    subject::Subject,
};

/// Which servers, where, and what becomes of the figures.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// Compare with these: epoll,due,nano,pitaya,kcpgo; each where the scenario can. Peers are built with go first.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["epoll"])]
    against: Vec<Against>,
    /// A further server: it echoes at {tcp} and prints `ready`. May be given several times.
    #[arg(long, value_name = "NAME=COMMAND", action = ArgAction::Append, value_parser = Subject::parse)]
    peer: Vec<Subject>,
    /// Pin nothing: servers and load share all cores.
    #[arg(long, conflicts_with = "pinned")]
    free: bool,
    /// Servers on the first core, load on the second, also where the scenario would pin nothing.
    #[arg(long)]
    pinned: bool,
    /// Write all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leave with 2 when a target is missed.
    #[arg(long)]
    require: bool,
}

/// How long and how often.
#[derive(clap::Args)]
pub(crate) struct PaceArgs {
    /// Repetitions of each case.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    repetitions: u16,
    /// Measured time of one run, in seconds, at most 60.
    #[arg(long, default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// Load before it that does not count, in seconds.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    warm_up: f64,
    /// Take a repetition again when others used more cores than this.
    #[arg(long, default_value_t = 0.1)]
    foreign: f64,
    /// How many times at most.
    #[arg(long, default_value_t = 2)]
    retries: usize,
    /// Count the servers' system calls too, in one more run each; needs `perf`.
    #[arg(long)]
    syscalls: bool,
}

impl Common {
    /// Is it one of those to compare with?
    pub(crate) fn has(&self, other: Against) -> bool {
        self.against.contains(&other)
    }

    /// due's program, built, when it is wanted.
    pub(crate) fn due(&self) -> Fallible<Option<PathBuf>> {
        self.has(Against::Due).then(|| peers::build("due")).transpose()
    }

    /// The same for nano.
    pub(crate) fn nano(&self) -> Fallible<Option<PathBuf>> {
        self.has(Against::Nano).then(|| peers::build("nano")).transpose()
    }

    /// The same for pitaya.
    pub(crate) fn pitaya(&self) -> Fallible<Option<PathBuf>> {
        self.has(Against::Pitaya).then(|| peers::build("pitaya")).transpose()
    }

    /// The same for kcp-go.
    pub(crate) fn kcpgo(&self) -> Fallible<Option<PathBuf>> {
        self.has(Against::Kcpgo).then(|| peers::build("kcpgo")).transpose()
    }

    /// The servers of `--peer`.
    pub(crate) fn others(&self) -> impl Iterator<Item = Subject> {
        self.peer.iter().cloned()
    }

    /// The first core for servers and the second for the load; `None` when free or alone.
    fn cores(&self) -> Fallible<Option<Cores>> {
        match *cores()? {
            [server, client, ..] if !self.free => Ok(Some(Cores { server, client })),
            _ => Ok(None),
        }
    }
}

impl PaceArgs {
    /// As values.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            repetitions: self.repetitions.into(),
            measure: Duration::from_secs_f64(self.seconds),
            warm_up: Duration::from_secs_f64(self.warm_up),
            foreign: self.foreign,
            retries: self.retries,
            syscalls: self.syscalls,
        }
    }
}

/// A subject that runs.
pub(crate) struct Contestant {
    pub(crate) subject: Subject,
    pub(crate) server: Server,
}

/// A scenario that is under way.
pub(crate) struct Stage<'a> {
    common: &'a Common,
    cores: Option<Cores>,
    pace: Option<Pace>,
    report: Report<'a>,
}

impl<'a> Stage<'a> {
    /// Raises the limit of open files and says what cannot be shown here.
    pub(crate) fn open(scenario: &'a str, common: &'a Common, pace: Option<Pace>) -> Fallible<Self> {
        allow_files(MAX_CONNECTIONS as u64 + 512)?;
        let cores = common.cores()?;
        if cores.is_none() && !common.free {
            crate::say("one core only: servers and load share it, and throughput says nothing")?;
        }
        let report = Report {
            scenario,
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::here(),
            pace,
            pinned: cores.is_some(),
            cases: Vec::new(),
            idle: Vec::new(),
            figures: Vec::new(),
            verdicts: Vec::new(),
        };
        Ok(Self { common, cores, pace, report })
    }

    /// Pins nothing unless the command line asks for it.
    pub(crate) fn unpinned(mut self) -> Self {
        if !self.common.pinned {
            self.cores = None;
            self.report.pinned = false;
        }
        self
    }

    /// Starts servers, one after the other.
    pub(crate) fn start(&self, subjects: impl IntoIterator<Item = Subject>) -> Fallible<Vec<Contestant>> {
        subjects.into_iter().map(|subject| self.start_one(subject)).collect()
    }

    /// Starts one.
    pub(crate) fn start_one(&self, subject: Subject) -> Fallible<Contestant> {
        let server = Server::start(&subject, self.cores)?;
        Ok(Contestant { subject, server })
    }

    /// Runs a case, shows it and keeps it.
    pub(crate) fn case(&mut self, entries: &[Entry<'_>], title: Title) -> Fallible<()> {
        let pace = self.pace.ok_or("a case without a pace")?;
        let case = run_case(entries, title, pace)?;
        crate::say(case.to_string().trim_end())?;
        self.report.cases.push(case);
        Ok(())
    }

    /// The figures of the case that ran last.
    pub(crate) fn last_case(&self) -> Option<&Case> {
        self.report.cases.last()
    }

    /// The same for a load in a closed loop.
    pub(crate) fn closed_loop(&mut self, all: &[Contestant], shape: Shape, title: Title) -> Fallible<()> {
        let entries: Vec<_> = all.iter().map(|one| one.entry(one.closed_loop(shape))).collect();
        self.case(&entries, title)
    }

    /// Shows and keeps memory of idle connections.
    pub(crate) fn idle(&mut self, idle: Idle) -> Fallible<()> {
        crate::say(idle.to_string().trim_end())?;
        self.report.idle.push(idle);
        Ok(())
    }

    /// Shows and keeps a figure.
    pub(crate) fn figure(&mut self, figure: Figure) -> Fallible<()> {
        crate::say(figure.to_string().trim_end())?;
        self.report.figures.push(figure);
        Ok(())
    }

    /// Writes the report. Is everything as was required?
    pub(crate) fn close(mut self) -> Fallible<bool> {
        let Report { cases, idle, figures, .. } = &self.report;
        let met = cases.iter().all(Case::is_met) && idle.iter().all(Idle::is_met) && figures.iter().all(Figure::is_met);
        self.report.judge();
        self.common.json.as_deref().map_or(Ok(()), |path| self.report.save(path))?;
        Ok(met || !self.common.require)
    }
}

impl Contestant {
    /// It under a load.
    pub(crate) fn entry<'a>(&'a self, begin: Begin<'a>) -> Entry<'a> {
        Entry { name: &self.subject.name, role: self.subject.role, server: &self.server, begin }
    }

    /// A load in a closed loop, in the dialect of the subject.
    pub(crate) fn closed_loop<'a>(&self, shape: Shape) -> Begin<'a> {
        let shape = self.shape(shape);
        Box::new(move |server| Ok(Box::new(Load::connect(server.address, shape)?)))
    }

    /// A shape in the dialect of the subject.
    pub(crate) fn shape(&self, shape: Shape) -> Shape {
        Shape { dialect: self.subject.dialect, content: self.subject.content, ..shape }
    }
}

impl Shape {
    /// Frames of due's with marked bodies, by a client that coalesces.
    pub(crate) fn plain(connections: usize, window: usize, body: usize) -> Self {
        Self { connections, window, body, coalescing: true, dialect: Dialect::Due, content: Content::Marked }
    }

    /// The load for people.
    pub(crate) fn title(&self, more: &str) -> Title {
        let Self { connections, window, body, coalescing, .. } = *self;
        let client = if coalescing { "coalescing" } else { "one write per frame" };
        Title {
            text: format!("{more}{connections} connections, window {window}, {body} B, client: {client}"),
            load: serde_json::to_value(self).unwrap_or_default(),
            unit: "msg",
            targets: Vec::new(),
        }
    }
}

/// More than nothing, at most a minute.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 60.0 => Ok(value),
        _ => Err("want seconds above 0, at most 60".into()),
    }
}
