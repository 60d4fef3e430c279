//! Who gets a frame, and by which way.

use std::collections::BTreeMap;

use futures::executor::block_on;
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId};
use petrel_core::ports::{Connection, Connections, Devices, Job};
use petrel_core::services::SyncRequest;
use petrel_core::wire::Composing;
use petrel_core::{Caller, ErrorKind};

use crate::world::*;

#[test]
fn up_to_32_recipients_are_posted_to_and_more_go_through_the_queue() {
    for (size, chunks) in [(32, 0), (33, 1), (1000, 10)] {
        let world = World::new();
        let (group, names) = world.crowd(size);
        for name in &names {
            world.online(name, name);
        }
        let before = world.memory.jobs().len();
        let sent = world.say("ana", &group, "hello all");
        let jobs = world.memory.jobs().split_off(before);
        let fan_outs = jobs.iter().filter(|j| matches!(j, Job::FanOut { .. })).count();
        assert_eq!(fan_outs, chunks, "a group of {size}");
        for job in jobs {
            if let Job::FanOut { entry, to, except, attempt } = job {
                block_on(world.app.deliver_chunk(&entry, to, except, attempt)).unwrap();
            }
        }
        for name in &names {
            let frames = world.received(name, "message");
            let copies = frames.iter().filter(|f| f["seq"] == sent.seq.get()).count();
            assert_eq!(copies, 1, "{name} in a group of {size}");
        }
    }
}

#[test]
fn a_dead_socket_is_removed_once_it_is_old() {
    let world = World::new();
    world.online("bo", "bo");
    world.memory.cut(&ConnectionId::parse("bo").unwrap());
    let c = direct("ana", "bo");
    world.say("ana", &c, "young");
    let connected = || block_on(world.memory.of(&[user("bo")])).unwrap().connections.len();
    assert_eq!(connected(), 1);
    world.memory.pass(60_000);
    world.say("ana", &c, "old");
    assert_eq!(connected(), 0);
}

#[test]
fn typing_reaches_the_others_who_are_online_and_leaves_no_trace() {
    let world = World::new();
    for name in ["ana", "bo"] {
        world.online(name, name);
    }
    let typing =
        |who: &str, c: &ConversationId| block_on(world.app.typing(&caller(who), c, true, None));
    let c = direct("ana", "bo");
    // Before the first message there is no conversation to type in.
    assert_eq!(kind(typing("ana", &c)), ErrorKind::NotAMember);
    world.say("ana", &c, "hi");
    typing("ana", &c).unwrap();
    let told = &world.received("bo", "typing")[0];
    assert_eq!((&told["user_id"], told.get("kind")), (&"ana".into(), None));
    block_on(world.app.typing(&caller("ana"), &c, true, Some(Composing::Audio))).unwrap();
    assert_eq!(world.received("bo", "typing")[1]["kind"], "audio");
    assert!(world.received("ana", "typing").is_empty());
    assert!(world.memory.jobs().is_empty());
    assert_eq!(kind(typing("eve", &c)), ErrorKind::NotAMember);
    assert_eq!(kind(typing("ana", &world.crowd(33).0)), ErrorKind::BadRequest);
    block_on(world.app.block(&caller("bo"), &user("ana"))).unwrap();
    assert_eq!(kind(typing("ana", &c)), ErrorKind::NotAMember);
}

#[test]
fn a_late_connect_or_disconnect_leaves_the_newer_socket() {
    let world = World::new();
    let (bo, phone) = (user("bo"), DeviceId::parse("phone").unwrap());
    let socket = |id: &str, connected_at| Connection {
        device: phone.clone(),
        ..socket("bo", id, connected_at)
    };
    block_on(world.app.connect(&socket("new", 2))).unwrap();
    // It would be open, and nothing would know of it.
    assert_eq!(kind(block_on(world.app.connect(&socket("old", 1)))), ErrorKind::Busy);
    block_on(world.app.disconnect(&bo, &phone, &socket("old", 1).id)).unwrap();
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.received("new", "message").len(), 1);
    block_on(world.app.disconnect(&bo, &phone, &socket("new", 2).id)).unwrap();
    assert_eq!(block_on(world.memory.of(&[bo])).unwrap(), Devices::default());
}

#[test]
fn a_socket_that_loses_its_place_is_closed() {
    let world = World::new();
    let now = world.app.world.now_ms();
    let phone = |id: &str, connected_at| Connection {
        device: DeviceId::parse("phone").unwrap(),
        ..socket("bo", id, connected_at)
    };
    let closed =
        || -> Vec<String> { world.memory.closed().iter().map(|c| c.to_string()).collect() };
    block_on(world.app.connect(&phone("first", now))).unwrap();
    block_on(world.app.connect(&phone("first", now))).unwrap();
    assert!(closed().is_empty());
    block_on(world.app.connect(&phone("second", now + 1))).unwrap();
    assert_eq!(closed(), ["first"]);
    // One that was not closed then, for the gateway did not answer, finds it out by its next sync.
    world.memory.overload(&phone("second", 0).id);
    block_on(world.app.connect(&phone("third", now + 2))).unwrap();
    assert_eq!(closed(), ["first"]);
    let sync = SyncRequest { cursors: BTreeMap::new(), limit: 1, tail: false, page: None };
    block_on(world.app.sync(&Caller::over(phone("late", now + 1)), &sync)).unwrap();
    assert_eq!(closed(), ["first", "late"]);
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.received("third", "message").len(), 1);
}

#[test]
fn an_overloaded_gateway_is_tried_again_longer_and_longer_a_bounded_number_of_times() {
    let world = World::new();
    world.online("bo", "bo");
    world.memory.overload(&ConnectionId::parse("bo").unwrap());
    world.say("ana", &direct("ana", "bo"), "hi");
    let mut attempts = vec![];
    let mut done = 0;
    while let Some(job) = world.memory.jobs().get(done).cloned() {
        done += 1;
        if let Job::FanOut { entry, to, except, attempt } = job {
            attempts.push(attempt);
            block_on(world.app.deliver_chunk(&entry, to, except, attempt)).unwrap();
        }
    }
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    assert_eq!(world.memory.delays(), [1, 2, 4, 8, 16]);
}

#[test]
fn an_outage_of_the_queue_stops_no_one_from_sending() {
    let world = World::new();
    let (group, names) = world.crowd(250);
    for name in &names {
        world.online(name, name);
    }
    world.memory.overload(&ConnectionId::parse("u0001").unwrap());
    world.memory.stop_queue();
    let sent = world.say("ana", &group, "hello all");
    for name in &names[1..] {
        let frames = world.received(name, "message");
        assert!(frames.iter().any(|f| f["seq"] == sent.seq.get()), "{name}");
    }
}

#[test]
fn a_sync_registers_a_socket_whose_row_was_lost() {
    let world = World::new();
    world.online("bo", "bo");
    let bo = socket("bo", "bo", 0);
    block_on(world.app.disconnect(&bo.user, &bo.device, &bo.id)).unwrap();
    world.sync("bo", &[], 200);
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.received("bo", "message").len(), 1);
}

#[test]
fn an_eleventh_socket_takes_the_place_of_the_oldest() {
    let world = World::new();
    for n in 0..11 {
        world.online("bo", &format!("bo-{n}"));
        world.memory.pass(1);
    }
    world.say("ana", &direct("ana", "bo"), "hi");
    let got: Vec<usize> =
        (0..11).map(|n| world.received(&format!("bo-{n}"), "message").len()).collect();
    assert_eq!(got, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(world.memory.closed(), [socket("bo", "bo-0", 0).id]);
}

#[test]
fn a_live_socket_comes_back_by_its_sync_whatever_dead_rows_are_newer() {
    let world = World::new();
    world.online("bo", "bo");
    // Not closed when its place is taken: the gateway did not answer.
    let bo = socket("bo", "bo", 0).id;
    world.memory.overload(&bo);
    for n in 0..10 {
        world.memory.pass(1);
        world.online("bo", &format!("ghost-{n}"));
    }
    world.memory.relieve(&bo);
    world.sync("bo", &[], 200);
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.received("bo", "message").len(), 1);
}

#[test]
fn rows_of_sockets_older_than_any_socket_go_at_the_next_connect() {
    let world = World::new();
    world.online("bo", "old");
    world.memory.pass(2 * 3_600_000 + 5 * 60_000 + 1);
    world.online("bo", "new");
    let devices = block_on(world.memory.of(&[user("bo")])).unwrap();
    assert_eq!(devices.connections, [socket("bo", "new", world.app.world.now_ms())]);
}
