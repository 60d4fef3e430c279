//! What goes beyond the members: operators, reports and webhooks.

use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::events::{Event, Reason};
use petrel_core::ids::{MessageId, Seq};
use petrel_core::ports::{Connections, Job, mint};
use petrel_core::services::NewGroup;
use petrel_core::testing::Memory;
use serde_json::Value;

use crate::world::*;

fn notice(world: &World, id: MessageId, who: (&str, &str)) -> petrel_core::services::Sent {
    block_on(world.app.post_notice(direct(who.0, who.1), id, "be kind".into())).unwrap()
}

#[test]
fn the_mark_comes_before_the_sockets_are_closed_and_a_socket_that_may_open_yet_is_told_of() {
    let world = World::new();
    world.online("bo", "old");
    world.memory.pass(61_000);
    world.online("bo", "young");
    // `$connect` of the young one has not returned: the gateway knows no such connection yet.
    world.memory.cut(&socket("bo", "young", 0).id);
    assert_eq!(kind(block_on(world.app.disable(&user("bo")))), ErrorKind::Busy);
    let account = block_on(world.memory.account(&user("bo"))).unwrap();
    assert!(account.disabled_at.is_some());
    let left: Vec<_> = account.devices.connections.iter().map(|c| c.device.as_str()).collect();
    assert_eq!(left, ["young"], "its row stays, so that asking again finds it");
    world.memory.pass(61_000);
    assert_eq!(block_on(world.app.disable(&user("bo"))).unwrap(), 1);
    assert_eq!(kind(block_on(world.app.connect(&socket("bo", "new", 1)))), ErrorKind::Disabled);
    assert_eq!(kind(block_on(world.app.check_enabled(&user("bo")))), ErrorKind::Disabled);
    // A sync of his that is under way does not bring his socket back.
    let sync = petrel_core::services::SyncRequest {
        cursors: Default::default(),
        limit: 1,
        tail: false,
        page: None,
    };
    assert_eq!(kind(block_on(world.app.sync(&caller("bo"), &sync))), ErrorKind::Disabled);
    block_on(world.app.enable(&user("bo"))).unwrap();
    world.online("bo", "new");
    block_on(world.app.check_enabled(&user("bo"))).unwrap();
}

#[test]
fn a_gateway_that_does_not_close_makes_the_operator_ask_again() {
    let world = World::new();
    world.online("bo", "phone");
    world.memory.overload(&socket("bo", "phone", 0).id);
    for refused in [
        kind(block_on(world.app.cut(&user("bo")))),
        kind(block_on(world.app.disable(&user("bo")))),
        kind(block_on(world.app.sign_out(&user("bo"), &socket("bo", "phone", 0).device))),
    ] {
        assert_eq!(refused, ErrorKind::Busy);
    }
    // Nothing reaches him all the same.
    world.say("ana", &direct("ana", "bo"), "hi");
    assert!(world.received("phone", "message").is_empty());
}

#[test]
fn a_notice_needs_no_membership_and_has_no_rate() {
    let mut world = World::new();
    world.app.settings.limits.conversation = petrel_core::limits::Limit::new(1, 60);
    let id = mint(&*world.memory);
    assert_eq!(notice(&world, id, ("ana", "bo")).seq, Seq::FIRST);
    assert!(notice(&world, id, ("ana", "bo")).duplicate);
    for seq in 2..5 {
        let sent = notice(&world, mint(&*world.memory), ("ana", "bo"));
        assert_eq!(sent.seq.get(), seq);
    }
    world.say("ana", &direct("ana", "bo"), "hi");
    let nowhere = petrel_core::ids::ConversationId::group(uuid::Uuid::from_u128(9));
    let posted = block_on(world.app.post_notice(nowhere, id, "x".into()));
    assert_eq!(kind(posted), ErrorKind::NotFound);
}

fn events(memory: &Memory) -> Vec<(Event, u8)> {
    let event = |job| match job {
        Job::Webhook { event, attempt } => Some((event, attempt)),
        _ => None,
    };
    memory.jobs().into_iter().filter_map(event).collect()
}

fn telling() -> World {
    let mut world = World::new();
    world.app.settings.webhook = true;
    world
}

#[test]
fn an_event_is_queued_with_each_delivery_and_has_one_id_for_ever() {
    let world = telling();
    let c = direct("ana", "bo");
    let id = mint(&*world.memory);
    world.send_as("ana", &c, Some(0), id, text("hi")).unwrap();
    world.send_as("ana", &c, Some(0), id, text("hi")).unwrap();
    world.say("bo", &c, "ho");
    world.group("ana", &["bo"]);
    let told = events(&world.memory);
    let kinds: Vec<_> = told.iter().map(|(event, _)| event.kind()).collect();
    let created = "message.created";
    assert_eq!(kinds, [created, created, created, "conversation.changed"]);
    let ids: Vec<String> = told.iter().map(|(event, _)| event.id()).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[1] != ids[2] && ids[2] != ids[3] && ids[0].starts_with("msg_"));
    // Nobody listens: nothing is queued.
    let silent = World::new();
    silent.say("ana", &c, "hi");
    assert!(events(&silent.memory).is_empty());
}

#[test]
fn a_queue_that_is_out_stops_nobody_from_writing() {
    let world = telling();
    world.memory.stop_queue();
    assert_eq!(world.say("ana", &direct("ana", "bo"), "hi").seq, Seq::FIRST);
}

#[test]
fn what_is_not_taken_is_put_back_ever_later_and_at_last_given_up() {
    let world = telling();
    world.say("ana", &direct("ana", "bo"), "hi");
    let (event, _) = events(&world.memory).remove(0);
    world.memory.refuse_webhooks(true);
    let tell = |attempt| block_on(world.app.tell(event.clone(), attempt));
    for attempt in [0, 1, 8, 99] {
        tell(attempt).unwrap();
    }
    let delays = world.memory.delays();
    assert_eq!(delays[1..], [5, 10, 900, 900]);
    let attempts: Vec<u8> = events(&world.memory).iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(attempts, [0, 1, 2, 9, 100]);
    // The queue's own dead letters take it from here.
    assert_eq!(kind(tell(100)), ErrorKind::Busy);
    world.memory.refuse_webhooks(false);
    tell(3).unwrap();
    let delivery = world.memory.deliveries().remove(0);
    assert_eq!((delivery.id, delivery.timestamp_s), (event.id(), 1_790_000_000));
    let body: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!(
        (&body["type"], &body["version"], &body["data"]["seq"]),
        (&"message.created".into(), &1.into(), &1.into())
    );
    assert!(body["data"].get("level").is_none(), "what is ours alone is not told");
}

#[test]
fn a_report_is_what_the_reporter_may_read_and_repeats_under_one_id() {
    let world = telling();
    let group = world.group("ana", &["bo"]);
    world.say("ana", &group, "before");
    block_on(world.app.add_members(&caller("ana"), &group, &[user("eve")])).unwrap();
    for n in 4..=12 {
        world.say("bo", &group, &format!("at {n}"));
    }
    let report = |who: &str, seq: u64| {
        let comment = Some("why".to_owned());
        block_on(world.app.report(&caller(who), &group, Seq::new(seq), Reason::Abuse, comment))
    };
    let id = report("eve", 5).unwrap();
    assert_eq!(report("eve", 5).unwrap(), id);
    assert_ne!(report("ana", 5).unwrap(), id);
    let reports = world.memory.reports();
    let around = |n: usize| reports[n].context.iter().map(|e| e.seq.get()).collect::<Vec<_>>();
    assert_eq!(around(0), [3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(around(2), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    for (who, seq, refused) in [
        ("eve", 2, ErrorKind::NotFound),
        ("eve", 3, ErrorKind::NotFound),
        ("eve", 0, ErrorKind::NotFound),
        ("eve", 13, ErrorKind::NotFound),
        ("eve", u64::MAX, ErrorKind::NotFound),
        ("mallory", 5, ErrorKind::NotAMember),
    ] {
        assert_eq!(kind(report(who, seq)), refused, "{who} {seq}");
    }
    assert_eq!(world.memory.reports().len(), 3);
    let told = events(&world.memory);
    assert_eq!(told.iter().filter(|(e, _)| e.kind() == "message.reported").count(), 3);
    // Nothing went anywhere: he is told, and reports again.
    world.memory.stop_queue();
    assert_eq!(kind(report("eve", 6)), ErrorKind::Busy);
}

#[test]
fn nobody_writes_to_the_server_adds_it_or_blocks_it() {
    let world = World::new();
    let (ana, system) = (caller("ana"), user("@system"));
    let refused = |kind: ErrorKind| assert_eq!(kind, ErrorKind::BadRequest);
    refused(kind(petrel_core::dispatch::address(&ana, None, Some(system.clone()))));
    refused(kind(petrel_core::ids::ConversationId::parse("d:@system:ana")));
    let group = |members: &[&str]| NewGroup {
        name: "trip".into(),
        members: members.iter().map(|m| user(m)).collect(),
        request_id: None,
    };
    refused(kind(block_on(world.app.create_group(&ana, group(&["bo", "@system"])))));
    refused(kind(block_on(world.app.create_group_for(system.clone(), group(&["bo"])))));
    let trip = world.group("ana", &["bo"]);
    refused(kind(block_on(world.app.add_members(&ana, &trip, std::slice::from_ref(&system)))));
    refused(kind(block_on(world.app.block(&ana, &system))));
    // Who shows a notice may ask who wrote it.
    assert_eq!(block_on(world.app.profiles(&[system])).unwrap().len(), 1);
}
