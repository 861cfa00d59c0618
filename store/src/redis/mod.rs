//! Locator, lock, cache and journal on redis 6 or newer.

pub mod cache;
mod fault;
pub mod journal;
mod line;
pub mod locate;
pub mod lock;
mod script;
mod settings;
mod target;
