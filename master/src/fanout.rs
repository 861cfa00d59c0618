//! Asking many instances at once: whoever does not answer is named, and delays nobody.

use std::time::Duration;

use due_cluster::admin::{About, Ask};
use due_core::{
    Kind,
    registry::{Instance, InstanceKind},
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{api::Api, problem::Problem};

/// How long an instance may take to answer.
pub(crate) const BUDGET: Duration = Duration::from_secs(2);

/// An instance that has not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Failed {
    /// Its id.
    pub(crate) node: String,
    /// `timeout`, `unreachable`, or what it said.
    pub(crate) error: String,
}

/// What came of asking many.
pub(crate) struct Fan<T> {
    pub(crate) items: Vec<(Instance, T)>,
    pub(crate) failed: Vec<Failed>,
}

impl Api {
    /// Asks all of them; the answers come in their order.
    pub(crate) async fn ask_all<T: DeserializeOwned>(&self, members: Vec<Instance>, ask: &Ask) -> Fan<T> {
        let until = Instant::now() + BUDGET;
        let asked = members.into_iter().map(|member| async move {
            let answer = self.admin.ask::<T>(&member, ask, until).await;
            (member, answer)
        });
        let mut fan = Fan { items: Vec::new(), failed: Vec::new() };
        for (member, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => fan.items.push((member, answer)),
                Err(e) => fan.failed.push(Failed { node: member.id.to_string(), error: word(&e) }),
            }
        }
        fan
    }

    /// Asks all of them for what they say of themselves, their versions among it.
    pub(crate) async fn versions(&self, members: Vec<Instance>) -> Fan<About> {
        self.ask_all(members, &Ask::About).await
    }

    /// Asks one. Masters carry no messages: they answer people, and nobody else.
    pub(crate) async fn ask_one<T: DeserializeOwned>(&self, member: &Instance, ask: &Ask) -> Result<T, Problem> {
        if member.kind == InstanceKind::Master {
            let text = format!("{} is a master: it has nothing of that, and nothing to be emptied of", member.id);
            return Err(Problem::conflict("not_applicable", text).with("node", &member.id));
        }
        let answer = self.admin.ask(member, ask, Instant::now() + BUDGET).await;
        answer.map_err(|e| Problem::from(e).with("node", &member.id))
    }
}

/// An error in a word, or its text.
pub(crate) fn word(e: &due_core::Error) -> String {
    match e.kind() {
        Kind::Timeout => "timeout".to_owned(),
        Kind::Unavailable => "unreachable".to_owned(),
        _ => e.to_string(),
    }
}
