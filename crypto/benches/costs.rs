//! What an operation costs: prints the table of `docs/crypto.md`.
//!
//!     cargo bench -p due-crypto --features ecc,rsa
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use due_core::{Encryptor, Result, Signer};
use due_crypto::{
    ecc::{self, DueEccEncryptor, DueEccSigner, EccEncryptor, EccSigner},
    rsa::{self, DueRsa, DueRsaEncryptor, DueRsaSigner, Padding, RsaEncryptor, RsaSigner},
};

/// How long one operation is repeated, in each of the rounds.
const ROUND: Duration = Duration::from_millis(100);
const ROUNDS: usize = 7;

const RSA: &str = include_str!("../tests/keys/rsa.pem");
const ECC: &str = include_str!("../tests/keys/ec.pem");

fn main() -> Result<()> {
    // `cargo test --all-targets` runs this too, and wants no figures.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    println!("| form | bytes of text | bytes more | encrypt, µs | decrypt, µs |\n|---|---|---|---|---|");
    for (form, both) in encryptors()? {
        for len in [64, 1024, 16 * 1024] {
            row_of_encryptor(form, &*both, len)?;
        }
    }
    println!("\n| signature | bytes | sign, µs | verify, µs |\n|---|---|---|---|");
    for (form, both) in signers()? {
        row_of_signer(form, &*both)?;
    }
    Ok(())
}

fn encryptors() -> Result<Vec<(&'static str, Box<dyn Encryptor>)>> {
    let (rsa, ecc) = (rsa::private_key(RSA)?, ecc::private_key(ECC)?);
    let hpke = EccEncryptor::new().for_peer(ecc.public_key())?.with_private(ecc.clone())?;
    let hybrid = RsaEncryptor::new().for_peer(rsa.to_public_key())?.with_private(rsa.clone())?;
    let ecies = DueEccEncryptor::new().for_peer(ecc.public_key()).with_private(ecc);
    let blocks = DueRsaEncryptor::new(DueRsa::new(Padding::Strong).blocks_max(100))?;
    let blocks = blocks.for_peer(rsa.to_public_key())?.with_private(rsa)?;
    Ok(vec![
        ("ecc", Box::new(hpke)),
        ("rsa", Box::new(hybrid)),
        ("due's ecc", Box::new(ecies)),
        ("due's rsa, OAEP", Box::new(blocks)),
    ])
}

fn signers() -> Result<Vec<(&'static str, Box<dyn Signer>)>> {
    let (rsa, ecc) = (rsa::private_key(RSA)?, ecc::private_key(ECC)?);
    let ecdsa = EccSigner::new().trust(ecc.public_key())?.with_private(ecc.clone())?;
    let pss = RsaSigner::new().trust(rsa.to_public_key())?.with_private(rsa.clone())?;
    let text = DueEccSigner::new().trust(ecc.public_key()).with_private(ecc);
    let bare = DueRsaSigner::new(DueRsa::new(Padding::Strong))?.trust(rsa.to_public_key())?.with_private(rsa)?;
    Ok(vec![
        ("ecc", Box::new(ecdsa)),
        ("rsa", Box::new(pss)),
        ("due's ecc", Box::new(text)),
        ("due's rsa, PSS", Box::new(bare)),
    ])
}

fn row_of_encryptor(form: &str, both: &dyn Encryptor, len: usize) -> Result<()> {
    let (text, mut sealed, mut out) = (vec![7; len], Vec::new(), Vec::new());
    both.encrypt(&text, b"", &mut sealed)?;
    let encrypt = micros(|| {
        out.clear();
        both.encrypt(black_box(&text), b"", &mut out)
    })?;
    let decrypt = micros(|| {
        out.clear();
        both.decrypt(black_box(&sealed), b"", &mut out)
    })?;
    println!("| {form} | {len} | {} | {encrypt:.0} | {decrypt:.0} |", sealed.len() - len);
    Ok(())
}

fn row_of_signer(form: &str, both: &dyn Signer) -> Result<()> {
    let (text, mut signature, mut out) = ([7; 64], Vec::new(), Vec::new());
    both.sign(&text, &mut signature)?;
    let sign = micros(|| {
        out.clear();
        both.sign(black_box(&text), &mut out)
    })?;
    let verify = micros(|| both.verify(black_box(&text), &signature))?;
    println!("| {form} | {} | {sign:.0} | {verify:.0} |", signature.len());
    Ok(())
}

/// Microseconds of one call: the median of some rounds.
fn micros(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    call()?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (begun, mut calls) = (Instant::now(), 0u32);
        while begun.elapsed() < ROUND {
            call()?;
            calls += 1;
        }
        rounds.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}
