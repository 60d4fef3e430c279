//! What may be told to whom: every frame and every answer that leaves a function is held against the truth.

use std::collections::BTreeMap;

use petrel_core::events::{Event, Report};
use petrel_core::ids::{ConversationId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Why};
use petrel_core::services::Page;
use petrel_core::wire::ServerFrame;
use serde_json::Value;

use crate::core::{Core, Invocation};
use crate::faults::Path;
use crate::invocation::Notes;
use crate::truth::Stored;

/// The head of each conversation that a user belonged to at a moment, and since where.
pub type Heads = BTreeMap<ConversationId, (Seq, Seq)>;

pub type Held = Result<(), String>;

impl Core {
    /// The conversations of a user, where they joined and where the heads are.
    pub fn heads(&self, user: &UserId) -> Heads {
        let rows = self.truth.rows.get(user).into_iter().flatten();
        rows.filter_map(|(of, row)| Some((of.clone(), (row.joined, self.truth.log(of)?.head()))))
            .collect()
    }

    /// A frame for a user leaves a function, by a post or as an answer.
    pub fn must_read(&mut self, user: &UserId, frame: &Value, by: Option<Invocation>) {
        let held = match frame["type"].as_str() {
            Some("message") => {
                let of = frame["conversation_id"].as_str().unwrap_or_default();
                let kept = self.is_delivered_in_time(of, frame, by);
                kept.and_then(|()| self.may_read(user, of, std::slice::from_ref(frame), None))
            }
            Some("batch") => {
                let of = frame["conversation_id"].as_str().unwrap_or_default();
                let entries = frame["messages"].as_array().map_or(&[][..], Vec::as_slice);
                let began = by.and_then(|by| self.notes.get(&by)).map(|n| n.began);
                let young = self.are_kept(of, entries, by);
                young.and_then(|()| self.may_read(user, of, entries, began))
            }
            Some("state") => self.state(user, frame),
            Some("synced") => self.synced(user, frame, by),
            Some("receipt") => self.receipt(user, frame, by),
            Some("typing") => self.typing(user, frame, by),
            Some("presence") => self.presence(user, frame, by),
            _ => Ok(()),
        };
        self.must(
            held.map_err(|e| format!("{user} was told {}: {e}", crate::gateway::brief(frame))),
        );
    }

    /// Who moderates is told what the reporter may read, and nothing else. Up to the message and after it, for what comes first
    /// there may be over by the time that the second is read.
    pub fn must_report(&mut self, by: Invocation, report: &Report) {
        let (mut through, after): (Vec<_>, Vec<_>) =
            report.context.iter().cloned().partition(|e| e.seq < report.message.seq);
        through.push(report.message.clone());
        for messages in [through, after] {
            let conversation = report.conversation_id.clone();
            let page = Page { conversation, messages, more: false, more_before: None };
            let frame = serde_json::to_value(ServerFrame::batch(&page)).unwrap_or_default();
            self.must_read(&report.reporter_id, &frame, Some(by));
        }
        let id = Event::Reported(Box::new(report.clone())).id();
        self.reported.insert(id, report.reporter_id.clone());
        self.passed(Path::Reported);
    }

    /// The entries are those of the log, one after another, and the user may read them.
    /// What was deleted before they were read (`began`, in moments) is not in them.
    pub fn may_read(&self, user: &UserId, of: &str, entries: &[Value], began: Option<u64>) -> Held {
        if entries.is_empty() {
            return Ok(());
        }
        let of = ConversationId::parse(of).map_err(|e| e.to_string())?;
        let log = self.truth.log(&of).ok_or("there is no log")?;
        let mut last = None;
        for told in entries {
            let seq = told["seq"].as_u64().ok_or("no seq")?;
            if last.is_some_and(|l| seq != l + 1) {
                return Err(format!("{seq} does not follow"));
            }
            last = Some(seq);
            let stored = log.at(Seq::new(seq)).ok_or_else(|| format!("{seq} is not stored"))?;
            let entry = &stored.entry;
            let same = told["message_id"].as_str() == Some(&entry.message_id.to_string())
                && told["ordinal"] == entry.ordinal
                && told["sent_at"] == entry.sent_at
                && told["sender_id"].as_str() == Some(entry.sender_id.as_str());
            if !same {
                return Err(format!("{seq} is another entry"));
            }
            let deleted = log.deleted.get(&entry.seq);
            let content = |content: &Content| serde_json::to_value(content).unwrap_or_default();
            let gone = self.truth.cold.get(&of).map_or(Seq::ZERO, |cold| cold.floor.gone);
            // The first row and the newest stand for a place still.
            let expired = content(&Content::Gone { why: Why::Expired });
            if told["content"] == expired && entry.seq <= gone {
                continue;
            }
            let left = content(&entry.content.deleted());
            let whole = content(&entry.content);
            let may_be_whole = deleted.is_none_or(|at| began.is_none_or(|began| *at > began));
            if !(told["content"] == whole && may_be_whole
                || told["content"] == left && deleted.is_some())
            {
                return Err(format!("{seq} says {}, deleted: {deleted:?}", told["content"]));
            }
            if !stored.readable(user) {
                return Err(format!("{seq} is not for them"));
            }
        }
        Ok(())
    }

    /// What a user chose is told as it is or was, and to his own devices alone.
    fn state(&self, user: &UserId, frame: &Value) -> Held {
        let of = ConversationId::parse(frame["conversation_id"].as_str().unwrap_or_default());
        let of = of.map_err(|e| e.to_string())?;
        let told = frame["version"].as_u64().unwrap_or(0);
        let chose = self.truth.chose.get(&(user.clone(), of.clone()));
        let own = chose.and_then(|chose| chose.get(&told));
        let own = own.ok_or_else(|| format!("they never chose version {told} of {of}"))?;
        let whole = serde_json::to_value(own).unwrap_or_default();
        let same = ["muted_until", "pinned", "archived", "marked_unread"]
            .iter()
            .all(|name| frame[*name] == whole[*name]);
        if !same {
            return Err(format!("version {told} of {of} is {whole}"));
        }
        Ok(())
    }

    /// How far another got is told to those who wrote it, as long as they belong.
    fn receipt(&mut self, user: &UserId, frame: &Value, by: Option<Invocation>) -> Held {
        let of = ConversationId::parse(frame["conversation_id"].as_str().unwrap_or_default());
        let of = of.map_err(|e| e.to_string())?;
        let reader = UserId::parse(frame["user_id"].as_str().unwrap_or_default());
        let reader = reader.map_err(|e| e.to_string())?;
        self.belong(user, &reader, &of, by)?;
        let log = self.truth.log(&of);
        let head = log.map_or(0, |log| log.head().get());
        if !log.is_some_and(|log| log.places.keys().any(|(author, _)| author == user)) {
            return Err("they wrote nothing there".into());
        }
        let (delivered, read) = (frame["delivered"].as_u64(), frame["read"].as_u64());
        if delivered.is_none_or(|d| d > head) || read > delivered {
            return Err(format!("the head is {head}"));
        }
        self.may_tell_read(&reader, read.unwrap_or(0), by)
    }

    /// That someone types is told to those who belong with them, and to nobody who blocks them.
    fn typing(&mut self, user: &UserId, frame: &Value, by: Option<Invocation>) -> Held {
        let of = ConversationId::parse(frame["conversation_id"].as_str().unwrap_or_default());
        let of = of.map_err(|e| e.to_string())?;
        let typist = UserId::parse(frame["user_id"].as_str().unwrap_or_default());
        let typist = typist.map_err(|e| e.to_string())?;
        self.belong(user, &typist, &of, by)?;
        let began = by.and_then(|by| self.notes.get(&by)).map_or(0, |n| n.began);
        if of.pair().is_some() && self.truth.blocked(user, &typist, began) {
            return Err(format!("they block {typist}"));
        }
        self.passed(Path::TypingTold);
        Ok(())
    }

    /// Who is told and whom it is about belonged, each, at some moment since it was asked; and they are two.
    fn belong(
        &self,
        user: &UserId,
        other: &UserId,
        of: &ConversationId,
        by: Option<Invocation>,
    ) -> Held {
        let began = by.and_then(|by| self.notes.get(&by)).map_or(0, |n| n.began);
        if user == other {
            return Err("it is about themselves".into());
        }
        match [user, other].into_iter().find(|user| !self.belonged(user, of, began)) {
            Some(stranger) => Err(format!("{stranger} does not belong to {of}")),
            None => Ok(()),
        }
    }

    /// Nobody learns of the presence of who hides it from them, and nobody is told what was no more so when it was looked at.
    fn presence(&mut self, who: &UserId, frame: &Value, by: Option<Invocation>) -> Held {
        let began = by.and_then(|by| self.notes.get(&by)).map_or(0, |n| n.began);
        for told in frame["users"].as_array().ok_or("no users")? {
            let user = UserId::parse(told["user_id"].as_str().unwrap_or_default());
            let user = user.map_err(|e| e.to_string())?;
            let online = told["online"].as_bool().ok_or("no online")?;
            if !online && told["last_seen"].is_null() {
                continue;
            }
            // An erasure may have taken the row that made them contacts since it was looked at.
            let erased = [who, &user].into_iter().any(|user| self.erasures.contains_key(user));
            if self.truth.hidden(who, &user, began) && !erased {
                return Err(format!("{user} hides whether they are online"));
            }
            self.passed(Path::PresenceShown);
            let since = self.truth.online.get(&user).copied();
            let since = since.unwrap_or(crate::truth::Since { on: false, at: 0 });
            // Rows of sockets that are dead for long count no more.
            let old = self
                .truth
                .sockets(&user)
                .connections
                .iter()
                .any(|c| self.now.saturating_sub(c.connected_at) > crate::gateway::TWO_HOURS);
            if since.on != online && since.at < began && !old {
                return Err(format!("{user} was told as online: {online}"));
            }
        }
        Ok(())
    }

    /// What someone has read is told, if he does not hide it.
    pub fn may_tell_read(&mut self, of: &UserId, read: u64, by: Option<Invocation>) -> Held {
        let Some(hides) = self.truth.hides.get(of) else { return Ok(()) };
        let began = by.and_then(|by| self.notes.get(&by)).map(|n| n.began);
        if read > 0 && began.is_some_and(|began| hides.holds(began)) {
            return Err(format!("{of} hides what they have read"));
        }
        if read == 0 && hides.on {
            self.passed(Path::ReadHidden);
        }
        Ok(())
    }

    /// A list of conversations: none is left out, no head is older than the beginning (or than the registration of
    /// the socket, for what comes later finds that), and unread is what a recount says.
    fn synced(&self, user: &UserId, frame: &Value, by: Option<Invocation>) -> Held {
        let empty = Heads::new();
        let heads = by.and_then(|by| self.notes.get(&by)).map_or(&empty, |n| &n.heads);
        let list = frame["conversations"].as_array().ok_or("no list")?;
        let mut told = BTreeMap::new();
        for c in list {
            let id = ConversationId::parse(c["id"].as_str().unwrap_or_default());
            let id = id.map_err(|e| e.to_string())?;
            let began = by.and_then(|by| self.notes.get(&by)).map_or(0, |n| n.began);
            if !self.belonged(user, &id, began) {
                return Err(format!("they do not belong to {id}"));
            }
            let head = c["head"].as_u64().map(Seq::new);
            let newest = self.truth.log(&id).zip(head).and_then(|(log, head)| log.at(head));
            if !newest.is_some_and(|newest| newest.readable(user)) {
                return Err(format!("the head of {id} is none of theirs"));
            }
            told.insert(id, c);
        }
        for (of, (joined, head)) in heads {
            // Whoever left or came again meanwhile may find it missing.
            if self.truth.row(user, of).is_none_or(|r| r.joined != *joined) {
                continue;
            }
            let c = told.get(of).ok_or_else(|| format!("{of} is missing"))?;
            if c["head"].as_u64() < Some(head.get()) {
                return Err(format!("the head of {of} was {head} before"));
            }
            self.counted(of, *joined, c, by)?;
            let marks = self.truth.row(user, of).map(|r| r.marks).unwrap_or_default();
            if c["delivered"].as_u64() > Some(marks.delivered.get())
                || c["read"].as_u64() > Some(marks.read.get())
            {
                return Err(format!("the watermarks of {of} are {marks:?}"));
            }
        }
        Ok(())
    }

    /// A message is acknowledged: it stands there, is the sender's, and is under way to everyone.
    pub fn must_be_sent(&mut self, by: Invocation, of: &ConversationId, sent: &Value) {
        let notes = self.notes.get(&by);
        let Some(user) = notes.and_then(|n| n.user.clone()) else { return };
        let socket = notes.and_then(|n| n.socket).and_then(|n| self.gateway.sockets.get(&n));
        let connection = socket.map(|s| s.connection.clone());
        let (id, seq) = (sent["message_id"].as_str(), sent["seq"].as_u64().map(Seq::new));
        let Some((id, seq)) = id.zip(seq) else { return };
        if sent["duplicate"] == true {
            self.passed(Path::Duplicate);
        }
        let stored = self.truth.log(of).and_then(|log| log.at(seq));
        let stands = stored
            .is_some_and(|s| s.entry.message_id.to_string() == id && s.entry.sender_id == user);
        if stands {
            self.must_be_under_way(of, seq, connection.as_ref());
        } else {
            self.broke(format!("{id} was acknowledged at {of} {seq}, and is not there"));
        }
    }

    /// Whether the message that an error names stood in the log when the invocation began.
    fn stood(&self, of: &ConversationId, notes: &Notes, error: &Value) -> bool {
        let id = error["message_id"].as_str().and_then(|id| MessageId::parse(id).ok());
        let Some((log, key)) = self.truth.log(of).zip(notes.user.clone().zip(id)) else {
            return false;
        };
        let place = log.places.get(&key).and_then(|seq| log.at(*seq));
        // A caller without state is searched for in the newest 100 only.
        let base = self.truth.cold.get(of).map_or(Seq::ZERO, |c| c.floor.base());
        let near = |s: &&Stored| s.entry.seq > base && log.head().since(s.entry.seq) < 100;
        place.filter(near).is_some_and(|stored| stored.moment < notes.began)
    }

    /// A refusal: nobody who belonged all the while is told that they do not, and `busy` has a reason.
    pub fn must_be_refused(
        &mut self,
        by: Invocation,
        of: Option<&str>,
        seen: Option<u64>,
        error: &Value,
    ) {
        let code = error["code"].as_str().unwrap_or_default();
        let path = match code {
            "busy" => Some(Path::Busy),
            "rate_limited" => Some(Path::RateLimited),
            "not_a_member" => Some(Path::NotAMember),
            "sync_required" => Some(Path::SyncRequired),
            _ => None,
        };
        if let Some(path) = path {
            self.passed(path);
        }
        let of = of.and_then(|of| ConversationId::parse(of).ok());
        let blocked = code == "not_a_member" && self.may_be_refused_as_blocked(by, of.as_ref());
        if blocked {
            self.passed(Path::Blocked);
        }
        let Some(notes) = self.notes.get(&by) else { return };
        let before = of.as_ref().and_then(|of| notes.tenures.get(of));
        let stays = of.as_ref().zip(notes.user.as_ref()).is_some_and(|(of, user)| {
            let joined = self.truth.row(user, of).map(|r| r.joined);
            before.is_some_and(|(j, _)| joined == Some(*j))
        });
        // Within the log all the while, and never far behind: it can be proved.
        let head = of.as_ref().and_then(|of| self.truth.log(of)).map_or(0, |log| log.head().get());
        let cold = of.as_ref().and_then(|of| self.truth.cold.get(of));
        let floor = cold.map_or(Seq::ZERO, |cold| cold.floor.base());
        let provable = seen.is_none_or(|seen| {
            before.is_some_and(|(_, head)| seen <= head.get())
                && head.saturating_sub(seen) <= 500
                && (floor == Seq::ZERO || floor < Seq::new(seen))
        });
        let without_reason = match code {
            "not_a_member" => stays && !blocked,
            "sync_required" => provable,
            // A dozen lost races are reason enough.
            // An operator is told to ask again as long as a socket may open.
            "busy" if notes.name.starts_with("Disable") || notes.name.starts_with("Erase") => false,
            "busy" => {
                let hurt = notes.hurt || notes.hurt_by_s3 && !notes.task.says_something_new();
                !hurt && notes.conflicts < 8 && !notes.refused
            }
            // What stood before is answered, however much was sent since; but not to who asks too much of anything.
            "rate_limited" => {
                let asks = error["message"].as_str().is_some_and(|m| m.starts_with("you ask"));
                !asks && of.as_ref().is_some_and(|of| self.stood(of, notes, error))
            }
            _ => false,
        };
        if without_reason {
            let rule = format!("#{by} {} was refused without a reason: {error}", notes.name);
            self.broke(rule);
        }
    }

    /// Whether the other side of a direct conversation blocks who asked, or did while it was asked.
    fn may_be_refused_as_blocked(&self, by: Invocation, of: Option<&ConversationId>) -> bool {
        let Some(notes) = self.notes.get(&by) else { return false };
        let pair = of.and_then(ConversationId::pair);
        let Some((user, (a, b))) = notes.user.as_ref().zip(pair) else { return false };
        let peer = if a == *user { b } else { a };
        self.truth.may_be_blocked(&peer, user, notes.began)
    }
}
