//! The native transport: `link://host:port`, frames over one TCP connection.
//!
//! ```text
//! link://0.0.0.0:7000?secret-file=/run/secrets/due&advertise=node-1.internal
//! ```
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `secret` | none | what proves membership: 32 bytes or more; several with `,` between, the first dials, all accept |
//! | `secret-file` | none | a file with the same, one a line |
//! | `namespace` | `default` | clusters of different names never meet, 1 to 128 bytes |
//! | `grace` | 20s | how long a broken connection may take to come back |
//! | `high-water` | 4MiB | bytes under way in one direction from which on nothing more is taken; 64KiB to 1GiB |
//! | `max-frame` | 16MiB | largest body; 64KiB to 1GiB |
//! | `advertise` | the bound address | host, or host:port, that others dial |
//!
//! Without a secret a process neither listens nor dials off loopback. A process that listens at all addresses says with
//! `advertise` which one others take. An address without a port, or with port 0, stands for a free one; the URL of what
//! listens has no keys, those of the transport hold for every address that has none of its own.
//!
//! # What it promises
//!
//! * The dialer proves membership before anything else is read, then the acceptor does. Whoever cannot is closed without
//!   a word, after 5 s at the latest; of more than 64 at a time the oldest goes.
//! * A lost connection is dialed again within `grace`. While both processes live, every frame arrives once and in order
//!   of its lane. After `grace`, or when another incarnation answers, [`Link::poll_recv`] tells the end.
//! * A silent peer, or one that hears nothing of this side, is noticed within 6 s.
//! * After this process has slept, nothing that it had read is handed out until the peer has answered.
//!
//! [`Link::poll_recv`]: due_core::transport::Link::poll_recv

mod accept;
mod native;

pub use native::Native;
