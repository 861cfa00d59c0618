//! Rules of the repository that no compiler checks. Each failure names the file and the rule.

#![allow(clippy::unwrap_used)]

mod floors;
mod lists;
mod manifests;
mod sources;
mod workspace;
