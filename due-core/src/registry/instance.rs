//! What is registered: one running part.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    id::{Incarnation, InstanceId, Owner},
};

/// What a part of the cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceKind {
    /// Owns client connections.
    Gate,
    /// Runs user logic.
    Node,
    /// Serves calls by name, without state.
    Mesh,
    /// Serves the console.
    Master,
}

impl InstanceKind {
    /// All of them.
    pub const ALL: [InstanceKind; 4] = [Self::Gate, Self::Node, Self::Mesh, Self::Master];

    /// The word for it in keys, settings and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Node => "node",
            Self::Mesh => "mesh",
            Self::Master => "master",
        }
    }
}

impl fmt::Display for InstanceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much work an instance takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Takes all work.
    #[default]
    Work,
    /// Takes work if nobody else can.
    Busy,
    /// Takes no new users, serves those it has.
    Hang,
    /// Is gone in a moment: treat it as gone.
    Shut,
}

/// One running part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique among the instances of its kind: 1 to 128 printable ASCII characters without `/`.
    pub id: InstanceId,
    /// Which life of it; kept when it registers again.
    pub incarnation: Incarnation,
    /// What it does.
    pub kind: InstanceKind,
    /// The name it serves under (`game`), shared by its like: 1 to 128 bytes.
    pub name: String,
    /// Where it listens, as URLs with a real port; at most 16.
    pub endpoints: Vec<String>,
    /// How much work it takes.
    #[serde(default)]
    pub state: State,
    /// Its share of the work beside its like; 0 takes none.
    #[serde(default = "one")]
    pub weight: u32,
    /// Free text for placement and people.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Hash of the route table; the table itself is fetched over the link.
    #[serde(default)]
    pub routes: u64,
}

fn one() -> u32 {
    1
}

impl Instance {
    /// Most endpoints of one instance.
    pub const MAX_ENDPOINTS: usize = 16;

    /// A working instance of weight 1 with a new incarnation and no endpoints.
    pub fn new(kind: InstanceKind, id: impl Into<InstanceId>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            incarnation: Incarnation::random(),
            kind,
            name: name.into(),
            endpoints: Vec::new(),
            state: State::default(),
            weight: 1,
            labels: BTreeMap::new(),
            routes: 0,
        }
    }

    /// Who it is as the owner of bindings.
    pub fn owner(&self) -> Owner {
        Owner { id: self.id.clone(), incarnation: self.incarnation }
    }

    /// Refuses with `Config` what other members would skip: a bad id, name or endpoint.
    pub fn check(&self) -> Result<()> {
        let id = &*self.id.0;
        if !(1..=128).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            return Err(Error::config(format!(
                "the instance id {id:?} is not 1 to 128 printable ASCII characters without `/`"
            )));
        }
        if !(1..=128).contains(&self.name.len()) || self.name.chars().any(char::is_control) {
            return Err(Error::config(format!("the name {:?} of {id} is not 1 to 128 bytes of plain text", self.name)));
        }
        if self.endpoints.len() > Self::MAX_ENDPOINTS {
            return Err(Error::config(format!(
                "{id} has {} endpoints; {} are allowed",
                self.endpoints.len(),
                Self::MAX_ENDPOINTS
            )));
        }
        match self.endpoints.iter().find(|e| !is_endpoint(e)) {
            Some(bad) => Err(Error::config(format!(
                "{bad:?} of {id} is no endpoint: write scheme://host:port with the real port"
            ))),
            None => Ok(()),
        }
    }

    /// The key it is stored under: `gate/gate-1`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }

    /// The prefix of all keys of a kind. It ends with `/`, so that no kind or id can be the beginning of another.
    pub fn prefix(kind: InstanceKind) -> String {
        format!("{kind}/")
    }
}

/// `scheme://host[:port][/..]` or `host:port`, without white space, zones, or port 0.
fn is_endpoint(text: &str) -> bool {
    let plain =
        (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'%' && b != b'\\');
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_ok = match port {
        Some(port) => port.parse::<u16>().is_ok_and(|p| p > 0),
        None => text.contains("://"),
    };
    plain && !name.is_empty() && port_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(endpoint: &str) -> Instance {
        Instance { endpoints: vec![endpoint.to_owned()], ..Instance::new(InstanceKind::Node, "n1", "game") }
    }

    #[test]
    fn endpoints_need_a_host_and_a_real_port() {
        for good in ["link://10.0.0.1:7000", "10.0.0.1:7000", "memory://n1", "link://[fe80::1]:9", "ws://h:1/path?a=b"]
        {
            with(good).check().unwrap();
        }
        // B121
        for bad in [
            "",
            ":0",
            "h:0",
            "link://h:0",
            "link://:1",
            "link://[fe80::1%eth0]:9",
            "h:1\n",
            "h",
            "link://h:99999",
            "a b:1",
        ] {
            assert!(with(bad).check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_cannot_reach_into_other_keys() {
        for bad in ["", "a/b", "a b", "é", &"x".repeat(129)] {
            assert!(Instance::new(InstanceKind::Gate, bad, "g").check().is_err(), "{bad:?}");
        }
        assert_eq!(Instance::new(InstanceKind::Gate, "gate-1", "g").key(), "gate/gate-1");
    }
}
