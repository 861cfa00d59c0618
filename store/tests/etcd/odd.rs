//! What stands in etcd and in a URL that should not, and how long it stays.

use due_core::{
    Drivers, Epoch, Kind, SessionId, Url,
    locate::{Binding, Event, Place, Record, Verdict},
};
use due_testkit::server::{Program, Server};
use etcd_client::{Client, GetOptions};

use crate::bench::{claim, client, namespace, next, open, owner, slot, user};

/// The lease of a record, in seconds as it was granted; 0 without one.
async fn lease(etcd: &mut Client, key: &str) -> i64 {
    let kvs = etcd.get(key, None).await.unwrap().take_kvs();
    match kvs.first().expect("the record").lease() {
        0 => 0,
        id => etcd.lease_time_to_live(id, None).await.unwrap().granted_ttl(),
    }
}

#[tokio::test]
async fn a_record_is_forgotten_48_hours_after_its_last_slot() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (name, mut etcd) = (namespace(), client(server.address()).await);
    let (locator, key) = (open(server.address(), &name).await, format!("/{name}/locator/s/u:i1"));
    let days = 48 * 3600..=48 * 3600 + 600;
    let gate = locator.take(user(1), Place::Gate, claim(1)).await.unwrap();
    let node = locator.take(user(1), Place::node("game"), claim(1)).await.unwrap();
    locator.unbind(user(1), Place::Gate, SessionId(1), gate.epoch).await.unwrap();
    assert_eq!(lease(&mut etcd, &key).await, 0, "the node has it yet");
    let tomb = locator.unbind(user(1), Place::node("game"), SessionId(1), node.epoch).await.unwrap();
    assert!(days.contains(&lease(&mut etcd, &key).await));
    // Time goes by.
    etcd.delete(&*key, None).await.unwrap();
    assert_eq!(locator.locate(user(1)).await.unwrap(), Record::default());
    let later = locator.take(user(1), Place::Gate, claim(2)).await.unwrap();
    assert!(Some(later.epoch) > tomb, "a forgotten epoch is not given again");
    assert_eq!(lease(&mut etcd, &key).await, 0, "it lives again");

    locator.fence(owner(5)).await.unwrap();
    let marks = etcd.get(format!("/{name}/locator/fence/"), Some(GetOptions::new().with_prefix())).await.unwrap();
    let keys: Vec<_> = marks.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned()).collect();
    assert_eq!(keys, [format!("/{name}/locator/fence/{:016x}/gate-5", 5)]);
    assert!(days.contains(&lease(&mut etcd, &keys[0]).await));
}

/// A caller's floor from before a wipe is far above the revisions: forgetting it would give its epochs again.
#[tokio::test]
async fn a_record_above_the_revisions_is_kept() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (name, mut etcd) = (namespace(), client(server.address()).await);
    let locator = open(server.address(), &name).await;
    let high = Epoch(1 << 50);
    let taken = locator.take(user(1), Place::Gate, due_core::locate::Claim { floor: high, ..claim(1) }).await.unwrap();
    locator.unbind(user(1), Place::Gate, SessionId(1), taken.epoch).await.unwrap();
    assert_eq!(lease(&mut etcd, &format!("/{name}/locator/s/u:i1")).await, 0);
}

#[tokio::test] // B123, B125
async fn what_is_no_record_counts_as_none() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let (name, mut etcd) = (namespace(), client(server.address()).await);
    let locator = open(server.address(), &name).await;
    locator.take(user(2), Place::Gate, claim(9)).await.unwrap();
    let others = etcd.get(format!("/{name}/locator/s/u:i2"), None).await.unwrap().kvs()[0].value().to_vec();
    let mut feed = locator.watch().await.unwrap();
    for odd in [b"gate-1".to_vec(), Vec::new(), vec![0xff; 100], b"{\"form\":0}".to_vec(), others] {
        etcd.put(format!("/{name}/locator/s/u:i1"), odd, None).await.unwrap();
        assert_eq!(locator.locate(user(1)).await.unwrap(), Record::default());
        let believed = Binding { subject: user(1), place: Place::Gate, slot: slot(9, Epoch(1)) };
        assert_eq!(locator.check(vec![believed]).await.unwrap(), [Verdict::Missing]);
    }
    etcd.put(format!("/{name}/locator-old/s/u:i1"), "cousin", None).await.unwrap();
    let taken = locator.take(user(1), Place::Gate, claim(1)).await.unwrap();
    assert_eq!(taken.previous, None);
    let Event::Change(change) = next(&mut feed).await else { panic!("a gap") };
    assert_eq!((change.subject, change.epoch), (user(1), taken.epoch), "nothing odd is told");
}

/// More than one transaction can ask.
#[tokio::test]
async fn many_bindings_are_checked_at_once() {
    let Some(server) = Server::shared(Program::Etcd).await else { return };
    let locator = open(server.address(), &namespace()).await;
    let count = i64::try_from(locator.capability().max_check).unwrap();
    let mut asked = Vec::new();
    for n in 1..=count {
        let by = u64::try_from(n).unwrap() % 150;
        let mut slot = slot(by, Epoch(1));
        if n % 4 == 0 {
            slot.epoch = locator.take(user(n), Place::Gate, claim(by)).await.unwrap().epoch;
        }
        asked.push(Binding { subject: user(n), place: Place::Gate, slot });
    }
    locator.fence(owner(8)).await.unwrap();
    let verdicts = locator.check(asked.clone()).await.unwrap();
    for (binding, verdict) in asked.iter().zip(verdicts) {
        let current = binding.slot.epoch > Epoch(1);
        match verdict {
            Verdict::Fenced(_) => assert_eq!(binding.slot.owner, owner(8)),
            verdict => assert_eq!(verdict, if current { Verdict::Current } else { Verdict::Missing }),
        }
    }
}

#[tokio::test]
async fn a_wrong_url_names_what_is_wrong() {
    let mut drivers = Drivers::memory();
    due_store::install(&mut drivers);
    for (text, parts) in [("etcd://", &["no host"][..]), ("etcd://a:1?ttl=10s", &["ttl", "user"])] {
        let e = drivers.locator.open(&Url::parse(text).unwrap()).await.map(drop).unwrap_err();
        assert_eq!(e.kind(), Kind::Config, "{text}: {e}");
        assert!(parts.iter().all(|part| e.to_string().contains(part)), "{text}: {e}");
    }
}
