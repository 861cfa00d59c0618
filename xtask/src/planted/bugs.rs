//! The bugs: each leaves out one rule of the protocols of logins and of lanes.

use super::Bug;

const LINK_SESSION: &[&str] = &["-p", "due-transport", "--features", "link", "--lib", "session::"];
const MOVED: &[&str] = &["--workspace", "--all-features", "--test", "moved"];
const LOGIN: &[&str] = &["--workspace", "--all-features", "--test", "cluster", "login::"];
/// The store's feed and the sweep hide this one from whole clusters.
const USERS: &[&str] = &["-p", "due-cluster", "--lib", "users::"];
const OWNERS: &[&str] = &["--workspace", "--all-features", "--test", "cluster", "owners::"];
const CUTOFF: &[&str] = &["--workspace", "--all-features", "--test", "cluster", "cutoff::"];
const KICK: &[&str] = &["--workspace", "--all-features", "--test", "cluster", "kick::"];

pub(super) const BUGS: [Bug; 17] = [
    Bug {
        name: "what was read from the old connection is handed out after the new one came",
        file: "transport/src/session/mod.rs",
        right: "        self.log.restart();\n        self.inlet.clear();\n",
        wrong: "        self.log.restart();\n",
        found_by: LINK_SESSION,
    },
    Bug {
        name: "a link sends everything again that is not confirmed, without a count",
        file: "transport/src/session/mod.rs",
        right: "            self.log.rewind(hello.received)?;",
        wrong: "            let _ = self.log.rewind(0);",
        found_by: LINK_SESSION,
    },
    Bug {
        name: "a link hands out what it had read before a sleep",
        file: "transport/src/session/mod.rs",
        right: "        if self.beat.turn(now) && self.attached {",
        wrong: "        if self.beat.turn(now) && !self.attached {",
        found_by: LINK_SESSION,
    },
    Bug {
        name: "a user moves without a barrier",
        file: "cluster/src/gate/barrier.rs",
        right: "l.member != new.member && l.frames > 0 &&",
        wrong: "l.member != new.member && l.frames == u32::MAX &&",
        found_by: MOVED,
    },
    Bug {
        name: "a barrier ends with a connection that comes back",
        file: "cluster/src/link/end.rs",
        right: "            member.down = down;\n        }\n",
        wrong: "            member.down = down;\n            let g = gate.own.owner.clone();\n            if down {\n                for (_, client) in gate.clients.iter_mut() {\n                    client.lanes_mut().iter_mut().for_each(|l| l.leaving = false);\n                }\n                let slots: Vec<u32> = gate.clients.iter().map(|(slot, _)| slot as u32).collect();\n                let n = self.gates.iter().position(|gate| gate.own.owner == g).unwrap_or_default() as u8;\n                slots.into_iter().for_each(|slot| self.resume(n, slot));\n            }\n        }\n",
        found_by: MOVED,
    },
    Bug {
        name: "a barrier outlives the node that it waits for",
        file: "cluster/src/gate/lost.rs",
        right: "        client.lanes_mut().retain(|l| l.member != member);\n        let mut failed",
        wrong: "        client.lanes_mut().retain(|l| l.member != member || l.leaving);\n        let mut failed",
        found_by: MOVED,
    },
    Bug {
        name: "a node handles what it had taken in before a sleep",
        file: "cluster/src/shard/driver.rs",
        right: "now.duration_since(self.now) > ASLEEP",
        wrong: "now.duration_since(self.now) > ASLEEP * 1_000",
        found_by: CUTOFF,
    },
    Bug {
        name: "a kick that overtakes the login it is about is forgotten",
        file: "cluster/src/gate/users.rs",
        right: "            binding.below = below.max(binding.below);\n        }\n        let old",
        wrong: "            binding.below = binding.below.max(Epoch(0));\n        }\n        let old",
        found_by: USERS,
    },
    Bug {
        name: "a gate keeps the session whose login was answered last",
        file: "cluster/src/gate/users.rs",
        right: "            Some(old) if old.epoch > seat.epoch => Installed::Lost,\n",
        wrong: "            Some(old) if old.epoch > seat.epoch && old.lane == u64::MAX => Installed::Lost,\n",
        found_by: LOGIN,
    },
    Bug {
        name: "nobody tells the gate of the session that a login displaced",
        file: "cluster/src/gate/kick.rs",
        right: "old.owner != gate.own.owner && old.epoch < below",
        wrong: "old.owner != gate.own.owner && old.epoch > below",
        found_by: KICK,
    },
    Bug {
        name: "of two sessions with one epoch nobody takes anew",
        file: "cluster/src/gate/heal.rs",
        right: "            Verdict::Tie(other) if mine < other.session => {",
        wrong: "            Verdict::Tie(_) => return,\n            Verdict::Tie(other) if mine < other.session => {",
        found_by: LOGIN,
    },
    Bug {
        name: "no gate asks how its bindings stand",
        file: "cluster/src/gate/heal.rs",
        right: "                if verdict != Verdict::Current {",
        wrong: "                if verdict != Verdict::Current && binding.slot.epoch == Epoch(u64::MAX) {",
        found_by: LOGIN,
    },
    Bug {
        name: "a node hears a session whose user has logged in again elsewhere",
        file: "cluster/src/node/speakers.rs",
        right: "        session.outdated = outdated;\n",
        wrong: "        session.outdated = false;\n",
        found_by: LOGIN,
    },
    Bug {
        name: "a gate lets through what a node says in the name of a user that it has lost",
        file: "cluster/src/link/claim.rs",
        right: "self.slot == slot && self.epoch < epoch",
        wrong: "self.slot == slot && self.epoch > epoch",
        found_by: OWNERS,
    },
    Bug {
        name: "a gate is deaf to the old owner before that has handled what it was sent",
        file: "cluster/src/gate/claims.rs",
        right: "is_some_and(|lane| lane.leaving)",
        wrong: "is_some_and(|lane| lane.leaving && lane.frames == u32::MAX)",
        found_by: OWNERS,
    },
    Bug {
        name: "an actor goes on though its node is cut off from everybody",
        file: "cluster/src/node/contact.rs",
        right: "since.elapsed() >= LIMIT &&",
        wrong: "since.elapsed() >= LIMIT * 1_000 &&",
        found_by: CUTOFF,
    },
    Bug {
        name: "an actor's timer runs before the shard finds out that it slept",
        file: "cluster/src/shard/watchdog.rs",
        right: "        if pulse.has_overslept() {",
        wrong: "        if pulse.has_overslept() && pulse.shard == u16::MAX {",
        found_by: CUTOFF,
    },
];
