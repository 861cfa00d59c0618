//! The finished table.

use std::time::Duration;

use due_codec::Json;
use due_core::{Call, Kind, Notify, Topic};

use super::fixture::{ADD, ECHO, NOTE};
use crate::{
    handler::{Event, Msg, Reply, Role, Routes},
    session::Session,
};

fn add(Msg(n): Msg<u32>) -> u32 {
    n
}

fn refused(routes: Routes) -> String {
    let e = routes.build().unwrap_err();
    assert_eq!(e.kind(), Kind::Config);
    e.to_string()
}

#[test]
fn two_routes_with_one_number_are_refused_with_both_names() {
    const OTHER: Call<u32, u32, Json> = Call::new(1, "sub");
    let text = refused(Routes::new().route(ADD, add).merge(Routes::new().route(OTHER, add)));
    assert!(text.contains("`add` and `sub` have one number, 1"), "{text}");
}

#[test]
fn two_numbers_with_one_name_are_refused_with_both_numbers() {
    const OTHER: Call<u32, u32, Json> = Call::new(9, "add");
    let text = refused(Routes::new().route(ADD, add).route(OTHER, add));
    assert!(text.contains("1 and 9 have one name, `add`"), "{text}");
}

#[test]
fn a_route_served_twice_is_refused() {
    let text = refused(Routes::new().route(ADD, add).route(ADD, add));
    assert!(text.contains("`add` (1) has two handlers"), "{text}");
}

#[test]
fn all_conflicts_are_named_at_once() {
    let one = || Routes::new().route(ADD, add).fallback(bytes::Bytes::new);
    let text = refused(one().merge(one()).deadline(ECHO, Duration::from_secs(1)));
    assert!(text.contains("`add` (1) has two handlers"), "{text}");
    assert!(text.contains("two fallbacks"), "{text}");
    assert!(text.contains("`deadline` is set for `echo` (2), which has no handler"), "{text}");
}

#[test]
fn a_handler_of_the_event_bus_cannot_take_what_its_messages_do_not_have() {
    const SCORE: Topic<u32, Json> = Topic::new(7, "score");
    let text = refused(Routes::new().topic(SCORE, |_: Session, Msg(_): Msg<u32>| ()));
    assert!(text.contains("topic `score` takes a session"), "{text}");
    let text = refused(Routes::new().topic(SCORE, |_: Reply<u32>, Msg(_): Msg<u32>| ()));
    assert!(text.contains("`score` takes a Reply"), "{text}");
    let table = Routes::new().topic(SCORE, |Msg(_): Msg<u32>| ()).topic(SCORE, |Msg(_): Msg<u32>| ()).build();
    assert_eq!(table.unwrap().topics(), [0, 1]);
}

#[test]
fn an_event_handler_cannot_take_a_reply() {
    let text = refused(Routes::new().on(Event::Connected, |_: Reply<()>| ()));
    assert!(text.contains("`due.connected` takes a Reply"), "{text}");
}

#[test]
fn routes_are_found_by_number_in_any_order() {
    const NAMED: Notify<u32, Json> = Notify::named("Room.Say");
    let routes = Routes::new()
        .route(NOTE, |Msg(_): Msg<String>| ())
        .on(Event::Bound, || ())
        .route(NAMED, |Msg(_): Msg<u32>| ())
        .route(ADD, add);
    let table = routes.build().unwrap();
    let name = |id| table.find(id).map(|place| table.mounts()[place].def().name);
    assert_eq!(name(ADD.def().id), Some("add"));
    assert_eq!(name(NAMED.def().id), Some("Room.Say"));
    assert_eq!(name(ECHO.def().id), None);
    assert_eq!(table.routes().map(|m| m.def().name).collect::<Vec<_>>(), ["Room.Say", "add", "note"]);
    assert!(table.has_events() && table.fallback().is_none());
    assert_eq!(table.mount(table.event(Event::Bound)[0]).unwrap().role(), Role::Event(Event::Bound));
    assert_eq!(table.handlers().len(), table.mounts().len());
}

#[test]
fn settings_reach_their_route_also_when_it_comes_after_them() {
    let table = Routes::new()
        .deadline(ADD, Duration::from_secs(1))
        .cancellable(ADD)
        .route(ADD, add)
        .route(NOTE, |Msg(_): Msg<String>| ())
        .build()
        .unwrap();
    let mount = |id| &table.mounts()[table.find(id).unwrap()];
    let (add, note) = (mount(ADD.def().id), mount(NOTE.def().id));
    assert_eq!((add.deadline(), add.cancellable(), add.answers()), (Some(Duration::from_secs(1)), true, true));
    assert_eq!((note.deadline(), note.cancellable(), note.answers()), (None, false, false));
}

#[test]
fn the_fingerprint_tells_tables_apart_and_not_their_order() {
    let note = |Msg(_): Msg<String>| ();
    let one = Routes::new().route(ADD, add).route(NOTE, note).build().unwrap().fingerprint();
    let turned = Routes::new().route(NOTE, note).route(ADD, add).build().unwrap().fingerprint();
    let authorized = Routes::new().route(NOTE.authorized(), note).route(ADD, add).build().unwrap().fingerprint();
    assert_eq!(one, turned);
    assert_ne!(one, authorized);
}
