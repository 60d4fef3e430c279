//! Who is woken, and who is left in peace.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::error::Result;
use petrel_core::ids::{ConversationId, DeviceId, EndpointId, MediaId, Seq, UserId};
use petrel_core::message::Content;
use petrel_core::people::{DisplayName, ProfileChange};
use petrel_core::ports::{
    Connections, Job, Notification, Notifier, People, Platform, Pushed, mint,
};
use petrel_core::services::OwnChange;
use petrel_core::testing::{Meanwhile, Racing};
use petrel_core::{App, ErrorKind};

use crate::world::{World, caller, direct, kind, socket, text, user};

impl World {
    pub fn phone(&self, name: &str) -> EndpointId {
        let device = DeviceId::parse(name).unwrap();
        block_on(self.app.set_push(&caller(name), device, Platform::Fcm, name)).unwrap();
        EndpointId::parse(&format!("Fcm/{name}")).unwrap()
    }

    /// Runs the push jobs that were queued and returns how many there were.
    fn run_pushes(&self, from: usize) -> usize {
        let mut done = from;
        while let Some(job) = self.memory.jobs().get(done).cloned() {
            done += 1;
            if let Job::Push { to, conversation, seq, attempt } = job {
                let _ = block_on(self.app.push(to, &conversation, seq, attempt));
            }
        }
        done - from
    }

    fn woken(&self) -> Vec<String> {
        self.memory.pushes().iter().map(|(e, _)| e.to_string()).collect()
    }
}

#[test]
fn one_job_wakes_every_phone_of_a_chunk_that_is_offline_and_has_an_endpoint() {
    let world = World::new();
    let (group, _) = world.crowd(32);
    for name in ["ana", "u0001", "u0002", "u0003"] {
        world.phone(name);
    }
    world.online("u0003", "u0003");
    let before = world.memory.jobs().len();
    world.say("ana", &group, "hello");
    // One for those offline at once, one for the socket that may be half open.
    assert_eq!(world.memory.delays()[before..], [0, 30]);
    world.run_pushes(before);
    assert_eq!(world.woken(), ["Fcm/u0001", "Fcm/u0002", "Fcm/u0003"]);
    let (_, first) = &world.memory.pushes()[0];
    assert_eq!((first.preview.as_deref(), first.sender_id.as_str()), (Some("hello"), "ana"));
}

#[test]
fn who_has_the_message_by_then_or_may_not_read_it_is_not_woken() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.phone("bo");
    let sent = world.say("ana", &c, "hi");
    world.ack("bo", &c, sent.seq.get(), 0).unwrap();
    world.run_pushes(0);
    assert!(world.woken().is_empty());

    let (group, _) = world.crowd(3);
    world.phone("u0001");
    let from = world.memory.jobs().len();
    world.say("ana", &group, "hi");
    let gone = [caller("u0001").user];
    block_on(world.app.remove_members(&caller("ana"), &group, &gone)).unwrap();
    world.run_pushes(from);
    assert!(world.woken().is_empty());
}

#[test]
fn a_socket_that_closed_before_it_acknowledged_is_followed_by_one_push() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.phone("bo");
    world.online("bo", "tablet");
    let tablet = socket("bo", "tablet", 0);
    let close = || block_on(world.app.disconnect(&tablet.user, &tablet.device, &tablet.id));
    world.say("ana", &c, "hi");
    assert_eq!(world.received("tablet", "message").len(), 1);
    // Nothing is done then: `$disconnect` comes late, or never, and the push is on its way already.
    close().unwrap();
    assert_eq!(world.memory.delays(), [30]);
    world.run_pushes(0);
    assert_eq!(world.woken(), ["Fcm/bo"]);

    world.online("bo", "tablet");
    let sent = world.say("ana", &c, "and this?");
    world.ack("bo", &c, sent.seq.get(), 0).unwrap();
    close().unwrap();
    world.run_pushes(1);
    assert_eq!(world.woken().len(), 1, "what was acknowledged wakes nobody");
}

#[test]
fn a_disabled_endpoint_is_removed() {
    let world = World::new();
    let phone = world.phone("bo");
    world.memory.disable(&phone);
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.run_pushes(0), 1);
    world.say("ana", &direct("ana", "bo"), "again");
    // There is nobody to wake any more.
    assert_eq!(world.memory.jobs().len(), 1);
}

#[test]
fn an_overloaded_push_service_is_tried_again_longer_and_longer_a_bounded_number_of_times() {
    let world = World::new();
    world.phone("bo");
    world.memory.overload_pushes(true);
    world.say("ana", &direct("ana", "bo"), "hi");
    world.run_pushes(0);
    assert_eq!(world.memory.delays(), [0, 1, 2, 4, 8, 16]);
    let Some(Job::Push { to, conversation, seq, attempt }) = world.memory.jobs().pop() else {
        panic!("no push job")
    };
    let last = block_on(world.app.push(to, &conversation, seq, attempt));
    assert_eq!(kind(last), ErrorKind::Busy);
}

#[test]
fn a_device_may_stop_taking_pushes_and_a_bad_token_is_refused() {
    let world = World::new();
    world.phone("bo");
    let device = DeviceId::parse("bo").unwrap();
    for _ in 0..2 {
        block_on(world.app.remove_push(&caller("bo"), &device)).unwrap();
    }
    world.say("ana", &direct("ana", "bo"), "hi");
    assert!(world.memory.jobs().is_empty());
    for token in [String::new(), "x".repeat(4097)] {
        let bo = caller("bo");
        let set = world.app.set_push(&bo, device.clone(), Platform::Apns, &token);
        assert_eq!(kind(block_on(set)), ErrorKind::BadRequest);
    }
}

#[test]
fn the_push_service_forgets_what_no_device_has_any_more() {
    let world = World::new();
    let set = |token: &str| {
        let device = DeviceId::parse("phone").unwrap();
        block_on(world.app.set_push(&caller("bo"), device, Platform::Fcm, token)).unwrap();
    };
    let known = || -> Vec<String> { world.memory.phones().iter().map(|e| e.to_string()).collect() };
    let device = DeviceId::parse("phone").unwrap();
    set("old");
    set("new");
    set("new");
    assert_eq!(known(), ["Fcm/new"], "its token has changed");
    block_on(world.app.remove_push(&caller("bo"), &device)).unwrap();
    assert!(known().is_empty());
    set("signed-out");
    block_on(world.app.sign_out(&user("bo"), &device)).unwrap();
    assert!(known().is_empty());
    set("disabled");
    world.memory.disable(&EndpointId::parse("Fcm/disabled").unwrap());
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.run_pushes(0), 1);
    assert!(known().is_empty());
    // Another's phone stays known.
    world.phone("ana");
    block_on(world.app.sign_out(&user("bo"), &device)).unwrap();
    assert_eq!(known(), ["Fcm/ana"]);
}

#[test]
fn whoever_signs_out_is_signed_out_also_when_the_push_service_is_out() {
    let world = World::new();
    let c = direct("ana", "bo");
    for sign_out in [false, true] {
        let phone = world.phone("bo");
        world.memory.overload_pushes(true);
        let device = DeviceId::parse("bo").unwrap();
        if sign_out {
            block_on(world.app.sign_out(&user("bo"), &device)).unwrap();
        } else {
            block_on(world.app.remove_push(&caller("bo"), &device)).unwrap();
        }
        world.memory.overload_pushes(false);
        assert_eq!(world.memory.phones(), [phone], "it is left there, and the log says so");
        world.say("ana", &c, "hi");
        assert!(world.memory.jobs().is_empty());
    }
}

/// Whether someone is disabled is read before, and that may be a moment old.
#[test]
fn who_has_just_been_disabled_signs_out_and_registers_all_the_same() {
    let world = World::new();
    let (bo, device) = (caller("bo"), DeviceId::parse("bo").unwrap());
    world.phone("bo");
    block_on(world.app.disable(&bo.user)).unwrap();
    block_on(world.app.set_push(&bo, device.clone(), Platform::Fcm, "new")).unwrap();
    assert_eq!(world.memory.phones(), [EndpointId::parse("Fcm/new").unwrap()]);
    block_on(world.app.remove_push(&bo, &device)).unwrap();
    block_on(world.app.enable(&bo.user)).unwrap();
    world.say("ana", &direct("ana", "bo"), "hi");
    assert!(world.memory.jobs().is_empty(), "he has signed out");
    assert!(world.memory.phones().is_empty());
}

#[test]
fn ten_devices_of_a_user_take_pushes_and_an_eleventh_is_refused() {
    let world = World::new();
    let set = |n: u32| {
        let device = DeviceId::parse(&format!("phone-{n}")).unwrap();
        let bo = caller("bo");
        block_on(world.app.set_push(&bo, device, Platform::Fcm, &format!("token-{n}")))
    };
    for n in (0..10).chain(0..10) {
        set(n).unwrap();
    }
    assert_eq!(kind(set(10)), ErrorKind::BadRequest);
}

/// A push service during whose answer these phones come.
struct Slow {
    app: App,
    meanwhile: Mutex<Vec<u32>>,
}

#[async_trait]
impl Notifier for Slow {
    async fn endpoint(&self, platform: Platform, token: &str, user: &UserId) -> Result<EndpointId> {
        let id = self.app.notifier.endpoint(platform, token, user).await?;
        let meanwhile = std::mem::take(&mut *self.meanwhile.lock().unwrap());
        for n in meanwhile {
            let device = DeviceId::parse(&format!("phone-{n}")).unwrap();
            self.app.set_push(&caller("bo"), device, platform, &format!("token-{n}")).await?;
        }
        Ok(id)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        self.app.notifier.push(to, notification).await
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        self.app.notifier.remove(endpoint).await
    }
}

#[test]
fn who_comes_eleventh_by_a_race_is_taken_off_again() {
    let world = World::new();
    let set = |device: &str, meanwhile: Vec<u32>| {
        let (app, meanwhile) = (world.app.clone(), Mutex::new(meanwhile));
        let app = App { notifier: Arc::new(Slow { app: app.clone(), meanwhile }), ..app };
        let device = DeviceId::parse(device).unwrap();
        block_on(app.set_push(&caller("bo"), device.clone(), Platform::Fcm, device.as_str()))
    };
    set("phone-0", (1..9).collect()).unwrap();
    assert_eq!(world.memory.phones().len(), 9);
    set("tenth", vec![]).unwrap();
    block_on(world.app.remove_push(&caller("bo"), &DeviceId::parse("tenth").unwrap())).unwrap();
    assert_eq!(kind(set("late", vec![9])), ErrorKind::BadRequest);
    let stand = block_on(world.memory.account(&user("bo"))).unwrap().devices.endpoints;
    assert_eq!(stand.len(), 10);
    assert!(stand.iter().all(|e| e.device.as_str() != "late"));
    assert_eq!(world.memory.phones().len(), 10, "the push service keeps nothing of it");
    // Whose device is there already takes nobody's place.
    set("phone-9", vec![]).unwrap();
}

#[test]
fn a_phone_that_changes_hands_shows_nothing_of_its_last_owner() {
    let world = World::new();
    for owner in ["ana", "bo"] {
        let device = DeviceId::parse("phone").unwrap();
        block_on(world.app.set_push(&caller(owner), device, Platform::Fcm, "one")).unwrap();
    }
    world.say("cy", &direct("ana", "cy"), "secret");
    world.run_pushes(0);
    assert!(world.woken().is_empty());
}

#[test]
fn a_muted_conversation_wakes_nobody_but_whom_a_message_mentions() {
    let world = World::new();
    let (group, _) = world.crowd(5);
    for name in ["u0001", "u0002", "u0003", "u0004"] {
        world.phone(name);
    }
    let until = world.app.world.now_ms() + 60_000;
    let mute = OwnChange { muted_until: Some(until), ..OwnChange::default() };
    let archive = OwnChange { archived: Some(true), ..OwnChange::default() };
    world.choose("u0001", &group, mute).unwrap();
    world.choose("u0002", &group, mute).unwrap();
    world.choose("u0003", &group, archive).unwrap();
    let mut from = world.memory.jobs().len();
    let mut woken_by = |content: Content| {
        let before = world.woken().len();
        world.send_as("ana", &group, None, mint(&*world.memory), content).unwrap();
        from += world.run_pushes(from);
        world.memory.pushes()[before..]
            .iter()
            .map(|(e, n)| (e.as_str().to_owned(), n.mentioned))
            .collect::<Vec<_>>()
    };
    let phone = |name: &str, mentioned| (format!("Fcm/{name}"), mentioned);
    assert_eq!(woken_by(text("hello")), [phone("u0004", false)]);
    let mention = |names: &[&str]| Content::Text {
        text: "you".into(),
        mentions: names.iter().map(|n| user(n)).collect(),
    };
    // Who is no member is not reached, nor is who wrote it.
    assert_eq!(
        woken_by(mention(&["u0002", "u0003", "zoe", "ana"])),
        [phone("u0002", true), phone("u0003", true), phone("u0004", false)]
    );
    world.memory.pass(60_000);
    assert_eq!(woken_by(text("later")).len(), 3);
}

#[test]
fn a_mention_does_not_break_through_the_mute_of_a_direct_conversation() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.phone("bo");
    let until = world.app.world.now_ms() + 60_000;
    world.say("ana", &c, "hi");
    let mute = OwnChange { muted_until: Some(until), ..OwnChange::default() };
    world.choose("bo", &c, mute).unwrap();
    let shout = || Content::Text { text: "you".into(), mentions: vec![user("bo")] };
    let from = world.memory.jobs().len();
    world.send_as("ana", &c, None, mint(&*world.memory), shout()).unwrap();
    world.run_pushes(from);
    assert!(world.woken().is_empty());
    world.memory.pass(60_000);
    let from = world.memory.jobs().len();
    world.send_as("ana", &c, None, mint(&*world.memory), shout()).unwrap();
    world.run_pushes(from);
    assert!(!world.memory.pushes()[0].1.mentioned);
}

#[test]
fn the_sender_of_what_is_sealed_says_whether_it_wakes() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.phone("bo");
    for (push, jobs) in [(false, 0), (true, 1)] {
        let sealed = Content::Sealed { ciphertext: "c2VhbGVk".into(), push };
        world.send_as("ana", &c, None, mint(&*world.memory), sealed).unwrap();
        assert_eq!(world.run_pushes(0), jobs);
    }
    let (_, pushed) = &world.memory.pushes()[0];
    assert_eq!(pushed.preview, None);
}

#[test]
fn what_was_deleted_by_then_is_not_announced() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.phone("bo");
    let sent = world.say("ana", &c, "oops");
    let delete = Content::Delete { target: sent.seq };
    world.send_as("ana", &c, None, mint(&*world.memory), delete).unwrap();
    assert_eq!(world.run_pushes(0), 1);
    assert!(world.woken().is_empty());
}

#[test]
fn a_push_says_how_much_is_unread_and_what_it_says_is_the_operators_choice() {
    let mut world = World::new();
    let (a, c) = (direct("ana", "bo"), direct("bo", "cy"));
    world.phone("bo");
    world.say("cy", &c, "hi");
    world.say("cy", &c, "hi");
    world.say("ana", &a, "hi");
    world.run_pushes(0);
    let badges =
        |world: &World| -> Vec<_> { world.memory.pushes().iter().map(|(_, n)| n.badge).collect() };
    assert_eq!(badges(&world), [Some(3); 3]);
    assert_eq!(world.memory.pushes()[2].1.sender_name, None);
    let name = Some(DisplayName::parse("Ana of the Hill").unwrap());
    let change = ProfileChange { name: Some(name), ..ProfileChange::default() };
    block_on(world.app.set_profile(&caller("ana"), &change)).unwrap();
    let avatar = Some(Some(MediaId::new(7)));
    let change = ProfileChange { avatar, ..ProfileChange::default() };
    block_on(world.memory.set_profile(&user("ana"), &change)).unwrap();
    let before = world.memory.jobs().len();
    world.app.settings.push_badge = false;
    world.app.settings.push_preview = false;
    world.say("ana", &a, "hi");
    world.run_pushes(before);
    assert_eq!(badges(&world)[3..], [None]);
    let name = world.memory.pushes()[3].1.sender_name.clone();
    assert_eq!(name.as_deref(), Some("Ana of the Hill"));
    assert_eq!(world.memory.pushes()[3].1.sender_avatar, Some(MediaId::new(7)));
    assert_eq!(world.memory.pushes()[3].1.preview, None);
}

#[test]
fn a_push_says_what_was_edited_meanwhile_and_nothing_of_what_was_deleted() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.phone("bo");
    world.say("ana", &c, "my PIN is 1234");
    for text in ["never mind", "never you mind"] {
        let edit = Content::Edit { target: Seq::FIRST, text: text.to_owned() };
        world.send_as("ana", &c, None, mint(&*world.memory), edit).unwrap();
    }
    world.run_pushes(0);
    let previews =
        || -> Vec<_> { world.memory.pushes().into_iter().map(|(_, push)| push.preview).collect() };
    assert_eq!(previews(), [Some("never you mind".to_owned())]);
    let delete = Content::Delete { target: Seq::FIRST };
    world.send_as("ana", &c, None, mint(&*world.memory), delete).unwrap();
    world.run_pushes(0);
    assert_eq!(previews().len(), 1);
}

/// Before the log is read for the n-th time, this happens to the conversation.
struct Before<F>(usize, AtomicUsize, F);

#[async_trait]
impl<F: Fn() + Send + Sync> Meanwhile for Before<F> {
    async fn before_newest(&self, _: &ConversationId, _: usize) -> Result<()> {
        if self.1.fetch_add(1, Ordering::SeqCst) == self.0 {
            // Elsewhere, for here a call is under way.
            thread::scope(|scope| scope.spawn(&self.2).join().unwrap());
        }
        Ok(())
    }
}

/// What bo's phone shows of ana's first words, if this happens before the n-th read of the log.
fn shown(
    world: &World,
    group: &ConversationId,
    n: usize,
    happens: impl Fn() + Send + Sync + 'static,
) -> Vec<Option<String>> {
    let log = Racing::new(world.memory.clone(), Before(n, AtomicUsize::new(0), happens));
    let app = App { log, ..world.app.clone() };
    block_on(app.push(vec![user("bo")], group, Seq::new(2), 0)).unwrap();
    world.memory.pushes().into_iter().map(|(_, push)| push.preview).collect()
}

fn remove(world: &World, group: &ConversationId) {
    block_on(world.app.remove_members(&caller("ana"), group, &[user("bo")])).unwrap();
}

fn edit(world: &World, group: &ConversationId) {
    let edit = Content::Edit { target: Seq::new(2), text: "a secret".to_owned() };
    world.send_as("ana", group, None, mint(&*world.memory), edit).unwrap();
}

fn take_back(world: &World, group: &ConversationId) {
    let delete = Content::Delete { target: Seq::new(2) };
    world.send_as("ana", group, None, mint(&*world.memory), delete).unwrap();
}

#[test]
fn who_is_out_by_then_is_not_shown_what_was_written_since() {
    let scene = || {
        let world = Arc::new(World::new());
        let group = world.group("ana", &["bo"]);
        world.phone("bo");
        world.say("ana", &group, "hi");
        (world, group)
    };
    let (world, group) = scene();
    let (elsewhere, of) = (world.clone(), group.clone());
    let out = move || {
        remove(&elsewhere, &of);
        edit(&elsewhere, &of);
    };
    assert_eq!(shown(&world, &group, 0, out), []);

    // Nor anyone what is taken back between the entry and its last edit.
    let (world, group) = scene();
    edit(&world, &group);
    let (elsewhere, of) = (world.clone(), group.clone());
    assert_eq!(shown(&world, &group, 1, move || take_back(&elsewhere, &of)), []);

    let (world, group) = scene();
    edit(&world, &group);
    assert_eq!(shown(&world, &group, 1, || ()), [Some("a secret".to_owned())]);
}

#[test]
fn who_wants_no_words_on_his_phone_gets_none_and_others_do() {
    let world = World::new();
    let (group, _) = world.crowd(3);
    for name in ["u0001", "u0002"] {
        world.phone(name);
    }
    let hide = ProfileChange { hide_previews: Some(true), ..ProfileChange::default() };
    block_on(world.app.set_profile(&caller("u0001"), &hide)).unwrap();
    let from = world.memory.jobs().len();
    world.say("ana", &group, "the surprise is at eight");
    world.run_pushes(from);
    let shown: Vec<_> =
        world.memory.pushes().iter().map(|(e, n)| (e.to_string(), n.preview.is_some())).collect();
    assert_eq!(shown, [("Fcm/u0001".to_owned(), false), ("Fcm/u0002".to_owned(), true)]);
}

#[test]
fn of_a_user_with_very_many_conversations_nothing_is_counted() {
    let world = World::new();
    world.phone("bo");
    for n in 0..100 {
        let name = format!("u{n:03}");
        world.say(&name, &direct(&name, "bo"), "hi");
    }
    world.say("u000", &direct("u000", "bo"), "again");
    let last = |world: &World| {
        let Some(Job::Push { to, conversation, seq, .. }) = world.memory.jobs().pop() else {
            panic!("no push job")
        };
        block_on(world.app.push(to, &conversation, seq, 0)).unwrap();
        world.memory.pushes().pop().unwrap().1.badge
    };
    assert_eq!(last(&world), Some(101));
    world.say("cy", &direct("bo", "cy"), "hi");
    assert_eq!(last(&world), None);
}
