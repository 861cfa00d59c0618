//! The finished route table.

use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use due_core::{CodecError, Encryptor, Error, Result, RouteDef, RouteId};

use super::{
    erased::RouteHandler,
    extract::Needs,
    mount::Make,
    routes::{Entry, Event, Role},
    sealed::{Sealing, seal_errors},
};
use crate::fault::Fault;

/// Writes a fault as a normal answer of its route.
pub(crate) type ErrorsAs = Arc<dyn Fn(&Fault, &mut Vec<u8>) -> std::result::Result<(), CodecError> + Send + Sync>;

/// A rule for one route.
pub(crate) enum Setting {
    ErrorsAs(ErrorsAs),
    Deadline(Duration),
    Cancel,
}

impl Setting {
    fn name(&self) -> &'static str {
        match self {
            Setting::ErrorsAs(_) => "errors_as",
            Setting::Deadline(_) => "deadline",
            Setting::Cancel => "cancellable",
        }
    }
}

/// All routes of a node, found by number. It is shared by the shards; each has its own
/// [handlers](Table::handlers), in the same order as [`Table::mounts`].
pub struct Table {
    mounts: Vec<Mount>,
    by_id: Vec<(RouteId, usize)>,
    fallback: Option<usize>,
}

/// One entry of a [`Table`].
pub struct Mount {
    def: RouteDef,
    role: Role,
    answers: bool,
    needs: Needs,
    raw: bool,
    deadline: Option<Duration>,
    cancellable: bool,
    errors_as: Option<ErrorsAs>,
    make: Arc<dyn Make>,
}

impl Table {
    /// The place of the route with this number.
    pub fn find(&self, id: RouteId) -> Option<usize> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.by_id.get(at).map(|(_, place)| *place)
    }

    /// The place of the fallback.
    pub fn fallback(&self) -> Option<usize> {
        self.fallback
    }

    /// The places of an event's handlers, in the order in which they run.
    pub fn event(&self, event: Event) -> Vec<usize> {
        self.places(|role| role == Role::Event(event)).collect()
    }

    /// The places of the handlers of the event bus.
    pub fn topics(&self) -> Vec<usize> {
        self.places(|role| role == Role::Topic).collect()
    }

    /// Does it have a handler of any event?
    pub fn has_events(&self) -> bool {
        self.mounts.iter().any(|m| matches!(m.role, Role::Event(_)))
    }

    fn places(&self, wanted: impl Fn(Role) -> bool) -> impl Iterator<Item = usize> {
        self.mounts.iter().enumerate().filter(move |(_, m)| wanted(m.role)).map(|(place, _)| place)
    }

    /// Everything in it, by place.
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The entry at a place.
    pub fn mount(&self, place: usize) -> Option<&Mount> {
        self.mounts.get(place)
    }

    /// The routes, by rising number.
    pub fn routes(&self) -> impl Iterator<Item = &Mount> {
        self.by_id.iter().filter_map(|(_, place)| self.mounts.get(*place))
    }

    /// New handlers for one shard, by place.
    pub fn handlers(&self) -> Vec<Box<dyn RouteHandler>> {
        self.mounts.iter().map(|m| m.make.make()).collect()
    }

    /// The same routes, with bodies of clients that are encrypted.
    #[must_use]
    pub(crate) fn sealed(mut self, by: &Arc<dyn Encryptor>) -> Self {
        for m in self.mounts.iter_mut().filter(|m| matches!(m.role, Role::Route | Role::Fallback)) {
            m.make = Arc::new(Sealing::new(Arc::clone(&m.make), Arc::clone(by), m.raw));
            m.errors_as = m.errors_as.take().map(|write| match m.raw {
                true => write,
                false => seal_errors(write, m.def.id, Arc::clone(by)),
            });
        }
        self
    }

    /// A number for the routes with their names and flags: the same for the same table in every process and build.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        for m in self.routes() {
            let flags = m.def.flags;
            hash.add(&m.def.id.0.to_be_bytes());
            hash.add(&[u8::from(flags.stateful), u8::from(flags.authorized), u8::from(flags.internal)]);
            hash.add(&[u8::from(m.answers)]);
            hash.add(&(m.def.name.len() as u64).to_be_bytes());
            hash.add(m.def.name.as_bytes());
        }
        hash.0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.mounts.iter().map(|m| (m.def.id, m.def.name))).finish()
    }
}

impl Mount {
    /// Number, name and flags; authorized also when its handler takes a user.
    pub fn def(&self) -> RouteDef {
        self.def
    }

    /// What it handles.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Does a client wait for an answer?
    pub fn answers(&self) -> bool {
        self.answers
    }

    /// How long a request may take; `None` leaves it to the node.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Is a waiting handler dropped when its caller gives up?
    pub fn cancellable(&self) -> bool {
        self.cancellable
    }

    /// For clients without error frames: appends the answer that stands for `fault` and says whether there is one. An
    /// `errors_as` that panics, or whose value does not encode, gives none.
    pub fn answer_fault(&self, fault: &Fault, out: &mut Vec<u8>) -> bool {
        let Some(write) = &self.errors_as else { return false };
        let from = out.len();
        let written = catch_unwind(AssertUnwindSafe(|| write(fault, out).is_ok())).unwrap_or(false);
        if !written {
            out.truncate(from);
        }
        written
    }

    fn set(&mut self, setting: Setting) {
        match setting {
            Setting::ErrorsAs(write) => self.errors_as = Some(write),
            Setting::Deadline(limit) => self.deadline = Some(limit),
            Setting::Cancel => self.cancellable = true,
        }
    }
}

/// Checks the entries and puts them in order.
pub(crate) fn compile(entries: Vec<Entry<()>>, settings: Vec<(RouteDef, Setting)>) -> Result<Table> {
    let mut mounts: Vec<Mount> = entries.into_iter().map(mount).collect();
    let mut faults = conflicts(&mounts);
    faults.extend(mounts.iter().filter_map(cannot_have));
    faults.extend(settings.into_iter().filter_map(|(def, setting)| apply(&mut mounts, def, setting)));
    if !faults.is_empty() {
        return Err(Error::config(format!("routes: {}", faults.join("; "))));
    }
    let of_role = |(place, m): (usize, &Mount)| (m.role == Role::Route).then_some((m.def.id, place));
    let mut by_id: Vec<_> = mounts.iter().enumerate().filter_map(of_role).collect();
    by_id.sort_unstable();
    let fallback = mounts.iter().position(|m| m.role == Role::Fallback);
    Ok(Table { mounts, by_id, fallback })
}

fn mount(entry: Entry<()>) -> Mount {
    let (def, role, answers, needs, raw) = (entry.def, entry.role, entry.answers, entry.needs, entry.raw);
    let make = entry.bind(&()).finish(answers, needs);
    Mount { def, role, answers, needs, raw, deadline: None, cancellable: false, errors_as: None, make }
}

fn conflicts(mounts: &[Mount]) -> Vec<String> {
    let (mut by_id, mut by_name) = (HashMap::new(), HashMap::new());
    let mut faults = Vec::new();
    for def in mounts.iter().filter(|m| m.role == Role::Route).map(|m| m.def) {
        let (same_id, same_name) = (by_id.insert(def.id, def.name), by_name.insert(def.name, def.id));
        match (same_id, same_name) {
            (Some(other), _) if other == def.name => faults.push(format!("`{other}` ({}) has two handlers", def.id)),
            (Some(other), _) => faults.push(format!("`{other}` and `{}` have one number, {}", def.name, def.id)),
            (None, Some(other)) => faults.push(format!("{other} and {} have one name, `{}`", def.id, def.name)),
            (None, None) => {}
        }
    }
    if mounts.iter().filter(|m| m.role == Role::Fallback).count() > 1 {
        faults.push("there are two fallbacks".to_owned());
    }
    faults
}

fn cannot_have(mount: &Mount) -> Option<String> {
    let Mount { def, role, needs, .. } = mount;
    match role {
        Role::Topic if needs.session => {
            Some(format!("the handler of topic `{}` takes a session or a user, but no client sends it", def.name))
        }
        Role::Topic | Role::Event(_) if needs.reply => {
            Some(format!("the handler of `{}` takes a Reply, but nobody waits for an answer", def.name))
        }
        _ => None,
    }
}

fn apply(mounts: &mut [Mount], def: RouteDef, setting: Setting) -> Option<String> {
    let name = setting.name();
    match mounts.iter_mut().find(|m| m.role == Role::Route && m.def.id == def.id && m.def.name == def.name) {
        Some(mount) => {
            mount.set(setting);
            None
        }
        None => Some(format!("`{name}` is set for `{}` ({}), which has no handler", def.name, def.id)),
    }
}

/// FNV-1a of 64 bits: small, and the same everywhere.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
