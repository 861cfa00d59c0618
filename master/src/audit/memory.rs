//! Records in memory: for development and tests. They end with the process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use due_core::Result;

use super::{Query, Record, Sink};

/// Most records; the oldest goes.
const MOST: usize = 10_000;

/// Keeps the last 10,000 records. A clone has the same ones.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<VecDeque<Record>>>);

impl Memory {
    fn all(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for Memory {
    async fn open(&self) -> Result<Option<Record>> {
        Ok(self.all().back().cloned())
    }

    async fn append(&self, record: &Record) -> Result<bool> {
        let mut all = self.all();
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back(record.clone());
        Ok(true)
    }

    async fn read(&self, query: Query) -> Result<Vec<Record>> {
        Ok(self.all().iter().rev().filter(|r| query.takes(r)).take(query.limit).cloned().collect())
    }
}
