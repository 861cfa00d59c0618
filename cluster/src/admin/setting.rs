//! Live settings of a process: what it says of a value before it is stored, and which one it uses.

use due_core::config::{Live, Validate};
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
}
