//! Storing: places, duplicates, and what is refused.

use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Content, GroupChange, MAX_TEXT_BYTES};
use petrel_core::ports::{Log, mint};
use petrel_core::services::{Outgoing, SendRequest, Sent};

use crate::world::*;

#[test]
fn a_message_reaches_every_other_device_and_not_the_one_that_sent_it() {
    let world = World::new();
    for (name, device) in [("ana", "ana"), ("ana", "ana-2"), ("bo", "bo")] {
        world.online(name, device);
    }
    let sent = world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!((sent.seq, sent.duplicate), (Seq::FIRST, false));
    let got = |device| world.received(device, "message").len();
    assert_eq!((got("ana"), got("ana-2"), got("bo")), (0, 1, 1));
    assert!(world.memory.jobs().is_empty());
}

#[test]
fn a_resend_is_answered_with_the_first_place_and_delivered_again_as_stored() {
    let world = World::new();
    world.online("bo", "bo");
    let c = direct("ana", "bo");
    let id = mint(&*world.memory);
    let first = world.send_as("ana", &c, Some(0), id, text("one")).unwrap();
    world.say("bo", &c, "between");
    let again = world.send_as("ana", &c, Some(0), id, text("another text")).unwrap();
    assert_eq!(again, Sent { duplicate: true, ..first });
    let texts: Vec<_> =
        world.received("bo", "message").iter().map(|f| f["content"]["text"].clone()).collect();
    assert!(texts.contains(&"one".into()) && !texts.contains(&"another text".into()));
    // The same id from somebody else is another message.
    assert!(!world.send_as("bo", &c, Some(0), id, text("mine")).unwrap().duplicate);
}

#[test]
fn several_messages_in_one_send_keep_their_order_up_to_the_first_failure() {
    let world = World::new();
    let c = direct("ana", "bo");
    let out = |content| Outgoing { message_id: mint(&*world.memory), content };
    let bad_target = Content::Reply { target: Seq::new(99), text: "?".into(), mentions: vec![] };
    let send = SendRequest {
        conversation: c.clone(),
        seen: Some(Seq::ZERO),
        messages: vec![out(text("a")), out(text("b")), out(bad_target), out(text("never"))],
    };
    let results = block_on(world.app.send(&caller("ana"), send)).unwrap();
    let seqs: Vec<_> = results.iter().map(|r| r.as_ref().map(|s| s.seq.get()).ok()).collect();
    assert_eq!(seqs, [Some(1), Some(2), None]);
    assert_eq!(results[2].as_ref().unwrap_err().1.kind, ErrorKind::NotFound);
    assert_eq!(world.readable("bo", &c).unwrap(), [1, 2]);
}

#[test]
fn what_send_refuses() {
    let world = World::new();
    let c = direct("ana", "bo");
    for words in ["1", "2", "3"] {
        world.say("ana", &c, words);
    }
    let group = world.group("ana", &["bo"]);
    block_on(world.app.block(&caller("bo"), &user("eve"))).unwrap();
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let system = Content::System { change: GroupChange::Added { members: vec![user("eve")] } };
    let edit = |target| Content::Edit { target: Seq::new(target), text: "x".into() };
    let nowhere = ConversationId::parse("g:0192f3c4-0000-7000-8000-00000000dead").unwrap();
    for (who, to, seen, content, expected) in [
        ("ana", &c, Some(4), text("seen in the future"), ErrorKind::SyncRequired),
        ("ana", &c, Some(u64::MAX), text("seen at the end"), ErrorKind::SyncRequired),
        ("ana", &c, Some(3), text(""), ErrorKind::BadRequest),
        ("ana", &c, Some(3), text(&long), ErrorKind::TooLarge),
        ("ana", &c, Some(3), system, ErrorKind::BadRequest),
        ("bo", &c, Some(3), edit(1), ErrorKind::Forbidden),
        ("bo", &c, Some(3), Content::Delete { target: Seq::new(1) }, ErrorKind::Forbidden),
        ("ana", &c, Some(3), edit(0), ErrorKind::NotFound),
        ("ana", &c, Some(3), edit(9), ErrorKind::NotFound),
        ("ana", &group, Some(1), edit(1), ErrorKind::NotFound),
        ("ana", &direct("ana", "cy"), Some(0), edit(1), ErrorKind::NotFound),
        ("eve", &group, Some(1), text("a stranger who guesses the head"), ErrorKind::NotAMember),
        ("eve", &c, Some(3), text("a stranger"), ErrorKind::NotAMember),
        ("eve", &c, Some(9), text("a stranger with a bad seen"), ErrorKind::NotAMember),
        ("eve", &group, None, text("a stranger"), ErrorKind::NotAMember),
        ("eve", &group, Some(7), text("a stranger with a bad seen"), ErrorKind::NotAMember),
        ("eve", &nowhere, None, text("no such group"), ErrorKind::NotAMember),
        ("eve", &direct("bo", "eve"), Some(0), text("blocked"), ErrorKind::NotAMember),
    ] {
        let id = mint(&*world.memory);
        let label = format!("{who} to {to}: {content:?}");
        assert_eq!(kind(world.send_as(who, to, seen, id, content)), expected, "{label:.80}");
    }
    let none = SendRequest { conversation: c.clone(), seen: None, messages: vec![] };
    assert_eq!(kind(block_on(world.app.send(&caller("ana"), none))), ErrorKind::BadRequest);
    // Nothing of it was stored, nor half of it: not even the row of a conversation that did not come about.
    assert!(world.sync("cy", &[], 200).conversations.is_empty());
    assert_eq!(kind(world.readable("cy", &direct("ana", "cy"))), ErrorKind::NotAMember);
    assert_eq!(world.readable("ana", &c).unwrap(), [1, 2, 3]);
    assert_eq!(world.readable("ana", &group).unwrap(), [1]);
    assert!(block_on(world.memory.after(&nowhere, Seq::ZERO, 9)).unwrap().is_empty());
    assert_eq!(kind(world.readable("eve", &direct("bo", "eve"))), ErrorKind::NotAMember);
}

#[test]
fn seen_may_lie_500_behind_and_no_further() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..501 {
        world.say("ana", &c, "x");
    }
    let send = |seen| world.send_as("bo", &c, Some(seen), mint(&*world.memory), text("y"));
    assert_eq!(kind(send(0)), ErrorKind::SyncRequired);
    assert_eq!(send(1).unwrap().seq, Seq::new(502));
}

#[test]
fn notes_to_self_need_no_one_else() {
    let world = World::new();
    let c = direct("ana", "ana");
    assert_eq!(world.say("ana", &c, "milk").seq, Seq::FIRST);
    assert_eq!(world.readable("ana", &c).unwrap(), [1]);
}

#[test]
fn a_bad_message_of_several_stops_there_and_is_named() {
    let world = World::new();
    let out = |content| Outgoing { message_id: mint(&*world.memory), content };
    let send = SendRequest {
        conversation: direct("ana", "bo"),
        seen: Some(Seq::ZERO),
        messages: vec![out(text("a")), out(text("")), out(text("never"))],
    };
    let bad = send.messages[1].message_id;
    let results = block_on(world.app.send(&caller("ana"), send)).unwrap();
    let (id, error) = results[1].as_ref().unwrap_err();
    assert_eq!((results.len(), *id, error.kind), (2, bad, ErrorKind::BadRequest));
}
