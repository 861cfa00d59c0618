//! Live settings of a process: what it says of a value before it is stored, and which one it uses.

use std::collections::BTreeMap;

use due_core::{
    Error, Result,
    config::{Live, Validate},
};
use serde::{Deserialize, Serialize};

use crate::app::App;

/// A live setting, without the type of its value.
pub(crate) trait Setting: Send + Sync {
    fn check(&self, value: &[u8]) -> Result<(), String>;
    fn status(&self) -> SettingView;
}

impl<T: Default + Validate + Send + Sync + 'static> Setting for Live<T> {
    fn check(&self, value: &[u8]) -> Result<(), String> {
        Live::check(self, value)
    }

    fn status(&self) -> SettingView {
        let status = Live::status(self);
        SettingView {
            version: status.version.as_ref().map(ToString::to_string),
            applied: status.applied,
            rejected: status.rejected,
            error: status.error,
            connected: status.connected,
        }
    }
}

/// The settings that a process uses.
pub(crate) struct Settings {
    all: Vec<(String, Box<dyn Setting>)>,
    schemas: Vec<(String, String)>,
}

impl Settings {
    /// Errors: `Config` for a schema that is no JSON object, or too large, or of a setting that the process does not use.
    pub(crate) fn new(all: Vec<(String, Box<dyn Setting>)>, schemas: Vec<(String, String)>) -> Result<Self> {
        for (key, schema) in &schemas {
            let wrong = |why: &str| Err(Error::config(format!("the schema of the setting {key}: {why}")));
            if !all.iter().any(|(known, _)| known == key) {
                return wrong("the program does not use that setting: name it with App::setting too");
            }
            if schema.len() > LARGEST || !serde_json::from_str(schema).is_ok_and(|v: serde_json::Value| v.is_object()) {
                return wrong("write a JSON object of at most 256 KiB");
            }
        }
        Ok(Self { all, schemas })
    }

    /// The setting of a key.
    pub(crate) fn of(&self, key: &str) -> Option<&dyn Setting> {
        self.all.iter().find(|(known, _)| known == key).map(|(_, setting)| &**setting)
    }

    /// The version in use of each, by key; nothing while it is the default.
    pub(crate) fn versions(&self) -> BTreeMap<&str, Option<String>> {
        self.all.iter().map(|(key, setting)| (key.as_str(), setting.status().version)).collect()
    }

    /// Its schema.
    pub(crate) fn schema(&self, key: &str) -> Option<&str> {
        self.schemas.iter().find(|(known, _)| known == key).map(|(_, schema)| schema.as_str())
    }
}

/// Largest schema in bytes.
const LARGEST: usize = 256 * 1024;

/// Where a process stands with a setting that it uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingView {
    /// The version that it uses; nothing while it uses its default.
    pub version: Option<String>,
    /// Values that it has put in use.
    pub applied: u64,
    /// Values that it has refused.
    pub rejected: u64,
    /// Why it does not use the newest one.
    pub error: Option<String>,
    /// Does the source answer it?
    pub connected: bool,
}

/// What a process says of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checked {
    /// It does not use this setting.
    Unused,
    /// It would put it in use.
    Good,
    /// It would refuse it, and why.
    Bad(String),
}

impl App {
    /// Says that this process uses `live` for `key`: a master asks it about a new value before it is stored, and which one
    /// it uses. Following the source remains the program's own business.
    #[must_use]
    pub fn setting<T>(mut self, key: impl Into<String>, live: &Live<T>) -> Self
    where
        T: Default + Validate + Send + Sync + 'static,
    {
        self.settings.push((key.into(), Box::new(live.clone())));
        self
    }

    /// Says what values of a setting look like that this process uses: a JSON schema, of draft 2020-12 if it names no other.
    /// A master refuses values that do not fit it, with the place and the reason, before it asks anybody whether to put
    /// them in use, and shows it to whoever writes one. Values of such a setting are JSON. [`App::start`] refuses what is
    /// no JSON object.
    #[must_use]
    pub fn schema(mut self, key: impl Into<String>, schema: impl Into<String>) -> Self {
        self.schemas.push((key.into(), schema.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_json_object_of_a_setting_that_is_used() {
        let live = || Live::<Nothing>::new(|_: &[u8]| Err::<Nothing, _>("nothing"));
        let check = |key: &str, schema: &str| {
            let all: Vec<(String, Box<dyn Setting>)> = vec![("a".to_owned(), Box::new(live()))];
            Settings::new(all, vec![(key.to_owned(), schema.to_owned())])
        };
        assert_eq!(check("a", r#"{"type":"object"}"#).unwrap().schema("a"), Some(r#"{"type":"object"}"#));
        for (key, schema) in [("b", "{}"), ("a", "true"), ("a", "{"), ("a", &format!("{{}}{}", " ".repeat(LARGEST)))] {
            let error = check(key, schema).err().unwrap().to_string();
            assert!(error.contains(&format!("setting {key}")), "{error}");
        }
    }

    #[derive(Default)]
    struct Nothing;

    impl Validate for Nothing {}
}
