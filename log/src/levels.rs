//! How much is logged by target: as the settings say, and over that for a time as somebody asked for.

use std::{fmt, sync::Arc, time::Duration};

use due_core::{
    Error, Kind, Result,
    boot::{LogLevels, check_target},
    units,
};
use tracing::{
    Level, Metadata,
    level_filters::LevelFilter,
    subscriber::{Interest, Subscriber},
};
use tracing_subscriber::layer::{Context, Filter};

use crate::{
    hub::Hub,
    record::{Record, Value},
};

/// Most levels that are set at run time.
const MOST: usize = 64;
/// Longest time for one.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Levels that change while the program runs. A clone is the same handle.
#[derive(Clone)]
pub struct Levels(pub(crate) Arc<Hub>);

/// A level that was set at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLevel {
    /// For targets that begin so; empty for all.
    pub target: String,
    /// Up to this level.
    pub level: LevelFilter,
    /// For so long from now on.
    pub left: Duration,
}

impl Levels {
    /// Logs targets that begin with `target` (`""`: all) up to `level`, for so long, at most 30 days; after that it is as
    /// the settings say. A level set so goes before all levels of the settings; of two set so, that of the longer target
    /// counts. Setting a target again replaces its level and time. Each change and its end is logged.
    ///
    /// A call looks at every place of the program that logs, which takes about a millisecond.
    ///
    /// # Errors
    /// `Config` for what is no target and for no time; `Full` when there are 64 already.
    pub fn set(&self, target: &str, level: LevelFilter, for_how_long: Duration) -> Result<()> {
        if !target.is_empty() {
            check_target(target)?;
        }
        if for_how_long.is_zero() {
            return Err(Error::config("a level at run time needs a time: say for how long"));
        }
        let until = self.0.now() + for_how_long.min(LONGEST);
        let over = Over { target: target.to_owned(), level, until };
        self.0.change(|all| {
            all.retain(|known| known.target != target);
            if all.len() == MOST {
                let text = format!("there are {MOST} levels set at run time: clear one");
                return Err(Error::new(Kind::Full, text));
            }
            all.push(over);
            Ok(())
        })?;
        let span = units::show(Duration::from_secs(for_how_long.as_secs().max(1)));
        self.0.note(
            said("a level was set at run time", target).with("level", text(level)).with("for", Value::Text(span)),
        );
        Ok(())
    }

    /// Ends a level before its time; `false`: there was none for this target.
    pub fn clear(&self, target: &str) -> bool {
        let mut found = false;
        // Nothing in it fails.
        let _ = self.0.change(|all| {
            found = all.iter().any(|known| known.target == target);
            all.retain(|known| known.target != target);
            Ok(())
        });
        if found {
            self.0.note(said("a level set at run time was cleared", target));
        }
        found
    }

    /// The levels that are set at run time, in the order they were set.
    pub fn list(&self) -> Vec<SetLevel> {
        let now = self.0.now();
        let shown = |over: &Over| SetLevel {
            target: over.target.clone(),
            level: over.level,
            left: over.until.saturating_sub(now),
        };
        self.0.over().iter().filter(|over| over.until > now).map(shown).collect()
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

/// What the log says about its levels.
pub(crate) fn said(what: &'static str, target: &str) -> Record {
    let target = if target.is_empty() { "everything" } else { target };
    Record::new(Level::INFO, crate::TARGET, what).with("target", Value::Text(target.to_owned()))
}

fn text(level: LevelFilter) -> Value {
    Value::Text(level.to_string())
}

/// A level with its end.
#[derive(Clone)]
pub(crate) struct Over {
    pub(crate) target: String,
    pub(crate) level: LevelFilter,
    /// Since the beginning of the log.
    pub(crate) until: Duration,
}

/// What counts at present.
pub(crate) struct Table {
    /// Longest targets first; those set at run time before all others.
    over: Vec<(String, LevelFilter)>,
    base: Vec<(String, LevelFilter)>,
    /// No sink takes more.
    cap: LevelFilter,
}

impl Table {
    pub(crate) fn new(base: &LogLevels, over: &[Over], cap: LevelFilter) -> Self {
        let over = over.iter().map(|over| (over.target.clone(), over.level)).collect();
        Self { over: sorted(over), base: sorted(base.rules().to_vec()), cap }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level(metadata.target())
    }

    fn level(&self, target: &str) -> LevelFilter {
        let fits = |(begin, _): &&(String, LevelFilter)| target.starts_with(begin.as_str());
        let found = self.over.iter().find(fits).or_else(|| self.base.iter().find(fits));
        found.map_or(LevelFilter::INFO, |(_, level)| *level).min(self.cap)
    }

    /// The most that any target has.
    fn most(&self) -> LevelFilter {
        let rules = self.over.iter().chain(&self.base).map(|(_, level)| *level);
        rules.chain([self.level("")]).max().unwrap_or(LevelFilter::TRACE).min(self.cap)
    }
}

fn sorted(mut rules: Vec<(String, LevelFilter)>) -> Vec<(String, LevelFilter)> {
    rules.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
    rules
}

/// The table as `tracing` asks it: once for each place of the program that logs, and again after a change.
pub(crate) struct ByTable(pub(crate) Arc<Hub>);

impl<S: Subscriber> Filter<S> for ByTable {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.table().enabled(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.0.table().enabled(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.table().most())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(base: &str, over: &[(&str, LevelFilter)]) -> Table {
        let over: Vec<Over> = over
            .iter()
            .map(|(target, level)| Over { target: (*target).into(), level: *level, until: Duration::MAX })
            .collect();
        Table::new(&LogLevels::parse(base).unwrap(), &over, LevelFilter::TRACE)
    }

    #[test]
    fn the_longest_beginning_counts() {
        let table = table("due_cluster::gate=trace,warn,due=debug", &[]);
        for (target, level) in [
            ("game", LevelFilter::WARN),
            ("due_network", LevelFilter::DEBUG),
            ("due_cluster::gate::accept", LevelFilter::TRACE),
            ("", LevelFilter::WARN),
        ] {
            assert_eq!(table.level(target), level, "{target}");
        }
        assert_eq!(table.most(), LevelFilter::TRACE);
    }

    #[test]
    fn what_is_set_at_run_time_goes_before_the_settings() {
        let table = table("info,due_cluster=warn", &[("due", LevelFilter::DEBUG)]);
        assert_eq!(table.level("due_cluster"), LevelFilter::DEBUG);
        assert_eq!(table.level("game"), LevelFilter::INFO);
        assert_eq!(table.most(), LevelFilter::DEBUG);
    }

    #[test]
    fn a_target_without_a_rule_is_logged_up_to_info() {
        let table = table("due=off", &[]);
        assert_eq!((table.level("game"), table.level("due")), (LevelFilter::INFO, LevelFilter::OFF));
        assert_eq!(table.most(), LevelFilter::INFO);
    }

    #[test]
    fn nothing_is_logged_that_no_sink_takes() {
        let base = LogLevels::parse("trace").unwrap();
        let table = Table::new(&base, &[], LevelFilter::WARN);
        assert_eq!((table.level("game"), table.most()), (LevelFilter::WARN, LevelFilter::WARN));
    }
}
