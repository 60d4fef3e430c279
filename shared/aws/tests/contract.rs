//! The core's contract suite over DynamoDB, through the unmodified client.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use petrel_aws::archive::Folder;
use petrel_aws::{Dynamo, Tables, embedded};
use petrel_core::group::{Allowed, GroupInfo, Role};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Archive, Connection, Connections, Conversations, Devices, Log, Put};
use petrel_core::testing::{self, contract};
use uuid::Uuid;

async fn fresh() -> Dynamo {
    over(embedded::client().unwrap()).await
}

async fn over(client: aws_sdk_dynamodb::Client) -> Dynamo {
    let tables = Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    };
    embedded::create_tables(&client, &tables).await.unwrap();
    Dynamo::new(client, tables)
}

#[tokio::test]
async fn log() {
    contract::log(&fresh().await).await;
}

#[tokio::test]
async fn conversations() {
    let dynamo = fresh().await;
    contract::conversations(&dynamo, &dynamo).await;
}

#[tokio::test]
async fn cold() {
    let dynamo = fresh().await;
    contract::cold(&dynamo, &dynamo).await;
    let timers = |now| dynamo.expired_timers(now, 9);
    assert!(timers(2_000_000).await.unwrap().is_empty());
    assert_eq!(timers(2_001_000).await.unwrap(), [ConversationId::group(Uuid::from_u128(7))]);
    assert_eq!(timers(9_000_000).await.unwrap().len(), 2);
    assert_eq!(dynamo.expired_timers(9_000_000, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn archive_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("archive");
    contract::archive(&Folder::new(&folder)).await;
    // What a crash left of a put is no object, and damage is an error.
    let c = ConversationId::group(Uuid::from_u128(7));
    let of = folder.join(c.as_str());
    std::fs::write(of.join(format!("{:020}.part", 500)), "half").unwrap();
    let archive = Folder::new(&folder);
    assert_eq!(archive.list(&c, Seq::ZERO, 9).await.unwrap().len(), 2);
    std::fs::write(of.join(format!("{:020}.zst", 9)), "garbage").unwrap();
    let damaged = archive.get(&c, Seq::new(9)).await.unwrap_err().with_causes();
    assert!(damaged.contains("00000000000000000009.zst is damaged"), "{damaged}");
}

#[tokio::test]
async fn people() {
    let dynamo = fresh().await;
    contract::people(&dynamo, &dynamo).await;
}

#[tokio::test]
async fn connections() {
    contract::connections(&fresh().await).await;
}

#[tokio::test]
async fn uploads() {
    testing::uploads(&fresh().await).await;
}

#[tokio::test]
async fn a_read_goes_on_after_the_first_megabyte() {
    let dynamo = fresh().await;
    let conversation = ConversationId::group(Uuid::from_u128(7));
    for seq in 1..=80 {
        let entry = Entry {
            conversation_id: conversation.clone(),
            seq: Seq::new(seq),
            ordinal: seq,
            message_id: MessageId::minted(Uuid::from_u128(u128::from(seq))),
            sender_id: UserId::parse("ana").unwrap(),
            sent_at: seq,
            content: Content::text("x".repeat(16 * 1024)),
            level: 0,
            edits: vec![],
        };
        assert_eq!(dynamo.put(&entry).await.unwrap(), Put::Stored);
    }
    let after = |limit| dynamo.after(&conversation, Seq::ZERO, limit);
    assert_eq!(after(usize::MAX).await.unwrap().len(), 80);
    assert_eq!(after(75).await.unwrap().len(), 75);
    assert!(after(0).await.unwrap().is_empty());
    let newest = dynamo.newest(&conversation, Seq::FIRST, None, usize::MAX).await.unwrap();
    assert_eq!(newest.len(), 80);
}

#[tokio::test]
async fn a_group_is_founded_with_a_thousand_members() {
    let dynamo = fresh().await;
    let group = ConversationId::group(Uuid::from_u128(7));
    let members: Vec<_> = (0..1_000)
        .map(|i| (UserId::parse(&format!("user-{i:04}")).unwrap(), Role::Member))
        .collect();
    let info = GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::Admins,
        avatar: None,
        retention_days: None,
    };
    assert_eq!(dynamo.found(&group, &info, &members).await.unwrap(), Put::Stored);
    let found = dynamo.roster(&group, usize::MAX).await.unwrap();
    assert!(found.members.iter().map(|m| &m.user).eq(members.iter().map(|(user, _)| user)));
}

#[tokio::test]
async fn every_device_of_every_user_is_found_once() {
    let dynamo = fresh().await;
    let users: Vec<_> = (0..130).map(|i| UserId::parse(&format!("user-{i}")).unwrap()).collect();
    for user in &users {
        for device in ["phone", "laptop"] {
            let connection = Connection {
                user: user.clone(),
                device: DeviceId::parse(device).unwrap(),
                id: ConnectionId::parse(&format!("{user}={device}")).unwrap(),
                connected_at: 1,
            };
            dynamo.register(&connection).await.unwrap();
        }
    }
    let twice: Vec<_> = users.iter().chain(&users).cloned().collect();
    assert_eq!(dynamo.of(&twice).await.unwrap().connections.len(), 260);
    assert_eq!(dynamo.of(&[]).await.unwrap(), Devices::default());
}
