//! Profiles, what hiding what one has read does, and what blocking does.

use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::group::Role;
use petrel_core::ids::{MediaId, Seq, UserId};
use petrel_core::media::{Upload, UploadState};
use petrel_core::people::{Audience, DisplayName, Profile, ProfileChange};
use petrel_core::ports::Uploads;
use petrel_core::ports::mint;
use petrel_core::services::{Intent, MAX_BLOCKS, NewGroup};
use petrel_core::testing::an_upload;

use crate::world::{World, caller, direct, kind, text, user};

fn named(name: &str) -> ProfileChange {
    let name = DisplayName::parse(name).unwrap();
    ProfileChange { name: Some(Some(name)), ..ProfileChange::default() }
}

fn hides(hide: bool) -> ProfileChange {
    ProfileChange { hide_read_receipts: Some(hide), ..ProfileChange::default() }
}

fn set(world: &World, who: &str, change: &ProfileChange) -> Profile {
    block_on(world.app.set_profile(&caller(who), change)).unwrap()
}

fn block(world: &World, who: &str, whom: &str) {
    block_on(world.app.block(&caller(who), &user(whom))).unwrap();
}

#[test]
fn a_name_is_seen_is_one_line_and_turns_no_text_around_it() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    let called = |name: &str| {
        let intent = Intent::Update {
            name: Some(name.to_owned()),
            post: None,
            add: None,
            avatar: None,
            retention_days: None,
        };
        block_on(world.app.change(&caller("ana"), &group, &intent))
    };
    let invisible = ["", " \t", "\u{200b}", "\u{2060}\u{feff}", "\u{ad}"];
    let turning = ["a\u{202e}b", "\u{2066}a", "a\u{2028}b", "a\r\nb", "a\0"];
    for name in invisible.into_iter().chain(turning) {
        assert_eq!(DisplayName::parse(name).unwrap_err().kind, ErrorKind::BadRequest, "{name:?}");
        assert_eq!(kind(called(name)), ErrorKind::BadRequest, "{name:?}");
    }
    // Arabic with a mark of its direction, and a family held together by what has no width.
    for name in ["\u{200f}سلام", "👨\u{200d}👩\u{200d}👧", "a"] {
        assert_eq!(DisplayName::parse(name).unwrap().as_str(), name);
        called(name).unwrap();
    }
}

#[test]
fn a_profile_is_shown_where_it_is_asked_for() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    assert_eq!(block_on(world.app.own_profile(&caller("ana"))).unwrap(), Profile::default());
    // What is shown must be there; see `media`.
    let change = ProfileChange { avatar: Some(Some(MediaId::new(7))), ..hides(true) };
    let unknown = block_on(world.app.set_profile(&caller("ana"), &change));
    assert_eq!(kind(unknown), ErrorKind::NotFound);
    let upload = Upload { state: UploadState::Clean, expires_at_s: None, ..an_upload(1) };
    block_on(world.memory.media().announce(&upload)).unwrap();
    let avatar = upload.id;
    set(&world, "ana", &named("Ana"));
    set(&world, "ana", &ProfileChange { avatar: Some(Some(avatar.clone())), ..hides(true) });
    let ana = Profile {
        name: Some(DisplayName::parse("Ana").unwrap()),
        avatar: Some(avatar),
        hide_read_receipts: true,
        hide_previews: false,
        presence: Audience::Contacts,
    };
    assert_eq!(block_on(world.app.own_profile(&caller("ana"))).unwrap(), ana);

    // Who never set one, and who does not exist, are told alike.
    let asked = ["bo", "ana", "nobody", "ana"].map(user);
    let found = block_on(world.app.profiles(&asked)).unwrap();
    let expected =
        [("ana", ana.clone()), ("bo", Profile::default()), ("nobody", Profile::default())];
    assert_eq!(found, expected.map(|(name, profile)| (user(name), profile)).into());
    let seen = block_on(world.app.group(&caller("bo"), &group)).unwrap();
    assert_eq!(seen.profiles[&user("ana")], ana);

    assert_eq!(
        kind(block_on(world.app.set_profile(&caller("ana"), &ProfileChange::default()))),
        ErrorKind::BadRequest
    );
    let many: Vec<UserId> = (0..101).map(|n| user(&format!("u{n}"))).collect();
    assert_eq!(block_on(world.app.profiles(&many[..100])).unwrap().len(), 100);
    for bad in [&many[..], &[]] {
        assert_eq!(kind(block_on(world.app.profiles(bad))), ErrorKind::BadRequest);
    }
}

#[test]
fn what_is_read_is_told_unless_it_is_hidden() {
    let world = World::new();
    world.online("ana", "ana");
    let c = direct("ana", "bo");
    for words in ["1", "2", "3"] {
        world.say("ana", &c, words);
    }
    set(&world, "bo", &hides(true));
    world.ack("bo", &c, 1, 1).unwrap();
    let told = || {
        let receipts = world.received("ana", "receipt");
        receipts.iter().map(|r| (r["delivered"].as_u64(), r["read"].as_u64())).collect::<Vec<_>>()
    };
    assert_eq!(told(), [(Some(1), Some(0))]);
    // What raises `read` alone says nothing new.
    world.ack("bo", &c, 3, 1).unwrap();
    world.ack("bo", &c, 3, 2).unwrap();
    assert_eq!(told(), [(Some(1), Some(0)), (Some(3), Some(0))]);
    let readers = |who: &str| {
        let asked = block_on(world.app.receipts(&caller(who), &c, Seq::new(1), None)).unwrap();
        let marks = asked.readers[0].marks;
        (asked.delivered, asked.read, marks.delivered.get(), marks.read.get())
    };
    assert_eq!(readers("ana"), (1, 0, 3, 0));
    // His own he sees, and so do his devices.
    assert_eq!(readers("bo"), (1, 1, 3, 2));
    assert_eq!(world.sync("bo", &[], 9).conversations[0].marks.read, Seq::new(2));
    set(&world, "bo", &hides(false));
    assert_eq!(readers("ana"), (1, 1, 3, 2));
    world.ack("bo", &c, 3, 3).unwrap();
    assert_eq!(told().last(), Some(&(Some(3), Some(3))));
}

#[test]
fn who_hides_what_he_reads_does_not_tell_it_by_what_is_delivered_elsewhere() {
    let world = World::new();
    for name in ["ana", "cy"] {
        world.online(name, name);
    }
    let group = world.group("ana", &["bo", "cy"]);
    let first = world.say("ana", &group, "did you read this?").seq.get();
    set(&world, "bo", &hides(true));
    world.ack("bo", &group, first, 0).unwrap();
    let told = |who: &str| world.received(who, "receipt").len();
    let before = (told("ana"), told("cy"));
    // One ack that reads the one and receives the other: only whose entry is new hears of it.
    let second = world.say("cy", &group, "hi").seq.get();
    world.ack("bo", &group, second, first).unwrap();
    assert_eq!((told("ana"), told("cy")), (before.0, before.1 + 1));
}

#[test]
fn who_is_blocked_is_a_stranger() {
    let world = World::new();
    let c = direct("ana", "eve");
    world.say("ana", &c, "hi");
    block(&world, "ana", "eve");
    block(&world, "ana", "eve");
    let refused = |to: &str| {
        let id = mint(&*world.memory);
        let content = text("let me in");
        world.send_as("eve", &direct(to, "eve"), None, id, content).map(drop)
    };
    assert_eq!(kind(refused("ana")), ErrorKind::NotAMember);
    refused("bo").unwrap();

    // Into a group neither when it is founded nor later, whoever comes along.
    let found = |members: &[&str]| {
        let members = members.iter().map(|m| user(m)).collect();
        let group = NewGroup { name: "trap".into(), members, request_id: None };
        block_on(world.app.create_group(&caller("eve"), group))
    };
    assert_eq!(kind(found(&["bo", "ana"])), ErrorKind::Forbidden);
    let trap = found(&["bo"]).unwrap().conversation_id;
    let add = |users: &[&str]| {
        let users: Vec<UserId> = users.iter().map(|u| user(u)).collect();
        block_on(world.app.add_members(&caller("eve"), &trap, &users))
    };
    assert_eq!(kind(add(&["cy", "ana"])), ErrorKind::Forbidden);
    assert!(add(&["cy"]).unwrap().is_some());
    // Someone else may, and then naming her again changes nothing.
    block_on(world.app.change(&caller("eve"), &trap, &Intent::SetRole(user("bo"), Role::Admin)))
        .unwrap();
    block_on(world.app.add_members(&caller("bo"), &trap, &[user("ana")])).unwrap();
    assert_eq!(add(&["ana"]).unwrap(), None);

    // A block has one direction, and an end.
    world.say("ana", &c, "not yet");
    block_on(world.app.unblock(&caller("ana"), &user("eve"))).unwrap();
    block_on(world.app.unblock(&caller("ana"), &user("eve"))).unwrap();
    refused("ana").unwrap();
}

#[test]
fn a_group_that_stands_is_found_again_by_who_is_blocked_since() {
    let world = World::new();
    let group = || NewGroup {
        name: "trip".into(),
        members: vec![user("ana")],
        request_id: Some("1".into()),
    };
    let made = block_on(world.app.create_group(&caller("eve"), group())).unwrap();
    block(&world, "ana", "eve");
    assert_eq!(block_on(world.app.create_group(&caller("eve"), group())).unwrap(), made);
}

#[test]
fn blocks_are_listed_in_pages_and_bounded() {
    let world = World::new();
    let name = |n: usize| format!("u{n:04}");
    for n in 0..MAX_BLOCKS {
        block(&world, "ana", &name(n));
    }
    assert_eq!(
        kind(block_on(world.app.block(&caller("ana"), &user("zoe")))),
        ErrorKind::BadRequest
    );
    // One who is blocked already is no more.
    block(&world, "ana", &name(0));
    assert_eq!(kind(block_on(world.app.block(&caller("bo"), &user("bo")))), ErrorKind::BadRequest);
    let (mut all, mut page) = (vec![], None);
    loop {
        let found = block_on(world.app.blocked(&caller("ana"), page.as_ref())).unwrap();
        assert_eq!(found.users.len(), 100);
        all.extend(found.users);
        page = found.page;
        if page.is_none() {
            break;
        }
    }
    let expected: Vec<UserId> = (0..MAX_BLOCKS).map(|n| user(&name(n))).collect();
    assert_eq!(all, expected);
    assert!(block_on(world.app.blocked(&caller("bo"), None)).unwrap().users.is_empty());
}
