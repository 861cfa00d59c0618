//! Why an actor did not take or finish a message.

use std::borrow::Cow;

use due_core::{Code, Error, Kind};

use crate::fault::Fault;

/// A reason that can be given to many.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    code: Code,
    text: Cow<'static, str>,
}

impl Refused {
    pub(crate) fn new(kind: Kind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: kind.into(), text: text.into() }
    }

    /// An actor that has ended, for those who hold its address.
    pub(crate) fn gone() -> Self {
        Self::new(Kind::Gone, "the actor has ended")
    }

    /// An actor that ends with messages in its mailbox: they were not looked at.
    pub(crate) fn unread() -> Self {
        Self::new(Kind::Unavailable, "the actor ended before it took this message")
    }

    pub(crate) fn full() -> Self {
        Self::new(Kind::Overloaded, "the actor's mailbox is full")
    }

    pub(crate) fn not_attached() -> Self {
        Self::new(Kind::NotBound, "the session is attached to no actor of this kind")
    }

    /// The public part of a fault.
    pub(crate) fn of(fault: &Fault) -> Self {
        Self { code: fault.code(), text: fault.text().to_owned().into() }
    }

    /// For clients. It has no cause, so nobody logs it once per message.
    pub(crate) fn fault(self) -> Fault {
        Fault::new(self.code, self.text)
    }

    /// For callers in this process.
    pub(crate) fn error(self) -> Error {
        match Kind::from_code(self.code.number()) {
            Some(kind) => Error::new(kind, self.text),
            None => Error::new(Kind::Internal, self.text).because(self.code),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.text().to_owned())
    }
}
