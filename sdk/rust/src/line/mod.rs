//! The life of one client: dial, greet, serve, part, dial again.
//!
//! Time and wake-ups come in as arguments: the event loop calls [`Line::turn`] whenever the connection is ready, a
//! handle changed something, or the time comes that the last turn named. Handles change it under the same lock: see
//! `request`.

mod calls;
mod desk;
mod ending;
mod life;
mod request;
mod wire;

pub(crate) use life::Line;
