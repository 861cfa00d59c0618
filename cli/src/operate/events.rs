//! What has happened in the fleet, and what happens.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Operator, Page};
use crate::{
    api::{Query, given},
    failure::{Failure, Outcome},
    print::{complain, escaped},
};

/// Between two tries to reach a master whose stream has ended.
const AGAIN: Duration = Duration::from_secs(1);
/// Most bytes of a stream without an event in them.
const LARGEST: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// Of kinds that begin so: instance., config., errors., user.kick; bind for logins and logouts, which are not told
    /// without it.
    #[arg(long)]
    kind: Option<String>,
    /// About whom or what begins so: gate/, config/game/.
    #[arg(long)]
    subject: Option<String>,
    /// Goes on with what happens from now on, until it is interrupted.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    page: Page,
}

impl Operator<'_> {
    pub(crate) async fn events(&self, what: Events) -> Outcome {
        let mut query = Query::new();
        given(&mut query, "kind", &what.kind);
        given(&mut query, "subject", &what.subject);
        if !what.follow {
            let columns = [
                ("TIME_MS", "/time_ms"),
                ("KIND", "/kind"),
                ("SUBJECT", "/subject"),
                ("BY", "/by"),
                ("OUTCOME", "/outcome"),
                ("TEXT", "/text"),
            ];
            return self.show_list("/events", &what.page.query(query), &columns).await;
        }
        let page = self.api.get("/events", &what.page.query(query.clone())).await?.body;
        for event in page.get("items").and_then(Value::as_array).into_iter().flatten() {
            self.tell(event);
        }
        let mut last = page.get("cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut away = false;
        loop {
            match self.api.follow("/events/stream", &query, &last).await {
                Ok(Some(stream)) => {
                    away = false;
                    self.read(stream, &mut last).await?;
                }
                Ok(None) if !std::mem::replace(&mut away, true) => {
                    complain(&"the master does not answer: trying again")
                }
                Ok(None) => {}
                Err(failure) => return Err(failure),
            }
            sleep(AGAIN).await;
        }
    }

    /// Tells what a stream says until it ends.
    async fn read(&self, mut stream: Response, last: &mut String) -> Outcome {
        let mut bytes = Vec::new();
        // However it ends: the next one begins behind what was read.
        while let Ok(Some(chunk)) = stream.chunk().await {
            bytes.extend_from_slice(&chunk);
            while let Some(end) = bytes.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = bytes.drain(..end + 2).collect();
                self.block(&String::from_utf8_lossy(&block), last);
            }
            if bytes.len() > LARGEST {
                return Err(Failure::new("the stream has no events in it: is it a master?"));
            }
        }
        Ok(())
    }

    fn block(&self, block: &str, last: &mut String) {
        for line in block.lines() {
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(last);
            }
            let Some(Ok(data)) = line.strip_prefix("data: ").map(serde_json::from_str::<Value>) else { continue };
            match data.get("lost") {
                Some(lost) => complain(&format!("{lost} events were lost: this reader is too slow")),
                None => self.tell(&data),
            }
        }
    }

    fn tell(&self, event: &Value) {
        let text = |name: &str| escaped(event.get(name).and_then(Value::as_str).unwrap_or_default());
        let words = || {
            let time = event.get("time_ms").cloned().unwrap_or_else(|| json!(0));
            let all = [time.to_string(), text("kind"), text("subject"), text("by"), text("outcome"), text("text")];
            all.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("  ")
        };
        self.printer.say(words, || event.clone());
    }
}
