//! Many clients in one process.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use std::time::Duration;

use common::{SHOUT, Server};
use due_core::Drivers;
use due_sdk::{Client, EventLoop, State};
use futures_util::future::join_all;

const CLIENTS: usize = 1000;

async fn connect(url: &str, drivers: Drivers, event_loop: &EventLoop) -> Vec<Client> {
    let builder = Client::builder(url).drivers(drivers).on(event_loop);
    let opening = (0..CLIENTS).map(|n| builder.clone().payload(n).connect());
    join_all(opening).await.into_iter().map(Result::unwrap).collect()
}

fn shouts(clients: &[Client], round: usize) -> Vec<due_sdk::Answer<String, due_codec::Json>> {
    clients.iter().enumerate().map(|(n, client)| client.call(SHOUT, &format!("{round}-{n}"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_share_one_event_loop() {
    let server = Server::start().await;
    let event_loop = EventLoop::start().unwrap();
    let (url, drivers) = (server.url.to_string(), server.drivers.clone());
    tokio::spawn(server.echo());
    let clients = connect(&url, drivers, &event_loop).await;
    for round in 0..5 {
        let answers = join_all(shouts(&clients, round)).await;
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), format!("{round}-{n}"));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(clients.iter().all(|c| c.state() == State::Connected), "heartbeats keep them");
    join_all(clients.iter().map(Client::close)).await;
    assert!(clients.iter().all(|c| c.state() == State::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_driven_on_one_thread_and_used_on_others() {
    let server = Server::start().await;
    let event_loop = EventLoop::start().unwrap();
    let (url, drivers) = (server.url.to_string(), server.drivers.clone());
    tokio::spawn(server.echo());
    let builder = Client::builder(&url).drivers(drivers).on(&event_loop);
    let bots = (0..100).map(|n| {
        let builder = builder.clone();
        tokio::spawn(async move {
            let client = builder.connect().await.unwrap();
            for round in 0..20 {
                let text = format!("{n} {round}");
                assert_eq!(client.call(SHOUT, &text).await.unwrap(), text);
            }
        })
    });
    join_all(bots.collect::<Vec<_>>()).await.into_iter().for_each(|bot| bot.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_event_loop_ends_with_its_last_client() {
    let mut server = Server::start().await;
    let alive = tokio::runtime::Handle::current().metrics();
    let before = alive.num_alive_tasks();
    let (client, mut remote) = server.pair().await;
    assert_eq!(alive.num_alive_tasks(), before + 1);
    drop(client);
    assert_eq!(remote.next().await, None);
    drop(remote);
    common::settle().await;
    assert_eq!(alive.num_alive_tasks(), before);

    let event_loop = EventLoop::start().unwrap();
    let unopened = server.client().on(&event_loop).build().unwrap();
    drop(event_loop);
    common::settle().await;
    assert_eq!(alive.num_alive_tasks(), before + 1, "a client may still be opened");
    drop(unopened);
    common::settle().await;
    assert_eq!(alive.num_alive_tasks(), before);
}
