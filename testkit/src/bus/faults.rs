//! What happens when the bus misbehaves.

use bytes::Bytes;
use due_core::{
    Kind, Result, Retry,
    bus::{Cause, Gap, Options},
};

use super::{Bench, CANNOT, Fault, Ran, event, gap, is_quiet, lost, number, numbers, publish, subscribe, topic, until};

/// proves P13
pub(super) async fn a_bus_that_is_down_says_so_and_comes_back(bench: Bench) -> Result<Ran> {
    let topic = topic("down");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    publish(&bench.a, &topic, "", 0).await?;
    // What is still on its way when the bus goes down may be lost.
    assert_eq!(number(&event(&mut sub).await?), 0);
    if !bench.faults.play(Fault::Down).await {
        return Ok(CANNOT);
    }
    let down = publish(&bench.a, &topic, "", 1).await;
    let answer = down.err().map(|e| (e.kind(), e.retry()));
    assert_eq!(answer, Some((Kind::BusDown, Retry::Safe)));
    bench.faults.play(Fault::Up).await;
    publish(&bench.a, &topic, "", 2).await?;
    let (seen, gaps) = until(&mut sub, 2).await?;
    assert_eq!(seen, [2], "what was refused was not sent");
    assert_eq!(lost(&gaps), 0, "a refused publish is no loss: {gaps:?}");
    Ok(Ran::Yes)
}

/// proves P13: delivered + reported lost = published.
pub(super) async fn a_cut_is_told_and_counted(bench: Bench) -> Result<Ran> {
    let topic = topic("cut");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    for n in 0..10 {
        publish(&bench.a, &topic, "", n).await?;
    }
    // What is still on its way when the connection breaks may be lost as well.
    assert_eq!(numbers(&mut sub, 10).await?, (0..10).collect::<Vec<_>>());
    if !bench.faults.play(Fault::Cut).await {
        return Ok(CANNOT);
    }
    for n in 10..17 {
        publish(&bench.a, &topic, "", n).await?;
    }
    bench.faults.play(Fault::Up).await;
    for n in 17..20 {
        publish(&bench.a, &topic, "", n).await?;
    }
    assert_eq!(gap(&mut sub).await?, Gap { cause: Cause::Reconnect, lost: None });
    let (seen, gaps) = until(&mut sub, 19).await?;
    assert_eq!(seen, [17, 18, 19]);
    assert_eq!(lost(&gaps), 7, "{gaps:?}");
    Ok(Ran::Yes)
}

/// proves P13
pub(super) async fn a_jump_in_the_numbers_is_a_gap(bench: Bench) -> Result<Ran> {
    let topic = topic("jump");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    publish(&bench.a, &topic, "", 0).await?;
    publish(&bench.b, &topic, "", 100).await?;
    numbers(&mut sub, 2).await?;
    if !bench.faults.play(Fault::Lose(topic.clone(), 3)).await {
        return Ok(CANNOT);
    }
    for n in 1..5 {
        publish(&bench.a, &topic, "", n).await?;
    }
    publish(&bench.b, &topic, "", 101).await?;
    assert_eq!(gap(&mut sub).await?, Gap { cause: Cause::Sequence, lost: Some(3) });
    assert_eq!(numbers(&mut sub, 2).await?, [4, 101]);
    Ok(Ran::Yes)
}

pub(super) async fn a_lost_tail_shows_with_the_beacon(bench: Bench) -> Result<Ran> {
    let topic = topic("tail");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    publish(&bench.a, &topic, "", 0).await?;
    numbers(&mut sub, 1).await?;
    if !bench.faults.play(Fault::Lose(topic.clone(), 2)).await {
        return Ok(CANNOT);
    }
    publish(&bench.a, &topic, "", 1).await?;
    publish(&bench.a, &topic, "", 2).await?;
    bench.a.beacon(&topic).await?;
    bench.a.beacon(&topic).await?;
    assert_eq!(gap(&mut sub).await?, Gap { cause: Cause::Sequence, lost: Some(2) });
    publish(&bench.a, &topic, "", 3).await?;
    assert_eq!(number(&event(&mut sub).await?), 3, "told once");
    Ok(Ran::Yes)
}

pub(super) async fn beacons_are_not_delivered(bench: Bench) -> Result<Ran> {
    let topic = topic("beacon");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    bench.a.beacon(&topic).await?;
    publish(&bench.a, &topic, "", 0).await?;
    bench.a.beacon(&topic).await?;
    publish(&bench.a, &topic, "", 1).await?;
    assert_eq!(numbers(&mut sub, 2).await?, [0, 1]);
    assert!(is_quiet(&mut sub).await);
    Ok(Ran::Yes)
}

/// B126
pub(super) async fn bytes_without_an_envelope_are_skipped(bench: Bench) -> Result<Ran> {
    let topic = topic("odd");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    publish(&bench.a, &topic, "", 0).await?;
    let odd = [Bytes::new(), Bytes::from_static(b"{\"id\":1}"), vec![2; 100].into(), vec![255; 100].into()];
    for bytes in odd.clone() {
        if !bench.faults.play(Fault::Inject(topic.clone(), bytes)).await {
            return Ok(CANNOT);
        }
    }
    publish(&bench.a, &topic, "", 1).await?;
    assert_eq!(numbers(&mut sub, 2).await?, [0, 1]);
    // Another sender's bytes may come later than what was published after them.
    let mut last = 1;
    while sub.malformed() < odd.len() as u64 {
        last += 1;
        publish(&bench.a, &topic, "", last).await?;
        assert_eq!(numbers(&mut sub, 1).await?, [last]);
        assert!(last < 10_000, "{} of {} were counted", sub.malformed(), odd.len());
    }
    assert_eq!(sub.malformed(), odd.len() as u64);
    Ok(Ran::Yes)
}

/// proves P13: delivered + reported lost = published, whether the bus resumes or not.
pub(super) async fn a_broken_connection_loses_nothing_unseen(bench: Bench) -> Result<Ran> {
    let topic = topic("break");
    let mut sub = subscribe(&bench.b, &topic, Options::default()).await?;
    publish(&bench.a, &topic, "", 0).await?;
    numbers(&mut sub, 1).await?;
    if !bench.faults.play(Fault::Break).await {
        return Ok(CANNOT);
    }
    for n in 1..20 {
        publish(&bench.a, &topic, "", n).await?;
    }
    bench.faults.play(Fault::Up).await;
    publish(&bench.a, &topic, "", 20).await?;
    let (seen, gaps) = until(&mut sub, 20).await?;
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert_eq!(1 + seen.len() as u64 + lost(&gaps), 21, "{seen:?} {gaps:?}");
    Ok(Ran::Yes)
}

pub(super) async fn durable_names_lose_nothing_in_a_cut(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().durable {
        return Ok(Ran::Skipped("the bus keeps no positions"));
    }
    let topic = topic("durable-cut");
    let mut sub = subscribe(&bench.b, &topic, Options::default().durable("d")).await?;
    publish(&bench.a, &topic, "", 0).await?;
    if !bench.faults.play(Fault::Break).await {
        return Ok(CANNOT);
    }
    publish(&bench.a, &topic, "", 1).await?;
    bench.faults.play(Fault::Up).await;
    publish(&bench.a, &topic, "", 2).await?;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        // What was on its way when the connection broke may come again.
        let event = event(&mut sub).await?;
        event.ack().await?;
        if !seen.contains(&number(&event)) {
            seen.push(number(&event));
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
    Ok(Ran::Yes)
}
