//! What touches the disk. Everything here blocks its thread.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Retry,
    config::{Entry, Expect, LARGEST, Version, check_key},
};
use sha2::{Digest, Sha256};

use super::{lock::Lock, settings::Which};

/// Files and directories that one list looks at.
const MOST: usize = 10_000;
/// Bytes that one list reads.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A directory of settings, or one file in it.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) folder: PathBuf,
    /// The only key, when the URL names a file.
    pub(super) only: Option<String>,
    pub(super) format: Which,
}

/// What a list found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: BTreeMap<Arc<str>, Entry>,
    /// Keys that are there and cannot be used, with the reason.
    pub(super) bad: BTreeMap<Arc<str>, String>,
    /// The directory has nothing in it at all.
    pub(super) emptied: bool,
}

impl Disk {
    /// The value of a key that [`check_key`] has passed.
    pub(super) fn load(&self, key: &str) -> Result<Option<Entry>> {
        self.present()?;
        let Some(path) = self.path(key) else { return Ok(None) };
        self.read(key, &path)
    }

    /// All keys under a prefix. A prefix that no key can have has none.
    pub(super) fn list(&self, prefix: &str) -> Result<Listing> {
        self.present()?;
        let mut found = Listing { emptied: self.only.is_none() && empty(&self.folder), ..Listing::default() };
        match &self.only {
            Some(key) if key.starts_with(prefix) => self.take(key.as_str().into(), &self.folder.join(key), &mut found),
            Some(_) => {}
            None => self.walk(prefix, &mut found)?,
        }
        Ok(found)
    }

    pub(super) fn store(&self, key: &str, value: &Bytes, expect: &Expect) -> Result<Version> {
        if let Some(format) = self.format.of(key) {
            format.check(value).map_err(|why| malformed(key, &why))?;
        }
        let path = self.writable(key)?;
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|e| failed("create", folder, e))?;
        let _lock = Lock::take(&self.folder)?;
        self.expect(&path, expect)?;
        replace(&path, value)?;
        Ok(version(value))
    }

    pub(super) fn delete(&self, key: &str, expect: &Expect) -> Result<Version> {
        let path = self.writable(key)?;
        let _lock = Lock::take(&self.folder)?;
        self.expect(&path, expect)?;
        match fs::remove_file(&path) {
            Ok(()) => flush_folder(&path)?,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory) => {}
            Err(e) => return Err(failed("delete", &path, e)),
        }
        Ok(Version::Tag("absent".into()))
    }

    fn present(&self) -> Result<()> {
        match fs::metadata(&self.folder) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(Error::new(Kind::Unavailable, "no directory").context("path", self.folder.display())),
            Err(e) => Err(failed("read", &self.folder, e)),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let here = self.only.as_deref().is_none_or(|only| only == key) && !hidden(key);
        here.then(|| self.folder.join(key))
    }

    /// Where a key is written: beside what a link points to, so that the link stays.
    fn writable(&self, key: &str) -> Result<PathBuf> {
        self.present()?;
        let path = self.path(key).ok_or_else(|| {
            let text = format!("the source holds one file only: {}", self.only.as_deref().unwrap_or_default());
            Error::new(Kind::Forbidden, text).context("key", key)
        })?;
        let linked = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
        Ok(if linked { fs::canonicalize(&path).unwrap_or(path) } else { path })
    }

    /// Errors if the key is not as expected. What cannot be read is replaced by a write that expects nothing.
    fn expect(&self, path: &Path, expect: &Expect) -> Result<()> {
        if *expect == Expect::Any {
            return Ok(());
        }
        let found = bytes_of(path)?.map(|bytes| version(&bytes));
        expect.check(found.as_ref())
    }

    fn read(&self, key: &str, path: &Path) -> Result<Option<Entry>> {
        let Some(value) = bytes_of(path)? else { return Ok(None) };
        if let Some(format) = self.format.of(key) {
            format.check(&value).map_err(|why| malformed(key, &why).context("path", path.display()))?;
        }
        Ok(Some(Entry { version: version(&value), value }))
    }

    fn take(&self, key: Arc<str>, path: &Path, found: &mut Listing) {
        match self.read(&key, path) {
            Ok(Some(entry)) => drop(found.entries.insert(key, entry)),
            Ok(None) => {}
            Err(e) => drop(found.bad.insert(key, e.to_string())),
        }
    }

    /// Goes through the directories that can hold the prefix.
    fn walk(&self, prefix: &str, found: &mut Listing) -> Result<()> {
        let start = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !start.is_empty() && (check_key(start).is_err() || hidden(start)) {
            return Ok(());
        }
        let mut seen = Budget::default();
        let mut folders = vec![start.to_owned()];
        while let Some(folder) = folders.pop() {
            for name in names(&self.folder.join(&folder))? {
                seen.one(prefix)?;
                let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if check_key(&key).is_err() || hidden(&key) {
                    continue;
                }
                let path = self.folder.join(&key);
                if path.is_dir() {
                    let inside = format!("{key}/");
                    let wanted = inside.starts_with(prefix) || prefix.starts_with(&inside);
                    if wanted && !is_loop(&path) {
                        folders.push(key);
                    }
                } else if key.starts_with(prefix) {
                    let key: Arc<str> = key.into();
                    self.take(key.clone(), &path, found);
                    seen.bytes(found.entries.get(&key).map_or(0, |e| e.value.len()), prefix)?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Budget {
    files: usize,
    bytes: usize,
}

impl Budget {
    fn one(&mut self, prefix: &str) -> Result<()> {
        self.files += 1;
        self.check(prefix)
    }

    fn bytes(&mut self, more: usize, prefix: &str) -> Result<()> {
        self.bytes += more;
        self.check(prefix)
    }

    fn check(&self, prefix: &str) -> Result<()> {
        if self.files <= MOST && self.bytes <= MOST_BYTES {
            return Ok(());
        }
        let text =
            format!("over {MOST} files or {MOST_BYTES} bytes of settings: use a longer prefix or another directory");
        Err(Error::new(Kind::TooLarge, text).context("prefix", prefix))
    }
}

/// Kubernetes keeps its generations in names that begin with two dots; they are read through the links beside them.
fn hidden(key: &str) -> bool {
    key.split('/').any(|part| part.starts_with(".."))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(failed("read", folder, e)),
    };
    let mut names = Vec::new();
    for entry in entries.take(MOST + 1) {
        let entry = entry.map_err(|e| failed("read", folder, e))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// A link to a directory that it stands in has no end.
fn is_loop(path: &Path) -> bool {
    let linked = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    let inside = |path: &Path| Some(fs::canonicalize(path.parent()?).ok()?.starts_with(fs::canonicalize(path).ok()?));
    linked && inside(path).unwrap_or(true)
}

/// A file's bytes; `None` if there is no file.
fn bytes_of(path: &Path) -> Result<Option<Bytes>> {
    let away = |e: &std::io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let meta = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(None),
        Ok(meta) => meta,
        Err(e) if away(&e) => return Ok(None),
        Err(e) => return Err(failed("read", path, e)),
    };
    if !meta.is_file() {
        return Err(Error::new(Kind::Unavailable, "not a plain file").context("path", path.display()));
    }
    // Bounded once more while it is read: it may grow meanwhile.
    let mut bytes = Vec::with_capacity((meta.len() as usize).min(LARGEST));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if away(&e) => return Ok(None),
        Err(e) => return Err(failed("open", path, e)),
    };
    if meta.len() <= LARGEST as u64 {
        file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed("read", path, e))?;
    }
    if meta.len() > LARGEST as u64 || bytes.len() > LARGEST {
        let text = format!("a setting is at most {LARGEST} bytes, this file has {}", meta.len());
        return Err(Error::new(Kind::TooLarge, text).context("path", path.display()));
    }
    Ok(Some(bytes.into()))
}

/// Puts a new file over an old one. The caller holds the lock, so one name for the temporary file is enough, and what a
/// killed writer left is overwritten.
fn replace(path: &Path, value: &[u8]) -> Result<()> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let new = path.with_file_name(format!(".{name}~new"));
    let written = write_new(&new, path, value);
    if let Err(e) = written.and_then(|()| fs::rename(&new, path)) {
        let _ = fs::remove_file(&new);
        return Err(failed("write", path, e));
    }
    flush_folder(path)
}

fn write_new(new: &Path, old: &Path, value: &[u8]) -> std::io::Result<()> {
    let _ = fs::remove_file(new);
    let mut file = File::create_new(new)?;
    if let Ok(meta) = fs::metadata(old) {
        file.set_permissions(meta.permissions())?;
    }
    file.write_all(value)?;
    file.sync_all()
}

/// The change of a name survives a loss of power only when its directory is flushed too.
fn flush_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|_| cfg!(unix)) else { return Ok(()) };
    let flushed = File::open(folder).and_then(|f| f.sync_all());
    flushed.map_err(|e| failed("flush", folder, e).retry_as(Retry::Unknown))
}

fn version(bytes: &[u8]) -> Version {
    use std::fmt::Write as _;
    let digest = Sha256::digest(bytes);
    let tag = digest.iter().take(16).fold(String::with_capacity(32), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    });
    Version::Tag(tag.into())
}

fn malformed(key: &str, why: &str) -> Error {
    Error::new(Kind::Malformed, why.to_owned()).context("key", key)
}

/// The error of a file system call.
pub(super) fn failed(what: &str, path: &Path, e: std::io::Error) -> Error {
    let kind = match e.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Kind::Forbidden,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => Kind::BadRequest,
        _ => Kind::Unavailable,
    };
    let text = match kind {
        Kind::BadRequest => format!("cannot {what}: a key cannot be a file and the folder of others: {e}"),
        _ => format!("cannot {what}: {e}"),
    };
    Error::new(kind, text).context("path", path.display()).because(e)
}
