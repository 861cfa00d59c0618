//! What a program is told at start, put over what it says itself.

use due_core::{
    Error, Result, Url,
    boot::{Address, Args, GateSettings, MeshSettings, NodeSettings, Settings, ShardCount},
};

use super::{App, Shards};
use crate::{
    gate::{Dispatch, Gate},
    mesh::Mesh,
    node::Node,
};

impl App {
    /// Takes settings of a file, the environment or a command line (`due::Cli`) over what the program says, now or later.
    /// What is wrong with them, a role or part that the program does not have say, is the error of [`App::start`].
    #[must_use]
    pub fn args(mut self, args: impl Args) -> Self {
        self.args.push(args.into_settings());
        self
    }

    /// Puts what was given over what the program says.
    pub(super) fn apply(&mut self) -> Result<()> {
        for settings in std::mem::take(&mut self.args) {
            self.take(settings?)?;
        }
        Ok(())
    }

    fn take(&mut self, settings: Settings) -> Result<()> {
        let parts = settings.gate.keys().chain(settings.node.keys()).chain(settings.mesh.keys());
        self.known(settings.roles.iter().flatten().chain(parts))?;
        if let Some(roles) = &settings.roles {
            self.gates.retain(|g| runs(roles, "gate", &g.name));
            self.nodes.retain(|n| runs(roles, "node", &n.name));
            self.meshes.retain(|m| runs(roles, "mesh", &m.name));
            if self.gates.is_empty() && self.nodes.is_empty() && self.meshes.is_empty() {
                return Err(Error::config("`roles` leaves nothing to run: name a part of this program, or a kind"));
            }
        }
        let urls = &mut self.urls;
        let all = [
            (&mut urls.registry, settings.registry),
            (&mut urls.locator, settings.locator),
            (&mut urls.eventbus, settings.eventbus),
            (&mut urls.transport, settings.transport),
            (&mut urls.config, settings.config),
            (&mut urls.lock, settings.lock),
            (&mut urls.cache, settings.cache),
        ];
        for (url, set) in all {
            *url = set.map_or_else(|| std::mem::take(url), Address::into);
        }
        self.shards = match settings.shards {
            Some(ShardCount::PerCore) => Shards::PerCore,
            Some(ShardCount::Count(n)) => Shards::Count(n),
            None => self.shards,
        };
        self.shared = settings.shared_shards.unwrap_or(self.shared);
        self.drain = settings.drain.unwrap_or(self.drain);
        self.set_probes(settings.probes)?;
        for gate in &mut self.gates {
            let own = settings.gate.get(&gate.name).cloned().unwrap_or_default();
            set_gate(gate, own, settings.id.as_ref())?;
        }
        for node in &mut self.nodes {
            let own = settings.node.get(&node.name).cloned().unwrap_or_default();
            set_node(node, own, settings.id.as_ref());
        }
        for mesh in &mut self.meshes {
            let own = settings.mesh.get(&mesh.name).cloned().unwrap_or_default();
            set_mesh(mesh, own, settings.id.as_ref())?;
        }
        Ok(())
    }

    /// Probes where they are wanted, instead of those that the program names.
    fn set_probes(&mut self, at: Option<Address>) -> Result<()> {
        let Some(at) = at else { return Ok(()) };
        let url = Url::parse(at.as_str())?;
        if url.scheme() != "http" || !url.host().contains(':') {
            return Err(Error::config(format!("probes = {url}: write http://HOST:PORT")));
        }
        #[cfg(feature = "http")]
        {
            self.probes = vec![crate::admin::Probes::new(url.host())];
            Ok(())
        }
        #[cfg(not(feature = "http"))]
        Err(Error::config(format!("probes = {url}: this program is built without them; add the feature `http` of due")))
    }

    /// Refuses names that are neither a kind nor a part of this program.
    fn known<'a>(&self, names: impl Iterator<Item = &'a String>) -> Result<()> {
        let served = self.nodes.iter().map(|n| &*n.name).chain(self.meshes.iter().map(|m| &*m.name));
        let parts: Vec<&str> = self.gates.iter().map(|g| &*g.name).chain(served).collect();
        for name in names {
            if !["gate", "node", "mesh"].contains(&name.as_str()) && !parts.contains(&name.as_str()) {
                let parts = parts.join(", ");
                return Err(Error::config(format!(
                    "this program has no part `{name}`: it has {parts}; kinds are gate, node, mesh"
                )));
            }
        }
        Ok(())
    }
}

fn runs(roles: &[String], kind: &str, name: &str) -> bool {
    roles.iter().any(|role| role == kind || role == name)
}

fn set_gate(gate: &mut Gate, own: GateSettings, process: Option<&String>) -> Result<()> {
    gate.id = own.id.or(gate.id.take()).or_else(|| process.cloned());
    if let Some(listen) = own.listen {
        gate.listen = listen.into_iter().map(String::from).collect();
    }
    if let Some(word) = own.dispatch {
        gate.dispatch = match word.as_str() {
            "sticky" => Dispatch::Sticky,
            "random" => Dispatch::Random,
            "rr" => Dispatch::RoundRobin,
            "wrr" => Dispatch::Weighted,
            _ => {
                let name = &gate.name;
                return Err(Error::config(format!("gate.{name}.dispatch = {word:?}: write sticky, random, rr or wrr")));
            }
        };
    }
    Ok(())
}

fn set_node(node: &mut Node, own: NodeSettings, process: Option<&String>) {
    node.id = own.id.or(node.id.take()).or_else(|| process.cloned());
    node.weight = own.weight.unwrap_or(node.weight);
    node.deadline = own.deadline.unwrap_or(node.deadline);
}

fn set_mesh(mesh: &mut Mesh, own: MeshSettings, process: Option<&String>) -> Result<()> {
    mesh.id = own.id.or(mesh.id.take()).or_else(|| process.cloned());
    mesh.weight = own.weight.unwrap_or(mesh.weight);
    own.listen.into_iter().flatten().try_for_each(|url| mesh.move_to(url.as_str()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use due_core::Drivers;

    use super::*;

    fn app() -> App {
        App::new(Drivers::memory()).with(Gate::new("door")).with(Node::new("game")).with(Node::new("chat"))
    }

    fn names(app: &App) -> Vec<&str> {
        app.gates.iter().map(|g| &*g.name).chain(app.nodes.iter().map(|n| &*n.name)).collect()
    }

    #[track_caller]
    fn check_roles(roles: &[&str], expected: &[&str]) {
        let roles = Some(roles.iter().map(|r| (*r).to_owned()).collect());
        let mut app = app().args(Settings { roles, ..Settings::default() });
        app.apply().unwrap();
        assert_eq!(names(&app), expected);
    }

    #[test]
    fn roles_are_kinds_or_names() {
        check_roles(&["gate"], &["door"]);
        check_roles(&["node"], &["game", "chat"]);
        check_roles(&["chat", "gate"], &["door", "chat"]);
    }

    #[test]
    fn an_unknown_role_is_named_with_those_there_are() {
        let mut app = app().args(Settings { roles: Some(vec!["gmae".to_owned()]), ..Settings::default() });
        let text = app.apply().unwrap_err().to_string();
        assert!(text.contains("`gmae`") && text.contains("door, game, chat"), "{text}");
    }

    #[test]
    fn settings_stand_over_the_program_and_parts_over_the_process() {
        let game = NodeSettings { weight: Some(3), id: Some("g9".to_owned()), ..NodeSettings::default() };
        let door = GateSettings { dispatch: Some("rr".to_owned()), ..GateSettings::default() };
        let mut app = app().args(Settings {
            id: Some("p1".to_owned()),
            registry: Some(Address::new("etcd://a:1").unwrap()),
            drain: Some(Duration::from_secs(3)),
            gate: [("door".to_owned(), door)].into(),
            node: [("game".to_owned(), game)].into(),
            ..Settings::default()
        });
        app.apply().unwrap();
        assert_eq!((&*app.urls.registry, &*app.urls.locator), ("etcd://a:1", "memory://"));
        assert_eq!((app.drain, app.gates[0].dispatch), (Duration::from_secs(3), Dispatch::RoundRobin));
        let ids: Vec<_> = app.nodes.iter().map(|n| (n.id.as_deref(), n.weight)).collect();
        assert_eq!((app.gates[0].id.as_deref(), ids), (Some("p1"), vec![(Some("g9"), 3), (Some("p1"), 1)]));
    }
}
