//! Who and what the calls are about, and how it stands before each.

use petrel_aws::archive::object;
use petrel_aws::keys;
use petrel_core::events::{Reason, Report};
use petrel_core::group::{Allowed, GroupInfo, Invite, Role};
use petrel_core::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, MediaId, MessageId, Seq, UserId,
};
use petrel_core::media::Upload;
use petrel_core::message::{Content, Entry};
use petrel_core::people::{DisplayName, ProfileChange};
use petrel_core::ports::{
    Archive, Cold, Connection, Connections, Conversations, Endpoint, Files, Floor, Log,
    Notification, People, Precondition, Uploads,
};
use petrel_core::testing;
use uuid::Uuid;

use crate::world::World;

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub fn both() -> [UserId; 2] {
    [user("ana"), user("bo")]
}

pub fn group() -> ConversationId {
    ConversationId::group(Uuid::from_u128(7))
}

pub fn new_group() -> ConversationId {
    ConversationId::group(Uuid::from_u128(8))
}

pub fn direct() -> ConversationId {
    ConversationId::direct(&user("ana"), &user("bo"))
}

/// A conversation whose begin is archived.
pub fn old() -> ConversationId {
    ConversationId::direct(&user("cy"), &user("di"))
}

pub fn entry(of: &ConversationId, seq: u64, content: Content) -> Entry {
    Entry {
        conversation_id: of.clone(),
        seq: Seq::new(seq),
        ordinal: seq,
        message_id: MessageId::minted(Uuid::from_u128(u128::from(seq) | 7 << 76 | 2 << 62)),
        sender_id: user("ana"),
        sent_at: 1_000 + seq,
        content,
        level: 0,
        edits: vec![],
    }
}

pub fn said(of: &ConversationId, seq: u64) -> Entry {
    entry(of, seq, Content::text(format!("message {seq}")))
}

pub fn stretch(of: &ConversationId, first: u64, last: u64) -> Vec<Entry> {
    (first..=last).map(|seq| said(of, seq)).collect()
}

/// As it stands in [`old`].
pub fn floor() -> Floor {
    let (archived, closing) = (Seq::new(5), Seq::new(8));
    Floor { archived, closing, version: 1, ..Floor::default() }
}

pub fn socket(who: &str) -> Connection {
    Connection {
        user: user(who),
        device: DeviceId::parse("phone").unwrap(),
        id: ConnectionId::parse(who).unwrap(),
        connected_at: 1,
    }
}

pub fn endpoint(who: &str) -> Endpoint {
    Endpoint {
        user: user(who),
        device: DeviceId::parse("phone").unwrap(),
        id: EndpointId::parse("arn:1").unwrap(),
    }
}

pub fn roles() -> [(UserId, Role); 2] {
    [(user("ana"), Role::Admin), (user("bo"), Role::Member)]
}

pub fn info() -> GroupInfo {
    GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::Admins,
        avatar: None,
        retention_days: None,
    }
}

pub fn invite(number: u128) -> Invite {
    Invite {
        id: InviteId::new(number),
        group: group(),
        created_by: user("ana"),
        created_at: 1_000,
        expires_at: 9_000,
    }
}

pub fn upload(number: u128) -> Upload {
    testing::an_upload(number)
}

pub fn media(number: u128) -> MediaId {
    MediaId::new(number)
}

pub fn report() -> Report {
    let message = said(&group(), 2);
    Report {
        report_id: Report::id(&group(), message.seq, &user("bo")),
        conversation_id: group(),
        reporter_id: user("bo"),
        reported_at: 2_000,
        reason: Reason::Spam,
        comment: None,
        message,
        context: vec![],
    }
}

pub fn notification() -> Notification {
    Notification {
        conversation_id: group(),
        seq: Seq::FIRST,
        sender_id: user("ana"),
        sender_name: None,
        sender_avatar: None,
        preview: None,
        badge: None,
        mentioned: false,
    }
}

/// A good object, of another conversation.
pub fn other_object() -> Vec<u8> {
    object::encode(&stretch(&direct(), 1, 3)).unwrap()
}

/// Sets the stage: a group of two with three messages, of whom bo has a socket and a phone; a conversation with thirty,
/// whose first five are archived; files and uploads.
pub async fn set(world: &World) {
    let truth = &world.truth;
    let (ana, bo, cy, di) = (user("ana"), user("bo"), user("cy"), user("di"));
    truth.found(&group(), &info(), &roles()).await.unwrap();
    for seq in 1..=3 {
        truth.put(&said(&group(), seq)).await.unwrap();
    }
    truth.set_invite(&invite(1)).await.unwrap();
    truth.note_left(&group(), &[user("bo")]).await.unwrap();
    truth.set_timer(&group(), 5_000_000).await.unwrap();
    truth.register(&socket("bo")).await.unwrap();
    truth.set_endpoint(&endpoint("bo")).await.unwrap();
    truth.set_disabled(&di, Some(7)).await.unwrap();
    truth.set_away(&di, true).await.unwrap();
    truth.block(&bo, &ana).await.unwrap();
    truth.watch(&bo, &cy, 8_000).await.unwrap();
    let name = DisplayName::parse("Bo").unwrap();
    let change = ProfileChange { name: Some(Some(name)), ..ProfileChange::default() };
    truth.set_profile(&bo, &change).await.unwrap();

    truth.open(&old(), &[cy, di]).await.unwrap();
    for entry in stretch(&old(), 1, 30) {
        truth.put(&entry).await.unwrap();
    }
    assert!(truth.move_floor(&old(), &Floor::default(), &floor()).await.unwrap());
    let erased = stretch(&old(), 3, 4);
    assert!(Cold::erase(truth, &old(), &erased, &floor()).await.unwrap());

    truth.announce(&upload(1)).await.unwrap();
    truth.announce(&upload(2)).await.unwrap();
    truth.lend(&media(1), &bo, 100).await.unwrap();
    fill_buckets(world).await;
    assert!(world.files().stored(&ana, &media(1)).await.unwrap());
}

/// Stores what the buckets hold, which are empty.
pub async fn fill_buckets(world: &World) {
    for (first, last) in [(1, 3), (4, 5)] {
        let stretch = stretch(&old(), first, last);
        assert!(world.archive().put(&stretch, &Precondition::Absent).await.unwrap());
    }
    for number in 1..=3 {
        let key = keys::file(&user("ana"), &media(number));
        world.store("media", &key, b"a picture".to_vec()).await;
    }
}
