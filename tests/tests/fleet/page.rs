//! The page on operating: its commands as they stand there, run by a shell.

use std::{collections::BTreeSet, sync::Mutex};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{process::LIMIT, scene::DUE};

/// Which of the two commands of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Curl,
    Due,
}

/// A command of the page.
struct Block {
    /// The heading it stands under.
    step: String,
    /// None: it is a part of every other block by curl.
    by: Option<By>,
    text: String,
}

/// Somebody who works through the page.
pub(crate) struct Desk {
    pub(crate) by: By,
    blocks: Vec<Block>,
    /// What the page tells to export.
    exported: Vec<(&'static str, String)>,
    done: Mutex<BTreeSet<String>>,
}

/// What came of a command.
pub(crate) struct Ran {
    pub(crate) good: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new(by: By, master: &str, token: &str) -> Self {
        let page = std::fs::read_to_string(crate::program::workspace().join("docs/operating.md")).unwrap();
        let exported = vec![("DUE_MASTER", master.to_owned()), ("DUE_TOKEN", token.to_owned())];
        Self { by, blocks: blocks(&page), exported, done: Mutex::default() }
    }

    /// Runs the command of a step.
    pub(crate) async fn run(&self, step: &str) -> Ran {
        self.run_by(self.by, step, &[]).await
    }

    /// Asks the probes of a process, which there is one way to do.
    pub(crate) async fn probe(&self, at: &str) -> Ran {
        self.run_by(By::Curl, "Ask the process itself", &[("PROBES", at)]).await
    }

    async fn run_by(&self, by: By, step: &str, more: &[(&str, &str)]) -> Ran {
        self.done.lock().unwrap().insert(step.to_owned());
        let block = self.blocks.iter().find(|b| b.step == step && b.by == Some(by));
        let block = block.unwrap_or_else(|| panic!("the page has no {step:?} by {by:?}"));
        let mut shell = Command::new("sh");
        // The same words, answered in JSON.
        let due = format!("due() {{ {:?} --json \"$@\"; }}\n", DUE.display().to_string());
        let shared = self.blocks.iter().filter(|b| b.by.is_none()).map(|b| b.text.as_str()).collect::<String>();
        shell.args(["-eu", "-c", &[&due, &shared, block.text.as_str()].concat()]);
        shell.envs(self.exported.iter().map(|(name, value)| (name, value))).envs(more.iter().copied());
        // Not by the proxy or the settings of whoever runs the test.
        shell.env("NO_PROXY", "*").env("CURL_HOME", "/nonexistent").kill_on_drop(true);
        let done = timeout(LIMIT, shell.output()).await.unwrap_or_else(|_| panic!("{step:?} does not end")).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { good: done.status.success(), out: text(done.stdout), err: text(done.stderr) }
    }

    /// Runs the command of a step that must succeed; its answer.
    pub(crate) async fn json(&self, step: &str) -> Value {
        let Ran { good, out, err } = self.run(step).await;
        assert!(good, "{step:?} by {:?}: {out}{err}", self.by);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{step:?}: {e}: {out}"))
    }

    /// Runs the command of a step again until it succeeds and the answer is as it should be.
    pub(crate) async fn until(&self, step: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = String::new();
        let met = timeout(LIMIT, async {
            loop {
                let Ran { good, out, err } = self.run(step).await;
                match serde_json::from_str(&out) {
                    Ok(answer) if good && wanted(&answer) => return answer,
                    _ => last = format!("{out}{err}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        met.await.unwrap_or_else(|_| panic!("{step:?} by {:?} never said it: {last}", self.by))
    }

    /// The steps by this way that have not been run.
    pub(crate) fn left(&self) -> Vec<&str> {
        let done = self.done.lock().unwrap();
        let own = self.blocks.iter().filter(|b| b.by == Some(self.by));
        own.map(|b| b.step.as_str()).filter(|step| !done.contains(*step)).collect()
    }
}

/// The commands of a page, in its order.
fn blocks(page: &str) -> Vec<Block> {
    let (mut all, mut step, mut open) = (Vec::new(), String::new(), None::<String>);
    for line in page.lines() {
        match (&mut open, line) {
            (Some(_), "```") => all.extend(open.take().map(|text| block(&step, text))),
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, "```sh") => open = Some(String::new()),
            (None, line) => step = line.strip_prefix("## ").map_or(step, str::to_owned),
        }
    }
    all
}

fn block(step: &str, text: String) -> Block {
    let by = match (text.contains("curl "), text.starts_with("due ")) {
        (true, false) => Some(By::Curl),
        (false, true) => Some(By::Due),
        (false, false) => None,
        (true, true) => panic!("{step:?}: a block is either by curl or by due"),
    };
    Block { step: step.to_owned(), by, text }
}
