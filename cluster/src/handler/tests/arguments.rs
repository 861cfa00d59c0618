//! Arguments: extractors in any order.

use bytes::Bytes;
use due_core::{Code, RouteDef, Uid};
use tokio::time::Instant;

use super::fixture::{ADD, ECHO, NOTE, Shard};
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{
        Deadline, Event, Extract, FromRef, Msg, Needs, NoBody, Origin, OwnedRequest, Request, Routes, Seq, State,
    },
    session::Session,
};

#[derive(Clone)]
struct Both {
    base: u32,
    name: String,
}

impl FromRef<Both> for u32 {
    fn from_ref(both: &Both) -> u32 {
        both.base
    }
}

impl FromRef<Both> for String {
    fn from_ref(both: &Both) -> String {
        both.name.clone()
    }
}

#[test]
fn the_body_and_parts_of_the_state_come_in_any_order() {
    fn add(State(base): State<u32>, Msg(n): Msg<u32>, State(name): State<String>) -> u32 {
        base + n + name.len() as u32
    }
    let both = Both { base: 40, name: "ab".into() };
    let mut shard = Shard::new(Routes::new().route(ADD, add).with_state(both));
    assert_eq!(shard.call(ADD.def(), "1").reply(), "43");
}

#[test]
fn eight_arguments_fit() {
    #[allow(clippy::too_many_arguments)]
    async fn all(
        _: Session,
        _: Cluster,
        uid: Option<Uid>,
        Seq(seq): Seq,
        Deadline(at): Deadline,
        route: RouteDef,
        body: Bytes,
        Msg(text): Msg<String>,
    ) -> String {
        assert!(at > Instant::now());
        format!("{uid:?} {seq} {} {} {text}", route.name, body.len())
    }
    let mut shard = Shard::new(Routes::new().route(ECHO, all));
    shard.seq = 9;
    assert_eq!(shard.call(ECHO.def(), "\"x\"").reply(), "\"None 9 echo 3 x\"");
}

#[test]
fn a_body_that_does_not_decode_is_a_bad_request_and_no_call() {
    let mut shard = Shard::new(Routes::new().route(ADD, |Msg(_): Msg<u32>| -> u32 { panic!("called") }));
    let fault = shard.call(ADD.def(), "nonsense").fault();
    assert_eq!(fault.code(), Code::BAD_REQUEST);
    assert!(fault.source().is_some());
}

#[test]
fn a_handler_that_takes_a_user_makes_its_route_authorized() {
    async fn who(uid: Uid) -> String {
        uid.to_string()
    }
    let mut shard = Shard::new(Routes::new().route(ECHO, who).route(NOTE, |_: Option<Uid>| ()));
    let flags = |shard: &Shard, def: RouteDef| shard.table.mounts()[shard.table.find(def.id).unwrap()].def().flags;
    assert!(flags(&shard, ECHO.def()).authorized);
    assert!(!flags(&shard, NOTE.def()).authorized);
    assert_eq!(shard.call(ECHO.def(), "").fault().code(), Code::UNAUTHORIZED);
    shard.uid = Some(7.into());
    assert_eq!(shard.call(ECHO.def(), "").reply(), "\"7\"");
}

struct Admin(i64);

impl<S, C> Extract<S, C> for Admin {
    type Body = NoBody;
    const NEEDS: Needs = Needs::USER;

    fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
        match rq.uid {
            Some(Uid::Int(n)) if *n < 10 => Ok(Admin(*n)),
            _ => Err(Code::FORBIDDEN.into()),
        }
    }
}

#[test]
fn an_extractor_of_the_application_refuses_by_its_own_fault() {
    let mut shard = Shard::new(Routes::new().route(ADD, |Admin(n): Admin| n as u32));
    assert!(shard.table.mounts()[0].def().flags.authorized);
    shard.uid = Some(3.into());
    assert_eq!(shard.call(ADD.def(), "").reply(), "3");
    shard.uid = Some(30.into());
    assert_eq!(shard.call(ADD.def(), "").fault().code(), Code::FORBIDDEN);
}

#[test]
fn the_first_argument_that_fails_is_the_answer() {
    let mut shard = Shard::new(Routes::new().route(ADD, |_: Uid, Msg(n): Msg<u32>| n));
    assert_eq!(shard.call(ADD.def(), "nonsense").fault().code(), Code::UNAUTHORIZED);
}

#[test]
fn the_fallback_sees_number_and_bytes_of_any_route() {
    fn echo(route: RouteDef, body: Bytes) -> Bytes {
        assert_eq!(route.id.0, 77);
        body
    }
    let mut shard = Shard::new(Routes::new().fallback(echo));
    let def = RouteDef { id: due_core::RouteId(77), name: "", flags: ADD.def().flags };
    assert_eq!(shard.call(def, "as it is").reply(), "as it is");
}

#[test]
fn an_event_handler_takes_session_and_state() {
    fn left(_: Session, State(n): State<u32>) {
        assert_eq!(n, 5);
    }
    let mut shard = Shard::new(Routes::new().on(Event::Disconnected, left).with_state(5));
    let place = shard.table.event(Event::Disconnected)[0];
    assert!(matches!(
        shard.begin_at(place, Event::Disconnected.def(), b""),
        super::fixture::Began::End(super::fixture::End::Nothing)
    ));
    assert!(shard.table.event(Event::Connected).is_empty());
}

#[test]
fn an_owned_request_shows_what_the_borrowed_one_showed() {
    fn look(rq: Looked) -> String {
        rq.0
    }
    struct Looked(String);
    impl<S, C> Extract<S, C> for Looked {
        type Body = NoBody;
        fn extract(rq: &Request<'_>, _: &S) -> Result<Self, Fault> {
            let owned: OwnedRequest = rq.to_owned(false);
            let view = owned.view();
            assert_eq!(view.body.bytes(), rq.body.bytes());
            assert_eq!((view.seq, view.uid, view.deadline, view.route), (rq.seq, rq.uid, rq.deadline, rq.route));
            assert_eq!((view.trace, view.origin), (rq.trace, rq.origin));
            Ok(Looked(format!("{}", matches!(view.origin, Origin::Node(_)))))
        }
    }
    let mut shard = Shard::new(Routes::new().route(ECHO, look));
    assert_eq!(shard.call(ECHO.def(), "x").reply(), "\"false\"");
    shard.peer = Some(due_core::Owner { id: "mesh-1".into(), incarnation: due_core::Incarnation(1) });
    assert_eq!(shard.call(ECHO.def(), "x").reply(), "\"true\"");
}
