//! Layers of settings, put together.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use due_core::{
    Error, Result,
    boot::{Args, Settings},
};
use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};
use serde::de::DeserializeOwned;

use super::{
    check::{self, APP, Place},
    env, file,
};

/// Where settings are read from. [`Cli::read`](super::Cli::read) takes those of the process; this is for programs that
/// are started otherwise, and for tests.
#[derive(Clone, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
    variables: Vec<(OsString, OsString)>,
    arguments: Vec<(String, String, Place)>,
}

/// What was read.
#[derive(Clone)]
pub struct Boot {
    settings: Settings,
    figment: Figment,
}

impl Layers {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The working directory and the environment of this process.
    pub fn of_process() -> Self {
        Self { folder: Some(PathBuf::from(".")), variables: std::env::vars_os().collect(), ..Self::default() }
    }

    /// This file, which must be there.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// The first file with one of the usual names in this directory, if no other file is named.
    #[must_use]
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// These variables, as those of an environment.
    #[must_use]
    pub fn variables<N: Into<OsString>, V: Into<OsString>>(mut self, all: impl IntoIterator<Item = (N, V)>) -> Self {
        self.variables.extend(all.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// One key, over all files and variables: `set("node.game.weight", "2")`.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        let place = Place::Argument(format!("--set {key}"));
        self.argument(key, value, place)
    }

    pub(super) fn argument(mut self, key: &str, value: &str, place: Place) -> Self {
        self.arguments.push((key.to_owned(), value.to_owned(), place));
        self
    }

    /// Reads and checks all of it. Errors: `Config`, with place, key and the accepted form.
    pub fn read(self) -> Result<Boot> {
        let mut figment = Figment::new();
        if let Some(path) = self.path()? {
            figment = figment.merge(Layer::new(&path.display().to_string(), file::read(&path)?));
        }
        for set in env::settings(&self.variables)? {
            let value = check::text(&set.path, &set.value, &set.place)?;
            figment = figment.merge(Layer::one(&set.path, value, &set.place));
        }
        for (key, value, place) in &self.arguments {
            figment = figment.merge(Layer::one(key, check::text(key, value, place)?, place));
        }
        let settings = settings(&figment)?;
        Ok(Boot { settings, figment })
    }

    fn path(&self) -> Result<Option<PathBuf>> {
        if let Some(path) = &self.file {
            return Ok(Some(path.clone()));
        }
        if let Some((_, path)) = self.variables.iter().find(|(name, _)| name == env::FILE) {
            return Ok(Some(PathBuf::from(path)));
        }
        self.folder.as_deref().map_or(Ok(None), |folder: &Path| file::search(folder))
    }
}

impl Boot {
    /// The settings of due.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The section `app`, which belongs to the program; `T::default()` decides what a missing key is if `T` says
    /// `#[serde(default)]`. Errors: `Config`, with the key and where it was set.
    pub fn app<T: DeserializeOwned>(&self) -> Result<T> {
        let section = match self.figment.contains(APP) {
            true => self.figment.focus(APP),
            false => Figment::new(),
        };
        section.extract().map_err(|e| {
            let key = [vec![APP.to_owned()], e.path.clone()].concat().join(".");
            let place = e.metadata.as_ref().map_or_else(String::new, |m| format!("{}: ", m.name));
            Error::config(format!("{place}`{key}`: {}", e.kind))
        })
    }
}

impl Args for Boot {
    fn into_settings(self) -> Result<Settings> {
        Ok(self.settings)
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boot").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Arguments may hold secrets.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("file", &self.file).field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// All but the program's own section: what is left of it is known to fit.
fn settings(figment: &Figment) -> Result<Settings> {
    let mut all: Dict = figment.extract().map_err(|e| Error::config(e.to_string()))?;
    all.remove(APP);
    Figment::from(Layer::new("", all)).extract().map_err(|e| Error::config(e.to_string()))
}

/// One layer as figment merges them.
struct Layer {
    name: String,
    dict: Dict,
}

impl Layer {
    fn new(name: &str, dict: Dict) -> Self {
        Self { name: name.to_owned(), dict }
    }

    /// A layer of one key.
    fn one(path: &str, value: Value, place: &Place) -> Self {
        let nested = path.rsplit('.').fold(value, |inner, part| Dict::from([(part.to_owned(), inner)]).into());
        Self::new(&place.to_string(), nested.into_dict().unwrap_or_default())
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}
