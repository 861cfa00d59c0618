//! Locator, lock and cache on redis 6 or newer.

pub mod cache;
mod fault;
mod line;
pub mod locate;
pub mod lock;
mod script;
mod settings;
mod target;
