//! A probe whose answer the case chooses.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use due_core::registry::{Answer, Instance, Probe};

/// Answers the same to everybody, and remembers whom it asked.
pub(super) struct Says {
    answer: Answer,
    asked: Mutex<Vec<Instance>>,
}

impl Says {
    pub(super) fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }

    pub(super) fn asked(&self) -> Vec<Instance> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Probe for Says {
    async fn ask(&self, other: &Instance) -> Answer {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(other.clone());
        self.answer.clone()
    }
}
