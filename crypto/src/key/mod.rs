//! Ids of keys, rings of keys, and keys in PEM.

mod file;
mod id;
mod pem;
mod ring;

pub use id::KeyId;
pub(crate) use pem::{Pem, Wanted};
pub(crate) use ring::Ring;
