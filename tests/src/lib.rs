//! Tests of the whole: running servers, real sockets, real processes.
//!
//! | test | what it proves |
//! |---|---|
//! | `framing`, `bodies` | hostile bytes have their stated answer over tcp and ws, and hurt nobody else |
//! | `heartbeat`, `sessions`, `login`, `events` | the life of a session: signs of life, limits, logins that race, order |
//! | `routing`, `push` | what reaches a handler, what a client is told, who gets a push and how that is counted |
//! | `backpressure`, `blocking`, `load` | nobody waits for the slow, and nothing that was sent is lost |
//! | `faults` | the faults of the Go framework of the same name, one test each |
//! | `kcp` | the same over UDP, and datagrams from anywhere |
//! | `carried` | a gate and a node apart, over every transport: what a client sees is the same |
//! | `mesh` | services of tonic and tarpc in applications, called by name from others |
//! | `fleet` | real processes on real servers: what clients see while those die, stop, and come back |
//! | `log` | real programs that log everything log no secret |
//! | `interop`, `browser` | unmodified Go clients, and the chat page in a real browser |
//! | `allocations`, `idle_memory`, `fuzz_targets` | what a message and a connection cost; every parser on generated input |
//!
//! `DUE_LOAD=1000000` plays the whole flood of `load`, `DUE_CHURN=19200` the whole churn of `faults` and `kcp`. The small
//! application and the clients of raw bytes are in `tests/wire`; programs of the workspace are run by `tests/program`.

/// The programs of the paper on the log compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/log.md")]
mod log {}

/// The program of the paper on meshes compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/meshes.md")]
mod meshes {}
