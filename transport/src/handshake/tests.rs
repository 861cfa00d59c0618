use due_core::Incarnation;
use proptest::prelude::*;

use super::*;

const GATE: &str = "gate-1";
const NODE: &str = "node-1";

fn owner(id: &str, incarnation: u64) -> Owner {
    Owner { id: id.into(), incarnation: Incarnation(incarnation) }
}

fn hail() -> Hail {
    Hail { from: Dialer { owner: owner(GATE, 0x1122), shard: 3 }, to: node(), nonce: 77, resume: false }
}

fn node() -> Owner {
    owner(NODE, 0x3344)
}

fn secret(byte: u8) -> Vec<u8> {
    vec![byte; 32]
}

fn keys(secrets: &[u8]) -> Keys {
    Keys::new(&secrets.iter().copied().map(secret).collect::<Vec<_>>(), "games").unwrap()
}

/// What went over the wire of a handshake that succeeded.
struct Wire {
    hello: Vec<u8>,
    challenge: Vec<u8>,
    tag3: [u8; TAG],
    tag4: [u8; TAG],
}

/// Plays all four messages; each may be changed on its way.
fn play(
    dialer: &Keys,
    acceptor: &Keys,
    own: &Owner,
    hail: &Hail,
    mut change: impl FnMut(u8, &mut Vec<u8>),
) -> Result<(Hail, Wire), Refusal> {
    let (dialing, mut hello) = Dialing::begin(dialer, hail, &[1; 32]);
    change(1, &mut hello);
    let (answering, mut challenge) = Answering::begin(acceptor, own, &hello, &[2; 32])?;
    change(2, &mut challenge);
    let (proved, tag3) = dialing.prove(dialer, &challenge, b"")?;
    let mut sent = tag3.to_vec();
    change(3, &mut sent);
    let (learned, tag4) = answering.finish(acceptor, &sent, b"")?;
    let mut sent = tag4.to_vec();
    change(4, &mut sent);
    proved.finish(&sent)?;
    Ok((learned, Wire { hello, challenge, tag3, tag4 }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn two_members_meet_and_the_acceptor_learns_who_dials() {
    for hail in [hail(), Hail { resume: true, ..hail() }] {
        let (learned, _) = play(&keys(&[1]), &keys(&[1]), &node(), &hail, |_, _| {}).unwrap();
        assert_eq!(learned, hail);
    }
}

/// The expected bytes were made by an independent program from the definition.
#[test]
fn the_bytes_are_those_of_the_definition() {
    let (_, wire) = play(&keys(&[7]), &keys(&[7]), &node(), &hail(), |_, _| {}).unwrap();
    let head = "6475652d6c696e6b01010000000000000005";
    let rest = "67616d65730000000006676174652d310000000000001122000000066e6f64652d31000000000000334400030000000000000000000000000000004d00";
    assert_eq!(hex(&wire.hello), format!("{head}{rest}{}", "01".repeat(32)));
    assert_eq!(hex(&wire.challenge), format!("0100000000000000066e6f64652d310000000000003344{}", "02".repeat(32)));
    assert_eq!(hex(&wire.tag3), TAG3);
    assert_eq!(hex(&wire.tag4), TAG4);
}

const TAG3: &str = "34231661998e7a4d9950382b579b25cc2a5df14c5921a24f3ce2a49df8a40221";
const TAG4: &str = "e7539a79a3e7629a5120b465070c59aa0a361213d83ab4143da4b3c3ff87bdf9";

#[test]
fn a_changed_byte_anywhere_ends_the_handshake() {
    let lengths = {
        let (_, wire) = play(&keys(&[1]), &keys(&[1]), &node(), &hail(), |_, _| {}).unwrap();
        [wire.hello.len(), wire.challenge.len(), TAG, TAG]
    };
    for (message, len) in (1..).zip(lengths) {
        for at in 0..len {
            let ended = play(&keys(&[1]), &keys(&[1]), &node(), &hail(), |n, bytes| {
                if n == message {
                    bytes[at] ^= 1;
                }
            });
            assert!(ended.is_err(), "message {message}, byte {at}");
        }
    }
}

#[test]
fn a_message_that_is_cut_or_longer_ends_the_handshake() {
    for message in 1..=4 {
        for add in [-1, 1] {
            let ended = play(&keys(&[1]), &keys(&[1]), &node(), &hail(), |n, bytes| {
                if n == message {
                    bytes.resize(bytes.len().checked_add_signed(add).unwrap(), 0);
                }
            });
            assert!(ended.is_err(), "message {message}, {add}");
        }
    }
}

#[test]
fn other_secrets_and_other_namespaces_do_not_meet() {
    let wrong = play(&keys(&[1]), &keys(&[2]), &node(), &hail(), |_, _| {});
    assert_eq!(wrong.err(), Some(Refusal::Proof));
    let none = Keys::new(&[], "games").unwrap();
    assert_eq!(play(&none, &keys(&[2]), &node(), &hail(), |_, _| {}).err(), Some(Refusal::Proof));
    assert_eq!(play(&keys(&[1]), &none, &node(), &hail(), |_, _| {}).err(), Some(Refusal::Proof));
    let other = Keys::new(&[secret(1)], "other").unwrap();
    assert_eq!(play(&keys(&[1]), &other, &node(), &hail(), |_, _| {}).err(), Some(Refusal::Namespace));
    // The keys differ too, so a changed name alone gets nobody in.
    let renamed = play(&other, &keys(&[1]), &node(), &hail(), |n, bytes| {
        if n == 1 {
            let at = bytes.windows(5).position(|w| w == b"other").unwrap();
            bytes[at..at + 5].copy_from_slice(b"games");
        }
    });
    assert_eq!(renamed.err(), Some(Refusal::Proof));
}

#[test]
fn a_secret_is_changed_without_a_break() {
    let steps = [keys(&[1]), keys(&[1, 2]), keys(&[2, 1]), keys(&[2])];
    for (before, after) in steps.iter().zip(steps.iter().skip(1)) {
        for (dialer, acceptor) in [(before, after), (after, before), (after, after)] {
            play(dialer, acceptor, &node(), &hail(), |_, _| {}).unwrap();
        }
    }
    assert!(play(&steps[0], &steps[3], &node(), &hail(), |_, _| {}).is_err());
}

#[test]
fn a_recorded_dialer_is_refused() {
    let (_, wire) = play(&keys(&[1]), &keys(&[1]), &node(), &hail(), |_, _| {}).unwrap();
    let (answering, _) = Answering::begin(&keys(&[1]), &node(), &wire.hello, &[9; 32]).unwrap();
    assert_eq!(answering.finish(&keys(&[1]), &wire.tag3, b"").err(), Some(Refusal::Proof));
}

#[test]
fn a_recorded_acceptor_is_refused() {
    let (_, wire) = play(&keys(&[1]), &keys(&[1]), &node(), &hail(), |_, _| {}).unwrap();
    let (dialing, _) = Dialing::begin(&keys(&[1]), &hail(), &[9; 32]);
    let (proved, _) = dialing.prove(&keys(&[1]), &wire.challenge, b"").unwrap();
    assert_eq!(proved.finish(&wire.tag4).err(), Some(Refusal::Proof));
}

/// A stranger answers with what the victim sends on another connection.
#[test]
fn a_reflected_proof_is_refused() {
    let own = node();
    let outward = Hail { from: Dialer { owner: own.clone(), shard: 0 }, to: owner(GATE, 0x1122), ..hail() };
    // The victim dials the stranger, who sends the greeting back to it.
    let (dialing, hello) = Dialing::begin(&keys(&[1]), &outward, &[1; 32]);
    assert_eq!(Answering::begin(&keys(&[1]), &own, &hello, &[2; 32]).err(), Some(Refusal::Oneself));
    // The stranger sends the dialer's own tag back as the acceptor's.
    let challenge = Challenge::encode(&outward.to, &[2; 32]);
    let (proved, tag3) = dialing.prove(&keys(&[1]), &challenge, b"").unwrap();
    assert_eq!(proved.finish(&tag3).err(), Some(Refusal::Proof));
}

/// A stranger between the two carries all messages on to another instance than the dialer meant.
#[test]
fn a_relay_to_another_instance_is_refused() {
    let other = owner("node-2", 0x5566);
    let keys = keys(&[1]);
    let (dialing, hello) = Dialing::begin(&keys, &hail(), &[1; 32]);
    let (answering, challenge) = Answering::begin(&keys, &other, &hello, &[2; 32]).unwrap();
    assert_eq!(dialing.prove(&keys, &challenge, b"").err(), Some(Refusal::Elsewhere(other.clone())));
    // It writes the expected owner into the challenge: the dialer proves, but for other bytes.
    let (dialing, _) = Dialing::begin(&keys, &hail(), &[1; 32]);
    let forged = Challenge::encode(&node(), &[2; 32]);
    let (_, tag3) = dialing.prove(&keys, &forged, b"").unwrap();
    assert_eq!(answering.finish(&keys, &tag3, b"").err(), Some(Refusal::Proof));
    // A member that asks for the wrong instance on purpose is refused after its proof.
    let (answering, challenge) = Answering::begin(&keys, &other, &hello, &[2; 32]).unwrap();
    let tag = keys.tag(0, Side::Dialer, &[DIALER, &hello, &challenge, b""]);
    assert_eq!(answering.finish(&keys, &tag, b"").err(), Some(Refusal::NotMe));
}

#[test]
fn a_proof_holds_for_one_channel_only() {
    let keys = keys(&[1]);
    let (dialing, hello) = Dialing::begin(&keys, &hail(), &[1; 32]);
    let (answering, challenge) = Answering::begin(&keys, &node(), &hello, &[2; 32]).unwrap();
    let (_, tag3) = dialing.prove(&keys, &challenge, b"channel 1").unwrap();
    assert_eq!(answering.finish(&keys, &tag3, b"channel 2").err(), Some(Refusal::Proof));
}

#[test]
fn the_longest_names_fit_and_longer_ones_are_refused() {
    let long = |n: usize| owner(&"x".repeat(n), u64::MAX);
    let namespace = "n".repeat(MAX_NAMESPACE);
    let keys = Keys::new(&[secret(1)], &namespace).unwrap();
    let call = |n| Hail { from: Dialer { owner: long(n), shard: u16::MAX }, to: node(), ..hail() };
    let (learned, wire) = play(&keys, &keys, &node(), &call(MAX_ID), |_, _| {}).unwrap();
    assert!(learned == call(MAX_ID) && wire.hello.len() <= LONGEST - MAX_ID);
    assert_eq!(play(&keys, &keys, &node(), &call(MAX_ID + 1), |_, _| {}).err(), Some(Refusal::Malformed));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1100)) {
        prop_assert!(Answering::begin(&keys(&[1]), &node(), &bytes, &[2; 32]).is_err());
        let (dialing, _) = Dialing::begin(&keys(&[1]), &hail(), &[1; 32]);
        prop_assert!(dialing.prove(&keys(&[1]), &bytes, b"").is_err());
    }
}
