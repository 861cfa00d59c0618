//! When a file is full, what it is called then, and which ones may go.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::time::{Civil, since_epoch};

/// How files take turns. The time is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file takes no line that would make it larger than so many bytes; 0: no limit. A line that is larger itself
    /// gets a file of its own.
    pub max_size: u64,
    /// A new file when the time says so.
    pub turn: Turn,
    /// So many files are kept beside the one that is written; at least 1. Older ones are removed.
    pub keep: usize,
}

/// When the time asks for a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Never.
    Off,
    /// At each full hour.
    Hourly,
    /// At midnight.
    Daily,
}

impl Default for Rotation {
    /// 100 MiB, whatever the time; 7 files are kept.
    fn default() -> Self {
        Self { max_size: 100 << 20, turn: Turn::Off, keep: 7 }
    }
}

impl Turn {
    /// Lines of one period share a file.
    pub(super) fn period(self, time: SystemTime) -> u64 {
        let seconds = since_epoch(time).as_secs();
        match self {
            Self::Off => 0,
            Self::Hourly => seconds / 3_600,
            Self::Daily => seconds / 86_400,
        }
    }
}

/// A file and the ones it was before: `game.log` and `game.20261121T211403.0000.log`. The time is that of the last line,
/// the number tells files of one second apart: the names sort as the lines do.
pub(super) struct Names {
    folder: PathBuf,
    stem: String,
    /// With its dot; empty without one.
    extension: String,
}

/// Files of one second.
const MOST_OF_SECOND: u32 = 10_000;
/// `20261121T211403.0000`.
const MIDDLE: &[u8; 20] = b"00000000T000000.0000";

impl Names {
    pub(super) fn of(path: &Path) -> Self {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        let extension = path.extension().map_or_else(String::new, |_| format!(".{}", text(path.extension())));
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Self { folder, stem: text(path.file_stem()), extension }
    }

    /// The name for a file whose last line is of this time. Errors: there are too many of this second.
    pub(super) fn next(&self, last: SystemTime) -> io::Result<PathBuf> {
        let time = Civil::of(last).compact();
        let path = |n| self.folder.join(format!("{}.{time}.{n:04}{}", self.stem, self.extension));
        // Not the first free one: a removed file would let a later one sort before an earlier one.
        let prefix = format!("{time}.");
        let latest =
            self.middles()?.into_iter().filter_map(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok()).max();
        let n = latest.map_or(0, |n| n + 1);
        match n < MOST_OF_SECOND {
            true => Ok(path(n)),
            false => Err(io::Error::other(format!("there are {MOST_OF_SECOND} files of one second"))),
        }
    }

    /// Removes the oldest files until so many are left.
    pub(super) fn keep(&self, most: usize) -> io::Result<()> {
        let mut names = self.middles()?;
        names.sort_unstable();
        let over = names.len().saturating_sub(most);
        for name in names.iter().take(over) {
            match fs::remove_file(self.folder.join(format!("{}.{name}{}", self.stem, self.extension))) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// What stands between stem and extension in the names of the files that were rotated.
    fn middles(&self) -> io::Result<Vec<String>> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| self.middle(name)).map(str::to_owned));
        }
        Ok(found)
    }

    fn middle<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(&self.stem)?.strip_prefix('.')?;
        let middle = rest.strip_suffix(&self.extension)?;
        let same = |(a, b): (u8, &u8)| if *b == b'0' { a.is_ascii_digit() } else { a == *b };
        (middle.len() == MIDDLE.len() && middle.bytes().zip(MIDDLE).all(same)).then_some(middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_are_told_from_others() {
        let names = Names::of(Path::new("/var/log/game.log"));
        assert_eq!(names.middle("game.20261121T211403.0000.log"), Some("20261121T211403.0000"));
        for other in ["game.log", "game.20261121T211403.0000.log.gz", "game.2026x121T211403.0000.log", "games.log"] {
            assert_eq!(names.middle(other), None, "{other}");
        }
        let bare = Names::of(Path::new("game"));
        assert_eq!(bare.middle("game.20261121T211403.0000"), Some("20261121T211403.0000"));
    }

    #[test]
    fn periods_begin_at_full_hours_and_at_midnight() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(Turn::Daily.period(at(86_399)), 0);
        assert_eq!(Turn::Daily.period(at(86_400)), 1);
        assert_eq!(Turn::Hourly.period(at(7_200)), 2);
        assert_eq!(Turn::Off.period(at(u64::from(u32::MAX))), 0);
    }
}
