//! Sinks by their URLs.

use std::{io, path::PathBuf};

use due_core::{Error, Result, Url, units};
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use crate::{
    format::Format,
    setup::Output,
    sink::{Console, File, Rotation, Turn},
};

/// How much may wait for a sink, in bytes.
const QUEUE: (usize, usize) = (64 << 10, 1 << 30);
/// A file is at least so large when it is rotated, in bytes.
const SMALLEST: usize = 4 << 10;
/// Most files that are kept.
const MOST_KEPT: usize = 10_000;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ConsoleKeys {
    format: FormatKey,
    colour: ColourKey,
    level: LevelKey,
    #[serde(with = "units::serde_size")]
    queue: usize,
}

impl Default for ConsoleKeys {
    fn default() -> Self {
        let (format, colour, level) = Default::default();
        Self { format, colour, level, queue: 8 << 20 }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct FileKeys {
    format: FormatKey,
    level: LevelKey,
    #[serde(with = "units::serde_size")]
    queue: usize,
    #[serde(with = "units::serde_size")]
    max_size: usize,
    rotate: TurnKey,
    keep: usize,
}

impl Default for FileKeys {
    fn default() -> Self {
        let (format, level, rotate) = Default::default();
        Self { format, level, queue: 8 << 20, max_size: 100 << 20, rotate, keep: 7 }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormatKey {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ColourKey {
    #[default]
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TurnKey {
    #[default]
    Off,
    Hourly,
    Daily,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LevelKey {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    #[default]
    Trace,
}

impl From<LevelKey> for LevelFilter {
    fn from(key: LevelKey) -> Self {
        match key {
            LevelKey::Off => Self::OFF,
            LevelKey::Error => Self::ERROR,
            LevelKey::Warn => Self::WARN,
            LevelKey::Info => Self::INFO,
            LevelKey::Debug => Self::DEBUG,
            LevelKey::Trace => Self::TRACE,
        }
    }
}

/// The sink of a URL. Errors: `Config`, with the URL.
pub(crate) fn output(text: &str) -> Result<Output> {
    let url = Url::parse(text)?;
    match url.scheme() {
        "stderr" | "stdout" => console(&url),
        "file" => file(&url),
        other => Err(Error::config(format!(
            "{url}: the log has no sink `{other}`: write stderr://, stdout:// or file:///path"
        ))),
    }
}

fn console(url: &Url) -> Result<Output> {
    if !url.host().is_empty() || !url.path().is_empty() {
        return Err(Error::config(format!("{url}: a console has no host and no path: write {}://", url.scheme())));
    }
    let keys: ConsoleKeys = url.query()?;
    queue(url, keys.queue)?;
    let failed = |e: io::Error| Error::config(format!("{url}: this process has no such output: {e}"));
    let is_stderr = url.scheme() == "stderr";
    let colours = match keys.colour {
        ColourKey::On => true,
        ColourKey::Off => false,
        ColourKey::Auto if is_stderr => Console::has_colours(&io::stderr()),
        ColourKey::Auto => Console::has_colours(&io::stdout()),
    };
    let format = match keys.format {
        FormatKey::Json => Format::Json,
        FormatKey::Text if colours => Format::Colour,
        FormatKey::Text => Format::Text,
    };
    let console = if is_stderr { Console::stderr(format) } else { Console::stdout(format) };
    let output = Output::new(url.scheme(), console.map_err(failed)?).level(keys.level.into()).queue(keys.queue);
    Ok(Output { is_console: true, ..output })
}

fn file(url: &Url) -> Result<Output> {
    let path = path(url)?;
    let keys: FileKeys = url.query()?;
    queue(url, keys.queue)?;
    if keys.max_size != 0 && keys.max_size < SMALLEST {
        return Err(Error::config(format!("{url}: max-size: write 0, for no limit, or 4KiB or more")));
    }
    if !(1..=MOST_KEPT).contains(&keys.keep) {
        return Err(Error::config(format!("{url}: keep: write a number of 1 to {MOST_KEPT}")));
    }
    let format = if keys.format == FormatKey::Json { Format::Json } else { Format::Text };
    let turn = match keys.rotate {
        TurnKey::Off => Turn::Off,
        TurnKey::Hourly => Turn::Hourly,
        TurnKey::Daily => Turn::Daily,
    };
    let rotation = Rotation { max_size: keys.max_size as u64, turn, keep: keys.keep };
    let name = url.only(&[]).to_string();
    Ok(Output::new(name, File::new(path, format, rotation)?).level(keys.level.into()).queue(keys.queue))
}

/// `file:///var/log/game.log`, or `file://./game.log` below the working directory.
fn path(url: &Url) -> Result<PathBuf> {
    let wrong = || Error::config(format!("{url}: write file:///path/name.log, or file://./name.log"));
    let name = url.path().trim_start_matches('/');
    match url.hosts() {
        _ if name.is_empty() || url.path().ends_with('/') => Err(wrong()),
        [] => Ok(PathBuf::from(url.path())),
        [here] if here == "." => Ok(PathBuf::from(name)),
        _ => Err(wrong()),
    }
}

fn queue(url: &Url, bytes: usize) -> Result<()> {
    match (QUEUE.0..=QUEUE.1).contains(&bytes) {
        true => Ok(()),
        false => Err(Error::config(format!("{url}: queue: write a size of 64KiB to 1GiB"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_is_named_with_what_to_write() {
        for (text, parts) in [
            ("otlp://u:hunter2@a:1", &["***@a:1", "no sink `otlp`", "stderr://"][..]),
            ("stderr://a", &["no host"]),
            ("stderr://?format=xml", &["xml", "text", "json"]),
            ("stdout://?colr=on", &["colr", "colour"]),
            ("stderr://?queue=1", &["queue", "64KiB"]),
            ("file://game.log", &["file:///path"]),
            ("file:///", &["file:///path"]),
            ("file:///tmp/", &["file:///path"]),
            ("file:///tmp/x?keep=0", &["keep", "1 to"]),
            ("file:///tmp/x?max-size=10", &["max-size", "4KiB"]),
            ("file:///tmp/x?rotate=weekly", &["weekly", "daily"]),
            ("file:///tmp/x?level=loud", &["loud", "trace"]),
            ("file:///dev/null/x.log", &["/dev/null/x.log", "cannot write"]),
            ("file:///tmp", &["/tmp", "cannot write"]),
        ] {
            let Err(why) = output(text) else { panic!("{text}") };
            let shown = why.to_string();
            assert!(parts.iter().all(|part| shown.contains(part)) && !shown.contains("hunter2"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_console_has_its_level_and_name() {
        let found = output("stderr://?level=warn&format=json&queue=1MiB&colour=on").unwrap();
        assert_eq!((found.name.as_str(), found.level, found.queue), ("stderr", LevelFilter::WARN, 1 << 20));
        assert!(found.is_console);
    }

    #[test]
    fn paths_are_absolute_or_below_the_working_directory() {
        let at = |text: &str| path(&Url::parse(text).unwrap()).unwrap();
        assert_eq!(at("file:///var/log/game.log"), PathBuf::from("/var/log/game.log"));
        assert_eq!(at("file://./logs/game.log?keep=3"), PathBuf::from("logs/game.log"));
    }
}
