//! What a handler returns.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use due_codec::Json;
use due_core::{Call, Code, Codec, CodecError};
use tokio::sync::oneshot;

use super::fixture::{ADD, Began, ECHO, End, NOTE, Shard, TAKEN, end};
use crate::{
    fault::Fault,
    handler::{Msg, Routes, State, blocking},
};

#[test]
fn a_plain_and_an_async_handler_answer_at_once() {
    let routes = Routes::new().route(ADD, |Msg(n): Msg<u32>| n + 1).route(ECHO, async |Msg(t): Msg<String>| t);
    let mut shard = Shard::new(routes);
    assert_eq!(shard.call(ADD.def(), "1").reply(), "2");
    assert_eq!(shard.call(ECHO.def(), "\"a\"").reply(), "\"a\"");
}

#[test]
fn a_notify_has_no_answer() {
    let mut shard = Shard::new(Routes::new().route(NOTE, async |Msg(_): Msg<String>| {}));
    assert!(matches!(shard.call(NOTE.def(), "\"a\""), End::Nothing));
    assert!(shard.out.is_empty());
}

#[test]
fn an_error_is_a_fault_with_its_code() {
    #[derive(Debug)]
    enum Mine {
        Taken,
        Io(std::io::Error),
    }
    impl From<Mine> for Fault {
        fn from(e: Mine) -> Fault {
            match e {
                Mine::Taken => TAKEN.into(),
                Mine::Io(e) => e.into(),
            }
        }
    }
    async fn claim(Msg(n): Msg<u32>) -> Result<u32, Mine> {
        Err(if n == 0 { Mine::Taken } else { Mine::Io(std::io::Error::other("disk")) })
    }
    let mut shard = Shard::new(Routes::new().route(ADD, claim));
    assert_eq!(shard.call(ADD.def(), "0").fault().code(), TAKEN);
    let fault = shard.call(ADD.def(), "1").fault();
    assert_eq!((fault.code(), fault.source().unwrap().to_string()), (Code::INTERNAL, "disk".into()));
}

#[test]
fn a_handler_that_waits_goes_on_where_it_was() {
    async fn wait(State(gate): State<Gate>, Msg(n): Msg<u32>) -> Result<u32, Fault> {
        let rx = gate.0.lock().unwrap().take().unwrap();
        Ok(n + rx.await?)
    }
    type Slot = std::sync::Mutex<Option<oneshot::Receiver<u32>>>;
    #[derive(Clone, Default)]
    struct Gate(Arc<Slot>);
    let gate = Gate::default();
    let mut shard = Shard::new(Routes::new().route(ADD, wait).with_state(gate.clone()));
    let (tx, rx) = oneshot::channel();
    *gate.0.lock().unwrap() = Some(rx);
    let running = shard.wait(ADD.def(), "1");
    tx.send(41).unwrap();
    assert_eq!(shard.go_on(ADD.def(), running).reply(), "42");
}

#[derive(Clone, Copy, Debug, Default)]
struct Half;

impl Codec<u32> for Half {
    fn encode(&self, _: &u32, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(b"half");
        Err(CodecError::new("half", "no more"))
    }

    fn decode(&self, _: &[u8]) -> Result<u32, CodecError> {
        Ok(1)
    }
}

#[test]
fn an_answer_that_does_not_encode_is_an_internal_fault_and_leaves_no_bytes() {
    const BAD: Call<u32, u32, Half> = Call::new(9, "bad");
    let mut shard = Shard::new(Routes::new().route(BAD, |Msg(n): Msg<u32>| n));
    assert_eq!(shard.call(BAD.def(), "").fault().code(), Code::INTERNAL);
    assert!(shard.out.is_empty());
}

#[test]
fn a_blocking_handler_becomes_a_job_with_its_arguments() {
    let ran = Arc::new(AtomicBool::new(false));
    let flag = ran.clone();
    let hash = move |Msg(n): Msg<u32>| -> Result<u32, Code> {
        flag.store(true, Ordering::SeqCst);
        if n == 0 { Err(TAKEN) } else { Ok(n * 2) }
    };
    let mut shard = Shard::new(Routes::new().route(ADD, blocking(hash)));
    let Began::Blocking(job) = shard.begin(ADD.def(), "21") else { panic!("no job") };
    assert!(!ran.load(Ordering::SeqCst));
    let (answer, bytes) = std::thread::spawn(job).join().unwrap();
    assert_eq!(end(answer, &bytes).reply(), "42");
    let Began::Blocking(job) = shard.begin(ADD.def(), "0") else { panic!("no job") };
    let (answer, bytes) = job();
    assert_eq!(end(answer, &bytes).fault().code(), TAKEN);
    assert_eq!(shard.call(ADD.def(), "nonsense").fault().code(), Code::BAD_REQUEST);
}

#[test]
fn errors_as_turns_a_fault_into_an_answer_of_the_route() {
    const LOGIN: Call<String, (bool, u32), Json> = Call::new(4, "login");
    let routes = Routes::new()
        .route(ADD, |Msg(n): Msg<u32>| n)
        .route(LOGIN, |Msg(_): Msg<String>| -> Result<(bool, u32), Fault> { Err(TAKEN.into()) })
        .errors_as(LOGIN, |fault| (false, fault.code().number()));
    let mut shard = Shard::new(routes);
    let fault = shard.call(LOGIN.def(), "\"ann\"").fault();
    let mount = |id| &shard.table.mounts()[shard.table.find(id).unwrap()];
    let mut out = b"kept ".to_vec();
    assert!(mount(LOGIN.def().id).answer_fault(&fault, &mut out));
    assert_eq!(out, b"kept [false,1001]");
    assert!(!mount(ADD.def().id).answer_fault(&fault, &mut out));
    assert_eq!(out, b"kept [false,1001]");
}

#[test]
fn an_errors_as_that_panics_gives_no_answer() {
    let routes = Routes::new().route(ADD, |Msg(n): Msg<u32>| n).errors_as(ADD, |_| panic!("of the application"));
    let shard = Shard::new(routes);
    let mut out = b"kept".to_vec();
    assert!(!shard.table.mounts()[0].answer_fault(&TAKEN.into(), &mut out));
    assert_eq!(out, b"kept");
}
