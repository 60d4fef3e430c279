//! Files: who may upload, send, pass on and read them, and when; and what races and crashes make of it.

use futures::executor::block_on;
use petrel_core::group::Role;
use petrel_core::ids::{ConversationId, MediaId, MessageId, Seq};
use petrel_core::media::{ContentType, Preview, Sha256, UploadState};
use petrel_core::message::Content;
use petrel_core::ports::{Uploads, mint};
use petrel_core::services::{Download, Intent, Keeping, NewUpload, Sent, Settings, Verdict};
use petrel_core::{App, Error, ErrorKind};

use crate::world::*;

const HASH: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const DAY_MS: u64 = 86_400_000;

fn new(content_type: &str, size: u64) -> NewUpload {
    NewUpload {
        content_type: ContentType::parse(content_type).unwrap(),
        size,
        sha256: Sha256::parse(HASH).unwrap(),
    }
}

/// An upload whose bytes are not there.
fn announced(world: &World, who: &str, content_type: &str) -> MediaId {
    block_on(world.app.new_upload(&caller(who), new(content_type, 19))).unwrap().id
}

/// An upload whose bytes are there.
fn uploaded(world: &World, who: &str) -> MediaId {
    let id = announced(world, who, "image/png");
    world.memory.media().store(&user(who), &id);
    block_on(world.app.complete_upload(&caller(who), &id)).unwrap();
    id
}

fn media(id: &MediaId) -> Content {
    Content::Media {
        media_id: id.clone(),
        caption: None,
        file: None,
        preview: None,
        mentions: vec![],
    }
}

fn send(world: &World, from: &str, to: &ConversationId, id: &MediaId) -> Result<Sent, Error> {
    world.send_as(from, to, None, mint(&*world.memory), media(id))
}

fn read(world: &World, who: &str, of: &ConversationId, seq: u64) -> Result<Download, Error> {
    block_on(world.app.media(&caller(who), of, Seq::new(seq)))
}

fn scanned() -> World {
    let mut world = World::new();
    world.app = App { settings: Settings { scan: true, ..Settings::default() }, ..world.app };
    world
}

#[test]
fn what_may_be_uploaded() {
    let world = World::new();
    let code = |content_type: &str, size| {
        let ticket = block_on(world.app.new_upload(&caller("ana"), new(content_type, size)));
        ticket.map(drop).map_err(|e| e.kind)
    };
    assert_eq!(code("image/png", 25_000_000), Ok(()));
    assert_eq!(code("image/png", 25_000_001), Err(ErrorKind::TooLarge));
    assert_eq!(code("video/mp4", 100_000_000), Ok(()));
    assert_eq!(code("video/mp4", 100_000_001), Err(ErrorKind::TooLarge));
    assert_eq!(code("application/zip", u64::MAX), Err(ErrorKind::TooLarge));
    assert_eq!(code("application/zip", 0), Err(ErrorKind::BadRequest));
}

#[test]
fn a_sent_file_says_what_it_is_and_is_read_by_members_only() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    let id = uploaded(&world, "ana");
    // What a client says of the bytes is replaced.
    let lie = serde_json::from_value(serde_json::json!({
        "type": "media", "media_id": id, "caption": "us",
        "file": {"content_type": "text/html", "size": 1, "sha256": HASH},
        "preview": {"width": 4, "height": 3},
    }));
    let sent = world.send_as("ana", &group, None, mint(&*world.memory), lie.unwrap()).unwrap();
    let page = block_on(world.app.history(
        &caller("bo"),
        &group,
        petrel_core::services::Range::After(Seq::FIRST),
        10,
    ));
    let Content::Media { media_id, caption, file, preview, .. } =
        &page.unwrap().messages[0].content
    else {
        panic!("no media")
    };
    assert_eq!((media_id, caption.as_deref()), (&id, Some("us")));
    let file = file.clone().unwrap();
    assert_eq!((file.content_type.as_str(), file.size), ("image/png", 19));
    assert_eq!(
        preview.clone().unwrap(),
        Preview { width: Some(4), height: Some(3), ..Preview::default() }
    );

    for who in ["ana", "bo"] {
        assert_eq!(read(&world, who, &group, sent.seq.get()).unwrap().id, id);
    }
    assert_eq!(kind(read(&world, "eve", &group, 2)), ErrorKind::NotAMember);
    assert_eq!(kind(read(&world, "bo", &group, 1)), ErrorKind::NotFound, "no media there");
    assert_eq!(kind(read(&world, "bo", &group, 3)), ErrorKind::NotFound, "nothing there");
    assert_eq!(kind(read(&world, "bo", &group, 0)), ErrorKind::NotFound);
    assert_eq!(kind(read(&world, "eve", &direct("ana", "bo"), 1)), ErrorKind::NotAMember);
}

#[test]
fn who_joins_later_or_is_removed_does_not_read_it() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    let id = uploaded(&world, "ana");
    let first = send(&world, "ana", &group, &id).unwrap().seq.get();
    block_on(world.app.add_members(&caller("ana"), &group, &[user("cy")])).unwrap();
    let second = send(&world, "ana", &group, &id).unwrap().seq.get();
    assert_eq!(kind(read(&world, "cy", &group, first)), ErrorKind::NotFound);
    assert_eq!(
        kind(block_on(world.app.borrow_media(&caller("cy"), &group, Seq::new(first)))),
        ErrorKind::NotFound
    );
    assert!(read(&world, "cy", &group, second).is_ok());
    block_on(world.app.remove_members(&caller("ana"), &group, &[user("cy")])).unwrap();
    assert_eq!(kind(read(&world, "cy", &group, second)), ErrorKind::NotAMember);
}

#[test]
fn only_its_owner_sends_it_and_only_once_it_is_there() {
    let world = World::new();
    let to = direct("ana", "bo");
    let waiting = announced(&world, "ana", "image/png");
    assert_eq!(kind(send(&world, "ana", &to, &waiting)), ErrorKind::NotReady);
    let id = uploaded(&world, "ana");
    let unknown = MediaId::new(99);
    let words = |result: Result<Sent, Error>| result.unwrap_err().to_string();
    // Nobody learns whether there is such an upload.
    assert_eq!(words(send(&world, "bo", &to, &id)), words(send(&world, "bo", &to, &unknown)));
    assert_eq!(words(send(&world, "bo", &to, &waiting)), words(send(&world, "bo", &to, &unknown)));
    assert_eq!(kind(send(&world, "bo", &to, &id)), ErrorKind::NotFound);
    let complete = |who: &str, id: &MediaId| block_on(world.app.complete_upload(&caller(who), id));
    assert_eq!(kind(complete("bo", &id)), ErrorKind::NotFound);
    assert_eq!(kind(complete("ana", &waiting)), ErrorKind::NotReady);
    assert_eq!(complete("ana", &id).unwrap(), UploadState::Clean);
    // Nothing was stored by any of them.
    assert_eq!(send(&world, "ana", &to, &id).unwrap().seq, Seq::FIRST);
}

#[test]
fn who_can_read_it_can_pass_it_on_for_a_week() {
    let world = World::new();
    let (first, second) = (direct("ana", "bo"), direct("bo", "cy"));
    let id = uploaded(&world, "ana");
    let seq = send(&world, "ana", &first, &id).unwrap().seq;
    let borrow = |who: &str, of: &ConversationId, seq| {
        block_on(world.app.borrow_media(&caller(who), of, seq))
    };
    assert_eq!(kind(borrow("cy", &first, seq)), ErrorKind::NotAMember);
    assert_eq!(borrow("bo", &first, seq).unwrap(), id);
    let passed = send(&world, "bo", &second, &id).unwrap();
    assert_eq!(read(&world, "cy", &second, passed.seq.get()).unwrap().id, id);
    // The loan is bo's alone.
    assert_eq!(kind(send(&world, "cy", &second, &id)), ErrorKind::NotFound);
    world.memory.pass(7 * DAY_MS + 1_000);
    assert_eq!(kind(send(&world, "bo", &second, &id)), ErrorKind::NotFound);
    assert!(send(&world, "ana", &first, &id).is_ok(), "what was sent is kept");
}

#[test]
fn what_was_deleted_is_read_by_nobody_and_elsewhere_by_those_who_may() {
    let world = World::new();
    let (here, there) = (world.group("ana", &["bo"]), direct("ana", "cy"));
    let id = uploaded(&world, "ana");
    let seq = send(&world, "ana", &here, &id).unwrap().seq;
    let other = send(&world, "ana", &there, &id).unwrap().seq;
    let delete = Content::Delete { target: seq };
    let refused = world.send_as("bo", &here, None, mint(&*world.memory), delete.clone());
    assert_eq!(kind(refused), ErrorKind::Forbidden);
    assert!(read(&world, "bo", &here, seq.get()).is_ok(), "a refused delete changes nothing");
    world.send_as("ana", &here, None, mint(&*world.memory), delete).unwrap();
    for who in ["ana", "bo"] {
        assert_eq!(kind(read(&world, who, &here, seq.get())), ErrorKind::NotFound);
        let borrowed = block_on(world.app.borrow_media(&caller(who), &here, seq));
        assert_eq!(kind(borrowed), ErrorKind::NotFound);
    }
    assert!(read(&world, "cy", &there, other.get()).is_ok());
}

#[test]
fn what_was_deleted_from_the_archive_or_erased_is_read_by_nobody() {
    let mut world = World::new();
    world.app.settings.keeping =
        Keeping { hot_s: 86_400, tail: 3, least: 1, retention_s: 100 * 86_400 };
    let to = direct("ana", "bo");
    let ids = [(); 4].map(|()| uploaded(&world, "ana"));
    let seqs = ids.map(|id| send(&world, "ana", &to, &id).unwrap().seq);
    for n in 0..5 {
        world.say("bo", &to, &format!("word {n}"));
    }
    world.memory.pass(2 * DAY_MS);
    assert!(block_on(world.app.archive(&to)).unwrap().moved > 3);
    // The second and the third lie in an object alone.
    assert_eq!(world.memory.rows_of_log(&to)[..2], [1, 7]);
    let readable = || seqs.map(|seq| read(&world, "bo", &to, seq.get()).is_ok());
    let archived = || block_on(world.app.archive(&to)).unwrap();
    assert_eq!(readable(), [true; 4]);
    for (deleted, left) in [(1, [true, false, true, true]), (0, [false, false, true, true])] {
        let delete = Content::Delete { target: seqs[deleted] };
        world.send_as("ana", &to, None, mint(&*world.memory), delete).unwrap();
        // By the note at once, and by the object when the archiver has been there.
        assert_eq!(readable(), left);
        archived();
        assert_eq!(readable(), left);
    }
    block_on(world.app.erase_in(&user("ana"), &to, None)).unwrap();
    assert_eq!(readable(), [false; 4]);
    archived();
    assert_eq!(readable(), [false; 4]);
}

#[test]
fn what_nobody_sends_in_a_week_is_gone_and_what_was_sent_stays() {
    let world = World::new();
    let (kept, unused) = (uploaded(&world, "ana"), uploaded(&world, "ana"));
    let to = direct("ana", "bo");
    let seq = send(&world, "ana", &to, &kept).unwrap().seq.get();
    world.memory.pass(7 * DAY_MS + 1_000);
    // Its row is there still: DynamoDB takes its time.
    assert_eq!(kind(send(&world, "ana", &to, &unused)), ErrorKind::NotFound);
    let complete = block_on(world.app.complete_upload(&caller("ana"), &unused));
    assert_eq!(kind(complete), ErrorKind::NotFound);
    // An event that comes for what is kept after all, and one for what is over.
    for id in [&kept, &unused] {
        block_on(world.app.upload_expired(&user("ana"), id)).unwrap();
    }
    let now_s = world.app.world.now_ms() / 1000;
    assert!(world.memory.media().sweep(now_s).is_empty());
    assert!(world.memory.media().holds(&user("ana"), &kept));
    assert!(!world.memory.media().holds(&user("ana"), &unused));
    assert!(read(&world, "bo", &to, seq).is_ok());
}

/// A week after its upload it was sent, a year later to somebody else.
#[test]
fn what_was_sent_goes_when_no_message_that_carried_it_is_kept_any_more() {
    let world = World::new();
    let id = uploaded(&world, "ana");
    let bo = direct("ana", "bo");
    let first = send(&world, "ana", &bo, &id).unwrap().seq.get();
    world.memory.pass(364 * DAY_MS);
    assert!(read(&world, "bo", &bo, first).is_ok());
    let cy = direct("ana", "cy");
    let second = send(&world, "ana", &cy, &id).unwrap().seq.get();
    world.memory.pass(2 * DAY_MS);
    assert_eq!(kind(read(&world, "bo", &bo, first)), ErrorKind::NotFound);
    world.memory.pass(362 * DAY_MS);
    assert!(world.memory.media().sweep(world.app.world.now_ms() / 1000).is_empty());
    assert!(read(&world, "cy", &cy, second).is_ok());
    // Not to the day: it is kept a month longer than it must be.
    world.memory.pass(33 * DAY_MS);
    assert_eq!(kind(read(&world, "cy", &cy, second)), ErrorKind::NotFound);
    assert_eq!(kind(send(&world, "ana", &bo, &id)), ErrorKind::NotFound);
    for gone in world.memory.media().sweep(world.app.world.now_ms() / 1000) {
        block_on(world.app.upload_expired(&gone.owner, &gone.id)).unwrap();
    }
    assert!(!world.memory.media().holds(&user("ana"), &id));
}

#[test]
fn a_group_that_keeps_longer_keeps_its_media_longer() {
    let world = World::new();
    let id = uploaded(&world, "ana");
    let group = world.group("ana", &["bo"]);
    let (own, longer) = (caller("ana"), Some(1_000));
    let days =
        Intent::Update { name: None, post: None, add: None, avatar: None, retention_days: longer };
    block_on(world.app.change(&own, &group, &days)).unwrap();
    let seq = send(&world, "ana", &group, &id).unwrap().seq.get();
    let end = || block_on(world.memory.media().upload(&id)).unwrap().unwrap().expires_at_s;
    let kept = end();
    send(&world, "ana", &direct("ana", "bo"), &id).unwrap();
    assert_eq!(end(), kept, "a shorter one takes nothing away");
    world.memory.pass(999 * DAY_MS);
    assert!(world.memory.media().sweep(world.app.world.now_ms() / 1000).is_empty());
    assert!(read(&world, "bo", &group, seq).is_ok());
}

#[test]
fn bytes_that_nothing_is_known_of_go_again() {
    let world = World::new();
    let ana = user("ana");
    let id = announced(&world, "ana", "image/png");
    world.memory.pass(7 * DAY_MS + 1_000);
    assert_eq!(world.memory.media().sweep(world.app.world.now_ms() / 1000).len(), 1);
    world.memory.media().store(&ana, &id);
    block_on(world.app.uploaded(&ana, &id)).unwrap();
    assert!(!world.memory.media().holds(&ana, &id));
    // Nor does a key in another's folder make anything of an upload.
    let id = announced(&world, "ana", "image/png");
    let eve = user("eve");
    world.memory.media().store(&eve, &id);
    block_on(world.app.uploaded(&eve, &id)).unwrap();
    assert!(!world.memory.media().holds(&eve, &id));
    let state = block_on(world.memory.media().upload(&id)).unwrap().unwrap().state;
    assert_eq!(state, UploadState::Waiting);
}

#[test]
fn until_a_scanner_has_spoken_nobody_reads_it_and_blocked_is_for_ever() {
    let world = scanned();
    let (ana, to) = (user("ana"), direct("ana", "bo"));
    let id = uploaded(&world, "ana");
    // It may be sent meanwhile: whoever waits for a scanner would wait to write.
    let seq = send(&world, "ana", &to, &id).unwrap().seq.get();
    assert_eq!(kind(read(&world, "bo", &to, seq)), ErrorKind::NotReady);
    block_on(world.app.judge(&ana, &id, Verdict::Clean)).unwrap();
    assert!(read(&world, "bo", &to, seq).is_ok());
    block_on(world.app.judge(&ana, &id, Verdict::Blocked)).unwrap();
    // An older verdict, and an older event, that come late.
    block_on(world.app.judge(&ana, &id, Verdict::Clean)).unwrap();
    block_on(world.app.uploaded(&ana, &id)).unwrap();
    assert_eq!(kind(read(&world, "bo", &to, seq)), ErrorKind::Forbidden);
    assert_eq!(kind(send(&world, "ana", &to, &id)), ErrorKind::Forbidden);
    let borrowed = block_on(world.app.borrow_media(&caller("bo"), &to, Seq::new(seq)));
    assert_eq!(kind(borrowed), ErrorKind::Forbidden);
}

#[test]
fn a_verdict_may_come_before_the_bytes_are_announced() {
    let world = scanned();
    let id = announced(&world, "ana", "image/png");
    world.memory.media().store(&user("ana"), &id);
    block_on(world.app.judge(&user("ana"), &id, Verdict::Clean)).unwrap();
    block_on(world.app.uploaded(&user("ana"), &id)).unwrap();
    let state = block_on(world.app.complete_upload(&caller("ana"), &id)).unwrap();
    assert_eq!(state, UploadState::Clean);
}

#[test]
fn an_avatar_is_seen_by_all_and_nothing_else_is() {
    let world = World::new();
    let id = uploaded(&world, "ana");
    let show = |who: &str, id: &MediaId| block_on(world.app.use_as_avatar(&caller(who), id));
    assert_eq!(kind(block_on(world.app.avatar(&caller("eve"), &id))), ErrorKind::NotFound);
    assert_eq!(kind(show("bo", &id)), ErrorKind::NotFound);
    assert_eq!(kind(show("ana", &announced(&world, "ana", "image/png"))), ErrorKind::NotReady);
    assert_eq!(
        kind(show("ana", &announced(&world, "ana", "image/svg+xml"))),
        ErrorKind::BadRequest
    );
    let large = block_on(world.app.new_upload(&caller("ana"), new("image/png", 5_000_001)));
    assert_eq!(kind(show("ana", &large.unwrap().id)), ErrorKind::BadRequest);
    show("ana", &id).unwrap();
    world.memory.pass(30 * DAY_MS);
    assert_eq!(block_on(world.app.avatar(&caller("eve"), &id)).unwrap().id, id);
    block_on(world.app.judge(&user("ana"), &id, Verdict::Blocked)).unwrap();
    assert_eq!(kind(block_on(world.app.avatar(&caller("eve"), &id))), ErrorKind::Forbidden);
}

#[test]
fn the_same_message_again_is_the_same_message_whatever_became_of_its_media() {
    let world = World::new();
    let to = direct("ana", "bo");
    let id = uploaded(&world, "ana");
    let message: MessageId = mint(&*world.memory);
    let first = world.send_as("ana", &to, Some(0), message, media(&id)).unwrap();
    block_on(world.app.judge(&user("ana"), &id, Verdict::Blocked)).unwrap();
    let again = world.send_as("ana", &to, Some(0), message, media(&id)).unwrap();
    assert_eq!((again.seq, again.duplicate), (first.seq, true));
}

#[test]
fn everything_of_a_user_can_be_erased() {
    let world = World::new();
    let to = direct("ana", "bo");
    let (ana, bo) = (uploaded(&world, "ana"), uploaded(&world, "bo"));
    let seq = send(&world, "ana", &to, &ana).unwrap().seq.get();
    let others = send(&world, "bo", &to, &bo).unwrap().seq.get();
    assert!(!block_on(world.app.erase_uploads(&user("ana"))).unwrap());
    assert!(!world.memory.media().holds(&user("ana"), &ana));
    assert_eq!(kind(read(&world, "bo", &to, seq)), ErrorKind::NotFound);
    assert!(read(&world, "ana", &to, others).is_ok());
}

#[test]
fn an_admin_gives_a_group_a_picture_that_its_members_see() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    let set = |who: &str, avatar: Option<MediaId>| {
        let intent = Intent::Update {
            name: None,
            post: None,
            add: None,
            avatar: Some(avatar),
            retention_days: None,
        };
        block_on(world.app.change(&caller(who), &group, &intent))
    };
    let shown = || {
        let group = block_on(world.app.group(&caller("bo"), &group)).unwrap();
        group.info.unwrap().avatar
    };
    let id = uploaded(&world, "ana");
    // Neither another's upload nor one by who may not change the group.
    assert_eq!(kind(set("ana", Some(uploaded(&world, "bo")))), ErrorKind::NotFound);
    let sent = uploaded(&world, "bo");
    send(&world, "bo", &group, &sent).unwrap();
    assert_eq!(kind(set("bo", Some(sent.clone()))), ErrorKind::Forbidden);
    assert_eq!(shown(), None);
    // What was refused shows nobody what was meant for the group.
    assert_eq!(kind(block_on(world.app.avatar(&caller("eve"), &sent))), ErrorKind::NotFound);
    let entry = set("ana", Some(id.clone())).unwrap().unwrap();
    let told = serde_json::to_value(&entry.content).unwrap();
    assert_eq!(told["change"]["avatar"], id.as_str());
    assert_eq!(shown(), Some(id.clone()));
    // It stays longer than what nobody used, and a repeat is answered with the first.
    world.memory.pass(30 * DAY_MS);
    assert_eq!(block_on(world.app.avatar(&caller("eve"), &id)).unwrap().id, id);
    assert_eq!(set("ana", Some(id.clone())).unwrap().map(|e| e.seq), Some(entry.seq));
    // Another admin who sends the picture along as it stands sets none.
    block_on(world.app.change(&caller("ana"), &group, &Intent::SetRole(user("bo"), Role::Admin)))
        .unwrap();
    let renamed = Intent::Update {
        name: Some("renamed".to_owned()),
        post: None,
        add: None,
        avatar: Some(Some(id.clone())),
        retention_days: None,
    };
    block_on(world.app.change(&caller("bo"), &group, &renamed)).unwrap().unwrap();
    assert_eq!(shown(), Some(id));
    let entry = set("ana", None).unwrap().unwrap();
    let told = serde_json::to_value(&entry.content).unwrap();
    assert_eq!(told["change"].get("avatar"), Some(&serde_json::Value::Null));
    // As it is read again from a table.
    let read: Content = serde_json::from_value(told).unwrap();
    assert_eq!((read, shown()), (entry.content, None));
}
