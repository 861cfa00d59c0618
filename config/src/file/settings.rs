//! Query keys of `file://` URLs.

use std::time::Duration;

use due_core::{Error, Result, Url, units};
use serde::Deserialize;

use crate::format::Format;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    pub(super) format: Which,
    pub(super) read_only: bool,
    #[serde(with = "units::serde_duration")]
    pub(super) quiet: Duration,
    #[serde(with = "units::serde_duration")]
    pub(super) reread: Duration,
}

/// Which files must be documents of which format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Which {
    #[default]
    Any,
    Auto,
    Json,
    Yaml,
    Toml,
    Xml,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Which::Any, read_only: false, quiet: Duration::from_millis(50), reread: Duration::from_secs(3) }
    }
}

impl Settings {
    pub(super) fn read(url: &Url) -> Result<Self> {
        let settings: Self = url.query()?;
        within(url, "quiet", settings.quiet, (Duration::from_millis(1), Duration::from_secs(10)))?;
        within(url, "reread", settings.reread, (Duration::from_millis(100), Duration::from_secs(3600)))?;
        Ok(settings)
    }
}

fn within(url: &Url, key: &str, value: Duration, (least, most): (Duration, Duration)) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let (value, least, most) = (units::show(value), units::show(least), units::show(most));
    Err(Error::config(format!("{key}={value} in {url}: give {least} to {most}")))
}

impl Which {
    /// The format that a file of this name must have, if any.
    pub(super) fn of(self, key: &str) -> Option<Format> {
        match self {
            Self::Any => None,
            Self::Auto => Format::of(key),
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
            Self::Toml => Some(Format::Toml),
            Self::Xml => Some(Format::Xml),
        }
    }
}
