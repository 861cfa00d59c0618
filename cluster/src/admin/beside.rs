//! Parts of other crates.

use async_trait::async_trait;
use due_core::{Result, Url, registry::Registration};
use tokio::task::JoinHandle;

use super::{Admin, setting::Settings};
use crate::app::{App, Running};

/// Something of another crate that runs beside the parts of an application: it starts when they run, and ends with them.
#[async_trait]
pub trait Beside: Send + 'static {
    /// Starts. An error ends the start of the application.
    async fn start(self: Box<Self>, admin: Admin) -> Result<Started>;
}

/// What has started.
#[derive(Debug)]
pub struct Started {
    /// The name under which `Running::url` knows its address.
    pub name: String,
    /// Where it listens.
    pub url: Url,
    /// Aborted at the end of the application.
    pub task: JoinHandle<()>,
    /// Given up at the end of the application.
    pub registration: Option<Registration>,
}

impl App {
    /// Runs something beside the parts: for implementations of [`Part`](crate::Part) in other crates.
    pub fn beside(&mut self, part: impl Beside) {
        self.besides.push(Box::new(part));
    }
}

/// Starts the probes: they say that nothing has started yet.
#[cfg(feature = "http")]
pub(crate) async fn probe(running: &mut Running, probes: Vec<super::Probes>) -> Result<()> {
    for probes in probes {
        let (url, task) = probes.start(running.cluster.0.side.clone()).await?;
        running.urls.push(("probes".to_owned(), url));
        running.tasks.0.push(task);
    }
    Ok(())
}

/// The parts run: starts what stands beside them, and lets the process answer for them.
pub(crate) async fn start(running: &mut Running, app: &mut App) -> Result<()> {
    #[cfg(feature = "http")]
    for http in std::mem::take(&mut app.https) {
        let (name, url, task) = http.start(running.cluster.clone()).await?;
        running.urls.push((name, url));
        running.tasks.0.push(task);
    }
    let side = running.cluster.0.side.clone();
    let settings = Settings::new(std::mem::take(&mut app.settings), std::mem::take(&mut app.schemas))?;
    side.uses(settings);
    side.backed_by(app.urls.schemes());
    side.list(running.registrations.iter().map(Registration::listed).collect());
    for beside in std::mem::take(&mut app.besides) {
        let started = beside.start(running.cluster.admin()).await?;
        running.urls.push((started.name, started.url));
        running.tasks.0.push(started.task);
        running.registrations.extend(started.registration);
    }
    // Whoever stands beside the parts is listed too, and a reason not to be ready when it is not any more.
    side.list(running.registrations.iter().map(Registration::listed).collect());
    side.health.started();
    Ok(())
}
