//! What a client may see of an error: a number and a text.

use crate::error::{Error, Kind};
use std::{error::Error as StdError, fmt};

/// A number and a text that a client may see. Numbers below 1000 are due's own.
///
/// An application declares its codes as constants; a number of due's is refused at compile time:
///
/// ```
/// use due_core::Code;
/// pub const NAME_TAKEN: Code = Code::new(1001, "this name is taken");
/// ```
/// ```compile_fail
/// const MINE: due_core::Code = due_core::Code::new(9, "numbers below 1000 belong to due");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    number: u32,
    text: &'static str,
}

impl Code {
    /// The answer to a fault of the program.
    pub const INTERNAL: Code = Code::own(6, "internal error");
    /// The answer to bytes or values a handler cannot take.
    pub const BAD_REQUEST: Code = Code::own(3, "bad request");
    /// The answer to a request over a shared limit.
    pub const OVERLOADED: Code = Code::own(10, "too many requests");
    /// The answer to a handler that did not finish in time.
    pub const TIMEOUT: Code = Code::own(4, "no answer in time");
    /// The answer to an unbound user on a route that needs one.
    pub const UNAUTHORIZED: Code = Code::own(7, "log in first");
    /// The answer to a refused request.
    pub const FORBIDDEN: Code = Code::own(8, "forbidden");

    /// A code of the application: `number` is 1000 or more.
    pub const fn new(number: u32, text: &'static str) -> Self {
        assert!(number >= 1000, "numbers below 1000 belong to due");
        Self { number, text }
    }

    const fn own(number: u32, text: &'static str) -> Self {
        Self { number, text }
    }

    /// The number a client sees.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The text a client sees unless the raiser gives its own.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The code in an error's chain of causes: the first [`Code`], or the number of the first due [`Error`].
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Code> {
        let mut at = Some(error);
        while let Some(e) = at {
            if let Some(code) = e.downcast_ref::<Code>() {
                return Some(*code);
            }
            if let Some(due) = e.downcast_ref::<Error>() {
                return Some(due.kind().into());
            }
            at = e.source();
        }
        None
    }
}

impl From<Kind> for Code {
    fn from(kind: Kind) -> Self {
        Code::own(kind.code(), kind.text())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.number)
    }
}

impl StdError for Code {}
