//! What stands around the room: the command line, the page for browsers, the client for terminals.
//!
//! | module | what it holds |
//! |---|---|
//! | `keys` | an encrypted room, with `--keys` |
//! | `options` | the command line and the addresses |
//! | `page` | one HTML file and its way to a browser |
//! | `run` | start, print the addresses, wait for a signal, stop |
//! | `terminal` | the same room on a terminal |

mod keys;
mod options;
mod page;
mod run;
mod terminal;
#[cfg(test)]
mod tests;

pub(crate) use options::Addresses;
pub(crate) use run::run;
