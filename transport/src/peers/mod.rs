//! Registry, locator, event bus and live settings without a server of their own: `peer://HOST:PORT[,HOST:PORT..]`.
//!
//! The first address names the *home*: the process that can listen there keeps everything in its memory and serves the
//! others over our own link. Which process that is nobody decides: whoever opens `peer://` first on that address is it,
//! and there is no election. While the home is down every operation answers `Unavailable` at once, and links between
//! processes, bound sessions and their traffic go on; when it is back, empty, everybody registers again, bindings are
//! asserted again by those who hold them, and subscribers are told of a gap. Live settings that were edited are gone
//! with the home: keep them in a file or a server where that matters.
//!
//! ```text
//! peer://127.0.0.1:7100?secret-file=/etc/game/secret
//! ```
//!
//! The query keys are those of [`link`](crate::link). All contracts of a process that are opened by one URL share one
//! connection. Right for development, tests and small fleets; for more take a server for each contract.

mod adapters;
mod guest;
mod held;
mod home;
mod line;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use due_core::{
    Drivers, Error, Incarnation, InstanceId, Owner, Result, Url,
    bus::{Bus, EventBus},
    config::ConfigSource,
    locate::Locator,
    registry::{Kept, Registry},
    transport::Transport,
};
use tokio::sync::Mutex;

use adapters::{Events, Names, Places, Values};
use guest::Guest;
use held::Held;
use home::Home;

/// How long a broken connection may take to come back, unless the URL says otherwise.
const GRACE: &str = "1s";

/// The instance that every home pretends to be: a guest does not know which process it is.
fn home_owner() -> Owner {
    Owner { id: InstanceId::from("peer-home"), incarnation: Incarnation(0) }
}

/// One process's place among its peers.
#[derive(Clone)]
pub struct Peer(Arc<Seat>);

enum Seat {
    Home(Home),
    Guest(Guest),
}

impl Peer {
    /// Listens at the first address of `url` if this process can, else becomes a guest of whoever does. A guest does not
    /// wait for its home. Errors: `Config` for a wrong URL, or one off loopback without a secret.
    pub async fn open(url: &Url, transport: Arc<dyn Transport>) -> Result<Self> {
        if !url.host().contains(':') {
            return Err(Error::config(format!("{url} names no address: write peer://HOST:PORT")));
        }
        let at = Url::parse(&format!("link://{}", url.host()))?;
        let seat = match Home::listen(&at, transport.clone()).await {
            Ok(home) => Seat::Home(home),
            Err(taken) if taken.kind() == due_core::Kind::Config && is_taken(&taken) => {
                Seat::Guest(Guest::start(at, transport))
            }
            Err(e) => return Err(e),
        };
        Ok(Self(Arc::new(seat)))
    }

    /// Is this process the home?
    pub fn is_home(&self) -> bool {
        matches!(*self.0, Seat::Home(_))
    }

    /// The registry.
    pub fn registry(&self) -> Arc<dyn Registry> {
        match &*self.0 {
            Seat::Home(home) => Arc::new(Kept::new(Held::new(home.names(), &self.0))),
            Seat::Guest(guest) => Arc::new(Kept::new(Names(guest.clone()))),
        }
    }

    /// The locator.
    pub fn locator(&self) -> Arc<dyn Locator> {
        match &*self.0 {
            Seat::Home(home) => Arc::new(Held::new(home.places(), &self.0)),
            Seat::Guest(guest) => Arc::new(Places(guest.clone())),
        }
    }

    /// The event bus.
    pub fn eventbus(&self) -> Arc<dyn EventBus> {
        match &*self.0 {
            Seat::Home(home) => Arc::new(Bus::new(Held::new(home.events(), &self.0))),
            Seat::Guest(guest) => Arc::new(Bus::new(Events(guest.clone()))),
        }
    }

    /// Live settings.
    pub fn config(&self) -> Arc<dyn ConfigSource> {
        match &*self.0 {
            Seat::Home(home) => Arc::new(Held::new(home.values(), &self.0)),
            Seat::Guest(guest) => Arc::new(Values(guest.clone())),
        }
    }
}

/// Peers of one process by their URL: four contracts, one seat.
#[derive(Default)]
struct Seats(Mutex<HashMap<String, Weak<Seat>>>);

impl Seats {
    async fn of(&self, url: &Url) -> Result<Peer> {
        let mut seats = self.0.lock().await;
        if let Some(seat) = seats.get(url.host()).and_then(Weak::upgrade) {
            return Ok(Peer(seat));
        }
        // A home that is dead is given up soon: what waits for it has a limit of a second.
        let grace = if url.value("grace").is_none() { url.with("grace", GRACE) } else { url.clone() };
        let transport = Arc::new(crate::link::Native::open(&grace)?);
        let peer = Peer::open(url, transport).await?;
        seats.insert(url.host().to_owned(), Arc::downgrade(&peer.0));
        Ok(peer)
    }
}

/// Adds `peer` to the contracts it serves.
pub(crate) fn install(drivers: &mut Drivers) {
    let seats = Arc::new(Seats::default());
    macro_rules! add {
        ($($table:ident)*) => {$(
            let all = seats.clone();
            drivers.$table.add("peer", move |url| {
                let all = all.clone();
                async move { Ok(all.of(&url).await?.$table()) }
            });
        )*};
    }
    add!(registry locator eventbus config);
}

/// Does somebody listen there already, or is the address another machine's?
fn is_taken(e: &Error) -> bool {
    use std::{error::Error as _, io};
    let mut cause = e.source();
    while let Some(e) = cause {
        if let Some(e) = e.downcast_ref::<io::Error>() {
            return matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable);
        }
        cause = e.source();
    }
    e.text().contains("in use")
}
