//! What one line of a script, or of a terminal, asks for.

use std::time::Duration;

use due_core::units;

use crate::failure::{Failure, Outcome};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Asks, and prints the answer.
    Call {
        route: String,
        body: String,
    },
    /// Sends, and waits for nothing.
    Notify {
        route: String,
        body: String,
    },
    /// Waits for the next push of a route that no earlier wait had.
    Wait {
        route: String,
        limit: Duration,
    },
    /// The last answer, or the push that was waited for, is this.
    Expect {
        body: String,
    },
    Sleep(Duration),
    Routes,
    Help,
    Quit,
}

/// How long `wait` waits where the line says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const HELP: &str = "\
call ROUTE [BODY]      asks, and prints the answer; the word `call` may be left out
notify ROUTE [BODY]    sends, and waits for nothing
wait ROUTE [10s]       waits for the next push of a route
expect BODY            fails unless the last answer, or the push waited for, is this
sleep 500ms            does nothing for a while
routes                 the names that are known
quit                   leaves; so does the end of input
# a comment";

impl Line {
    /// Reads a line; `None` where there is nothing on it.
    pub(crate) fn read(text: &str) -> Outcome<Option<Self>> {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let (word, rest) = split(text);
        Ok(Some(match word {
            "call" => message(rest, |route, body| Line::Call { route, body })?,
            "notify" => message(rest, |route, body| Line::Notify { route, body })?,
            "wait" => wait(rest)?,
            "expect" => Line::Expect { body: rest.to_owned() },
            "sleep" => Line::Sleep(units::duration(rest)?),
            "routes" => Line::Routes,
            "help" | "?" => Line::Help,
            "quit" | "exit" => Line::Quit,
            route => Line::Call { route: route.to_owned(), body: rest.to_owned() },
        }))
    }
}

fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn message(rest: &str, make: impl FnOnce(String, String) -> Line) -> Outcome<Line> {
    match split(rest) {
        ("", _) => Err(Failure::new("a route's name or number is missing")),
        (route, body) => Ok(make(route.to_owned(), body.to_owned())),
    }
}

fn wait(rest: &str) -> Outcome<Line> {
    let (route, limit) = split(rest);
    if route.is_empty() {
        return Err(Failure::new("the name or number of the push's route is missing"));
    }
    let limit = if limit.is_empty() { PATIENCE } else { units::duration(limit)? };
    Ok(Line::Wait { route: route.to_owned(), limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Line {
        Line::read(text).unwrap().unwrap()
    }

    #[test]
    fn lines_read_as_they_are_typed() {
        let call = |route: &str, body: &str| Line::Call { route: route.into(), body: body.into() };
        assert_eq!(read(" call  echo  {\"a\": 1} "), call("echo", "{\"a\": 1}"));
        assert_eq!(read("echo \"x\""), call("echo", "\"x\""));
        assert_eq!(read("7"), call("7", ""));
        assert_eq!(read("notify say 1"), Line::Notify { route: "say".into(), body: "1".into() });
        assert_eq!(read("wait news"), Line::Wait { route: "news".into(), limit: PATIENCE });
        assert_eq!(read("wait news 2s"), Line::Wait { route: "news".into(), limit: Duration::from_secs(2) });
        assert_eq!(read("expect [1, 2]"), Line::Expect { body: "[1, 2]".into() });
        assert_eq!(read("sleep 10ms"), Line::Sleep(Duration::from_millis(10)));
        assert_eq!([read("quit"), read("?"), read("routes")], [Line::Quit, Line::Help, Line::Routes]);
        assert!(["", "  ", "# nothing"].iter().all(|t| Line::read(t).unwrap().is_none()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, said) in
            [("call", "missing"), ("wait", "missing"), ("sleep soon", "not a duration"), ("wait x 5", "not a")]
        {
            let told = Line::read(text).unwrap_err().to_string();
            assert!(told.contains(said), "{text}: {told}");
        }
    }
}
