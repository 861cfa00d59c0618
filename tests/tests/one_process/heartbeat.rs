//! Signs of life: who sends them, what they look like, and what happens without.

use std::time::SystemTime;

use crate::wire::{self, Client, Got, PLACES, Place, both, counted, tcp};
use due::{Url, app::Running, prelude::*, protocol};
use tokio::time::Instant;

const BEAT: [u8; 5] = [0, 0, 0, 1, 0x80];

/// The small application at a memory listener and on this very runtime, whose time the test holds.
async fn inline(keys: &str) -> (Running, due::Drivers) {
    let drivers = due::drivers();
    let gate = Gate::new("gate").listen(format!("memory://gate{keys}"));
    let app =
        App::new(drivers.clone()).shards(Shards::Inline).with(gate).with(Node::new("game").routes(wire::routes()));
    (app.start().await.unwrap(), drivers)
}

async fn connect(running: &Running, drivers: &due::Drivers) -> Client {
    let url: &Url = running.url("gate").unwrap();
    Client::on(drivers.network.open(url).await.unwrap().connect(url).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
// conformance 19, 22, 24
async fn a_heartbeat_gets_exactly_one_and_no_handler_sees_it() {
    for place in PLACES {
        let running = both(place, "").await;
        for client in [&mut Client::tcp(&running).await, &mut Client::ws(&running).await] {
            client.frame(&BEAT).await;
            client.frame(&BEAT).await;
            client.frame(&[0, 0, 0, 9, 0x80, 1, 2, 3, 4, 5, 6, 7, 8]).await;
            for _ in 0..3 {
                assert_eq!(client.next().await, Some(Got::Heartbeat(BEAT.to_vec())));
            }
            client.silence().await;
        }
        let counted = counted(&running).await;
        assert_eq!((counted.heartbeats, counted.messages), (6, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 20
async fn a_heartbeat_with_time_says_now_in_nanoseconds() {
    for (keys, big) in [("?heartbeat-time=ns", true), ("?heartbeat-time=ns&order=little", false)] {
        let running = tcp(Place::Shared, keys).await;
        let mut client = Client::tcp(&running).await;
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let before = now();
        client.raw(if big { &BEAT } else { &[1, 0, 0, 0, 0x80] }).await;
        let bytes = client.exactly(13).await;
        let size = if big { [0, 0, 0, 9, 0x80] } else { [9, 0, 0, 0, 0x80] };
        assert_eq!(bytes[..5], size);
        let time: [u8; 8] = bytes[5..].try_into().unwrap();
        let time = if big { u64::from_be_bytes(time) } else { u64::from_le_bytes(time) };
        assert!((before..=now()).contains(&time), "{before} {time}");
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 21
async fn the_form_of_the_readme_has_no_size_and_milliseconds() {
    for (time, len) in [("off", 1), ("ms", 9)] {
        let running = both(Place::Shared, &format!("?ws-size=off&heartbeat-time={time}")).await;
        let mut page = Client::ws(&running).await.speaking(protocol::Dialect::readme());
        page.frame(&[0x80]).await;
        let Some(Got::Heartbeat(beat)) = page.next().await else { panic!("no heartbeat") };
        assert_eq!((beat.len(), beat[0]), (len, 0x80));
        if let Some(ms) = beat[1..].first_chunk() {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
            assert!(now.abs_diff(u64::from_be_bytes(*ms)) < 60_000);
        }
    }
}

#[tokio::test(start_paused = true)]
// conformance 25
async fn the_tick_mechanism_beats_by_itself_and_answers_none() {
    let (running, drivers) = inline("?heartbeat=10s&heartbeat-mechanism=tick").await;
    let mut client = connect(&running, &drivers).await;
    let begun = Instant::now();
    for beats in 1..=5 {
        assert_eq!(client.next().await, Some(Got::Heartbeat(BEAT.to_vec())));
        let (passed, interval) = (begun.elapsed(), Duration::from_secs(10));
        assert!(passed <= (beats + 1) * interval && passed >= (beats - 1) * interval, "{beats} after {passed:?}");
        client.frame(&BEAT).await;
        client.silence().await;
    }
}

#[tokio::test(start_paused = true)]
// conformance 26
async fn a_silent_client_is_closed_between_two_and_three_intervals() {
    for hello in [false, true] {
        let (running, drivers) = inline("").await;
        let mut client = connect(&running, &drivers).await;
        if hello {
            client.say_hello().await;
        }
        let begun = Instant::now();
        client.closed().await;
        let passed = begun.elapsed().as_secs_f64();
        assert!((20.0..=30.0).contains(&passed), "{passed}");
        assert_eq!(counted(&running).await.silent, 1);
    }
}

#[tokio::test(start_paused = true)]
// conformance 26, 27
async fn any_frame_is_a_sign_of_life() {
    let (running, drivers) = inline("").await;
    let mut beats = connect(&running, &drivers).await;
    let mut plays = connect(&running, &drivers).await;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        beats.frame(&BEAT).await;
        assert_eq!(beats.next().await, Some(Got::Heartbeat(BEAT.to_vec())));
        plays.silence().await;
    }
    // A frame of nothing is one too.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        plays.frame(&[0; 4]).await;
    }
    plays.silence().await;
    beats.closed().await;
}

#[tokio::test(start_paused = true)]
// conformance 26
async fn an_interval_of_nothing_closes_nobody() {
    let (running, drivers) = inline("?heartbeat=off").await;
    let mut client = connect(&running, &drivers).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    client.silence().await;
}
