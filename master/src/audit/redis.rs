//! Records on redis: one chain for all masters of a fleet.

use async_trait::async_trait;
use due_core::{Error, Kind, Result, Url};
use due_store::redis::journal::{Entry, Journal};
use tokio::sync::OnceCell;

use super::{Query, Record, Sink};

/// Appends to a stream on redis 6 or newer and reads it back. Masters that are given the same one share its chain.
///
/// Keys of the URL and what the server must be set to: [`due_store::redis::journal`].
pub struct Redis {
    url: Url,
    journal: OnceCell<Journal>,
}

impl Redis {
    /// Records go to the server at `url`, such as `redis://127.0.0.1:6379/0?ns=game`.
    pub fn new(url: Url) -> Self {
        Self { url, journal: OnceCell::new() }
    }

    fn journal(&self) -> Result<&Journal> {
        self.journal.get().ok_or_else(|| Error::new(Kind::NotReady, "the audit log is not open"))
    }

    fn broken(&self, number: u64) -> Error {
        let url = self.url.without(&[]);
        Error::config(format!(
            "the audit log at {url} was changed: record {number} does not follow the one before; keep it and start another \
             under its own ns"
        ))
    }
}

#[async_trait]
impl Sink for Redis {
    async fn open(&self) -> Result<Option<Record>> {
        let journal = self.journal.get_or_try_init(|| Journal::open(&self.url, "audit")).await?;
        let mut last = None::<Record>;
        loop {
            let next = last.as_ref().map_or(1, |record| record.seq + 1);
            let entries = journal.from(next).await?;
            if entries.is_empty() {
                return Ok(last);
            }
            for entry in entries {
                let record = record(&entry).filter(|record| record.follows(last.as_ref()));
                last = Some(record.ok_or_else(|| self.broken(entry.number))?);
            }
        }
    }

    async fn append(&self, record: &Record) -> Result<bool> {
        let json = serde_json::to_vec(record).map_err(|e| Error::new(Kind::Internal, "a record").because(e))?;
        self.journal()?.append(record.seq, &json).await
    }

    async fn read(&self, query: Query) -> Result<Vec<Record>> {
        let (journal, mut found, mut before) = (self.journal()?, Vec::new(), query.before);
        loop {
            let entries = journal.before(before).await?;
            let Some(oldest) = entries.last() else { return Ok(found) };
            before = Some(oldest.number);
            found.extend(entries.iter().filter_map(record).filter(|r| query.takes(r)).take(query.limit - found.len()));
            if found.len() >= query.limit {
                return Ok(found);
            }
        }
    }
}

fn record(entry: &Entry) -> Option<Record> {
    serde_json::from_slice(&entry.data).ok()
}

#[cfg(test)]
mod tests {
    use due_testkit::server::{Program, Server};

    use super::{super::Audit, *};

    fn url(server: &str) -> Url {
        Url::parse(&format!("redis://{server}/0?ns=audit-{:016x}", rand::random::<u64>())).unwrap()
    }

    async fn open(url: &Url) -> Result<Audit> {
        Audit::open(Box::new(Redis::new(url.clone()))).await
    }

    fn record(verb: &str) -> Record {
        Record { verb: verb.to_owned(), ..Record::default() }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn masters_that_write_at_once_share_one_chain() {
        let Some(server) = Server::shared(Program::Redis).await else { return };
        let url = url(server.address());
        let mut masters = tokio::task::JoinSet::new();
        for name in ["a", "b", "c"] {
            let audit = open(&url).await.unwrap();
            masters.spawn(async move {
                for _ in 0..50 {
                    audit.write(record(name)).await.unwrap();
                }
            });
        }
        while let Some(done) = masters.join_next().await {
            done.unwrap();
        }
        // Opening looks whether the chain is whole.
        let audit = open(&url).await.unwrap();
        assert_eq!(audit.write(record("d")).await.unwrap(), 151);
        let query = Query { verb: Some("b".to_owned()), limit: 500, ..Query::default() };
        let read = audit.read(query).await.unwrap();
        assert_eq!(read.len(), 50);
        assert!(read.is_sorted_by(|a, b| a.seq > b.seq));
        let query = Query { before: Some(100), limit: 2, ..Query::default() };
        assert_eq!(audit.read(query).await.unwrap().iter().map(|r| r.seq).collect::<Vec<_>>(), [99, 98]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_record_that_somebody_slipped_in_is_found() {
        let Some(server) = Server::shared(Program::Redis).await else { return };
        let url = url(server.address());
        let audit = open(&url).await.unwrap();
        audit.write(record("one")).await.unwrap();
        let forged = Record { seq: 2, verb: "forged".to_owned(), ..Record::default() };
        let journal = Journal::open(&url, "audit").await.unwrap();
        assert!(journal.append(2, &serde_json::to_vec(&forged).unwrap()).await.unwrap());
        let text = open(&url).await.err().unwrap().to_string();
        assert!(text.contains("record 2 does not follow"), "{text}");
    }
}
