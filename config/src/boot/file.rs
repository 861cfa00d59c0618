//! The file of a program's settings.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use due_core::{Error, Result, config::LARGEST};
use figment::value::Dict;

use super::{
    check::{self, Place},
    tree::{self, Tree},
};
use crate::format::Format;

/// Looked for in the working directory, where no file is named.
const NAMES: [&str; 4] = ["due.toml", "due.yaml", "due.yml", "due.json"];

/// The file in a directory, if there is one. Two are a mistake: nobody could say which one counts.
pub(super) fn search(folder: &Path) -> Result<Option<PathBuf>> {
    let found: Vec<PathBuf> = NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        [one, other, ..] => Err(Error::config(format!(
            "there are both {} and {}: remove one, or name one with --config",
            one.display(),
            other.display()
        ))),
    }
}

/// Reads and checks a file.
pub(super) fn read(path: &Path) -> Result<Dict> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let format = Format::of(name).filter(|f| *f != Format::Xml).ok_or_else(|| {
        Error::config(format!("{}: settings are in a file that ends in .toml, .yaml, .yml or .json", path.display()))
    })?;
    let text = text_of(path)?;
    let document = tree::read(format, &text).map_err(|why| Error::config(format!("{}: {why}", path.display())))?;
    match document {
        Tree::Nothing => Ok(Dict::new()),
        Tree::Table(items) => check::table("", items, &|line| Place::File(path.to_owned(), line)),
        other => Err(Error::config(format!("{}: {other} where keys and values belong", path.display()))),
    }
}

fn text_of(path: &Path) -> Result<String> {
    let failed = |e: std::io::Error| Error::config(format!("cannot read the settings in {}: {e}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > LARGEST {
        return Err(Error::config(format!("{} is over {LARGEST} bytes: these are no settings", path.display())));
    }
    String::from_utf8(bytes).map_err(|_| Error::config(format!("{} is not UTF-8", path.display())))
}
