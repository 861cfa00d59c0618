//! What a cluster of several processes promises, played in one test process under paused time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod actors;
mod calls;
mod chaos;
mod cutoff;
mod events;
mod flow;
mod harness;
mod heal;
mod kick;
mod login;
mod lost;
mod nodes;
mod owners;
mod play;
mod push;
mod stop;
