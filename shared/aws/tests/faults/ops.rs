//! Every call of every port, on a stage of its own, with what it must come to.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use petrel_aws::Dynamo;
use petrel_core::App;
use petrel_core::error::Result;
use petrel_core::group::{Allowed, GroupInfo, Role};
use petrel_core::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, MessageId, Seq, UserId,
};
use petrel_core::message::{Content, Entry, GroupChange};
use petrel_core::people::{DisplayName, ProfileChange};
use petrel_core::ports::{
    Change, Connection, Connections, Conversations, Endpoint, Job, Log, Notification, OwnState,
    People, Platform, Watermarks,
};
use uuid::Uuid;

use crate::injector::{ENDPOINT, Injector};

/// The calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Newest,
    After,
    Put,
    PutTaken,
    Edit,
    Delete,
    Members,
    Open,
    Found,
    Change,
    Row,
    Rows,
    Advance,
    SetOwn,
    RowsOf,
    Blocks,
    Profiles,
    SetProfile,
    RowAndProfile,
    Block,
    Unblock,
    Blocked,
    Blockers,
    Regards,
    Watch,
    Watchers,
    Sockets,
    Watched,
    SetAway,
    Register,
    Remove,
    Of,
    SetEndpoint,
    RemoveEndpoint,
    Post,
    Enqueue,
    MakeEndpoint,
    ForgetEndpoint,
    Push,
}

pub const OPS: &[Op] = &[
    Op::Newest,
    Op::After,
    Op::Put,
    Op::PutTaken,
    Op::Edit,
    Op::Delete,
    Op::Members,
    Op::Open,
    Op::Found,
    Op::Change,
    Op::Row,
    Op::Rows,
    Op::Advance,
    Op::SetOwn,
    Op::RowsOf,
    Op::Blocks,
    Op::Profiles,
    Op::SetProfile,
    Op::RowAndProfile,
    Op::Block,
    Op::Unblock,
    Op::Blocked,
    Op::Blockers,
    Op::Regards,
    Op::Watch,
    Op::Watchers,
    Op::Sockets,
    Op::Watched,
    Op::SetAway,
    Op::Register,
    Op::Remove,
    Op::Of,
    Op::SetEndpoint,
    Op::RemoveEndpoint,
    Op::Post,
    Op::Enqueue,
    Op::MakeEndpoint,
    Op::ForgetEndpoint,
    Op::Push,
];

impl Op {
    /// Whether it only reads.
    pub fn reads(self) -> bool {
        use Op::{
            After, Blocked, Blockers, Blocks, Members, Newest, Of, Profiles, Regards, Row,
            RowAndProfile, Rows, RowsOf, Sockets, Watchers,
        };
        matches!(
            self,
            Newest
                | After
                | Members
                | Row
                | Rows
                | RowsOf
                | Blocks
                | Of
                | Profiles
                | RowAndProfile
                | Blocked
                | Blockers
                | Regards
                | Watchers
                | Sockets
        )
    }

    /// Whether it makes several writes, so that one that fails may have done some of them.
    pub fn has_steps(self) -> bool {
        matches!(self, Self::Open | Self::Found | Self::Enqueue)
    }

    /// How often each request may be asked at most: what the SDK tries, times what we try ourselves.
    pub fn attempts(self) -> usize {
        match self {
            // The batch is asked six times for what it left out.
            Self::Of
            | Self::RowsOf
            | Self::Profiles
            | Self::RowAndProfile
            | Self::Blockers
            | Self::Regards
            | Self::Sockets => 3 * 6,
            // Its own lost attempt makes the condition false; what stands is read then.
            Self::Watched => 3 + 3 * 6,
            Self::Enqueue => 2 * 3,
            // What meets a transaction is tried five times, and an endpoint reads the users in between.
            Self::Register | Self::Remove => 3 * 5,
            Self::SetEndpoint | Self::RemoveEndpoint => 3 * 6 * 5,
            Self::Post | Self::MakeEndpoint | Self::ForgetEndpoint | Self::Push => 2,
            _ => 3,
        }
    }

    /// What each request may take at most, with all its attempts and the pauses between them.
    pub fn time(self) -> Duration {
        Duration::from_millis(match self {
            Self::Of
            | Self::RowsOf
            | Self::Profiles
            | Self::RowAndProfile
            | Self::Blockers
            | Self::Regards
            | Self::Sockets => 6 * 6_000 + 700,
            Self::Watched => 6_000 + 6 * 6_000 + 700,
            Self::Enqueue => 3 * 2_200 + 200,
            Self::Register | Self::Remove => 5 * 6_000 + 700,
            Self::SetEndpoint | Self::RemoveEndpoint => 5 * (6 * 6_000 + 700),
            Self::Post | Self::MakeEndpoint | Self::ForgetEndpoint | Self::Push => 2_200,
            _ => 6_000,
        })
    }
}

/// Who and what the calls are about.
pub struct Stage;

impl Stage {
    fn user(&self, name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn group(&self) -> ConversationId {
        ConversationId::group(Uuid::from_u128(7))
    }

    fn new_group(&self) -> ConversationId {
        ConversationId::group(Uuid::from_u128(8))
    }

    fn direct(&self) -> ConversationId {
        ConversationId::direct(&self.user("ana"), &self.user("bo"))
    }

    fn entry(&self, seq: u64, content: Content) -> Entry {
        Entry {
            conversation_id: self.group(),
            seq: Seq::new(seq),
            ordinal: seq,
            message_id: MessageId::minted(Uuid::from_u128(u128::from(seq))),
            sender_id: self.user("ana"),
            sent_at: 1_000 + seq,
            content,
            level: 0,
            edits: vec![],
        }
    }

    fn said(&self, seq: u64) -> Entry {
        self.entry(seq, Content::text(format!("message {seq}")))
    }

    fn socket(&self, who: &str) -> Connection {
        Connection {
            user: self.user(who),
            device: DeviceId::parse("phone").unwrap(),
            id: ConnectionId::parse(who).unwrap(),
            connected_at: 1,
        }
    }

    fn endpoint(&self, who: &str) -> Endpoint {
        Endpoint {
            user: self.user(who),
            device: DeviceId::parse("phone").unwrap(),
            id: EndpointId::parse("arn:1").unwrap(),
        }
    }

    fn roles(&self) -> [(UserId, Role); 2] {
        [(self.user("ana"), Role::Admin), (self.user("bo"), Role::Member)]
    }

    fn membership(&self) -> Change {
        let members = vec![self.user("cy")];
        let change = GroupChange::Added { members };
        Change {
            entry: self.entry(4, Content::System { change }),
            added: vec![self.user("cy")],
            removed: vec![self.user("bo")],
            roles: vec![],
            info: None,
            invite: None,
        }
    }

    fn jobs(&self) -> Vec<Job> {
        let push = |seq| Job::Push {
            to: vec![self.user("bo")],
            conversation: self.group(),
            seq: Seq::new(seq),
            attempt: 0,
        };
        let entry = self.said(1);
        let fan_out = Job::FanOut { entry, to: vec![self.user("bo")], except: None, attempt: 0 };
        (1..=12).map(push).chain([fan_out]).collect()
    }

    /// Sets the stage: a group of two with three messages, of whom bo has a socket and a phone.
    pub async fn set(&self, truth: &Dynamo) {
        truth.found(&self.group(), &info(), &self.roles()).await.unwrap();
        for seq in 1..=3 {
            truth.put(&self.said(seq)).await.unwrap();
        }
        truth.register(&self.socket("bo")).await.unwrap();
        truth.set_endpoint(&self.endpoint("bo")).await.unwrap();
        truth.block(&self.user("bo"), &self.user("ana")).await.unwrap();
        truth.watch(&self.user("bo"), &self.user("cy"), 8_000).await.unwrap();
        let name = DisplayName::parse("Bo").unwrap();
        let change = ProfileChange { name: Some(Some(name)), ..Default::default() };
        truth.set_profile(&self.user("bo"), &change).await.unwrap();
    }

    /// Makes the call; what it came to, in words.
    pub async fn call(&self, op: Op, app: &App) -> Result<String> {
        fn say<T: Debug>(done: T) -> String {
            format!("{done:?}")
        }
        let (ana, bo) = (self.user("ana"), self.user("bo"));
        let both = [ana.clone(), bo.clone()];
        let group = self.group();
        let one = Watermarks { delivered: Seq::new(2), read: Seq::FIRST, read_ordinal: 1 };
        let (log, of) = (&app.log, &app.conversations);
        Ok(match op {
            Op::Newest => say(log.newest(&group, Seq::FIRST, None, 2).await?),
            Op::After => say(log.after(&group, Seq::ZERO, 9).await?),
            Op::Put => say(log.put(&self.said(4)).await?),
            Op::PutTaken => say(log.put(&self.entry(3, Content::text("?"))).await?),
            Op::Edit => {
                let edit = Content::Edit { target: Seq::new(2), text: "!".into() };
                say(log.put_changing(&self.entry(4, edit)).await?)
            }
            Op::Delete => {
                let delete = Content::Delete { target: Seq::new(2) };
                say(log.put_changing(&self.entry(4, delete)).await?)
            }
            Op::Members => say(of.roster(&group, usize::MAX).await?),
            Op::Open => say(of.open(&self.direct(), &both).await?),
            Op::Found => say(of.found(&self.new_group(), &info(), &self.roles()).await?),
            Op::Change => say(of.change(&self.membership()).await?),
            Op::Row => say(of.row(&bo, &group).await?),
            Op::Rows => say(of.rows(&bo, None, 9).await?),
            Op::Advance => say(of.advance(&bo, &group, Watermarks::default(), one).await?),
            Op::SetOwn => {
                let own = OwnState { version: 1, pinned: true, ..OwnState::default() };
                say(of.set_own(&bo, &group, 0, own).await?)
            }
            Op::RowsOf => {
                let mut rows = of.rows_of(&group, &both).await?;
                rows.sort_by(|a, b| a.0.cmp(&b.0));
                say(rows)
            }
            Op::Blocks => say(of.blocks(&ana, &bo).await?),
            Op::Profiles => say(app.people.profiles(&both).await?),
            Op::SetProfile => {
                let change = ProfileChange { hide_read_receipts: Some(true), ..Default::default() };
                say(app.people.set_profile(&ana, &change).await?)
            }
            Op::RowAndProfile => say(app.people.row_and_profile(&bo, &group).await?),
            Op::Block => say(app.people.block(&ana, &bo).await?),
            Op::Unblock => say(app.people.unblock(&bo, &ana).await?),
            Op::Blocked => say(app.people.blocked(&bo, None, 9).await?),
            Op::Blockers => say(app.people.blockers(&both, &ana).await?),
            Op::Regards => say(app.people.regards(&[(ana, bo)]).await?),
            Op::Watch => say(app.people.watch(&ana, &bo, 9_000).await?),
            Op::Watchers => say(app.people.watchers(&bo, 0, 9).await?),
            Op::Sockets => say(app.connections.sockets(&both).await?),
            Op::Watched => say(app.connections.watched(&bo, 9_000).await?),
            Op::SetAway => say(app.connections.set_away(&bo, true).await?),
            Op::Register => say(app.connections.register(&self.socket("ana")).await?),
            Op::Remove => {
                let Connection { user, device, id, .. } = self.socket("bo");
                say(app.connections.remove(&user, &device, &id, 7).await?)
            }
            Op::Of => say(app.connections.of(&both).await?),
            Op::SetEndpoint => say(app.connections.set_endpoint(&self.endpoint("ana")).await?),
            Op::RemoveEndpoint => {
                say(app.connections.remove_endpoint(&self.endpoint("bo")).await?)
            }
            Op::Post => say(app.gateway.post(&self.socket("bo").id, "{}").await),
            Op::Enqueue => say(app.jobs.enqueue(self.jobs(), 1).await?),
            Op::MakeEndpoint => say(app.notifier.endpoint(Platform::Apns, "c0ffee", &bo).await?),
            Op::ForgetEndpoint => say(app.notifier.remove(&EndpointId::parse(ENDPOINT)?).await?),
            Op::Push => {
                let notification = Notification {
                    conversation_id: group,
                    seq: Seq::FIRST,
                    sender_id: ana,
                    sender_name: None,
                    preview: None,
                    badge: None,
                    mentioned: false,
                };
                say(app.notifier.push(&EndpointId::parse(ENDPOINT)?, &notification).await)
            }
        })
    }

    /// All that there is on the stage.
    pub async fn look(&self, truth: &Dynamo, injector: &Injector) -> Look {
        let users = ["ana", "bo", "cy"].map(|name| self.user(name));
        let mut seen = String::new();
        for group in [self.group(), self.new_group()] {
            seen += &format!("{:?}", truth.after(&group, Seq::ZERO, 99).await.unwrap());
            seen += &format!("{:?}", truth.roster(&group, usize::MAX).await.unwrap());
        }
        for user in &users {
            seen += &format!("{:?}", truth.rows(user, None, 99).await.unwrap());
            seen += &format!("{:?}", truth.blocked(user, None, 99).await.unwrap());
            seen += &format!("{:?}", truth.watchers(user, 0, 99).await.unwrap());
            let one = std::slice::from_ref(user);
            seen += &format!("{:?}", truth.profiles(one).await.unwrap());
        }
        seen += &format!("{:?}", truth.of(&users).await.unwrap());
        let mut sockets = truth.sockets(&users).await.unwrap();
        sockets.sort_by(|a, b| a.0.cmp(&b.0));
        seen += &format!("{sockets:?}");
        Look { stored: seen, taken: injector.taken() }
    }
}

/// What is in the tables, and what the others were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub stored: String,
    pub taken: BTreeSet<String>,
}

fn info() -> GroupInfo {
    GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::Admins,
        avatar: None,
        retention_days: None,
    }
}
