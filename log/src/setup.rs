//! Setting the log of a program up.

use std::{fmt, sync::Arc, thread, time::Duration};

use due_core::{
    Error, Kind, Result,
    boot::{LogLevels, LogSettings},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_log::{AsLog, LogTracer};
use tracing_subscriber::{
    layer::{Layer, SubscriberExt},
    registry::LookupSpan,
};

use crate::{
    address,
    channel::{Channel, SinkState},
    format::Format,
    hub::Hub,
    layer::Collect,
    levels::{ByTable, Levels},
    panics,
    sink::{Console, Sink},
    writer::Writer,
};

/// Equal lines of one place that are written in a second.
const REPEATS: u32 = 10;
/// Bytes that wait for a sink at most.
const QUEUE: usize = 8 << 20;
/// Bytes for what the log says about its sinks, where no sink is a console.
const LAST_RESORT: usize = 64 << 10;
/// How long the end of the log may take.
const END: Duration = Duration::from_secs(2);

/// Sets the log of this program up as its settings say; without any, `info` to standard error.
///
/// To be called once, first thing in `main`, and the [`Guard`] kept until its end:
///
/// ```no_run
/// # fn main() -> due_core::Result<()> {
/// let settings = due_core::boot::LogSettings::default(); // or those of `due::Cli`
/// let _log = due_log::start(&settings)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Config` with the URL of the sink that is wrong; `Duplicate` when there is a log already.
pub fn start(settings: &LogSettings) -> Result<Guard> {
    Setup::of(settings)?.start()
}

/// A log to be: levels and sinks.
#[must_use]
pub struct Setup {
    levels: LogLevels,
    repeats: u32,
    outputs: Vec<Output>,
}

/// A sink with what belongs to it.
pub struct Output {
    pub(crate) name: String,
    pub(crate) level: LevelFilter,
    pub(crate) queue: usize,
    pub(crate) is_console: bool,
    pub(crate) sink: Box<dyn Sink>,
}

impl Output {
    /// A sink that takes every level; 8 MiB may wait for it. The name stands in what the log says about it.
    pub fn new(name: impl Into<String>, sink: impl Sink + 'static) -> Self {
        Self { name: name.into(), level: LevelFilter::TRACE, queue: QUEUE, is_console: false, sink: Box::new(sink) }
    }

    /// It takes no more than this level.
    #[must_use]
    pub fn level(mut self, level: LevelFilter) -> Self {
        self.level = level;
        self
    }

    /// Bytes that may wait for it; lines over that are lost and counted.
    #[must_use]
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = bytes;
        self
    }
}

impl Setup {
    /// `info`, no sinks.
    pub fn new() -> Self {
        Self { levels: LogLevels::default(), repeats: REPEATS, outputs: Vec::new() }
    }

    /// As settings say; without any, `info` to standard error. Files are opened now.
    ///
    /// # Errors
    /// `Config` with the URL of the sink that is wrong.
    pub fn of(settings: &LogSettings) -> Result<Self> {
        let mut setup = Self::new();
        setup.levels = settings.levels.clone().unwrap_or_default();
        setup.repeats = settings.repeats.unwrap_or(REPEATS);
        match &settings.sinks {
            Some(sinks) => sinks.iter().try_fold(setup, |setup, sink| setup.url(sink.as_str())),
            None => setup.url("stderr://"),
        }
    }

    /// How much is logged.
    pub fn levels(mut self, levels: LogLevels) -> Self {
        self.levels = levels;
        self
    }

    /// How many equal lines of one place are written in a second; the rest is counted. 0 writes all.
    pub fn repeats(mut self, most: u32) -> Self {
        self.repeats = most;
        self
    }

    /// One more sink, by its URL: `stderr://`, `stdout://` or `file:///path`, with the keys of `docs/log.md`.
    ///
    /// # Errors
    /// `Config` with the URL.
    pub fn url(self, url: &str) -> Result<Self> {
        let output = address::output(url)?;
        if self.outputs.iter().any(|known| known.name == output.name) {
            return Err(Error::config(format!("the log has two sinks {}: leave one out", output.name)));
        }
        Ok(self.sink(output))
    }

    /// One more sink.
    pub fn sink(mut self, output: Output) -> Self {
        self.outputs.push(output);
        self
    }

    /// Makes this the log of the process: of all that emits `tracing` events or records of the crate `log`. Panics are
    /// logged too, as errors of the target `panic`, instead of being written to standard error.
    ///
    /// # Errors
    /// `Duplicate` when there is one already; those of [`layer`](Self::layer).
    pub fn start(self) -> Result<Guard> {
        let (layer, guard) = self.layer()?;
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| {
            Error::new(Kind::Duplicate, "this process has a log already: set it up once, first thing in main")
        })?;
        // Whoever was here before has these records already.
        let _ = LogTracer::builder().with_max_level(LevelFilter::current().as_log()).init();
        panics::log_them(&guard.hub);
        Ok(guard)
    }

    /// The log as a layer, for programs that put other layers beside it. It filters for itself alone.
    ///
    /// # Errors
    /// `Config` when there is no sink; `Internal` when the system gives no threads.
    pub fn layer<S>(self) -> Result<(impl Layer<S> + Send + Sync, Guard)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if self.outputs.is_empty() {
            return Err(Error::config("the log has no sink: name one, as `sinks = [\"stderr://\"]`"));
        }
        let has_console = self.outputs.iter().any(|output| output.is_console);
        // A process without standard error has nothing to say there.
        let spare = if has_console { None } else { Console::stderr(Format::Text).ok() };
        let spare = spare.map(|console| (channel("stderr", LevelFilter::WARN, LAST_RESORT), console));
        let (channels, sinks): (Vec<_>, Vec<_>) = self
            .outputs
            .into_iter()
            .map(|output| (channel(&output.name, output.level, output.queue), output.sink))
            .unzip();
        let last_resort = spare.as_ref().map(|(channel, _)| channel.clone());
        let hub = Arc::new(Hub::new(channels, last_resort, self.levels, self.repeats));
        // Its drop ends the threads that there are, should one be missing.
        let guard = Guard { hub: hub.clone() };
        for (channel, sink) in hub.channels.iter().zip(sinks) {
            Writer::start(channel.clone(), hub.clone(), sink)?;
        }
        if let Some((channel, console)) = spare {
            Writer::start(channel, hub.clone(), Box::new(console))?;
        }
        let keeper = hub.clone();
        thread::Builder::new()
            .name("due-log-keeper".to_owned())
            .spawn(move || keeper.keep())
            .map_err(|e| Error::new(Kind::Internal, "the log has no thread").because(e))?;
        let layer = Collect(hub.clone()).with_filter(ByTable(hub));
        Ok((layer, guard))
    }
}

fn channel(name: &str, level: LevelFilter, queue: usize) -> Arc<Channel> {
    Arc::new(Channel::new(name.to_owned(), level, queue))
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the log open. When it is dropped, also by a panic that unwinds, all that was logged is written, as far as the
/// sinks take it within 2 s; after that nothing is logged. [`std::process::exit`] drops nothing: call [`Guard::flush`]
/// before it.
#[must_use = "the log ends when this is dropped: keep it until the end of main"]
pub struct Guard {
    hub: Arc<Hub>,
}

impl Guard {
    /// The levels, to be changed while the program runs.
    pub fn levels(&self) -> Levels {
        Levels(self.hub.clone())
    }

    /// How the sinks do, in the order of the settings.
    pub fn sinks(&self) -> Vec<SinkState> {
        self.hub.channels.iter().map(|channel| channel.state()).collect()
    }

    /// Waits until all that was logged before is written, at most 2 s; `false`: a sink has not made it. It blocks the
    /// thread.
    pub fn flush(&self) -> bool {
        self.hub.flush(END)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.hub.close(END);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("sinks", &self.sinks()).finish()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.outputs.iter().map(|output| output.name.as_str()).collect();
        f.debug_struct("Setup").field("levels", &self.levels).field("sinks", &names).finish_non_exhaustive()
    }
}
