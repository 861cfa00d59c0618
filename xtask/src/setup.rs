//! Installs what the tests need beside Rust. What is there already is left alone.

use due_servers::Program;

use crate::{command::Outcome, deny, servers, tools};

/// All tools and all servers. Go modules and npm packages are fetched by the tests that use them.
pub(crate) fn setup() -> Outcome {
    tools::ensure(&tools::TOOLS)?;
    deny::install()?;
    servers::install(&Program::ALL)
}
