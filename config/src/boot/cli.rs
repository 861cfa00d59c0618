//! The command line.

use std::{fmt, path::PathBuf};

use due_core::{
    Error, Result,
    boot::{Args, Settings},
};

use super::{Boot, Layers, check::Place};

/// The arguments of due, to be flattened into a program's own.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "due")]
pub struct Cli {
    /// Read settings from this file (.toml, .yaml, .json) instead of due.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key of the settings: --set node.game.weight=2
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Id of this process in the registry
    #[arg(long)]
    id: Option<String>,
    /// Parts to run: kinds or names, separated by commas
    #[arg(long, value_name = "LIST")]
    roles: Option<String>,
    /// Who is alive
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// Who is bound where
    #[arg(long, value_name = "URL")]
    locator: Option<String>,
    /// Who should hear
    #[arg(long, value_name = "URL")]
    eventbus: Option<String>,
    /// Links between servers
    #[arg(long, value_name = "URL")]
    transport: Option<String>,
    /// Settings that change while the program runs
    #[arg(long, value_name = "URL")]
    config_source: Option<String>,
    /// Locks
    #[arg(long, value_name = "URL")]
    lock: Option<String>,
    /// Caches
    #[arg(long, value_name = "URL")]
    cache: Option<String>,
    /// Threads that serve: per-core or a number
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// How long a stop may take
    #[arg(long, value_name = "TIME")]
    drain: Option<String>,
    /// Where to say how this process is, for probes: http://127.0.0.1:8081
    #[arg(long, value_name = "URL")]
    probes: Option<String>,
    /// What is logged: a level, and others for targets: info,due_cluster=debug
    #[arg(long, value_name = "LEVELS")]
    log: Option<String>,
}

impl Cli {
    /// Reads file, environment and these arguments, each over the one before.
    pub fn read(&self) -> Result<Boot> {
        self.over(Layers::of_process())?.read()
    }

    /// These arguments over other layers.
    pub fn over(&self, mut layers: Layers) -> Result<Layers> {
        if let Some(path) = &self.config {
            layers = layers.file(path);
        }
        for pair in &self.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Error::config(format!("--set {pair}: write --set key=value, as in --set registry=etcd://host:2379"))
            })?;
            layers = layers.set(key, value);
        }
        for (argument, key, value) in self.named() {
            if let Some(value) = value {
                layers = layers.argument(key, value, Place::Argument(format!("--{argument}")));
            }
        }
        Ok(layers)
    }

    fn named(&self) -> [(&'static str, &'static str, Option<&String>); 13] {
        [
            ("id", "id", self.id.as_ref()),
            ("roles", "roles", self.roles.as_ref()),
            ("registry", "registry", self.registry.as_ref()),
            ("locator", "locator", self.locator.as_ref()),
            ("eventbus", "eventbus", self.eventbus.as_ref()),
            ("transport", "transport", self.transport.as_ref()),
            ("config-source", "config", self.config_source.as_ref()),
            ("lock", "lock", self.lock.as_ref()),
            ("cache", "cache", self.cache.as_ref()),
            ("shards", "shards", self.shards.as_ref()),
            ("drain", "drain", self.drain.as_ref()),
            ("probes", "probes", self.probes.as_ref()),
            ("log", "log.levels", self.log.as_ref()),
        ]
    }
}

impl Args for Cli {
    fn into_settings(self) -> Result<Settings> {
        Ok(self.read()?.settings().clone())
    }
}

/// Arguments may hold secrets.
impl fmt::Debug for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cli").field("config", &self.config).finish_non_exhaustive()
    }
}
