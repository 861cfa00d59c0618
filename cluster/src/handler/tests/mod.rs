//! Handlers as the node runs them, without a node.

mod answers;
mod arguments;
mod encrypted;
mod fixture;
mod late;
mod layers;
mod parts;
mod reuse;
mod tables;
