//! One part of an application as a process of its own, for test clusters.

use due_core::{Drivers, Error, Result, Url};

use super::{App, Shards, part::Urls};
use crate::gate::ListenerSettings;

/// Which part of an application runs, and under which id.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Alone {
    /// A gate, or else a node.
    pub gate: bool,
    /// Its place among the gates or the nodes.
    pub at: usize,
    /// Its id in the registry.
    pub id: String,
    /// The backends that all processes of the cluster share.
    pub drivers: Drivers,
}

#[doc(hidden)]
impl App {
    /// The backends.
    pub fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    /// The names of the gates and of the nodes, in order.
    pub fn part_names(&self) -> (Vec<String>, Vec<String>) {
        (self.gates.iter().map(|g| g.name.clone()).collect(), self.nodes.iter().map(|n| n.name.clone()).collect())
    }

    /// The listeners of all gates, as they were given.
    pub fn listeners(&self) -> Vec<String> {
        self.gates.iter().flat_map(|g| g.listen.iter().cloned()).collect()
    }

    /// Leaves one part, a gate or a node, in memory and on the caller's runtime. The first listener of a gate is `memory://` and its id,
    /// with the settings and the dialect it had; the others get a number behind that.
    pub fn alone(mut self, part: Alone) -> Result<Self> {
        let missing = || Error::config(format!("the application has no part for `{}`", part.id));
        if part.gate {
            let mut gate = self.gates.into_iter().nth(part.at).ok_or_else(missing)?.id(&part.id);
            if gate.listen.is_empty() {
                gate.listen.push("memory://gate".to_owned());
            }
            let given = gate.listen.iter().enumerate();
            gate.listen = given.map(|(i, url)| in_memory(url, &part.id, i)).collect::<Result<_>>()?;
            (self.gates, self.nodes) = (vec![gate], Vec::new());
            // Settings are what nodes follow, in the hook of their start.
            self.settings.clear();
            self.schemas.clear();
        } else {
            let node = self.nodes.into_iter().nth(part.at).ok_or_else(missing)?.id(&part.id);
            (self.gates, self.nodes) = (Vec::new(), vec![node]);
        }
        #[cfg(feature = "http")]
        {
            self.https.clear();
            self.probes.clear();
        }
        self.meshes.clear();
        self.besides.clear();
        (self.drivers, self.urls, self.shards, self.shared) = (part.drivers, Urls::default(), Shards::Inline, false);
        Ok(self)
    }
}

/// The listener in memory: settings and dialect stay, what only its network understands goes.
fn in_memory(listener: &str, id: &str, index: usize) -> Result<String> {
    let url = Url::parse(listener)?;
    let (_, _, network) = ListenerSettings::read(&url)?;
    let host = if index == 0 { id.to_owned() } else { format!("{id}/{}", index + 1) };
    let query = listener.split_once('?').map_or("", |(_, query)| query);
    let foreign = |pair: &str| {
        let key = pair.split('=').next().unwrap_or(pair);
        network.scheme() != "memory" && network.value(key).is_some()
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !foreign(pair)).collect();
    Ok(match kept.is_empty() {
        true => format!("memory://{host}"),
        false => format!("memory://{host}?{}", kept.join("&")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_keeps_what_is_not_of_its_network() {
        let check = |given, index, want| assert_eq!(in_memory(given, "gate-1", index).unwrap(), want);
        check("tcp://127.0.0.1:3553", 0, "memory://gate-1");
        check("ws://a:1/play?origins=*&route-bytes=4&outbox=4KiB", 0, "memory://gate-1?route-bytes=4&outbox=4KiB");
        check("memory://x?buffer=1KiB&seq-bytes=4", 1, "memory://gate-1/2?buffer=1KiB&seq-bytes=4");
        assert!(in_memory("tcp://a:1?route-bytes=3", "gate-1", 0).is_err());
    }
}
