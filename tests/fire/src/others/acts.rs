//! The acts, each whole in itself: what it needs it makes, and what it has closed it opens again.

use petrel_test_client::frames;
use serde_json::{Value, json};

use super::{Other, Sent, User, holds};
use crate::Result;

/// Bytes of a file.
const FILE: std::ops::Range<usize> = 1_024..8_192;
/// Entries of a page.
const PAGE: u64 = 20;

/// What somebody does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Ack,
    Block,
    Delete,
    Edit,
    Found,
    History,
    Invite,
    Media,
    Members,
    Message,
    Presence,
    Profile,
    PushToken,
    React,
    Receipts,
    Reopen,
    State,
    Sync,
    Typing,
    Unread,
}

impl Act {
    /// All, with what they are called in the figures.
    pub const ALL: [(Self, &'static str); 20] = [
        (Self::Ack, "acks"),
        (Self::Block, "blocks"),
        (Self::Delete, "deletes"),
        (Self::Edit, "edits"),
        (Self::Found, "groups"),
        (Self::History, "history"),
        (Self::Invite, "invites"),
        (Self::Media, "media"),
        (Self::Members, "members"),
        (Self::Message, "messages"),
        (Self::Presence, "presence"),
        (Self::Profile, "profiles"),
        (Self::PushToken, "push_tokens"),
        (Self::React, "reactions"),
        (Self::Receipts, "receipts"),
        (Self::Reopen, "sockets"),
        (Self::State, "states"),
        (Self::Sync, "syncs"),
        (Self::Typing, "typing"),
        (Self::Unread, "unread"),
    ];
}

impl Other {
    /// Does one of them.
    pub(super) async fn act(&mut self, act: Act) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        match act {
            Act::Ack => self.acks().await,
            Act::Block => self.blocks().await,
            Act::Delete => self.deletes().await,
            Act::Edit => self.edits().await,
            Act::Found => self.founds().await.map(|_| ()),
            Act::History => self.looks_back().await,
            Act::Invite => self.invites().await,
            Act::Media => self.sends_a_file().await,
            Act::Members => self.changes_members().await,
            Act::Message => self.writes_twice().await,
            Act::Presence => self.watches().await,
            Act::Profile => self.changes_profile().await,
            Act::PushToken => self.registers_phone().await,
            Act::React => self.reacts().await,
            Act::Receipts => self.asks_who_has_it().await,
            Act::Reopen => {
                self.leave().await?;
                self.socket().await.map(|_| ())
            }
            Act::State => self.changes_state().await,
            Act::Sync => self.syncs().await,
            Act::Typing => self.types().await,
            Act::Unread => {
                self.says(&me, frames::text("unread")).await?;
                let unread = self.request(&friend, "GET /api/unread", None, 200).await?;
                let some = unread["messages"].as_u64() > Some(0);
                holds("something is unread", some && unread["badge"].is_u64(), &unread)
            }
        }
    }

    /// Something of this user in the conversation of both; returns its seq.
    async fn says(&mut self, who: &User, content: Value) -> Result<u64> {
        let body = json!({
            "conversation_id": self.direct,
            "message_id": frames::new_id(),
            "content": content,
        });
        let sent = self.request(who, "POST /api/messages", Some(body), 201).await?;
        Ok(sent["seq"].as_u64().ok_or_else(|| format!("a message without a seq: {sent}"))?)
    }

    /// One entry of the conversation of both, as this user reads it.
    async fn entry(&mut self, who: &User, seq: u64) -> Result<Value> {
        let line =
            format!("GET /api/conversations/{}/messages?before={}&limit=1", self.direct, seq + 1);
        let page = self.request(who, &line, None, 200).await?;
        holds("the entry is there", page["messages"][0]["seq"] == seq, &page)?;
        Ok(page["messages"][0].clone())
    }

    async fn writes_twice(&mut self) -> Result<()> {
        let me = self.me.clone();
        let words = self.rng.u64(..).to_string();
        let body = json!({
            "to_user_id": self.friend.id,
            "message_id": frames::new_id(),
            "content": frames::text(&words),
        });
        let sent = self.request(&me, "POST /api/messages", Some(body.clone()), 201).await?;
        let again = self.request(&me, "POST /api/messages", Some(body), 200).await?;
        let same = again["duplicate"] == true && again["seq"] == sent["seq"];
        holds("a repeat is known", same, &again)
    }

    async fn syncs(&mut self) -> Result<()> {
        let me = self.me.clone();
        let seq = self.says(&me, frames::text("sync")).await?;
        let (mut page, mut found) = (Value::Null, false);
        loop {
            let mut body = json!({"cursors": {&self.direct: seq - 1}, "limit": PAGE, "tail": true});
            if !page.is_null() {
                body["page"] = page;
            }
            let synced = self.request(&me, "POST /api/sync", Some(body), 200).await?;
            let batches = synced["batches"].as_array().into_iter().flatten();
            let ours = batches.filter(|batch| batch["conversation_id"] == self.direct);
            found |= ours
                .flat_map(|batch| batch["messages"].as_array())
                .flatten()
                .any(|entry| entry["seq"] == seq);
            page = synced["page"].clone();
            if page.is_null() {
                return holds("what was written last is in a sync", found, &json!(seq));
            }
        }
    }

    async fn looks_back(&mut self) -> Result<()> {
        let me = self.me.clone();
        let seq = self.says(&me, frames::text("history")).await?;
        let (before, after) = (seq + 1, seq - 1);
        for from in [format!("before={before}"), format!("after={after}"), format!("around={seq}")]
        {
            let line =
                format!("GET /api/conversations/{}/messages?{from}&limit={PAGE}", self.direct);
            let page = self.request(&me, &line, None, 200).await?;
            let mut entries = page["messages"].as_array().into_iter().flatten();
            holds("the entry is in the page", entries.any(|e| e["seq"] == seq), &page)?;
        }
        Ok(())
    }

    async fn asks_who_has_it(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let seq = self.says(&me, frames::text("receipts")).await?;
        let line = format!("POST /api/conversations/{}/ack", self.direct);
        let body = json!({"delivered": seq, "read": seq});
        self.request(&friend, &line, Some(body), 204).await?;
        let line = format!("GET /api/conversations/{}/receipts?seq={seq}", self.direct);
        let receipts = self.request(&me, &line, None, 200).await?;
        // They may be a moment old.
        let counted = receipts["seq"] == seq && receipts["read"].is_u64();
        holds("receipts are counted", counted && receipts["readers"].is_array(), &receipts)
    }

    async fn changes_state(&mut self) -> Result<()> {
        let me = self.me.clone();
        // Before the first message there is no conversation, and no state of one.
        self.says(&me, frames::text("state")).await?;
        let line = format!("PATCH /api/conversations/{}/state", self.direct);
        for on in [true, false] {
            let until = if on { 253_402_300_799_999_u64 } else { 0 };
            let body = json!({"muted_until": until, "pinned": on});
            let state = self.request(&me, &line, Some(body), 200).await?;
            let holds_it = state["muted_until"] == until && state["pinned"] == on;
            holds("the state is what was chosen", holds_it, &state)?;
        }
        Ok(())
    }

    async fn changes_profile(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let name = format!("{} {}", me.id, self.rng.u16(..));
        let body = json!({ "name": name });
        let own = self.request(&me, "PATCH /api/profile", Some(body), 200).await?;
        holds("the name is the new one", own["name"] == name, &own)?;
        let body = json!({ "user_ids": [me.id] });
        let seen = self.request(&friend, "POST /api/profiles", Some(body), 200).await?;
        holds("others see the new name", seen["profiles"][0]["name"] == name, &seen)
    }

    /// A new group of two, which the third may join.
    async fn founds(&mut self) -> Result<String> {
        let me = self.me.clone();
        let body = json!({
            "name": "beside",
            "member_ids": [self.friend.id],
            "request_id": frames::new_id(),
        });
        let made = self.request(&me, "POST /api/conversations", Some(body), 201).await?;
        let id = made["conversation_id"].as_str().ok_or_else(|| format!("no group: {made}"))?;
        self.group = Some(id.to_owned());
        Ok(id.to_owned())
    }

    async fn group(&mut self) -> Result<String> {
        match &self.group {
            Some(group) => Ok(group.clone()),
            None => self.founds().await,
        }
    }

    async fn changes_members(&mut self) -> Result<()> {
        let (me, third, group) = (self.me.clone(), self.third.clone(), self.group().await?);
        let members = format!("/api/conversations/{group}/members");
        let body = json!({ "user_ids": [third.id] });
        let added = self.request(&me, &format!("POST {members}"), Some(body), 200).await?;
        holds("somebody was added", added["change"]["change"]["kind"] == "added", &added)?;
        let look = format!("GET /api/conversations/{group}");
        let seen = self.request(&third, &look, None, 200).await?;
        holds("there are three", seen["members"].as_array().is_some_and(|m| m.len() == 3), &seen)?;
        self.removes_third(&group).await
    }

    async fn removes_third(&mut self, group: &str) -> Result<()> {
        let (me, third) = (self.me.clone(), self.third.id.clone());
        let line = format!("DELETE /api/conversations/{group}/members/{third}");
        let removed = self.request(&me, &line, None, 200).await?;
        holds("somebody was removed", removed["change"]["change"]["kind"] == "removed", &removed)
    }

    async fn invites(&mut self) -> Result<()> {
        let (me, third, group) = (self.me.clone(), self.third.clone(), self.group().await?);
        let invites = format!("/api/conversations/{group}/invites");
        let made = self.request(&me, &format!("POST {invites}"), Some(json!({})), 201).await?;
        let (code, id) = (made["code"].as_str(), made["invite_id"].as_str());
        let (code, id) = code.zip(id).ok_or_else(|| format!("no invite: {made}"))?;
        let listed = self.request(&me, &format!("GET {invites}"), None, 200).await?;
        let mut all = listed["invites"].as_array().into_iter().flatten();
        holds("the invite is listed", all.any(|invite| invite["invite_id"] == id), &listed)?;
        let leads = self.request(&third, &format!("GET /api/invites/{code}"), None, 200).await?;
        holds("it leads to the group", leads["conversation_id"] == group, &leads)?;
        let joined = self.request(&third, &format!("POST /api/invites/{code}"), None, 200).await?;
        holds("somebody has joined", joined["conversation_id"] == group, &joined)?;
        self.request(&me, &format!("DELETE {invites}/{id}"), None, 204).await?;
        // A code that was taken back leads nowhere.
        self.request(&third, &format!("GET /api/invites/{code}"), None, 404).await?;
        self.removes_third(&group).await
    }

    async fn registers_phone(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let body = json!({"platform": "fcm", "token": format!("token {}", self.rng.u64(..))});
        self.request(&me, "PUT /api/devices/phone/push", Some(body), 204).await?;
        self.says(&friend, frames::text("for a phone")).await?;
        self.request(&me, "DELETE /api/devices/phone/push", None, 204).await?;
        Ok(())
    }

    async fn sends_a_file(&mut self) -> Result<()> {
        let me = self.me.clone();
        let size = self.rng.usize(FILE);
        let bytes: String = (0..size).map(|_| self.rng.alphanumeric()).collect();
        let body = frames::announcement("application/octet-stream", &bytes);
        let announced = self.request(&me, "POST /api/media", Some(body), 201).await?;
        let id = &announced["media_id"];
        let stored = self.rest.store(&announced["upload"], &bytes).await?;
        holds("the bytes are stored with 200", stored == 200, &json!([stored, announced]))?;
        let line = format!("POST /api/media/{}/complete", id.as_str().unwrap_or_default());
        let complete = self.request(&me, &line, None, 200).await?;
        holds("nothing scans here", complete["state"] == "clean", &complete)?;
        let seq = self.says(&me, json!({"type": "media", "media_id": id})).await?;
        self.read_back(seq, &bytes).await?;
        self.files.push(Sent { seq, bytes });
        Ok(())
    }

    /// His friend reads a file that was sent: these bytes.
    pub(super) async fn read_back(&mut self, seq: u64, bytes: &str) -> Result<()> {
        let friend = self.friend.clone();
        let line = format!("GET /api/conversations/{}/messages/{seq}/media", self.direct);
        let media = self.request(&friend, &line, None, 200).await?;
        let url = media["url"].as_str().ok_or_else(|| format!("no URL: {media}"))?;
        let (status, read) = self.rest.fetch(url).await?;
        let same = status == 200 && read == bytes.as_bytes();
        holds("the bytes are those that were sent", same, &json!([status, media]))
    }

    async fn edits(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let target = self.says(&me, frames::text("teh")).await?;
        let seq = self.says(&me, json!({"type": "edit", "target": target, "text": "the"})).await?;
        let entry = self.entry(&friend, seq).await?;
        holds("the edit is there", entry["content"]["text"] == "the", &entry)
    }

    async fn reacts(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let target = self.says(&me, frames::text("nice?")).await?;
        let mut reaction = json!({"type": "reaction", "target": target, "emoji": "👍"});
        self.says(&friend, reaction.clone()).await?;
        reaction["remove"] = true.into();
        let seq = self.says(&friend, reaction).await?;
        let entry = self.entry(&me, seq).await?;
        holds("the reaction is taken away", entry["content"]["remove"] == true, &entry)
    }

    async fn deletes(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let target = self.says(&me, frames::text("not this")).await?;
        self.says(&me, json!({"type": "delete", "target": target})).await?;
        let entry = self.entry(&friend, target).await?;
        let content = json!({"type": "gone", "why": "deleted"});
        holds("the message is gone", entry["content"] == content, &entry)
    }

    /// Nobody but he makes his friend write to him, so nobody else meets the block.
    async fn blocks(&mut self) -> Result<()> {
        let (me, friend) = (self.me.clone(), self.friend.clone());
        let path = format!("/api/blocks/{}", friend.id);
        self.request(&me, &format!("PUT {path}"), None, 204).await?;
        let listed = self.request(&me, "GET /api/blocks", None, 200).await?;
        holds("he is on the list", listed["user_ids"] == json!([friend.id]), &listed)?;
        let body = json!({
            "to_user_id": me.id,
            "message_id": frames::new_id(),
            "content": frames::text("hello?"),
        });
        let refused = self.request(&friend, "POST /api/messages", Some(body), 403).await?;
        holds("the blocked are strangers", refused["code"] == "not_a_member", &refused)?;
        self.request(&me, &format!("DELETE {path}"), None, 204).await?;
        self.says(&friend, frames::text("hello")).await.map(|_| ())
    }

    async fn acks(&mut self) -> Result<()> {
        let friend = self.friend.clone();
        let seq = self.says(&friend, frames::text("ack")).await?;
        self.tell(&frames::ack(&self.direct, Some(seq), Some(seq))).await
    }

    async fn types(&mut self) -> Result<()> {
        let me = self.me.clone();
        // Before the first message there is no conversation to type in.
        self.says(&me, frames::text("typing")).await?;
        for active in [true, false] {
            self.tell(&frames::typing(&self.direct, active)).await?;
        }
        Ok(())
    }

    async fn watches(&mut self) -> Result<()> {
        let (friend, third) = (self.friend.id.clone(), self.third.id.clone());
        let answer = self.ask(frames::watch(&[&friend, &third])).await?;
        let users = answer["users"].as_array().map(Vec::len);
        holds("both are in the answer", answer["type"] == "presence" && users == Some(2), &answer)
    }
}
