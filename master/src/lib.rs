//! The master of due: an API for people, over a running fleet.
//!
//! [`Master`] is a part of an application like any other, and the program `due-master` is one that has no other part. It
//! asks instances over the links that processes have anyway, reads the registry, and keeps nothing itself but its audit log.
//!
//! | module | what it holds |
//! |---|---|
//! | `master` | the part |
//! | `http` | the endpoints, a file for each resource; what comes before them |
//! | `auth` | tokens, roles, scopes, rates, and what waits for a second person |
//! | [`audit`] | what was done by whom |
//! | `act` | doing something that is written down |
//! | `broadcasts` | those that were sent |
//! | `clock` | the time for people |
//! | `events` | what has happened, for those who look and those who follow |
//! | `settings` | changes of live settings, as events |
//! | `fanout` | asking many instances |
//! | `members` | who is listed, and who was |
//! | `idempotency` | a change that is sent twice is made once |
//! | `schema` | values of settings, held against what they must look like |
//! | `problem` | errors as RFC 9457 says |

mod act;
mod api;
pub mod audit;
mod auth;
mod broadcasts;
mod clock;
mod events;
mod fanout;
mod http;
mod idempotency;
mod master;
mod members;
mod pace;
mod problem;
mod schema;
mod settings;
mod totals;

pub use master::Master;
