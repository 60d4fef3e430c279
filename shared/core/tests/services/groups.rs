//! How groups come into being and change.

use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::ports::mint;
use petrel_core::services::NewGroup;

use crate::world::*;

#[test]
fn who_joins_reads_from_there_on_and_who_leaves_reads_nothing_more() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    world.say("ana", &group, "before cy");
    let add = |users: &[UserId]| block_on(world.app.add_members(&caller("ana"), &group, users));
    assert_eq!(add(&[user("cy")]).unwrap().unwrap().seq, Seq::new(3));
    // Asked again, nothing changes: the same entry is delivered again.
    assert_eq!(add(&[user("cy")]).unwrap().unwrap().seq, Seq::new(3));
    world.say("bo", &group, "after cy");
    assert_eq!(world.readable("cy", &group).unwrap(), [3, 4]);
    assert_eq!(world.sync("cy", &[(&group, 0)], 200).conversations[0].unread, 1);
    assert_eq!(through(&world.sync("cy", &[(&group, 0)], 200)), [3, 4]);

    world.online("bo", "bo");
    let leave = |who: &str| block_on(world.app.remove_members(&caller(who), &group, &[user(who)]));
    assert_eq!(leave("bo").unwrap().unwrap().seq, Seq::new(5));
    world.say("ana", &group, "without bo");
    assert!(world.received("bo", "message").is_empty());
    assert_eq!(kind(world.readable("bo", &group)), ErrorKind::NotAMember);
    let id = mint(&*world.memory);
    assert_eq!(kind(world.send_as("bo", &group, None, id, text("x"))), ErrorKind::NotAMember);
    // Back again, he reads from his second joining on.
    assert_eq!(add(&[user("bo")]).unwrap().unwrap().seq, Seq::new(7));
    assert_eq!(world.readable("bo", &group).unwrap(), [7]);
}

#[test]
fn what_membership_refuses() {
    let world = World::new();
    let (group, _) = world.crowd(999);
    let add = |who: &str, to: &ConversationId, users: &[&str]| {
        let users: Vec<_> = users.iter().map(|u| user(u)).collect();
        kind(block_on(world.app.add_members(&caller(who), to, &users)))
    };
    assert_eq!(add("ana", &group, &["x", "y"]), ErrorKind::TooManyMembers);
    assert_eq!(add("u0001", &group, &["x"]), ErrorKind::Forbidden);
    assert_eq!(add("eve", &group, &["eve"]), ErrorKind::NotAMember);
    assert_eq!(add("ana", &group, &[]), ErrorKind::BadRequest);
    assert_eq!(add("ana", &direct("ana", "bo"), &["x"]), ErrorKind::BadRequest);
    let remove = block_on(world.app.remove_members(&caller("u0001"), &group, &[user("u0002")]));
    assert_eq!(kind(remove), ErrorKind::Forbidden);

    let create = |name: &str, members: usize| {
        let members = (0..members).map(|i| user(&format!("m{i}"))).collect();
        let group = NewGroup { name: name.into(), members, request_id: None };
        kind(block_on(world.app.create_group(&caller("ana"), group)))
    };
    assert_eq!(create("trip", 1000), ErrorKind::TooManyMembers);
    assert_eq!(create("trip", 0), ErrorKind::BadRequest);
    assert_eq!(create("", 2), ErrorKind::BadRequest);
    assert_eq!(create(&"x".repeat(257), 2), ErrorKind::BadRequest);
}

#[test]
fn creating_a_group_can_be_repeated() {
    let world = World::new();
    let create = |members: &[&str]| {
        let group = NewGroup {
            name: "trip".into(),
            members: members.iter().map(|m| user(m)).collect(),
            request_id: Some("r1".into()),
        };
        block_on(world.app.create_group(&caller("ana"), group)).unwrap()
    };
    let first = create(&["bo", "cy"]);
    assert_eq!(create(&["cy", "bo"]), first);
    assert_ne!(create(&["bo"]).conversation_id, first.conversation_id);
}

#[test]
fn a_membership_change_whose_call_died_before_delivering_is_delivered_by_its_repeat() {
    let world = World::new();
    let group = world.group("ana", &["bo", "cy"]);
    let remove = || block_on(world.app.remove_members(&caller("ana"), &group, &[user("cy")]));
    let first = remove().unwrap().unwrap();
    world.online("bo", "bo");
    assert_eq!(remove().unwrap().unwrap(), first);
    assert_eq!(world.received("bo", "message")[0]["seq"], first.seq.get());
    assert_eq!(world.readable("ana", &group).unwrap(), [1, 2]);
    // What nobody did is not made up.
    let nobody = block_on(world.app.remove_members(&caller("ana"), &group, &[user("eve")]));
    assert_eq!(nobody.unwrap(), None);
}

#[test]
fn leaving_can_be_repeated_and_is_told_again() {
    let world = World::new();
    let group = world.group("ana", &["bo", "cy"]);
    let leave = || block_on(world.app.remove_members(&caller("bo"), &group, &[user("bo")]));
    let first = leave().unwrap().unwrap();
    world.online("ana", "ana");
    assert_eq!(leave().unwrap().unwrap(), first);
    assert_eq!(world.received("ana", "message")[0]["seq"], first.seq.get());
    // Who never belonged has nothing to leave.
    let stranger = block_on(world.app.remove_members(&caller("eve"), &group, &[user("eve")]));
    assert_eq!(kind(stranger), ErrorKind::NotAMember);
}

#[test]
fn an_own_change_that_no_longer_holds_is_not_taken_for_the_one_that_stands() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    let add = || block_on(world.app.add_members(&caller("ana"), &group, &[user("cy")])).unwrap();
    add();
    block_on(world.app.remove_members(&caller("ana"), &group, &[user("cy")])).unwrap();
    let second = add();
    assert_eq!(add(), second);
    block_on(world.app.remove_members(&caller("cy"), &group, &[user("cy")])).unwrap();
    let third = add().unwrap();
    assert!(third.seq > second.unwrap().seq);
}

#[test]
fn who_was_added_and_removed_again_learns_nothing_of_the_log() {
    let world = World::new();
    let g = world.group("ana", &["bo"]);
    for (add, who) in [(true, "cy"), (false, "cy")] {
        let users = [user(who)];
        let changed = if add {
            block_on(world.app.add_members(&caller("ana"), &g, &users))
        } else {
            block_on(world.app.remove_members(&caller("ana"), &g, &users))
        };
        changed.unwrap();
    }
    // Not even that `seen` is wrong: a client that reads after `sync_required` is told that it is no member, without end.
    for seen in [None, Some(0), Some(99)] {
        let refused = world.send_as("cy", &g, seen, mint(&*world.memory), text("x"));
        assert_eq!(kind(refused), ErrorKind::NotAMember, "seen {seen:?}");
    }
}
