//! WebSocket: `ws://host:port`.
//!
//! The frame codec is our own and works in the buffers of the shard; the upgrade is read by `httparse`. No extension
//! and no subprotocol is negotiated. One binary message is one message; text and empty messages are taken and ignored.
//!
//! | key of a listener | default | meaning |
//! |---|---|---|
//! | `path` | any | the path to upgrade on, others get 404; one that ends in `/` includes what is below it. It may also stand as the path of the URL |
//! | `origins` | none | list of origins (`https://a.example,https://b.example`) or `*`, beside pages of the same host and clients that send none |
//! | `max-message` | 65600 | bytes of the largest message |
//! | `backlog`, `reuseport`, `nodelay` | as [`crate::tcp`] | |
//!
//! | key of a client | default | meaning |
//! |---|---|---|
//! | `connect-timeout` | 3s | how long connecting and the upgrade may take |
//! | `max-message` | 65600 | bytes of the largest message |
//! | `origin` | none | the `Origin` header to send |
//! | `nodelay` | on | as [`crate::tcp`] |
//!
//! All other keys of a client's URL belong to the server and are sent to it.

mod answer;
mod client;
mod conn;
mod frame;
mod head;
mod network;
pub(crate) mod reader;
pub(crate) mod rules;
mod upgrade;

pub(crate) use frame::Side;
pub(crate) use head::read as read_head;
pub use network::Ws;
