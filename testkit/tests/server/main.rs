//! Real servers do what tests need of them: start, end, come back, and end with the test.

#![allow(clippy::unwrap_used)]

mod each;
mod life;
mod proxy;
mod redis;
