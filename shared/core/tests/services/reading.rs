//! Sync, history and watermarks.

use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::ids::{Seq, UserId};
use petrel_core::message::{Content, MAX_TEXT_BYTES};
use petrel_core::ports::mint;
use petrel_core::services::{Range, SyncRequest};

use crate::world::*;

#[test]
fn a_thousand_messages_queued_while_offline_arrive_in_order() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..1000 {
        world.say("ana", &c, "x");
    }
    let (mut cursor, mut got) = (0, vec![]);
    loop {
        let synced = world.sync("bo", &[(&c, cursor)], 200);
        got.extend(through(&synced));
        let conversation = &synced.conversations[0];
        cursor = conversation.sent_through.get();
        assert_eq!(synced.batches.last().unwrap().more, cursor < 1000);
        if cursor == conversation.head.get() {
            break;
        }
    }
    assert_eq!(got, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn sync_finds_a_conversation_without_a_cursor_and_ends_at_its_limits() {
    let world = World::new();
    let c = direct("ana", "bo");
    let big = "x".repeat(MAX_TEXT_BYTES);
    for _ in 0..100 {
        world.say("ana", &c, &big);
    }
    let synced = world.sync("bo", &[], 200);
    let bytes: usize = synced
        .batches
        .iter()
        .map(|b| petrel_core::wire::ServerFrame::batch(b).to_json().len())
        .inspect(|b| assert!(*b <= 104 * 1024, "a batch of {b} bytes"))
        .sum();
    assert!((1_000_000..1_300_000).contains(&bytes), "{bytes} bytes in one sync");
    assert!(synced.conversations[0].sent_through < synced.conversations[0].head);
    // A cursor from the future hides nothing that comes later.
    assert_eq!(world.sync("bo", &[(&c, 5_000)], 200).conversations[0].sent_through.get(), 100);
    for limit in [0, 201] {
        let sync = SyncRequest { cursors: [].into(), limit, tail: false, page: None };
        assert_eq!(kind(block_on(world.app.sync(&caller("bo"), &sync))), ErrorKind::BadRequest);
    }
}

#[test]
fn history_reads_both_ways_without_holes() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..10 {
        world.say("ana", &c, "x");
    }
    for (range, expected, more) in [
        (Range::Before(Seq::new(8)), vec![5, 6, 7], true),
        (Range::Before(Seq::new(3)), vec![1, 2], false),
        (Range::Before(Seq::FIRST), vec![], false),
        (Range::Before(Seq::new(11)), vec![8, 9, 10], true),
        (Range::Before(Seq::new(12)), vec![8, 9, 10], true),
        (Range::Before(Seq::new(u64::MAX)), vec![8, 9, 10], true),
        (Range::After(Seq::new(5)), vec![6, 7, 8], true),
        (Range::After(Seq::new(7)), vec![8, 9, 10], false),
        (Range::After(Seq::new(10)), vec![], false),
        (Range::After(Seq::new(u64::MAX)), vec![], false),
    ] {
        let page = block_on(world.app.history(&caller("bo"), &c, range, 3)).unwrap();
        let seqs: Vec<_> = page.messages.iter().map(|e| e.seq.get()).collect();
        assert_eq!((seqs, page.more), (expected, more), "{range:?}");
    }
    for limit in [0, 101] {
        let bo = caller("bo");
        let page = world.app.history(&bo, &c, Range::After(Seq::ZERO), limit);
        assert_eq!(kind(block_on(page)), ErrorKind::BadRequest);
    }
    assert_eq!(kind(world.readable("eve", &c)), ErrorKind::NotAMember);
}

#[test]
fn watermarks_only_grow_and_the_author_is_told() {
    let world = World::new();
    world.online("ana", "ana");
    let c = direct("ana", "bo");
    for _ in 0..3 {
        world.say("ana", &c, "x");
    }
    assert_eq!(world.sync("bo", &[(&c, 0)], 200).conversations[0].unread, 3);
    assert!(world.ack("bo", &c, 3, 0).unwrap());
    assert!(world.ack("bo", &c, 0, 2).unwrap());
    // Replayed and reordered acks change nothing.
    assert!(!world.ack("bo", &c, 2, 1).unwrap());
    let conversation = &world.sync("bo", &[(&c, 3)], 200).conversations[0];
    let marks = (conversation.marks.delivered.get(), conversation.marks.read.get());
    assert_eq!((marks, conversation.unread), ((3, 2), 1));
    let receipts: Vec<_> = world
        .received("ana", "receipt")
        .iter()
        .map(|f| (f["user_id"].clone(), f["delivered"].clone(), f["read"].clone()))
        .collect();
    let expected = [("bo".into(), 3.into(), 0.into()), ("bo".into(), 3.into(), 2.into())];
    assert_eq!(receipts, expected);
    for (who, delivered, read, expected) in [
        ("bo", 4, 0, ErrorKind::BadRequest),
        ("bo", 0, 4, ErrorKind::BadRequest),
        ("bo", 0, 0, ErrorKind::BadRequest),
        ("eve", 1, 1, ErrorKind::NotAMember),
    ] {
        assert_eq!(kind(world.ack(who, &c, delivered, read)), expected, "{who} {delivered} {read}");
    }
}

#[test]
fn an_ack_after_a_long_time_finds_what_is_unread_and_tells_the_authors_of_the_last_32_of_each() {
    let world = World::new();
    for name in ["ana", "bo", "cy"] {
        world.online(name, name);
    }
    let group = world.group("ana", &["bo", "cy"]);
    world.say("cy", &group, "early");
    for _ in 0..50 {
        world.say("ana", &group, "x");
    }
    // The created entry is 1, the early one 2.
    let unread = || {
        let synced = world.sync("bo", &[(&group, 52)], 200);
        (synced.conversations[0].marks.delivered.get(), synced.conversations[0].unread)
    };
    let told = |who: &str| world.received(who, "receipt").len();
    assert!(world.ack("bo", &group, 52, 12).unwrap());
    assert_eq!((unread(), told("ana"), told("cy")), ((52, 40), 1, 1));
    assert!(world.ack("bo", &group, 0, 50).unwrap());
    assert_eq!((unread(), told("ana"), told("cy")), ((52, 2), 2, 1));
    // Of what one wrote oneself nobody else is told.
    assert!(world.ack("ana", &group, 52, 0).unwrap());
    assert_eq!((told("ana"), told("bo"), told("cy")), (2, 0, 1));

    // Those who joined later acknowledge from there on, and only whom they can read is told.
    world.say("cy", &group, "late");
    block_on(world.app.add_members(&caller("ana"), &group, &[user("di")])).unwrap();
    for (delivered, read) in [(53, 0), (53, 53), (55, 0), (u64::MAX, 0)] {
        let kind = kind(world.ack("di", &group, delivered, read));
        assert_eq!(kind, ErrorKind::BadRequest, "{delivered} {read}");
    }
    assert!(world.ack("di", &group, 54, 54).unwrap());
    assert_eq!((told("ana"), told("cy")), (3, 1));
}

#[test]
fn edits_and_reactions_do_not_count_as_unread() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.say("ana", &c, "x");
    for content in [
        Content::Edit { target: Seq::FIRST, text: "y".into() },
        Content::Reaction { target: Seq::FIRST, emoji: "👍".into(), remove: false },
        Content::Delete { target: Seq::FIRST },
    ] {
        world.send_as("ana", &c, None, mint(&*world.memory), content).unwrap();
    }
    let conversation = &world.sync("bo", &[], 200).conversations[0];
    assert_eq!((conversation.head.get(), conversation.unread), (4, 1));
}

#[test]
fn receipts_are_counted_among_those_who_may_read_the_message() {
    let world = World::new();
    let (group, _) = world.crowd(150);
    let sent = world.say("ana", &group, "hi").seq.get();
    for n in 1..=120 {
        let read = if n <= 7 { sent } else { 0 };
        world.ack(&format!("u{n:04}"), &group, sent, read).unwrap();
    }
    let late = [user("late")];
    block_on(world.app.add_members(&caller("ana"), &group, &late)).unwrap();
    let receipts = |who: &str, seq: u64, page: Option<&UserId>| {
        block_on(world.app.receipts(&caller(who), &group, Seq::new(seq), page))
    };
    let first = receipts("u0149", sent, None).unwrap();
    assert_eq!((first.members, first.delivered, first.read), (149, 120, 7));
    assert_eq!((first.readers.len(), first.page.clone()), (100, Some(user("u0100"))));
    let second = receipts("ana", sent, first.page.as_ref()).unwrap();
    assert_eq!((second.readers.len(), second.page, second.delivered), (20, None, 120));
    assert_eq!(kind(receipts("ana", 99, None)), ErrorKind::NotFound);
    assert_eq!(kind(receipts("late", sent, None)), ErrorKind::NotFound);
    assert_eq!(kind(receipts("eve", sent, None)), ErrorKind::NotAMember);
}

#[test]
fn the_overview_lists_what_a_sync_would_without_messages() {
    let world = World::new();
    let (c, group) = (direct("ana", "bo"), world.group("bo", &["ana"]));
    world.say("bo", &c, "hi");
    let listed = block_on(world.app.overview(&caller("ana"), None)).unwrap();
    assert!(listed.batches.is_empty());
    let found: Vec<_> = listed.conversations.iter().map(|c| (&c.id, c.head, c.unread)).collect();
    assert_eq!(found, [(&c, Seq::FIRST, 1), (&group, Seq::FIRST, 0)]);
    let info = block_on(world.app.group(&caller("ana"), &group)).unwrap();
    assert_eq!((info.info.map(|i| i.name).as_deref(), info.created_by), (Some("trip"), user("bo")));
    assert_eq!(info.members.len(), 2);
    assert_eq!(kind(block_on(world.app.group(&caller("eve"), &group))), ErrorKind::NotAMember);
    assert_eq!(block_on(world.app.group(&caller("bo"), &c)).unwrap().info, None);
}

#[test]
fn a_device_that_holds_nothing_gets_the_newest_by_tail_though_all_is_delivered() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..5 {
        world.say("ana", &c, "x");
    }
    world.ack("bo", &c, 5, 5).unwrap();
    let sync = SyncRequest { cursors: [].into(), limit: 2, tail: true, page: None };
    let synced = block_on(world.app.sync(&caller("bo"), &sync)).unwrap();
    assert_eq!(through(&synced), [4, 5]);
}

#[test]
fn who_comes_back_acknowledges_from_there_on_and_an_old_read_does_no_harm() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    world.say("ana", &group, "before");
    world.ack("bo", &group, 2, 2).unwrap();
    let bo = [user("bo")];
    block_on(world.app.remove_members(&caller("ana"), &group, &bo)).unwrap();
    let back = block_on(world.app.add_members(&caller("ana"), &group, &bo)).unwrap().unwrap();
    let seq = world.say("ana", &group, "after").seq.get();
    assert!(back.seq.get() > 2);
    assert!(world.ack("bo", &group, seq, 2).unwrap());
    let synced = world.sync("bo", &[], 200);
    let marks = synced.conversations[0].marks;
    assert_eq!((marks.delivered.get(), marks.read.get()), (seq, 0));
    assert_eq!(kind(world.ack("bo", &group, 2, 2)), ErrorKind::BadRequest);
}

#[test]
fn the_authors_of_what_was_read_far_below_are_told_too() {
    let world = World::new();
    let group = world.group("ana", &["bo", "cy"]);
    world.online("cy", "cy");
    world.say("cy", &group, "early");
    let mut last = 0;
    for _ in 0..40 {
        last = world.say("ana", &group, "x").seq.get();
    }
    world.ack("bo", &group, last - 1, 0).unwrap();
    let before = world.received("cy", "receipt").len();
    world.ack("bo", &group, last, 2).unwrap();
    assert_eq!(world.received("cy", "receipt").len(), before + 1);
}
