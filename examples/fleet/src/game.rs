//! The game: users log in, enter rooms that live on some node, and roll dice that the mesh throws.

use due::{
    core::config::{Live, Validate},
    prelude::*,
};
use serde::{Deserialize, Serialize};

/// Logs in; answered with the id of the process that did it.
pub(crate) const LOGIN: Call<i64, String> = Call::new(1, "login");
/// Enters a room, which opens wherever the fleet places it; answered with who is in it.
pub(crate) const ENTER: Call<Enter, Vec<i64>> = Call::new(2, "room.enter").authorized();
/// Rolls a die in the room the user is in.
pub(crate) const ROLL: Call<(), Rolled> = Call::new(3, "room.roll").stateful();
/// Somebody in the room has rolled.
pub(crate) const SAW: Push<Rolled> = Push::new(101, "room.saw");
/// Cheers, for everybody on every gate to hear: by the event bus each node hears it, and each tells the clients.
pub(crate) const CHEER: Call<String, ()> = Call::new(4, "cheer").authorized();
/// Somebody has cheered; one comes from each node.
pub(crate) const HEARD: Push<Cheered> = Push::new(102, "heard");
const CHEERED: Topic<Cheered> = Topic::new(103, "cheered");
/// Throws a die of so many sides; only for other servers.
const THROW: Call<u32, u32> = Call::new(50, "dice.throw").internal();

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Enter {
    pub(crate) room: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rolled {
    pub(crate) who: i64,
    pub(crate) value: u32,
    /// The process that the room is open in.
    pub(crate) process: u32,
    /// Which opening of the room this is: a random number.
    pub(crate) opening: u64,
    /// Rolls since then.
    pub(crate) count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cheered {
    pub(crate) text: String,
    /// The process that passes it on.
    pub(crate) process: u32,
}

/// The rules of the game, changed while it is played: `{"sides": 6}`.
pub(crate) const RULES: &str = "game/rules.json";
/// What they look like, for whoever edits them.
pub(crate) const LOOKS: &str = r#"{"type": "object", "additionalProperties": false, "required": ["sides"],
    "properties": {"sides": {"type": "integer", "minimum": 2, "maximum": 1000}}}"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    /// Of the dice.
    sides: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { sides: 6 }
    }
}

impl Validate for Rules {
    fn validate(&self) -> Result<(), String> {
        match self.sides {
            2..=1000 => Ok(()),
            n => Err(format!("sides: 2 to 1000, not {n}")),
        }
    }
}

/// The rules before they follow a source.
pub(crate) fn rules() -> Live<Rules> {
    Live::new(|text: &[u8]| serde_json::from_slice(text))
}

struct Room {
    rules: Live<Rules>,
    here: Vec<(i64, Session)>,
    opening: u64,
    count: u64,
}

impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;

    fn read_key(text: &str) -> Option<u64> {
        text.parse().ok()
    }
}

impl Room {
    async fn enter(&mut self, cx: Cx<Room>, uid: Uid, me: Session) -> Result<Vec<i64>, Fault> {
        let Uid::Int(uid) = uid else { return Err(Code::BAD_REQUEST.into()) };
        me.attach(&cx.addr())?;
        self.here.retain(|(who, _)| *who != uid);
        self.here.push((uid, me));
        Ok(self.here.iter().map(|(who, _)| *who).collect())
    }

    async fn roll(&mut self, uid: Uid, to: Cluster) -> Result<Rolled, Fault> {
        let Uid::Int(who) = uid else { return Err(Code::BAD_REQUEST.into()) };
        let value = to.call(THROW, &self.rules.get().sides).await?;
        self.count += 1;
        let rolled = Rolled { who, value, process: std::process::id(), opening: self.opening, count: self.count };
        for (_, session) in self.here.iter().filter(|(other, _)| *other != who) {
            // One who has left in the meantime sees nothing any more.
            let _ = session.push(SAW, &rolled);
        }
        Ok(rolled)
    }

    async fn leave(&mut self, uid: Uid) {
        self.here.retain(|(who, _)| Uid::from(*who) != uid);
    }
}

async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<String, Fault> {
    me.bind(uid).await?;
    Ok(std::process::id().to_string())
}

fn throw(Msg(sides): Msg<u32>) -> Result<u32, Fault> {
    if sides == 0 {
        return Err(Code::BAD_REQUEST.into());
    }
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    Ok(nanos / 1000 % sides + 1)
}

async fn cheer(to: Cluster, Msg(text): Msg<String>) -> Result<(), Fault> {
    to.publish(CHEERED, &Cheered { text, process: 0 }).await?;
    Ok(())
}

async fn cheered(to: Cluster, Msg(said): Msg<Cheered>) -> Result<(), Fault> {
    to.push(To::Bound, HEARD, &Cheered { process: std::process::id(), ..said }).await?;
    Ok(())
}

/// Hosts rooms.
pub(crate) fn node(rules: &Live<Rules>) -> Node {
    let routes = Routes::new()
        .route(LOGIN, login)
        .actor_by(ENTER, |enter: &Enter| enter.room, Room::enter)
        .actor(ROLL, Room::roll)
        .route(CHEER, cheer)
        .topic(CHEERED, cheered)
        .actor_on(Event::Disconnected, Room::leave);
    let (kept, follows) = (rules.clone(), rules.clone());
    let open = move |_: u64, _| {
        let rules = kept.clone();
        async move { Ok(Room { rules, here: Vec::new(), opening: rand::random(), count: 0 }) }
    };
    Node::new("game")
        .deadline(Duration::from_secs(5))
        .actors(open)
        .routes(routes)
        .started(async move |cluster| Ok(follows.follow(cluster.config().clone(), RULES).await?))
}

/// Throws dice.
pub(crate) fn mesh() -> Node {
    Node::new("dice").routes(Routes::new().route(THROW, throw))
}
