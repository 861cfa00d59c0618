//! What kind of key DER bytes hold: enough to choose the parser, and to say what was found instead.

use std::fmt;

/// What the outermost structure says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A private key of any algorithm.
    Pkcs8(Algorithm),
    /// A public key of any algorithm.
    Pkix(Algorithm),
    /// An RSA private key.
    Pkcs1Private,
    /// An RSA public key.
    Pkcs1Public,
    /// An EC private key.
    Sec1,
    /// An X.509 certificate or something signed like one.
    Certificate,
    /// None of these.
    Unknown,
}

/// The algorithm a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rsa,
    Ec(&'static str),
    Other(&'static str),
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa => f.write_str("RSA"),
            Self::Ec(curve) => write!(f, "EC on {curve}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs8(algorithm) => write!(f, "a private key for {algorithm} (PKCS#8)"),
            Self::Pkix(algorithm) => write!(f, "a public key for {algorithm} (PKIX)"),
            Self::Pkcs1Private => f.write_str("a private key for RSA (PKCS#1)"),
            Self::Pkcs1Public => f.write_str("a public key for RSA (PKCS#1)"),
            Self::Sec1 => f.write_str("a private key for EC (SEC1)"),
            Self::Certificate => f.write_str("a certificate or a signing request"),
            Self::Unknown => f.write_str("no key that is known here"),
        }
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;

const ALGORITHMS: &[(&[u8], Algorithm)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], Algorithm::Rsa),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], Algorithm::Other("RSA-PSS only")),
    (&[0x2b, 0x65, 0x6e], Algorithm::Other("X25519")),
    (&[0x2b, 0x65, 0x70], Algorithm::Other("Ed25519")),
];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const CURVES: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "P-256"),
    (&[0x2b, 0x81, 0x04, 0, 0x21], "P-224"),
    (&[0x2b, 0x81, 0x04, 0, 0x22], "P-384"),
    (&[0x2b, 0x81, 0x04, 0, 0x23], "P-521"),
    (&[0x2b, 0x81, 0x04, 0, 0x0a], "secp256k1"),
];

/// Looks at the first fields only; the parser of the algorithm judges the rest.
pub(crate) fn shape(der: &[u8]) -> Shape {
    let Some((SEQUENCE, body, _)) = element(der) else { return Shape::Unknown };
    let Some((first, content, rest)) = element(body) else { return Shape::Unknown };
    let second = element(rest);
    match (first, second.map(|(tag, ..)| tag)) {
        (SEQUENCE, Some(BIT_STRING)) => Shape::Pkix(algorithm(content)),
        (SEQUENCE, Some(SEQUENCE)) => Shape::Certificate,
        (INTEGER, Some(SEQUENCE)) => Shape::Pkcs8(second.map_or(Algorithm::Other("nothing"), |s| algorithm(s.1))),
        (INTEGER, Some(OCTET_STRING)) => Shape::Sec1,
        (INTEGER, Some(INTEGER)) => pkcs1(second.map(|s| s.2)),
        _ => Shape::Unknown,
    }
}

/// Two numbers are a public key; a private key has a version before them and more after.
fn pkcs1(after_two: Option<&[u8]>) -> Shape {
    match after_two {
        Some([]) => Shape::Pkcs1Public,
        Some([INTEGER, ..]) => Shape::Pkcs1Private,
        _ => Shape::Unknown,
    }
}

/// The algorithm in the content of an AlgorithmIdentifier.
fn algorithm(content: &[u8]) -> Algorithm {
    let Some((OID, id, rest)) = element(content) else { return Algorithm::Other("nothing") };
    if id == EC {
        return Algorithm::Ec(curve(rest));
    }
    ALGORITHMS.iter().find(|a| a.0 == id).map_or(Algorithm::Other("another algorithm"), |a| a.1)
}

fn curve(parameters: &[u8]) -> &'static str {
    let Some((OID, id, _)) = element(parameters) else { return "a curve without a name" };
    CURVES.iter().find(|c| c.0 == id).map_or("another curve", |c| c.1)
}

/// The first element: tag, content, what follows it. Definite lengths of up to four bytes.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(der: &[u8], expected: Shape) {
        assert_eq!(shape(der), expected, "{der:02x?}");
    }

    #[test]
    fn the_first_fields_tell_the_shape() {
        check(&[], Shape::Unknown);
        check(&[0x30, 0], Shape::Unknown);
        check(&[0x30, 6, 2, 1, 9, 2, 1, 3], Shape::Pkcs1Public);
        check(&[0x30, 9, 2, 1, 0, 2, 1, 9, 2, 1, 3], Shape::Pkcs1Private);
        check(&[0x30, 5, 2, 1, 1, 4, 0], Shape::Sec1);
        check(&[0x30, 4, 0x30, 0, 0x30, 0], Shape::Certificate);
        check(&[0x30, 9, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0], Shape::Pkix(Algorithm::Other("Ed25519")));
    }

    #[test]
    fn lengths_that_lie_are_no_key() {
        check(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 2, 1, 0], Shape::Unknown);
        check(&[0x30, 0x80, 2, 1, 0, 0, 0], Shape::Unknown);
        check(&[0x30, 0x85, 0, 0, 0, 0, 1, 2], Shape::Unknown);
        check(&[0x30, 5, 2, 9, 1, 4, 0], Shape::Unknown);
    }
}
