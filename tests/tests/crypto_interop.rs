//! Ciphertexts and signatures against Go: its own crypto/rsa, crypto/ecdsa and crypto/hpke, and the ecies package of
//! go-ethereum that due uses. Both ways: what one side makes the other must take, and a damaged one it must not.
//!
//! `crypto/tests/golden.txt` keeps some of both for tests without Go. After a new form is added,
//! `DUE_GOLDEN=write cargo test -p due-tests --test crypto_interop golden` writes it anew.
//!
//! The Go program is in `tests/interop/go/crypto`; a missing Go tool chain is a failure, not a reason to skip.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "../../crypto/tests/common/golden.rs"]
mod golden;

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::LazyLock,
};

use due_core::{Encryptor, Signer};
use due_crypto::{
    ecc::{self, DueEccEncryptor, DueEccSigner, EccEncryptor},
    rsa::{self, DueRsa, DueRsaEncryptor, DueRsaSigner, Hash, Padding, RsaEncryptor},
};

static GO: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crypto-interop");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/go/crypto"))
        .status()
        .expect("this test plays Go's crypto: install Go 1.26 or later, `go` must be on the PATH");
    assert!(status.success(), "go could not build tests/interop/go/crypto");
    program
});

/// The Go program, which answers one question after the other.
struct Go {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Go {
    fn start() -> Self {
        let mut child =
            Command::new(&*GO).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the Go program starts");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, questions, answers }
    }

    /// What it answers; `Err` with its words.
    fn ask(&mut self, operation: &str, arguments: &[&[u8]]) -> Result<Vec<u8>, String> {
        let line = arguments.iter().fold(operation.to_owned(), |line, bytes| format!("{line} {}", hex(bytes)));
        let mut questions = self.questions.as_ref().expect("open until the drop");
        writeln!(questions, "{line}").expect("the Go program reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the Go program answers");
        let answer = answer.trim_end();
        match answer.strip_prefix("ok ").or_else(|| (answer == "ok").then_some("")) {
            Some(bytes) => Ok(unhex(bytes)),
            None => Err(answer.to_owned()),
        }
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        // It leaves at the end of its input.
        self.questions = None;
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".into();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    pairs.collect::<Result<_, _>>().expect("hex")
}

fn key(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crypto/tests/keys/{name}.pem"));
    std::fs::read_to_string(path).expect("the key is there")
}

/// Texts of lengths that matter: none, one byte, a full block and one more, many blocks.
fn texts() -> impl Iterator<Item = Vec<u8>> {
    [0, 1, 62, 126, 190, 191, 214, 245, 246, 5000].into_iter().map(|len| (0..len).map(|n| n as u8).collect())
}

/// Each side decrypts what the other encrypted; `arguments` stand between the key and the text in Go's questions.
fn check_encryptor(ours: &dyn Encryptor, bound: &[u8], operation: &str, keys: [&str; 2], arguments: [&[&[u8]]; 2]) {
    let mut go = Go::start();
    let (public, private) = (key(keys[0]), key(keys[1]));
    let [words, opposite] = match operation {
        "hybrid" | "hpke" => ["seal", "open"],
        _ => ["encrypt", "decrypt"],
    };
    for text in texts() {
        let with = |key: &'_ str, more: &[&[u8]], bytes: &[u8]| -> Vec<Vec<u8>> {
            let more = more.iter().map(|a| a.to_vec());
            std::iter::once(key.as_bytes().to_vec()).chain(more).chain([bytes.to_vec()]).collect()
        };
        let question = with(&public, arguments[0], &text);
        let question: Vec<&[u8]> = question.iter().map(Vec::as_slice).collect();
        let theirs = go.ask(&format!("{operation}-{words}"), &question).expect("Go encrypts");
        let mut opened = Vec::new();
        ours.decrypt(&theirs, bound, &mut opened).unwrap_or_else(|e| panic!("{operation}, {} bytes: {e}", text.len()));
        assert_eq!(opened, text, "{operation}: Go to us");

        let mut sealed = Vec::new();
        ours.encrypt(&text, bound, &mut sealed).expect("we encrypt");
        assert_eq!(sealed.len(), theirs.len(), "{operation}, {} bytes", text.len());
        if sealed.is_empty() {
            continue;
        }
        let question = with(&private, arguments[1], &sealed);
        let question: Vec<&[u8]> = question.iter().map(Vec::as_slice).collect();
        let opened = go.ask(&format!("{operation}-{opposite}"), &question);
        assert_eq!(opened.as_deref(), Ok(&text[..]), "{operation}: we to Go");
    }
}

/// Each side verifies what the other signed, and not for another message.
fn check_signer(ours: &dyn Signer, operation: &str, keys: [&str; 2], more: &[&[u8]]) {
    let mut go = Go::start();
    let (public, private) = (key(keys[0]), key(keys[1]));
    // A number with leading zeros comes once in 256 signatures: enough turns meet short ones.
    for turn in 0..24u8 {
        let message = [b"message ", &[turn][..]].concat();
        let theirs = go.ask(&format!("{operation}-sign"), &[&[private.as_bytes()], more, &[&message]].concat());
        let theirs = theirs.expect("Go signs");
        ours.verify(&message, &theirs).expect("we verify what Go signed");
        assert!(ours.verify(b"another", &theirs).is_err());

        let mut signature = Vec::new();
        ours.sign(&message, &mut signature).expect("we sign");
        let question = [&[public.as_bytes()], more, &[&message, &signature]].concat();
        assert_eq!(go.ask(&format!("{operation}-verify"), &question), Ok(Vec::new()));
        let question = [&[public.as_bytes()], more, &[b"another", &signature]].concat();
        assert!(go.ask(&format!("{operation}-verify"), &question).is_err());
    }
}

const RSA: [&str; 2] = ["rsa-pub", "rsa"];
const ECC: [&str; 2] = ["ec-pub", "ec"];

fn pkcs1v15() -> Option<DueRsa> {
    Some(DueRsa::new(Padding::Pkcs1v15).allow_pkcs1v15())
}

fn due_rsa(settings: DueRsa) -> DueRsaEncryptor {
    let both = DueRsaEncryptor::new(settings).expect("allowed");
    let both = both.for_peer(rsa::public_key(&key("rsa-pub")).expect("a key")).expect("fits");
    both.with_private(rsa::private_key(&key("rsa")).expect("a key")).expect("fits")
}

fn due_rsa_signer(settings: DueRsa) -> DueRsaSigner {
    let both = DueRsaSigner::new(settings).expect("allowed");
    let both = both.trust(rsa::public_key(&key("rsa-pub")).expect("a key")).expect("fits");
    both.with_private(rsa::private_key(&key("rsa")).expect("a key")).expect("fits")
}

#[test]
fn rsa_in_our_own_form_is_what_is_written_about_it() {
    let both = RsaEncryptor::new().for_peer(rsa::public_key(&key("rsa-pub")).expect("a key")).expect("fits");
    let both = both.with_private(rsa::private_key(&key("rsa")).expect("a key")).expect("fits");
    check_encryptor(&both, b"route 7", "hybrid", RSA, [&[b"route 7"], &[b"route 7"]]);
}

#[test]
fn ecc_in_our_own_form_is_the_hpke_of_go() {
    let both = EccEncryptor::new().for_peer(ecc::public_key(&key("ec-pub")).expect("a key")).expect("fits");
    let both = both.with_private(ecc::private_key(&key("ec")).expect("a key")).expect("fits");
    check_encryptor(&both, b"route 7", "hpke", ECC, [&[b"route 7"], &[b"route 7"]]);
}

#[test]
fn oaep_blocks_of_due_go_both_ways() {
    for (hash, name) in
        [(Hash::Sha1, "sha1"), (Hash::Sha256, "sha256"), (Hash::Sha384, "sha384"), (Hash::Sha512, "sha512")]
    {
        let settings = DueRsa::new(Padding::Strong).hash(hash).label("room").blocks_max(100);
        let arguments: [&[&[u8]]; 2] = [&[name.as_bytes(), b"room", b"0"], &[name.as_bytes(), b"room"]];
        check_encryptor(&due_rsa(settings), b"", "oaep", RSA, arguments);
    }
    let short = DueRsa::new(Padding::Strong).block_size(100);
    check_encryptor(&due_rsa(short), b"", "oaep", RSA, [&[b"sha256", b"", b"100"], &[b"sha256", b""]]);
}

#[test]
fn pkcs1_v15_blocks_of_due_go_both_ways() {
    check_encryptor(&due_rsa(DueRsa::new(Padding::Pkcs1v15).allow_pkcs1v15()), b"", "v15", RSA, [&[], &[]]);
}

#[test]
fn rsa_signatures_of_due_go_both_ways() {
    for (hash, name) in [(Hash::Sha256, "sha256"), (Hash::Sha384, "sha384"), (Hash::Sha512, "sha512")] {
        check_signer(&due_rsa_signer(DueRsa::new(Padding::Strong).hash(hash)), "pss", RSA, &[name.as_bytes()]);
    }
    check_signer(&due_rsa_signer(DueRsa::new(Padding::Pkcs1v15).allow_pkcs1v15()), "v15", RSA, &[]);
}

#[test]
fn ecies_of_due_goes_both_ways() {
    let ours = ecc::private_key(&key("ec")).expect("a key");
    let both = DueEccEncryptor::new().for_peer(ours.public_key()).with_private(ours);
    check_encryptor(&both, b"", "ecies", ECC, [&[b"", b""], &[b"", b""]]);
    let shared = both.shared("one", "two");
    check_encryptor(&shared, b"", "ecies", ECC, [&[b"one", b"two"], &[b"one", b"two"]]);
}

#[test]
fn text_signatures_of_due_go_both_ways() {
    let ours = ecc::private_key(&key("ec")).expect("a key");
    let both = DueEccSigner::new().trust(ours.public_key()).with_private(ours);
    check_signer(&both, "ecdsa", ECC, &[b" "]);
    check_signer(&both.delimiter("|").expect("no digit"), "ecdsa", ECC, &[b"|"]);
}

/// How Go makes a form and how it takes one: the key and the arguments before the text, in order.
struct Form {
    name: &'static str,
    make: (&'static str, &'static str, &'static [&'static str]),
    take: (&'static str, &'static str, &'static [&'static str]),
}

const FORMS: [Form; 8] = [
    Form { name: "hybrid", make: ("hybrid-seal", "rsa-pub", &["route 7"]), take: ("hybrid-open", "rsa", &["route 7"]) },
    Form { name: "hpke", make: ("hpke-seal", "ec-pub", &["route 7"]), take: ("hpke-open", "ec", &["route 7"]) },
    Form {
        name: "oaep",
        make: ("oaep-encrypt", "rsa-pub", &["sha256", "room", "0"]),
        take: ("oaep-decrypt", "rsa", &["sha256", "room"]),
    },
    Form { name: "v15", make: ("v15-encrypt", "rsa-pub", &[]), take: ("v15-decrypt", "rsa", &[]) },
    Form {
        name: "ecies",
        make: ("ecies-encrypt", "ec-pub", &["one", "two"]),
        take: ("ecies-decrypt", "ec", &["one", "two"]),
    },
    Form { name: "pss", make: ("pss-sign", "rsa", &["sha256"]), take: ("pss-verify", "rsa-pub", &["sha256"]) },
    Form { name: "v15-signature", make: ("v15-sign", "rsa", &[]), take: ("v15-verify", "rsa-pub", &[]) },
    Form { name: "ecdsa", make: ("ecdsa-sign", "ec", &[" "]), take: ("ecdsa-verify", "ec-pub", &[" "]) },
];

fn ask(go: &mut Go, question: (&str, &str, &[&str]), rest: &[&[u8]]) -> Result<Vec<u8>, String> {
    let (operation, name, more) = question;
    let key = key(name);
    let arguments: Vec<&[u8]> =
        std::iter::once(key.as_bytes()).chain(more.iter().map(|a| a.as_bytes())).chain(rest.iter().copied()).collect();
    go.ask(operation, &arguments)
}

#[test]
fn golden_messages_and_signatures_are_taken_by_go() {
    let mut go = Go::start();
    if std::env::var_os("DUE_GOLDEN").is_some() {
        return write_golden(&mut go);
    }
    let golden = golden::all();
    for line in &golden {
        let form = FORMS.iter().find(|form| form.name == line.form).expect("a form");
        let name = format!("{} by {}, {} bytes", line.form, line.maker, line.text.len());
        match golden::signer(form.name) {
            Some(_) => assert_eq!(ask(&mut go, form.take, &[&line.text, &line.bytes]), Ok(Vec::new()), "{name}"),
            None => assert_eq!(ask(&mut go, form.take, &[&line.bytes]).as_ref(), Ok(&line.text), "{name}"),
        }
    }
    assert!(FORMS.iter().all(|form| golden.iter().any(|line| line.form == form.name && line.maker == "go")));
}

/// Writes the file of golden lines; the next test of it takes a build, because it is compiled in.
fn write_golden(go: &mut Go) {
    let mut file =
        String::from("# Written by tests/tests/crypto_interop.rs: form, maker, text, message or signature.\n");
    for form in &FORMS {
        for text in [&b"x"[..], &[7; 200]] {
            let made = ask(go, form.make, &[text]).expect("Go makes it");
            writeln!(file, "{} go {} {}", form.name, hex(text), hex(&made)).expect("a string takes it");
            let mut ours = Vec::new();
            match (golden::encryptor(form.name), golden::signer(form.name)) {
                (Some((both, bound)), _) => both.encrypt(text, bound, &mut ours).expect("we encrypt"),
                (_, both) => both.expect("a form").sign(text, &mut ours).expect("we sign"),
            }
            writeln!(file, "{} due {} {}", form.name, hex(text), hex(&ours)).expect("a string takes it");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crypto/tests/golden.txt");
    std::fs::write(path, file).expect("the file is written");
}
