//! The conversation: lines are done one after the other, pushes are printed as they come.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use due_core::{Call, Kind, Notify, RouteId};
use due_sdk::{CallError, Client, Closed, Event, Events, Raw, RawPush, RawStream};
use serde_json::json;
use tokio::time::timeout;

use super::{
    body::Form,
    input::Lines,
    line::{HELP, Line},
    routes::Routes,
};
use crate::{
    failure::{Failure, Outcome},
    print::{Printer, complain, escaped},
};

/// Pushes that nobody has waited for yet; the oldest give way.
const KEPT: usize = 1024;

/// One connection and what was seen of it.
pub(crate) struct Talk<'a> {
    client: &'a Client,
    routes: &'a Routes,
    form: Form,
    printer: &'a Printer,
    pushes: RawStream,
    events: Events,
    kept: VecDeque<RawPush>,
    last: Option<Bytes>,
}

impl<'a> Talk<'a> {
    /// Before the client is open, so that no push is missed.
    pub(crate) fn new(client: &'a Client, (routes, form): (&'a Routes, Form), printer: &'a Printer) -> Self {
        let (pushes, events) = (client.unclaimed(), client.events());
        Self { client, routes, form, printer, pushes, events, kept: VecDeque::new(), last: None }
    }

    /// Until the lines or the connection end.
    pub(crate) async fn run(mut self, mut lines: Lines) -> Outcome {
        loop {
            let (number, line) = tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => return Ok(()),
                line = lines.next() => match line {
                    Some(line) => line,
                    None => return Ok(()),
                },
                seen = self.seen() => {
                    seen?;
                    continue;
                }
            };
            match self.read_and_do(&line).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) if lines.strict => return Err(failure.at(format_args!("{} {number}", lines.name))),
                Err(failure) => complain(&failure),
            }
        }
    }

    /// Something that comes by itself.
    async fn seen(&mut self) -> Outcome {
        tokio::select! {
            biased;
            Some(push) = self.pushes.next() => self.pushed(push),
            Some(event) = self.events.next() => self.happened(&event),
            closed = self.client.closed() => return Err(ended(&closed)),
        }
        Ok(())
    }

    /// Lets what comes be seen while something is waited for.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Outcome<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                seen = self.seen() => seen?,
            }
        }
    }

    /// `false`: it was the last line.
    async fn read_and_do(&mut self, text: &str) -> Outcome<bool> {
        match Line::read(text)? {
            None => {}
            Some(Line::Quit) => return Ok(false),
            Some(line) => self.carry_out(line).await?,
        }
        Ok(true)
    }

    async fn carry_out(&mut self, line: Line) -> Outcome {
        match line {
            Line::Call { route, body } => self.call(&route, &body).await,
            Line::Notify { route, body } => {
                let (route, body) = (self.routes.find(&route)?, self.form.read(&body)?);
                self.client.notify(Notify::<Bytes, Raw>::new(route.0, ""), &body).map_err(|e| refused(&e))
            }
            Line::Wait { route, limit } => self.wait(&route, limit).await,
            Line::Expect { body } => self.expect(&body),
            Line::Sleep(time) => self.meanwhile(tokio::time::sleep(time)).await,
            Line::Routes => {
                for (name, id) in self.routes.all() {
                    self.printer
                        .say(|| format!("{:>11} {}", id.0, escaped(name)), || json!({"id": id.0, "name": name}));
                }
                Ok(())
            }
            Line::Help => {
                self.printer.say(|| HELP.to_owned(), || json!({ "help": HELP }));
                Ok(())
            }
            Line::Quit => Ok(()),
        }
    }

    async fn call(&mut self, route: &str, body: &str) -> Outcome {
        let (route, body) = (self.routes.find(route)?, self.form.read(body)?);
        self.last = None;
        let begun = Instant::now();
        let answer = self.client.call(Call::<Bytes, Bytes, Raw>::new(route.0, ""), &body);
        let answer = self.meanwhile(answer).await?.map_err(|e| refused(&e))?;
        let (took, form) = (begun.elapsed(), self.form);
        self.printer.say(
            || format!("{}   ({took:.1?})", escaped(&form.words(&answer))),
            || json!({"answer": form.value(&answer), "route": route.0, "micros": took.as_micros() as u64}),
        );
        self.last = Some(answer);
        Ok(())
    }

    async fn wait(&mut self, word: &str, limit: Duration) -> Outcome {
        let route = self.routes.find(word)?;
        self.last = None;
        let found = timeout(limit, self.next_push(route)).await;
        let late = |_| Failure::new(format!("no push of {word} within {limit:?}"));
        self.last = Some(found.map_err(late)??);
        Ok(())
    }

    async fn next_push(&mut self, route: RouteId) -> Outcome<Bytes> {
        loop {
            if let Some(at) = self.kept.iter().position(|push| push.route == route)
                && let Some(push) = self.kept.remove(at)
            {
                return Ok(push.body);
            }
            self.seen().await?;
        }
    }

    fn expect(&self, typed: &str) -> Outcome {
        let want = self.form.value(&self.form.read(typed)?);
        let last = self.last.as_ref().ok_or_else(|| Failure::new("nothing was answered or waited for before"))?;
        match self.form.value(last) {
            got if got == want => Ok(()),
            got => Err(Failure::new(format!("expected {want}, got {got}"))),
        }
    }

    fn pushed(&mut self, push: RawPush) {
        let (form, name) = (self.form, self.routes.name(push.route));
        self.printer.say(
            || {
                let name = name.map_or_else(|| push.route.0.to_string(), escaped);
                format!("<- {name} {}", escaped(&form.words(&push.body)))
            },
            || json!({"push": form.value(&push.body), "route": push.route.0, "name": name}),
        );
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(push);
    }

    fn happened(&self, event: &Event) {
        match event {
            Event::GoAway { reason, retry_after } => self.printer.say(
                || format!("the server goes away ({reason}); come back in {retry_after:?}"),
                || json!({"goaway": reason, "retry_after_ms": retry_after.as_millis() as u64}),
            ),
            Event::Fault { route, code, text } => self.printer.say(
                || format!("fault {code} of route {route}: {}", escaped(text)),
                || json!({"fault": code, "route": route, "text": text}),
            ),
            // How it ends is told once, by the end itself.
            _ => {}
        }
    }
}

fn ended(closed: &Closed) -> Failure {
    Failure::new(closed.to_string())
}

fn refused(e: &CallError) -> Failure {
    let named = match e {
        CallError::Refused { code, .. } => Kind::from_code(*code).map(|kind| format!("{kind:?}: ")),
        _ => None,
    };
    Failure::new(format!("{}{e}", named.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_due_have_their_names() {
        let e = |code| refused(&CallError::Refused { code, text: "no".into() }).to_string();
        assert_eq!((e(9), e(1001)), ("NoRoute: refused: no (9)".to_owned(), "refused: no (1001)".to_owned()));
    }
}
