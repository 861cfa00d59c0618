//! The journal on a real server: one order for all who write.

use std::sync::Arc;

use due_core::Kind;
use due_store::redis::journal::{Journal, LONGEST_ENTRY, MOST};
use due_testkit::server::{Program, Proxy, Server};

use crate::bench::{fresh, url};

async fn last(journal: &Journal) -> u64 {
    journal.before(None).await.unwrap().first().map_or(0, |entry| entry.number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_that_race_each_entry_stands_once_behind_the_one_its_writer_saw() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let url = url(server.address(), &format!("ns={}", fresh()));
    let each = MOST as u64 / 2;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let journal = Journal::open(&url, "test").await.unwrap();
        writers.spawn(async move {
            let mut number = last(&journal).await + 1;
            for entry in 0..each {
                let data = format!("{writer}:{entry}");
                while !journal.append(number, data.as_bytes()).await.unwrap() {
                    number = last(&journal).await + 1;
                }
                assert!(journal.append(number, data.as_bytes()).await.unwrap() || last(&journal).await > number);
                number += 1;
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let journal = Journal::open(&url, "test").await.unwrap();
    let mut all = journal.from(1).await.unwrap();
    assert_eq!(all.len(), MOST);
    all.extend(journal.from(MOST as u64 + 1).await.unwrap());
    let numbers: Vec<u64> = all.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=3 * each).collect::<Vec<_>>());
    for writer in 0..3 {
        let of_one = |data: &str| data.strip_prefix(&format!("{writer}:")).map(|n| n.parse::<u64>().unwrap());
        let said = all.iter().filter_map(|entry| of_one(std::str::from_utf8(&entry.data).unwrap()));
        assert_eq!(said.collect::<Vec<_>>(), (0..each).collect::<Vec<_>>());
    }
    let backwards: Vec<u64> = journal.before(Some(4)).await.unwrap().iter().map(|entry| entry.number).collect();
    assert_eq!(backwards, [3, 2, 1]);
    assert_eq!(journal.append(3 * each + 1, &vec![0; LONGEST_ENTRY + 1]).await.unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_answer_was_lost_stands_once() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let way = Arc::new(Proxy::to(server.address()).await);
    let journal = Journal::open(&url(way.address(), &format!("ns={}", fresh())), "test").await.unwrap();
    for number in 1..=20 {
        let cut = tokio::spawn({
            let way = way.clone();
            async move {
                way.cut();
                way.mend();
            }
        });
        // Refused, unheard or done: asked again until it is done, it is there once.
        while !matches!(journal.append(number, b"entry").await, Ok(true)) {}
        cut.await.unwrap();
    }
    assert_eq!(journal.from(1).await.unwrap().len(), 20);
}
