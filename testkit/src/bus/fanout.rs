//! Subscribers that get everything.

use bytes::Bytes;
use due_core::{
    Kind, Result,
    bus::{Delivery, Options, Receipt},
};

use super::{
    Bench, Ran, SOON, distinct, event, is_quiet, lost, next, number, numbers, publish, subscribe, topic, until, within,
};

pub(super) async fn every_subscriber_gets_every_event_in_order(bench: Bench) -> Result<Ran> {
    let topic = topic("all");
    let mut one = subscribe(&bench.a, &topic, Options::default()).await?;
    let mut two = subscribe(&bench.b, &topic, Options::default()).await?;
    let mut three = subscribe(&bench.b, &topic, Options::default()).await?;
    for n in 0..200 {
        publish(&bench.a, &topic, "", n).await?;
    }
    for sub in [&mut one, &mut two, &mut three] {
        assert_eq!(numbers(sub, 200).await?, (0..200).collect::<Vec<_>>());
    }
    Ok(Ran::Yes)
}

pub(super) async fn an_event_carries_what_it_was_published_with(bench: Bench) -> Result<Ran> {
    let topic = topic("fields");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    let payload = Bytes::from((0..=255).cycle().take(70_000).collect::<Vec<u8>>());
    bench.a.publish(&topic, Some("room-7".into()), payload.clone()).await?;
    bench.a.publish(&topic, Some(Bytes::new()), Bytes::new()).await?;
    bench.a.publish(&topic, None, "x".into()).await?;
    bench.b.publish(&topic, None, "y".into()).await?;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(event(&mut sub).await?);
    }
    let [first, second, third, other] = &events[..] else { return Err(Kind::Lost.into()) };
    assert_eq!((&*first.topic, first.key.as_deref(), &first.payload), (&*topic, Some(&b"room-7"[..]), &payload));
    assert_eq!((second.key.as_deref(), second.payload.len(), third.key.as_deref()), (Some(&b""[..]), 0, None));
    assert_eq!([first.number, second.number, third.number, other.number], [1, 2, 3, 1]);
    assert!(first.publisher == third.publisher && third.publisher != other.publisher);
    assert!(distinct(events.iter().map(|e| e.id)));
    let age = first.time.elapsed().unwrap_or_default();
    assert!(age.as_secs() < 3600, "published {age:?} ago");
    first.ack().await?;
    Ok(Ran::Yes)
}

pub(super) async fn earlier_events_do_not_come(bench: Bench) -> Result<Ran> {
    let topic = topic("now");
    for n in 0..5 {
        publish(&bench.a, &topic, "", n).await?;
    }
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    publish(&bench.a, &topic, "", 5).await?;
    assert_eq!(numbers(&mut sub, 1).await?, [5]);
    Ok(Ran::Yes)
}

pub(super) async fn cousin_topics_do_not_mix(bench: Bench) -> Result<Ran> {
    let topic = topic("cousin");
    let names = [topic.clone(), format!("{topic}.a"), format!("{topic}a"), format!("{topic}:a")];
    let mut subs = Vec::new();
    for name in &names {
        subs.push(subscribe(&bench.b, name, Options::default()).await?);
    }
    for (n, name) in names.iter().enumerate() {
        publish(&bench.a, name, "", n as u64).await?;
    }
    for (n, sub) in subs.iter_mut().enumerate() {
        assert_eq!(numbers(sub, 1).await?, [n as u64]);
        assert!(is_quiet(sub).await);
    }
    Ok(Ran::Yes)
}

pub(super) async fn many_publishers_at_once_make_no_gap(bench: Bench) -> Result<Ran> {
    let topic = topic("crowd");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    let tasks: Vec<_> = (0..8u64)
        .map(|task| {
            let (bus, topic) = (if task % 2 == 0 { bench.a.clone() } else { bench.b.clone() }, topic.clone());
            tokio::spawn(async move {
                for n in 0..50 {
                    publish(&bus, &topic, "", task * 1000 + n).await?;
                }
                Ok::<_, due_core::Error>(())
            })
        })
        .collect();
    let seen = numbers(&mut sub, 400).await?;
    for task in 0..8 {
        let of_task: Vec<_> = seen.iter().filter(|n| *n / 1000 == task).map(|n| n % 1000).collect();
        assert_eq!(of_task, (0..50).collect::<Vec<_>>(), "task {task}");
    }
    for task in tasks {
        task.await.map_err(|_| Kind::Internal)??;
    }
    Ok(Ran::Yes)
}

/// proves P13, P19, P20: delivered + reported lost = published.
pub(super) async fn a_slow_subscriber_is_told_what_it_missed(bench: Bench) -> Result<Ran> {
    let topic = topic("slow");
    let mut slow = subscribe(&bench.b, &topic, Options::default()).await?;
    let mut quick = subscribe(&bench.b, &topic, Options::default()).await?;
    const COUNT: u64 = 5000;
    publish(&bench.a, &topic, "", 0).await?;
    assert_eq!(numbers(&mut slow, 1).await?, [0], "its numbers are known from here on");
    assert_eq!(numbers(&mut quick, 1).await?, [0]);
    for n in 1..COUNT {
        publish(&bench.a, &topic, "", n).await?;
        assert_eq!(number(&event(&mut quick).await?), n, "a slow subscriber must not hold up a quick one");
    }
    let (seen, gaps) = until(&mut slow, COUNT - 1).await?;
    assert!(seen.is_sorted_by(|a, b| a < b));
    assert_eq!(1 + seen.len() as u64 + lost(&gaps), COUNT);
    Ok(Ran::Yes)
}

pub(super) async fn a_dropped_next_loses_nothing(bench: Bench) -> Result<Ran> {
    let topic = topic("cancel");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    let mut seen = Vec::new();
    for n in 0..50 {
        tokio::select! {
            biased;
            delivery = sub.next() => if let Some(Delivery::Event(e)) = delivery { seen.push(number(&e)) },
            sent = publish(&bench.a, &topic, "", n) => drop(sent?),
        }
    }
    publish(&bench.a, &topic, "", 1000).await?;
    while seen.last() != Some(&1000) {
        match next(&mut sub).await? {
            Delivery::Event(e) => seen.push(number(&e)),
            Delivery::Gap(gap) => return Err(due_core::Error::new(Kind::Lost, format!("{gap:?}"))),
        }
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    Ok(Ran::Yes)
}

pub(super) async fn the_receipt_is_no_better_than_the_claim(bench: Bench) -> Result<Ran> {
    let receipt = publish(&bench.a, &topic("receipt"), "", 1).await?;
    assert_eq!(receipt.level(), bench.a.capability().receipt);
    if let Receipt::Stored { position } = receipt {
        assert!(!position.0.is_empty());
    }
    Ok(Ran::Yes)
}

pub(super) async fn odd_topics_and_large_payloads_are_refused(bench: Bench) -> Result<Ran> {
    let long = "x".repeat(201);
    for odd in ["", "a b", "a/b", "a*", ">", "a\n", "ä", &*long] {
        let refused = bench.a.publish(odd, None, Bytes::new()).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::BadRequest), "{odd:?}");
        let refused = bench.a.subscribe(odd, Options::default()).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::BadRequest), "{odd:?}");
    }
    let large = bench.a.publish(&topic("large"), None, vec![0; 1024 * 1024 + 1].into()).await;
    assert_eq!(large.err().map(|e| e.kind()), Some(Kind::TooLarge));
    Ok(Ran::Yes)
}

pub(super) async fn a_dropped_subscription_disturbs_nobody(bench: Bench) -> Result<Ran> {
    let topic = topic("leave");
    let gone = subscribe(&bench.a, &topic, Options::default()).await?;
    let mut stays = subscribe(&bench.a, &topic, Options::default()).await?;
    publish(&bench.b, &topic, "", 1).await?;
    drop(gone);
    publish(&bench.b, &topic, "", 2).await?;
    assert_eq!(numbers(&mut stays, 2).await?, [1, 2]);
    within(SOON, "a receipt without subscribers", async {
        drop(stays);
        publish(&bench.b, &topic, "", 3).await
    })
    .await??;
    Ok(Ran::Yes)
}
