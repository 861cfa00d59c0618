//! How the cases of a suite are run and reported.

use std::{future::Future, time::Duration};

use due_core::{Error, Kind, Result};
use futures_util::future::BoxFuture;
use tokio::time;

use crate::record::{Claims, record};

/// What a case did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Everything in it.
    Yes,
    /// Nothing, for this reason.
    Skipped(&'static str),
}

/// What a suite did. A case that fails panics with its own assertion, or ends the suite with an error that names it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The cases that ran.
    pub passed: Vec<&'static str>,
    /// Those that did not, with the reason.
    pub skipped: Vec<(&'static str, &'static str)>,
}

/// One named behaviour.
pub struct Case<B> {
    /// What it proves.
    pub name: &'static str,
    /// Runs it on a fresh bench.
    pub run: fn(B) -> BoxFuture<'static, Result<Ran>>,
}

/// A [`Case`] named like its function.
macro_rules! case {
    ($module:ident::$name:ident) => {
        $crate::suite::Case { name: stringify!($name), run: |bench| Box::pin($module::$name(bench)) }
    };
}
pub(crate) use case;

/// Why a case is skipped that needs a fault which nobody can play.
pub(crate) const CANNOT: &str = "this fault cannot be played here";

/// Runs the cases one after the other, each on a bench of its own, and keeps what they showed where
/// [somebody asked](crate::record).
pub async fn run<B: Claims, F: Future<Output = B>>(cases: &[Case<B>], make: impl Fn() -> F) -> Result<Report> {
    let (mut report, mut claims) = (Report::default(), None);
    for case in cases {
        let bench = make().await;
        claims.get_or_insert_with(|| bench.claims());
        match (case.run)(bench).await.map_err(|e| e.context("case", case.name))? {
            Ran::Yes => report.passed.push(case.name),
            Ran::Skipped(why) => report.skipped.push((case.name, why)),
        }
    }
    record(B::CONTRACT, &claims.unwrap_or_default(), &report)?;
    Ok(report)
}

/// Waits for `event`, which must come within `limit`: the error names it.
pub async fn within<T>(limit: Duration, event: &'static str, wait: impl Future<Output = T>) -> Result<T> {
    time::timeout(limit, wait).await.map_err(|_| Error::new(Kind::Timeout, format!("{event}: not within {limit:?}")))
}
