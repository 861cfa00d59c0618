//! What people ask of running instances, over the links that processes have anyway: counters, sessions, drains.
//!
//! | module | what it holds |
//! |---|---|
//! | `ask` | the questions |
//! | `view` | the answers |
//! | `handle` | [`Admin`]: asks instances, this process's own or others |
//! | `recent` | what has happened to users at a gate |
//! | `setting` | which live settings a process uses |
//! | `side` | what a process answers |
//! | `gate`, `node` | what its shards know |
//! | `drain`, `leave` | emptying a part that goes on running, and a node of its actors and users |
//! | `beside` | parts of other crates that start and end with the application |
//! | `health` | where the application is in its life |
//! | `probes` | `/livez`, `/readyz` and `/startupz` |
//!
//! A question is an order between processes and never a route: no client can send one, whatever numbers it writes.

mod ask;
pub(crate) mod beside;
mod drain;
mod gate;
mod handle;
mod health;
mod leave;
mod node;
#[cfg(feature = "http")]
mod probes;
mod recent;
pub(crate) mod setting;
mod side;
mod view;

pub use crate::gate::blocks::Blocks;
pub use ask::{Ask, Change, Cursor, Filter, Kick, Mode, Page, StartDrain};
pub use beside::{Beside, Started};
pub use handle::{Admin, RawPush};
pub(crate) use health::Health;
#[cfg(feature = "http")]
pub use probes::Probes;
pub(crate) use recent::Recent;
pub use recent::{Happened, Lately, newest_first};
pub use setting::{Checked, SettingView};
pub(crate) use side::{ADMIN_ORDER, Side};
pub use view::{
    About, ChannelView, DrainView, Draining, Kicked, LinkView, Metrics, Phase, RouteView, SessionView, SessionsPage,
    Totals, UserAtNode, revision,
};
