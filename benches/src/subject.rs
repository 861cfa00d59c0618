//! Whom the scenarios can start: the reference, this framework, the peers.

use std::{env, path::Path};

use crate::{Fallible, dialect::Dialect, load::Content, peers::SETTINGS, server::Role};

/// What stands for the address in a command.
pub(crate) const ADDRESS: &str = "{tcp}";
/// What stands for another free address, the same in all commands of a subject.
pub(crate) const HOME: &str = "{home}";
/// And one more.
pub(crate) const AWAY: &str = "{away}";

/// A program to measure, in one process or more: it echoes frames at the address that replaces `{tcp}`; each process
/// prints `ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) commands: Vec<Vec<String>>,
    pub(crate) dialect: Dialect,
    pub(crate) content: Content,
    /// Does it listen for tcp? If not, nobody asks it for an answer before the load: it is ready when it says so.
    pub(crate) tcp: bool,
}

/// Servers of ours that find each other: the first of them serves the rest.
const PEERS: &str = "--registry peer://{home} --locator peer://{home} --eventbus peer://{home}";

impl Subject {
    /// This very program, as what `arguments` say.
    fn own(name: &str, role: Role, arguments: &[&str]) -> Fallible<Self> {
        let program = env::current_exe()?.display().to_string();
        let commands = arguments.iter().map(|args| words(&format!("{program} {args}")));
        Ok(Self {
            name: name.into(),
            role,
            commands: commands.collect(),
            dialect: Dialect::Due,
            content: Content::Marked,
            tcp: true,
        })
    }

    /// Epoll and nothing else.
    pub(crate) fn reference() -> Fallible<Self> {
        Self::own("epoll", Role::Reference, &["reference --tcp {tcp}"])
    }

    /// A gate and a node of epoll and nothing else.
    pub(crate) fn gateway() -> Fallible<Self> {
        Self::own("epoll", Role::Reference, &["reference --tcp {home} --wide", "reference --tcp {tcp} --node {home}"])
    }

    /// This framework, handlers on the gate's own shard.
    pub(crate) fn ours(name: &str) -> Fallible<Self> {
        Self::own(name, Role::Ours, &["serve --tcp {tcp}"])
    }

    /// The same, to clients on WebSocket.
    pub(crate) fn ws(name: &str) -> Fallible<Self> {
        Ok(Self { dialect: Dialect::Ws, ..Self::own(name, Role::Ours, &["serve --ws {tcp}"])? })
    }

    /// The same, to clients on kcp.
    pub(crate) fn kcp() -> Fallible<Self> {
        Ok(Self::own("ours", Role::Ours, &["serve --kcp {tcp}"])?.over_udp())
    }

    /// The handler on a node: in the same process, over links in memory.
    pub(crate) fn memory() -> Fallible<Self> {
        Self::own("memory", Role::Ours, &["serve --tcp {tcp} --apart"])
    }

    /// A gate and a node in two processes, with links of this scheme between them; `more` goes to both.
    pub(crate) fn split(name: &str, scheme: &str, more: &str) -> Fallible<Self> {
        let common = format!("--transport {scheme}://127.0.0.1:0 {PEERS} {more}");
        let node = format!("serve --apart --roles node {common}");
        let gate = format!("serve --tcp {{tcp}} --apart --roles gate {common}");
        Self::own(name, Role::Ours, &[&node, &gate])
    }

    /// A gate and so many nodes behind it, each a process.
    pub(crate) fn nodes(name: &str, count: usize) -> Fallible<Self> {
        let common = format!("--transport link://127.0.0.1:0 {PEERS}");
        let node = format!("serve --apart --roles node {common}");
        let gate = format!("serve --tcp {{tcp}} --apart --roles gate {common}");
        let commands: Vec<&str> = std::iter::repeat_n(node.as_str(), count).chain([gate.as_str()]).collect();
        Self::own(name, Role::Ours, &commands)
    }

    /// A node alone that others call over links of this scheme.
    pub(crate) fn callee(scheme: &str) -> Fallible<Self> {
        let node = format!("serve --apart --roles node --transport {scheme}://127.0.0.1:0 {PEERS}");
        Self::own(scheme, Role::Ours, &[&node])
    }

    /// due as one process, on its network interface alone.
    pub(crate) fn due_echo(program: &Path) -> Self {
        Self::peer("due", &[&format!("{} echo --tcp {ADDRESS}", quietly(program))])
    }

    /// due's gate and node; `more` goes to both.
    pub(crate) fn due(program: &Path, more: &str) -> Self {
        let program = quietly(program);
        Self::peer(
            "due",
            &[
                &format!("{program} node --link {AWAY} --gate-link {HOME} {more}"),
                &format!("{program} gate --tcp {ADDRESS} --link {HOME} --node-link {AWAY} {more}"),
            ],
        )
    }

    /// nano as one process, or as a gate and a member.
    pub(crate) fn nano(program: &Path, split: bool) -> Self {
        let program = program.display();
        let one = format!("{program} local --tcp {ADDRESS}");
        let gate = format!("{program} gate --tcp {ADDRESS} --link {HOME}");
        let member = format!("{program} member --link {AWAY} --gate-link {HOME}");
        let commands: &[&str] = if split { &[&gate, &member] } else { &[&one] };
        Self { dialect: Dialect::Pomelo("echo.raw"), ..Self::peer("nano", commands) }
    }

    /// pitaya as one process.
    pub(crate) fn pitaya(program: &Path) -> Self {
        let local = format!("{} local --tcp {ADDRESS}", program.display());
        Self { dialect: Dialect::Pomelo("gate.echo.raw"), ..Self::peer("pitaya", &[&local]) }
    }

    /// pitaya's gate and the server behind it, which find each other in etcd and talk over NATS.
    pub(crate) fn pitaya_split(program: &Path, etcd: &str, nats: &str) -> Self {
        let (program, beside) = (program.display(), format!("--etcd {etcd} --nats {nats}"));
        let (room, gate) = (format!("{program} room {beside}"), format!("{program} gate --tcp {ADDRESS} {beside}"));
        Self { dialect: Dialect::Pomelo("room.echo.raw"), ..Self::peer("pitaya", &[&room, &gate]) }
    }

    /// kcp-go as one process, and an echo above it.
    pub(crate) fn kcpgo(program: &Path) -> Self {
        Self::peer("kcp-go", &[&format!("{} --tcp {ADDRESS}", program.display())]).over_udp()
    }

    /// A program of others.
    pub(crate) fn peer(name: &str, commands: &[&str]) -> Self {
        Self {
            name: name.into(),
            role: Role::Peer,
            commands: commands.iter().map(|command| words(command)).collect(),
            dialect: Dialect::Due,
            content: Content::Marked,
            tcp: true,
        }
    }

    /// Listening for datagrams.
    pub(crate) fn over_udp(self) -> Self {
        Self { tcp: false, ..self }
    }

    /// Under another name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// With more arguments for each of its processes.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.commands.iter_mut().for_each(|command| command.extend(words(more)));
        self
    }

    /// The same with clients of the published benchmark: wide frames with JSON in them.
    pub(crate) fn literal(self) -> Self {
        Self { dialect: Dialect::Wide, content: Content::Json, ..self }
    }

    /// `NAME=PROGRAM ARGS`, split at white space; `;` goes between the commands of several processes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, commands)) if commands.contains(ADDRESS) => {
                Ok(Self::peer(name, &commands.split(';').collect::<Vec<_>>()))
            }
            _ => Err(format!("want NAME=PROGRAM ARGS with {ADDRESS} where the address goes")),
        }
    }
}

/// due looks for settings beside it, and complains when there is no such folder.
fn quietly(program: &Path) -> String {
    format!("env DUE_ETC={} {}", program.with_file_name(SETTINGS).display(), program.display())
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_a_command_with_an_address() {
        let peer = Subject::parse("due=./server --listen {tcp}").expect("a peer");
        assert_eq!(peer, Subject::peer("due", &["./server --listen {tcp}"]));
        let two = Subject::parse("due=./node --home {home};./gate --listen {tcp}").expect("a peer");
        assert_eq!(two.commands, [words("./node --home {home}"), words("./gate --listen {tcp}")]);
        assert!(Subject::parse("due=./server").is_err());
        assert!(Subject::parse("./server {tcp}").is_err());
    }
}
