//! PEM: the text around DER.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use due_core::{Error, Result};
use zeroize::Zeroizing;

use super::file;
use crate::der::{Shape, shape};

/// Bytes of a text at most; a key of 4096 bits has about 3,300.
pub(super) const TEXT_MAX: usize = 64 * 1024;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What a caller asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A private key of this algorithm.
    Private(&'static str),
    /// A public key of this algorithm.
    Public(&'static str),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(algorithm) => write!(f, "a private key for {algorithm}"),
            Self::Public(algorithm) => write!(f, "a public key for {algorithm}"),
        }
    }
}

/// One block of PEM: what it says it is, and its DER. Labels lie (due writes `RSA PUBLIC KEY` over PKIX), so the DER
/// decides.
pub(crate) struct Pem {
    origin: String,
    wanted: Wanted,
    label: String,
    der: Zeroizing<Vec<u8>>,
}

impl Pem {
    /// Reads `source`: PEM itself if it holds a `-----BEGIN`, the path of a file otherwise.
    pub(crate) fn load(source: &str, wanted: Wanted) -> Result<Self> {
        if source.contains(BEGIN) {
            return Self::parse(source, "text".into(), wanted);
        }
        let text = file::read(source, matches!(wanted, Wanted::Private(_)))?;
        Self::parse(&text, source.into(), wanted)
    }

    fn parse(text: &str, origin: String, wanted: Wanted) -> Result<Self> {
        match decode(text) {
            Ok((label, der)) => Ok(Self { origin, wanted, label, der }),
            Err(found) => Err(refused(&origin, wanted, &found)),
        }
    }

    /// The structure inside.
    pub(crate) fn shape(&self) -> Shape {
        shape(&self.der)
    }

    /// The bytes inside.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The error for a key of another kind, or one that its parser refused.
    pub(crate) fn unfit(&self) -> Error {
        refused(&self.origin, self.wanted, &format!("{} under the label {:?}", self.shape(), self.label))
    }

    /// The error for a key of the right kind that cannot be used.
    pub(crate) fn unusable(&self, why: &str) -> Error {
        refused(&self.origin, self.wanted, &format!("{}, but {why}", self.shape()))
    }
}

fn refused(origin: &str, wanted: Wanted, found: &str) -> Error {
    Error::config(format!("want {wanted} as PEM, found {found}")).context("key from", origin)
}

/// The first block that is no `EC PARAMETERS` (openssl writes those before a key): label and DER, or what was found.
fn decode(text: &str) -> Result<(String, Zeroizing<Vec<u8>>), String> {
    if text.len() > TEXT_MAX {
        return Err(format!("more than {TEXT_MAX} bytes"));
    }
    let mut rest = text;
    loop {
        let (label, body, after) = block(rest)?;
        if label != "EC PARAMETERS" {
            return Ok((label.into(), bytes(label, body)?));
        }
        rest = after;
    }
}

/// The next block: label, body, what follows.
fn block(text: &str) -> Result<(&str, &str, &str), String> {
    let (_, rest) = text.split_once(BEGIN).ok_or("no line `-----BEGIN ..`")?;
    let (label, rest) = rest.split_once(DASHES).ok_or("a first line that does not end with `-----`")?;
    if label.len() > 64 || label.chars().any(|c| !matches!(c, 'A'..='Z' | '0'..='9' | ' ' | '#' | '-' | '.')) {
        return Err("a label that is none".into());
    }
    let (body, rest) = rest.split_once(END).ok_or_else(|| format!("{label:?} without its last line: it was cut"))?;
    let rest = rest.strip_prefix(label).ok_or_else(|| format!("{label:?} that ends as something else"))?;
    Ok((label, body, rest))
}

fn bytes(label: &str, body: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    if label == "ENCRYPTED PRIVATE KEY" || body.contains("Proc-Type:") {
        return Err(format!("{label:?} with a password: remove it with `openssl pkey -in KEY -out OPEN`"));
    }
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(packed(body));
    let mut der = Zeroizing::new(vec![0; packed.len()]);
    let len = STANDARD.decode_slice(&*packed, &mut der).map_err(|_| format!("{label:?} that is no base64"))?;
    der.truncate(len);
    Ok(der)
}

/// Without white space. The room is taken at once: growing would leave copies of a secret behind.
fn packed(body: &str) -> Vec<u8> {
    let mut packed = Vec::with_capacity(body.len());
    packed.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        decode(text).err().unwrap_or_else(|| panic!("{text} is taken"))
    }

    #[test]
    fn a_block_may_be_folded_anyhow() {
        for body in ["AQIDBA==", "\nAQID\nBA==\n", "\r\nAQ\r\nIDBA==\r\n", " A Q I D B A = = "] {
            let (label, der) = decode(&format!("note\n-----BEGIN X KEY-----{body}-----END X KEY-----\n")).unwrap();
            assert_eq!((label.as_str(), &der[..]), ("X KEY", &[1, 2, 3, 4][..]));
        }
    }

    #[test]
    fn parameters_before_a_key_are_passed_over() {
        let text = "-----BEGIN EC PARAMETERS-----\nAQ==\n-----END EC PARAMETERS-----\n\
                    -----BEGIN EC PRIVATE KEY-----\nAg==\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(decode(text).unwrap().0, "EC PRIVATE KEY");
    }

    #[test]
    fn an_error_says_what_was_found() {
        assert!(found("hello").contains("no line"));
        assert!(found("-----BEGIN A-----\nAQID").contains("cut"));
        assert!(found("-----BEGIN A-----\nAQID\n-----END B-----").contains("something else"));
        assert!(found("-----BEGIN A-----\nA!ID\n-----END A-----").contains("no base64"));
        assert!(found("-----BEGIN A\u{1b}[0m-----\nAQID\n-----END A-----").contains("label"));
        assert!(
            found("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----")
                .contains("password")
        );
        assert!(found(&"x".repeat(TEXT_MAX + 1)).contains("more than"));
    }
}
