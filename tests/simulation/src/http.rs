//! Callers without state, over HTTP: they send, found and change groups, sync, read and ack. A caller repeats a request
//! that was not answered, or answered with `busy`.

use std::collections::BTreeMap;

use petrel_core::events::Reason;
use petrel_core::group::{Allowed, Role};
use petrel_core::ids::{ConversationId, DeviceId, InviteCode, InviteId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::people::ProfileChange;
use petrel_core::ports::Platform;
use petrel_core::services::{
    Ack, Erased, ErasurePage, Group, Intent, NewGroup, NewInvite, Outgoing, OwnChange, Page, Range,
    Receipts, SendRequest, Sent, SyncRequest, Unread,
};
use petrel_core::wire::ServerFrame;
use petrel_core::{App, Caller, Error};
use serde_json::{Value, json};

use crate::core::{Core, Event, Invocation};
use crate::faults::Path;
use crate::invocation::Task;
use crate::media::{FileAnswer, FileCall};

/// What is asked.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "few are held at once, and not for long")]
pub enum Request {
    /// `POST /api/messages`, without `seen`.
    Send(UserId, ConversationId, MessageId),
    /// The same with something else than plain text.
    Say(UserId, ConversationId, MessageId, Content),
    /// `PATCH …/state`.
    Choose(UserId, ConversationId, OwnChange),
    /// `GET /api/conversations`.
    Overview(UserId),
    /// `GET /api/unread`.
    Unread(UserId),
    /// `POST /api/conversations`, with a `request_id`.
    Found(UserId, Vec<UserId>, u64),
    /// `POST …/members`.
    Add(UserId, ConversationId, Vec<UserId>),
    /// `DELETE …/members/{user}`, of one or more.
    Remove(UserId, ConversationId, Vec<UserId>),
    /// `PATCH …/members/{user}`.
    SetRole(UserId, ConversationId, UserId, Role),
    /// `PATCH /api/conversations/{id}`: who may write and who may add.
    Update(UserId, ConversationId, Option<Allowed>, Option<Allowed>),
    /// `POST …/invites`, for this many seconds.
    Invite(UserId, ConversationId, u64),
    /// `DELETE …/invites/{invite}`.
    Revoke(UserId, ConversationId, InviteId),
    /// `POST /api/invites/{code}`.
    Join(UserId, ConversationId, InviteId),
    /// `POST /api/sync`.
    Sync(UserId, BTreeMap<ConversationId, Seq>),
    /// `GET …/messages`.
    Read(UserId, ConversationId, Range),
    /// `POST …/ack`.
    Ack(UserId, ConversationId, Seq, Seq),
    /// `GET …/receipts`.
    Receipts(UserId, ConversationId, Seq),
    /// `GET /api/conversations/{id}`.
    Group(UserId, ConversationId),
    /// `POST …/messages/{seq}/report`.
    Report(UserId, ConversationId, Seq),
    /// An operator writes a notice, as the server, which stands first.
    Notice(UserId, ConversationId, MessageId),
    /// He founds a group for this user.
    FoundFor(UserId, Vec<UserId>, u64),
    /// An operator disables this user.
    Disable(UserId),
    /// He enables him again.
    Enable(UserId),
    /// He erases him, from this page on.
    Erase(UserId, Option<String>),
    /// He erases what the user wrote in this group, from this page on.
    EraseIn(UserId, ConversationId, Option<String>),
    /// `PATCH /api/conversations/{id}`: for how many days messages are kept.
    Keep(UserId, ConversationId, u32),
    /// `GET …/export`.
    Export(UserId, ConversationId, Seq),
    /// `PATCH /api/profile`.
    Profile(UserId, ProfileChange),
    /// `PUT` or, with `false`, `DELETE /api/blocks/{user}`.
    Block(UserId, UserId, bool),
    /// `PUT /api/devices/{device}/push`, with this token.
    Register(UserId, DeviceId, String),
    /// `DELETE /api/devices/{device}/push`.
    Unregister(UserId, DeviceId),
    /// An operator signs a device of this user out.
    SignOut(UserId, DeviceId),
    /// He closes all sockets of this user.
    Cut(UserId),
    /// Something about files.
    Files(UserId, FileCall),
}

/// What was answered.
#[derive(Debug)]
pub enum Asked {
    /// A message stands.
    Sent(ConversationId, Sent),
    /// A group stands.
    Founded(Entry),
    /// A change stands, or there was nothing to change.
    Changed(Option<Entry>),
    /// Batches, and then the list.
    Frames(Vec<Value>),
    /// How far the others are.
    Receipts(ConversationId, Seq, Receipts),
    /// Who belongs.
    Group(ConversationId, Group),
    /// How much is unread.
    Unread(Unread),
    /// A user is disabled, and cut off.
    CutOff(UserId),
    /// He is enabled again.
    Enabled(UserId),
    /// He is erased as far as that, in all or in one conversation.
    Erased(UserId, Option<ConversationId>, Erased),
    /// Of files.
    Files(FileAnswer),
    /// Nothing to say.
    Done,
    /// Refused.
    Refused(Option<ConversationId>, Error),
}

/// A request, and how often it may still be repeated.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// How often yet.
    pub left: u32,
    /// How often it was repeated.
    pub tries: u32,
    /// Whether the caller waits no more.
    pub over: bool,
}

impl Request {
    /// Who asks.
    pub fn user(&self) -> &UserId {
        match self {
            Self::Send(user, ..)
            | Self::Say(user, ..)
            | Self::Choose(user, ..)
            | Self::Overview(user)
            | Self::Unread(user)
            | Self::Found(user, ..)
            | Self::Add(user, ..)
            | Self::Remove(user, ..)
            | Self::SetRole(user, ..)
            | Self::Update(user, ..)
            | Self::Invite(user, ..)
            | Self::Revoke(user, ..)
            | Self::Join(user, ..)
            | Self::Sync(user, ..)
            | Self::Read(user, ..)
            | Self::Ack(user, ..)
            | Self::Receipts(user, ..)
            | Self::Group(user, _)
            | Self::Profile(user, _)
            | Self::Block(user, ..)
            | Self::Report(user, ..)
            | Self::Notice(user, ..)
            | Self::FoundFor(user, ..)
            | Self::Disable(user)
            | Self::Enable(user)
            | Self::Erase(user, _)
            | Self::EraseIn(user, ..)
            | Self::Keep(user, ..)
            | Self::Export(user, ..)
            | Self::Register(user, ..)
            | Self::Unregister(user, _)
            | Self::SignOut(user, _)
            | Self::Cut(user)
            | Self::Files(user, _) => user,
        }
    }

    /// Whether the caller must have an answer.
    pub fn insists(&self) -> bool {
        matches!(
            self,
            Self::Send(..)
                | Self::Say(..)
                | Self::Found(..)
                | Self::Add(..)
                | Self::Remove(..)
                | Self::SetRole(..)
                | Self::Update(..)
                | Self::Join(..)
                | Self::Keep(..)
                | Self::Register(..)
                | Self::Unregister(..)
                | Self::Files(..)
        ) || self.is_operators()
    }

    /// Whether an operator asks, and goes on until it is done.
    pub fn is_operators(&self) -> bool {
        matches!(
            self,
            Self::Disable(_)
                | Self::Enable(_)
                | Self::Erase(..)
                | Self::EraseIn(..)
                | Self::Notice(..)
                | Self::FoundFor(..)
                | Self::SignOut(..)
                | Self::Cut(_)
        )
    }

    fn about(&self) -> Option<ConversationId> {
        match self {
            Self::Found(..)
            | Self::FoundFor(..)
            | Self::Sync(..)
            | Self::Overview(_)
            | Self::Unread(_)
            | Self::Profile(..)
            | Self::Block(..)
            | Self::Disable(..)
            | Self::Enable(..)
            | Self::Erase(..)
            | Self::EraseIn(..)
            | Self::Register(..)
            | Self::Unregister(..)
            | Self::SignOut(..)
            | Self::Cut(_) => None,
            Self::Files(_, call) => call.about(),
            Self::Keep(_, of, _) | Self::Export(_, of, _) => Some(of.clone()),
            Self::Send(_, of, _)
            | Self::Say(_, of, ..)
            | Self::Choose(_, of, _)
            | Self::Add(_, of, _)
            | Self::Remove(_, of, _)
            | Self::SetRole(_, of, ..)
            | Self::Update(_, of, ..)
            | Self::Invite(_, of, _)
            | Self::Revoke(_, of, _)
            | Self::Join(_, of, _)
            | Self::Read(_, of, _)
            | Self::Ack(_, of, ..)
            | Self::Receipts(_, of, _)
            | Self::Report(_, of, _)
            | Self::Notice(_, of, _)
            | Self::Group(_, of) => Some(of.clone()),
        }
    }

    /// Asks the product, as `functions` does for the HTTP API.
    pub async fn run(self, app: &App) -> Asked {
        let caller = Caller::http(self.user().clone());
        let about = self.about();
        if !self.is_operators()
            && let Err(error) = app.check_enabled(&caller.user).await
        {
            return Asked::Refused(about, error);
        }
        let asked = match self {
            Self::Disable(user) => app.disable(&user).await.map(|_| Asked::CutOff(user)),
            Self::Enable(user) => app.enable(&user).await.map(|()| Asked::Enabled(user)),
            Self::Erase(user, page) => match read_page(page) {
                Ok(page) => app.erase(&user, page).await.map(|e| Asked::Erased(user, None, e)),
                Err(error) => Err(error),
            },
            Self::EraseIn(user, of, page) => match read_page(page) {
                Ok(page) => {
                    let erased = app.erase_in(&user, &of, page).await;
                    erased.map(|erased| Asked::Erased(user, Some(of), erased))
                }
                Err(error) => Err(error),
            },
            Self::Report(_, of, seq) => {
                let comment = Some("look".to_owned());
                app.report(&caller, &of, seq, Reason::Abuse, comment).await.map(|_| Asked::Done)
            }
            Self::Notice(_, of, message_id) => {
                let text = format!("http notice {message_id}");
                let sent = app.post_notice(of.clone(), message_id, text).await;
                sent.map(|sent| Asked::Sent(of, sent))
            }
            Self::FoundFor(owner, members, number) => {
                let request_id = Some(format!("o{number}"));
                let group = NewGroup { name: "crew".into(), members, request_id };
                app.create_group_for(owner, group).await.map(Asked::Founded)
            }
            Self::Keep(_, of, days) => {
                let retention_days = Some(days);
                let intent = Intent::Update {
                    name: None,
                    post: None,
                    add: None,
                    avatar: None,
                    retention_days,
                };
                app.change(&caller, &of, &intent).await.map(Asked::Changed)
            }
            Self::Export(_, of, after) => app.export(&caller, &of, after).await.map(|messages| {
                let page = Page { conversation: of, messages, more: false, more_before: None };
                Asked::Frames(vec![value(&ServerFrame::batch(&page))])
            }),
            Self::Send(_, of, message_id) => {
                let content = Content::text(format!("http {message_id}"));
                say(app, &caller, of, message_id, content).await
            }
            Self::Say(_, of, message_id, content) => {
                say(app, &caller, of, message_id, content).await
            }
            Self::Choose(_, of, change) => {
                app.set_own(&caller, &of, change).await.map(|_| Asked::Done)
            }
            Self::Overview(_) => app
                .overview(&caller, None)
                .await
                .map(|listed| Asked::Frames(vec![value(&ServerFrame::synced(&listed))])),
            Self::Unread(_) => app.unread(&caller).await.map(Asked::Unread),
            Self::Found(_, members, number) => {
                let request_id = Some(format!("r{number}"));
                let group = NewGroup { name: "trip".into(), members, request_id };
                app.create_group(&caller, group).await.map(Asked::Founded)
            }
            Self::Add(_, of, users) => {
                app.add_members(&caller, &of, &users).await.map(Asked::Changed)
            }
            Self::Remove(_, of, users) => {
                app.remove_members(&caller, &of, &users).await.map(Asked::Changed)
            }
            Self::SetRole(_, of, user, role) => {
                app.change(&caller, &of, &Intent::SetRole(user, role)).await.map(Asked::Changed)
            }
            Self::Update(_, of, post, add) => {
                let intent =
                    Intent::Update { name: None, post, add, avatar: None, retention_days: None };
                app.change(&caller, &of, &intent).await.map(Asked::Changed)
            }
            Self::Invite(_, of, life_s) => {
                let new = NewInvite { expires_in_s: Some(life_s) };
                app.create_invite(&caller, &of, new).await.map(|_| Asked::Done)
            }
            Self::Revoke(_, of, id) => {
                app.revoke_invite(&caller, &of, &id).await.map(|()| Asked::Done)
            }
            Self::Join(_, group, invite) => {
                let code = InviteCode { group, invite };
                app.join(&caller, &code).await.map(Asked::Changed)
            }
            Self::Sync(_, cursors) => {
                let sync = SyncRequest { cursors, limit: 200, tail: false, page: None };
                app.sync(&caller, &sync).await.map(|synced| {
                    let mut frames: Vec<_> =
                        synced.batches.iter().map(ServerFrame::batch).collect();
                    frames.push(ServerFrame::synced(&synced));
                    Asked::Frames(frames.iter().map(value).collect())
                })
            }
            Self::Read(_, of, range) => {
                let page = app.history(&caller, &of, range, 100).await;
                page.map(|page| Asked::Frames(vec![value(&ServerFrame::batch(&page))]))
            }
            Self::Ack(_, conversation, delivered, read) => {
                let some = |seq: Seq| (seq > Seq::ZERO).then_some(seq);
                let ack = Ack { conversation, delivered: some(delivered), read: some(read) };
                app.ack(&caller, &ack).await.map(|_| Asked::Done)
            }
            Self::Receipts(_, of, seq) => {
                let receipts = app.receipts(&caller, &of, seq, None).await;
                receipts.map(|receipts| Asked::Receipts(of, seq, receipts))
            }
            Self::Profile(_, change) => {
                app.set_profile(&caller, &change).await.map(|_| Asked::Done)
            }
            Self::Block(_, other, true) => app.block(&caller, &other).await.map(|()| Asked::Done),
            Self::Block(_, other, false) => {
                app.unblock(&caller, &other).await.map(|()| Asked::Done)
            }
            Self::Register(_, device, token) => {
                let set = app.set_push(&caller, device, Platform::Fcm, &token).await;
                set.map(|()| Asked::Done)
            }
            Self::Unregister(_, device) => {
                app.remove_push(&caller, &device).await.map(|()| Asked::Done)
            }
            Self::SignOut(user, device) => app.sign_out(&user, &device).await.map(|()| Asked::Done),
            Self::Cut(user) => app.cut(&user).await.map(|_| Asked::Done),
            Self::Files(_, call) => call.run(app, &caller).await.map(Asked::Files),
            Self::Group(_, of) => {
                app.group(&caller, &of).await.map(|group| Asked::Group(of, group))
            }
        };
        asked.unwrap_or_else(|error| Asked::Refused(about, error))
    }
}

async fn say(
    app: &App,
    caller: &Caller,
    of: ConversationId,
    message_id: MessageId,
    content: Content,
) -> Result<Asked, Error> {
    let messages = vec![Outgoing { message_id, content }];
    let send = SendRequest { conversation: of.clone(), seen: None, messages };
    match app.send(caller, send).await?.pop() {
        Some(Ok(sent)) => Ok(Asked::Sent(of, sent)),
        Some(Err((_, error))) => Err(error),
        None => Err(Error::bad_request("no result")),
    }
}

fn read_page(page: Option<String>) -> Result<Option<ErasurePage>, Error> {
    page.map(|page| ErasurePage::parse(&page)).transpose()
}

fn value(frame: &ServerFrame) -> Value {
    serde_json::to_value(frame).unwrap_or_default()
}

/// What an answer must hold.
pub fn check(core: &mut Core, by: Invocation, asked: &Asked) {
    let Some(user) = core.notes.get(&by).and_then(|n| n.user.clone()) else { return };
    match asked {
        Asked::Sent(of, sent) => {
            let told = json!({"message_id": sent.message_id, "seq": sent.seq, "duplicate": sent.duplicate});
            core.must_be_sent(by, of, &told);
        }
        Asked::Founded(entry) | Asked::Changed(Some(entry)) => {
            if let Asked::Founded(_) = asked {
                core.passed(Path::Founded);
                if entry.sender_id != user {
                    core.broke(format!("a group of {user} was founded by {}", entry.sender_id));
                }
            }
            let frame = crate::invocation::as_frame(entry);
            // Whoever repeats it long after may have left meanwhile; the answer is theirs all the same.
            let of = entry.conversation_id.clone();
            let stands = core.truth.log(&of).and_then(|log| log.at(entry.seq)).map(|s| &s.entry);
            if stands == Some(entry) {
                core.must_be_under_way(&of, entry.seq, None);
            } else {
                core.broke(format!("{user} was told of a change that is not there: {frame}"));
            }
        }
        Asked::Frames(frames) => {
            for frame in frames {
                core.must_read(&user, frame, Some(by));
            }
            let after = match core.notes.get(&by).map(|n| &n.task) {
                Some(Task::Http(_, Request::Read(_, of, Range::After(at)))) => {
                    Some((of.clone(), *at))
                }
                Some(Task::Http(_, Request::Export(_, of, at))) => Some((of.clone(), *at)),
                _ => None,
            };
            if let Some((of, after)) = after {
                let held = core.nothing_is_left_out(&user, &of, after, frames, by);
                core.must(held);
            }
        }
        Asked::Unread(unread) => {
            // Whatever is written while it is counted may be in it or not.
            // Its end is the one thing that happened.
            let calm = core.notes.get(&by).is_some_and(|n| n.began + 1 == core.moment);
            let recount = core.recount(&user, by);
            let wrong = |told: &(u64, u64)| (unread.messages, unread.badge) != *told;
            if let Some(recount) = recount.filter(wrong).filter(|_| calm) {
                core.broke(format!(
                    "{user} was told of {unread:?}, and a recount says {recount:?}"
                ));
            }
        }
        Asked::Receipts(of, seq, receipts) => {
            let log = core.truth.log(of);
            let readable = log.and_then(|log| log.at(*seq)).is_some_and(|s| s.readable(&user));
            let head = log.map_or(Seq::ZERO, |log| log.head());
            let sane = receipts.read <= receipts.delivered
                && receipts.delivered <= receipts.members
                && receipts.readers.iter().all(|r| r.marks.delivered <= head);
            if !readable || !sane {
                core.broke(format!("{user} was told of {of} {seq}: {receipts:?}"));
            }
            let held = core.is_kept(of, *seq, Some(by));
            core.must(held);
            for reader in receipts.readers.iter().filter(|r| r.user != user) {
                let held = core.may_tell_read(&reader.user, reader.marks.read.get(), Some(by));
                core.must(held.map_err(|e| format!("{user} was told of {of} {seq}: {e}")));
            }
        }
        Asked::Group(of, group) => {
            // The list as it was at some place of the log, with the caller in it.
            let was = core.truth.log(of).is_some_and(|log| {
                log.history.iter().any(|s| {
                    let told = group.members.iter().map(|m| (&m.user, &m.joined));
                    s.members.contains_key(&user) && s.members.iter().eq(told)
                })
            });
            if !was && of.pair().is_none() {
                core.broke(format!("{user} was told of {of}: {:?}", group.members));
            }
        }
        Asked::Refused(of, error) => {
            let mut told = json!({"code": error.kind.code(), "message": error.message});
            if let Some(Task::Http(_, Request::Send(_, _, id))) =
                core.notes.get(&by).map(|n| &n.task)
            {
                told["message_id"] = json!(id);
            }
            core.must_be_refused_of_files(by, &user, error);
            let of = of.as_ref().map(ConversationId::as_str);
            core.must_be_refused(by, of, None, &told);
        }
        Asked::Files(answer) => core.must_answer_of_files(by, &user, answer),
        Asked::CutOff(user) => core.must_be_cut_off(by, user),
        Asked::Erased(user, of, erased) => {
            if of.is_none() {
                core.must_be_cut_off(by, user);
            }
            core.must_be_erased(by, user, of.as_ref(), erased);
        }
        Asked::Done => core.told_of_phones(by),
        Asked::Changed(None) | Asked::Enabled(_) => {}
    }
}

impl Call {
    /// The answer has come, or none will: repeats the request, or is content.
    pub fn answered(&mut self, core: &mut Core, number: usize, asked: Option<&Asked>) {
        let again = match asked {
            None => true,
            Some(Asked::Refused(_, error)) => error.retry_after_ms.is_some(),
            Some(_) => false,
        };
        // An operator goes on until it is done.
        let operator = self.request.is_operators();
        if again && (self.left > 0 || operator) && self.request.insists() {
            self.left = self.left.saturating_sub(1);
            self.tries += 1;
            // An outage of hours is asked through with patience.
            let mut ms = core.dice.magnitude(20, 5_000) << (self.tries / 8).min(6);
            // Mostly he waits as long as he is told.
            if let (true, Some(Asked::Refused(_, error))) = (operator, asked)
                && core.dice.percent(80)
            {
                ms += error.retry_after_ms.unwrap_or(0);
            }
            core.after(ms, Event::Request(number));
        } else {
            self.over = true;
        }
    }
}
