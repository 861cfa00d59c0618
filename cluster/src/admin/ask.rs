//! What an instance can be asked.

use std::{collections::BTreeMap, net::IpAddr};

use due_core::{Uid, registry::State};
use serde::{Deserialize, Serialize};

/// A question to one instance, a gate or a node. One that the other does not understand is `Unsupported`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ask {
    /// Who it is: answered with [`About`](super::About).
    About,
    /// What it has counted: [`Metrics`](super::Metrics).
    Metrics,
    /// The few counters that are followed once a second: [`Totals`](super::Totals).
    Totals,
    /// Sessions of a gate: [`SessionsPage`](super::SessionsPage).
    Sessions(Page),
    /// The session of a user at a gate: an optional [`SessionView`](super::SessionView).
    Session(Uid),
    /// What has happened to users at a gate: a list of [`Happened`](super::Happened), newest first.
    Lately(super::Lately),
    /// What a node knows of a user: [`UserAtNode`](super::UserAtNode).
    User(Uid),
    /// Ends a user's session at a gate: [`Kicked`](super::Kicked).
    Kick(Kick),
    /// Channels of a gate with subscribers: a list of [`ChannelView`](super::ChannelView), at most 1000. With a name only
    /// that one.
    Channels(Option<String>),
    /// The routes of a node: a list of [`RouteView`](super::RouteView).
    Routes,
    /// Its links to other processes: a list of [`LinkView`](super::LinkView).
    Links,
    /// Changes what the registry lists of it: answered with the new [`About`](super::About).
    Change(Change),
    /// Would its process put this value of a setting in use? [`Checked`](super::Checked).
    CheckSetting {
        /// The key.
        key: String,
        /// The value, as text.
        value: String,
    },
    /// Where its process stands with a setting: an optional [`SettingView`](super::SettingView).
    Setting(String),
    /// The versions of all settings that its process uses: an optional version by key; nothing while its default counts.
    Settings,
    /// What its process says that values of a setting look like: an optional text, which is a JSON schema.
    Schema(String),
    /// Begins to empty it: [`Draining`](super::Draining). `Duplicate` if it is at it already.
    Drain(StartDrain),
    /// How its drain stands: an optional [`Draining`](super::Draining).
    Drained,
    /// Ends its drain and takes work again: `Gone` if there is none.
    CancelDrain,
}

/// Which sessions, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// What they must be.
    pub filter: Filter,
    /// Where the page before ended; the beginning without.
    pub after: Option<Cursor>,
    /// Most sessions to answer with: 1 to 1000.
    pub limit: usize,
}

/// What sessions must be; what is not set says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The user.
    pub uid: Option<Uid>,
    /// The beginning of the text of the uid.
    pub uid_prefix: Option<String>,
    /// The network that the client speaks from: an address and how many of its bits count.
    pub ip: Option<(IpAddr, u8)>,
    /// Has it a user?
    pub bound: Option<bool>,
    /// Connected for so many seconds at least.
    pub older_than_secs: Option<u64>,
}

/// A place among the sessions of a gate. Whoever stays connected from the first page to the last is on exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The shard.
    pub shard: u16,
    /// Its first slot that was not looked at.
    pub slot: u32,
}

/// Ends a user's session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kick {
    /// The user.
    pub uid: Uid,
    /// Only the login of this epoch.
    pub epoch: Option<u64>,
    /// What the client is told; 0 tells it nothing.
    pub code: u32,
    /// The text with it.
    pub text: String,
    /// Only says what would happen.
    pub dry_run: bool,
}

/// New values of what the registry lists; what is not set stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `Work` or `Busy`.
    pub state: Option<State>,
    /// The share of the work.
    pub weight: Option<u32>,
    /// Labels to set, or with `None` to remove.
    pub labels: BTreeMap<String, Option<String>>,
    /// The [`revision`](super::revision) that it must have, else the answer is `Stale`.
    pub seen: Option<String>,
    /// Only says whether it would be done.
    pub dry_run: bool,
}

/// How an instance is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartDrain {
    /// How.
    pub mode: Mode,
    /// In so many seconds: what is left then is cut with [`Mode::GoAway`], and only reported with [`Mode::Wait`].
    pub deadline_secs: u64,
}

/// How clients, or actors, leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nobody new comes; who is there stays as long as he likes.
    #[default]
    Wait,
    /// Clients of a gate are told to go elsewhere, some at a time; actors of a node end, and open elsewhere when they are
    /// asked for.
    GoAway,
}
