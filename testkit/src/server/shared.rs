use std::env;

use due_servers::Program;
use tokio::sync::OnceCell;

use super::{Server, start::installed};

/// A server that several tests use at once, under names of their own: it can only be talked to.
#[derive(Clone, Debug)]
pub struct Shared {
    address: String,
}

impl Shared {
    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Server {
    /// The server that `DUE_TEST_<NAME>` names (`host:port`), else one for all tests of this process, which ends with it.
    /// `None`, after saying so, where there is neither.
    pub async fn shared(program: Program) -> Option<Shared> {
        if let Some(address) = env::var(program.variable()).ok().filter(|a| !a.is_empty()) {
            return Some(Shared { address });
        }
        installed(program).then_some(())?;
        let server = cell(program).get_or_init(|| Self::start(program)).await;
        server.as_ref().map(|s| Shared { address: s.address().to_owned() })
    }
}

/// Never dropped: the server ends with the process.
fn cell(program: Program) -> &'static OnceCell<Option<Server>> {
    static CELLS: [OnceCell<Option<Server>>; Program::ALL.len()] =
        [const { OnceCell::const_new() }; Program::ALL.len()];
    static NONE: OnceCell<Option<Server>> = OnceCell::const_new();
    let index = Program::ALL.iter().position(|p| *p == program);
    index.and_then(|i| CELLS.get(i)).unwrap_or(&NONE)
}
