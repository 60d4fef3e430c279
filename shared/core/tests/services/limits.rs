//! Who does too much is told when to come again, and loses nothing by it.

use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::events::Reason;
use petrel_core::ids::{DeviceId, Seq};
use petrel_core::limits::{Limit, Limits};
use petrel_core::message::Content;
use petrel_core::ports::{Log, Platform, mint};
use petrel_core::services::{Intent, NewGroup, Range, SyncRequest};

use crate::world::*;

fn limited(set: impl FnOnce(&mut Limits)) -> World {
    let mut world = World::new();
    world.app.settings.limits = Limits::OFF;
    set(&mut world.app.settings.limits);
    world
}

#[test]
fn a_conversation_takes_so_many_from_everyone_together_and_then_one_at_a_time() {
    let world = limited(|l| l.conversation = Limit::new(4, 2));
    let c = direct("ana", "bo");
    for (n, who) in ["ana", "bo", "ana", "bo"].into_iter().enumerate() {
        assert_eq!(world.say(who, &c, "hi").seq.get(), n as u64 + 1);
    }
    let id = mint(&*world.memory);
    let refused = world.send_as("ana", &c, Some(4), id, text("hi")).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RateLimited);
    // `sent_at` has run 3 ms ahead of a clock that stands still.
    let wait = refused.retry_after_ms.unwrap();
    assert!((498..=504).contains(&wait), "{wait}");
    assert_eq!(world.readable("bo", &c).unwrap(), [1, 2, 3, 4]);
    // Elsewhere there is room, and so there is here after the wait: for one.
    world.say("ana", &direct("ana", "cy"), "hi");
    world.memory.pass(wait);
    assert!(!world.send_as("ana", &c, Some(4), id, text("hi")).unwrap().duplicate);
    assert_eq!(
        kind(world.send_as("bo", &c, Some(4), mint(&*world.memory), text("hi"))),
        ErrorKind::RateLimited
    );
    world.memory.pass(60_000);
    for _ in 0..4 {
        world.say("bo", &c, "hi");
    }
}

#[test]
fn a_duplicate_is_answered_whatever_the_limit() {
    let world = limited(|l| {
        l.conversation = Limit::new(1, 60);
        l.messages = Limit::new(1, 60);
    });
    let c = direct("ana", "bo");
    let id = mint(&*world.memory);
    let first = world.send_as("ana", &c, Some(0), id, text("hi")).unwrap();
    for seen in [Some(0), Some(1), None] {
        let again = world.send_as("ana", &c, seen, id, text("hi")).unwrap();
        assert_eq!((again.seq, again.duplicate), (first.seq, true));
    }
    assert_eq!(
        kind(world.send_as("ana", &c, None, mint(&*world.memory), text("hi"))),
        ErrorKind::RateLimited
    );
}

#[test]
fn who_repeats_without_end_is_refused_before_anything_is_read_and_what_stands_stands() {
    let world = limited(|l| l.requests = Limit::new(3, 60));
    let c = direct("ana", "bo");
    world.online("bo", "bo");
    let id = mint(&*world.memory);
    let again = || world.send_as("ana", &c, None, id, text("hi"));
    let first = again().unwrap();
    for _ in 0..3 {
        assert!(again().unwrap().duplicate);
    }
    let delivered = world.received("bo", "message").len();
    assert_eq!(kind(again()), ErrorKind::RateLimited);
    assert_eq!(world.received("bo", "message").len(), delivered);
    world.memory.pass(60_000);
    assert_eq!(again().unwrap().seq, first.seq);
}

#[test]
fn what_is_refused_counts_as_a_request() {
    let send = |world: &World, to: &str, content| {
        world.send_as("ana", &direct("ana", to), Some(9), mint(&*world.memory), content)
    };
    let long = || text(&"x".repeat(16 * 1024 + 1));
    for (content, expected) in [
        (text as fn(&str) -> Content, ErrorKind::SyncRequired),
        (|_| Content::text("x".repeat(16 * 1024 + 1)), ErrorKind::SyncRequired),
    ] {
        let world = limited(|l| l.requests = Limit::new(2, 60));
        for _ in 0..2 {
            assert_eq!(kind(send(&world, "bo", content("hi"))), expected);
        }
        assert_eq!(kind(send(&world, "bo", content("hi"))), ErrorKind::RateLimited);
    }
    // What is refused by itself, too; and what names too much is cheap only once.
    let world = limited(|l| l.requests = Limit::new(2, 60));
    let c = direct("ana", "bo");
    let refused = || kind(world.send_as("ana", &c, Some(0), mint(&*world.memory), long()));
    assert_eq!(
        [refused(), refused(), refused()],
        [ErrorKind::TooLarge, ErrorKind::TooLarge, ErrorKind::RateLimited]
    );
}

#[test]
fn whom_one_watches_counts_each() {
    let world = limited(|l| l.requests = Limit::new(100, 60));
    let users: Vec<_> = (0..60).map(|n| user(&format!("u{n}"))).collect();
    let ask = |watch| block_on(world.app.presence(&caller("ana"), &users, watch));
    ask(true).unwrap();
    assert_eq!(kind(ask(true)), ErrorKind::RateLimited);
    for _ in 0..6 {
        ask(false).unwrap();
    }
    assert_eq!(kind(ask(false)), ErrorKind::RateLimited);
}

#[test]
fn one_member_leaves_the_others_half_of_a_conversation() {
    let mut world = World::new();
    world.app.settings.limits = Limits::default();
    let group = world.group("ana", &["bo", "cy"]);
    let mut seen = 1;
    let mut say = |who: &str| {
        let sent = world.send_as(who, &group, Some(seen), mint(&*world.memory), text("hi"));
        seen += u64::from(sent.is_ok());
        sent
    };
    let flood = (0..2_400).take_while(|_| say("bo").is_ok()).count();
    assert_eq!(flood, 1_200);
    say("cy").unwrap();
}

#[test]
fn membership_passes_and_neither_fills_nor_empties_the_conversation() {
    let world = limited(|l| l.conversation = Limit::new(2, 60));
    let group = world.group("ana", &["bo"]);
    let say = |seen| world.send_as("bo", &group, Some(seen), mint(&*world.memory), text("hi"));
    say(1).unwrap();
    say(2).unwrap();
    for name in ["cy", "di", "ed"] {
        block_on(world.app.add_members(&caller("ana"), &group, &[user(name)])).unwrap();
    }
    assert_eq!(kind(say(6)), ErrorKind::RateLimited);
    let newest = block_on(world.memory.newest(&group, Seq::FIRST, None, 9)).unwrap();
    let levels: Vec<u64> = newest.iter().rev().map(|e| e.level / 1_000_000).collect();
    assert_eq!(levels, [0, 30, 60, 60, 60, 60]);
}

#[test]
fn an_entry_from_before_there_was_a_limit_counts_as_an_empty_bucket() {
    let mut world = limited(|_| {});
    let c = direct("ana", "bo");
    for _ in 0..9 {
        world.say("ana", &c, "hi");
    }
    let newest = block_on(world.memory.newest(&c, Seq::FIRST, None, 9)).unwrap();
    assert!(newest.iter().all(|e| e.level == 0));
    world.app.settings.limits.conversation = Limit::new(2, 60);
    world.say("ana", &c, "hi");
    world.say("ana", &c, "hi");
    assert_eq!(
        kind(world.send_as("ana", &c, None, mint(&*world.memory), text("hi"))),
        ErrorKind::RateLimited
    );
}

#[test]
fn a_log_that_is_ahead_of_the_clock_keeps_nobody_waiting_for_it() {
    let world = limited(|l| l.conversation = Limit::new(1, 60));
    let c = direct("ana", "bo");
    world.memory.pass(3_600_000);
    world.say("ana", &c, "from an hour ahead");
    let mut behind = World::new();
    behind.app.settings.limits = world.app.settings.limits;
    for entry in block_on(world.memory.newest(&c, Seq::FIRST, None, 9)).unwrap() {
        block_on(behind.memory.put(&entry)).unwrap();
    }
    for _ in 0..3 {
        behind.say("ana", &c, "now");
    }
}

#[test]
fn one_users_share_of_everything_is_theirs_alone() {
    let one = Limit::new(1, 60);
    let world = limited(|l| {
        (l.messages, l.requests, l.members, l.sockets) = (one, one, Limit::new(3, 60), one);
    });
    let (ana, c) = (caller("ana"), direct("ana", "bo"));
    world.say("ana", &c, "hi");
    let elsewhere = direct("ana", "cy");
    assert_eq!(
        kind(world.send_as("ana", &elsewhere, None, mint(&*world.memory), text("hi"))),
        ErrorKind::RateLimited
    );
    world.say("bo", &c, "hi");

    world.online("ana", "phone");
    let tablet = socket("ana", "tablet", 1);
    assert_eq!(kind(block_on(world.app.connect(&tablet))), ErrorKind::RateLimited);
    world.online("bo", "bo-1");

    let group =
        NewGroup { name: "trip".into(), members: vec![user("bo"), user("cy")], request_id: None };
    let group = block_on(world.app.create_group(&ana, group)).unwrap().conversation_id;
    let renamed = Intent::Update {
        name: Some("tour".into()),
        post: None,
        add: None,
        avatar: None,
        retention_days: None,
    };
    assert_eq!(kind(block_on(world.app.change(&ana, &group, &renamed))), ErrorKind::RateLimited);

    block_on(world.app.history(&ana, &c, Range::After(Seq::ZERO), 9)).unwrap();
    let sync = SyncRequest { cursors: Default::default(), limit: 1, tail: false, page: None };
    let phone = DeviceId::parse("phone").unwrap();
    for refused in [
        kind(block_on(world.app.history(&ana, &c, Range::After(Seq::ZERO), 9))),
        kind(block_on(world.app.sync(&ana, &sync))),
        kind(block_on(world.app.overview(&ana, None))),
        kind(block_on(world.app.group(&ana, &c))),
        kind(block_on(world.app.typing(&ana, &c, true, None))),
        kind(block_on(world.app.receipts(&ana, &c, Seq::FIRST, None))),
        kind(block_on(world.app.invites(&ana, &group))),
        kind(block_on(world.app.set_push(&ana, phone, Platform::Fcm, "t"))),
        kind(world.ack("ana", &c, 1, 1)),
    ] {
        assert_eq!(refused, ErrorKind::RateLimited);
    }
    world.sync("bo", &[], 9);
}

#[test]
fn who_reports_too_much_reports_the_same_later_and_nothing_of_it_went_out() {
    let world = limited(|l| l.reports = Limit::new(2, 60));
    let c = direct("ana", "bo");
    world.say("ana", &c, "hi");
    let report =
        |who: &str| block_on(world.app.report(&caller(who), &c, Seq::FIRST, Reason::Abuse, None));
    let first = report("bo").unwrap();
    // The same again counts too.
    report("bo").unwrap();
    let refused = report("bo").unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RateLimited);
    assert_eq!(world.memory.reports().len(), 2);
    report("ana").unwrap();
    world.say("bo", &c, "hi");
    world.sync("bo", &[], 9);
    world.memory.pass(refused.retry_after_ms.unwrap());
    assert_eq!(report("bo").unwrap(), first);
}

#[test]
fn of_several_messages_those_that_fit_are_stored_and_the_rest_is_not_tried() {
    use petrel_core::services::{Outgoing, SendRequest};
    let world = limited(|l| l.conversation = Limit::new(2, 60));
    let c = direct("ana", "bo");
    let out = |_| Outgoing { message_id: mint(&*world.memory), content: Content::text("hi") };
    let messages: Vec<_> = (0..4).map(out).collect();
    let send = |messages| SendRequest { conversation: c.clone(), seen: Some(Seq::ZERO), messages };
    let results = block_on(world.app.send(&caller("ana"), send(messages.clone()))).unwrap();
    let seqs: Vec<_> = results.iter().map(|r| r.as_ref().ok().map(|s| s.seq.get())).collect();
    assert_eq!(seqs, [Some(1), Some(2), None]);
    let error = &results[2].as_ref().unwrap_err().1;
    world.memory.pass(error.retry_after_ms.unwrap());
    // The same frame again: two duplicates and one more.
    let results = block_on(world.app.send(&caller("ana"), send(messages))).unwrap();
    let told: Vec<_> = results.iter().map(|r| r.as_ref().ok().map(|s| s.duplicate)).collect();
    assert_eq!(told, [Some(true), Some(true), Some(false), None]);
}
