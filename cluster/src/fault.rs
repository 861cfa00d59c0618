//! What a handler fails with: a code and a text for the client, a cause for the log.

use std::{any::Any, borrow::Cow, error::Error as StdError, fmt};

use due_core::{Code, Kind};

/// A handler's error: a public [`Code`] and text, and a private cause that is logged and never sent.
///
/// `?` turns every standard error into a fault. A [`Code`] anywhere in its chain of causes is the answer; a due
/// [`Error`](due_core::Error) answers with the number of its kind; everything else is [`Code::INTERNAL`].
///
/// ```
/// use due_cluster::Fault;
/// use due_core::Code;
/// const NAME_TAKEN: Code = Code::new(1001, "this name is taken");
///
/// fn claim(free: bool) -> Result<(), Fault> {
///     if !free { return Err(NAME_TAKEN.into()); }
///     std::str::from_utf8(b"ann")?;
///     Ok(())
/// }
/// assert_eq!(claim(false).unwrap_err().code(), NAME_TAKEN);
/// ```
///
/// It is no [`std::error::Error`] itself, or `?` could not take every one of them. An application's own error type
/// either implements `std::error::Error` (a `Code` as its source is found) or converts by its own `From`.
pub struct Fault {
    code: Code,
    text: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Fault {
    /// A fault whose text replaces that of the code. The client sees both number and text.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), source: None }
    }

    /// The fault that stands for a kind of due's own errors.
    pub fn of(kind: Kind) -> Self {
        let code = Code::from(kind);
        Self::new(code, code.text())
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the client is told: number and general text.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The text the client is told.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The cause, for logs only.
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The public part only.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code.number())
    }
}

/// The public part and the chain of causes.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut at = self.source();
        while let Some(cause) = at {
            write!(f, ": {cause}")?;
            at = cause.source();
        }
        Ok(())
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Self {
        if let Some(code) = (&error as &dyn Any).downcast_ref::<Code>() {
            return Self::new(*code, code.text());
        }
        let code = Code::of(&error).unwrap_or(Code::INTERNAL);
        Self::new(code, code.text()).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::Error;

    const TAKEN: Code = Code::new(1001, "this name is taken");

    #[derive(Debug)]
    struct Refused(Option<Code>);

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("refused by the store")
        }
    }

    impl StdError for Refused {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.0.as_ref().map(|code| code as _)
        }
    }

    #[test]
    fn a_code_becomes_the_answer_without_a_cause() {
        let fault = Fault::from(TAKEN);
        assert_eq!((fault.code(), fault.text()), (TAKEN, "this name is taken"));
        assert!(fault.source().is_none());
    }

    #[test]
    fn a_code_deep_in_the_chain_is_the_answer_and_the_cause_stays_private() {
        let fault = Fault::from(std::io::Error::other(Refused(Some(TAKEN))));
        assert_eq!(fault.code(), TAKEN);
        assert_eq!(fault.to_string(), "this name is taken (1001)");
        assert!(format!("{fault:?}").contains("refused by the store"));
    }

    #[test]
    fn a_due_error_answers_with_the_number_of_its_kind() {
        let fault = Fault::from(Error::new(Kind::Unavailable, "etcd at 10.0.0.1"));
        assert_eq!((fault.code().number(), fault.text()), (11, "unavailable"));
    }

    #[test]
    fn any_other_error_is_internal_and_says_nothing_to_the_client() {
        let fault = Fault::from(Refused(None));
        assert_eq!(fault.code(), Code::INTERNAL);
        assert_eq!(fault.to_string(), "internal error (6)");
    }

    #[test]
    fn a_fault_may_have_a_text_of_its_own() {
        let fault = Fault::new(TAKEN, "ann is taken");
        assert_eq!((fault.code(), fault.text()), (TAKEN, "ann is taken"));
    }
}
