//! What the rows are tried on: a group, or two direct conversations, of users that no other scene has.

use std::collections::BTreeMap;

use petrel_test_client::frames::{self, direct, text};
use serde_json::{Value, json};

use super::table::{DIRECT_ROLES, GROUP_ROLES, Row};
use crate::media;
use crate::rest::Call;
use crate::server::Server;

/// What kind of conversation.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A group in which these (`all` or `admins`) may post and add.
    Group { post: &'static str, add: &'static str },
    /// A direct conversation, and one in which one blocks the other.
    Direct,
}

impl Kind {
    pub fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Group { .. } => &GROUP_ROLES,
            Self::Direct => &DIRECT_ROLES,
        }
    }

    /// Those who are no role, but may be named.
    fn others(self) -> &'static [&'static str] {
        match self {
            Self::Group { .. } => &["admin2", "member2", "newcomer"],
            Self::Direct => &["peer", "newcomer"],
        }
    }

    fn everyone(self) -> impl Iterator<Item = &'static str> {
        self.roles().iter().chain(self.others()).copied()
    }

    /// What a letter means where these may post and add.
    pub fn resolve(self, letter: char) -> char {
        let Self::Group { post, add } = self else { return letter };
        let (may, refused) = match letter {
            'p' => (post, 'f'),
            'a' => (add, 'f'),
            'v' => (add, 'm'),
            other => return other,
        };
        if may == "all" { 'y' } else { refused }
    }
}

pub struct Scene<'a> {
    server: &'a Server,
    kind: Kind,
    /// What stands between braces in a row, and what for.
    things: BTreeMap<String, String>,
}

impl<'a> Scene<'a> {
    /// The `n`th scene on this server, with what is named in these requests.
    pub async fn set(server: &'a Server, kind: Kind, n: usize, requests: &str) -> Self {
        let users = kind.everyone().map(|who| (who.to_owned(), format!("{who}.{n}")));
        let mut scene = Self { server, kind, things: users.collect() };
        scene.put("unknown", "invite", "00000000000000000000000000000001");
        if requests.contains("{own.picture}") {
            for who in kind.roles() {
                let picture = scene.upload(who).await;
                scene.put(who, "picture", &picture);
            }
        }
        match kind {
            Kind::Group { post, add } => scene.set_group(post, add, requests).await,
            Kind::Direct => scene.set_direct().await,
        }
        scene
    }

    /// Who belongs, or did, has written and made an invite, as far as these requests name it; the owner has sent a picture.
    async fn set_group(&mut self, post: &str, add: &str, requests: &str) {
        let others = ["admin", "admin2", "member", "member2", "removed"];
        let ids = others.map(|who| self.user(who).to_owned());
        let group = self.server.found(self.user("owner"), &ids).await;
        for who in self.kind.everyone() {
            self.put(who, "id", &group);
        }
        for path in ["/members/{admin}", "/members/{admin2}"] {
            self.ask("owner", "PATCH", path, json!({"role": "admin"})).await;
        }
        self.allow("all", "all").await;
        for who in ["owner"].into_iter().chain(others) {
            let named = |kind: &str| {
                [who, "own"].iter().any(|who| requests.contains(&format!("{{{who}.{kind}}}")))
            };
            if named("text") {
                let seq = self.say(who, &group, &text("x")).await;
                self.put(who, "text", &seq);
            }
            if named("invite") || named("code") {
                let made = self.ask(who, "POST", "/invites", json!({})).await;
                self.put(who, "invite", made["invite_id"].as_str().unwrap());
                self.put(who, "code", made["code"].as_str().unwrap());
            }
        }
        if requests.contains("{own.media}") {
            let seq = self.send_picture("owner", &group).await;
            GROUP_ROLES.iter().for_each(|who| self.put(who, "media", &seq));
        }
        self.lend("owner", "stranger", &["text", "invite"]);
        let flip = |allowed: &str| if allowed == "all" { "admins" } else { "all" };
        self.put("new", "post", flip(post));
        self.put("new", "add", flip(add));
        self.ask("owner", "DELETE", "/members/{removed}", Value::Null).await;
        self.allow(post, add).await;
    }

    /// Each of a pair has written, and the first of them has sent a picture.
    async fn set_direct(&mut self) {
        for pair in [["party", "peer"], ["blocked", "blocker"]] {
            let id = direct(self.user(pair[0]), self.user(pair[1]));
            let picture = self.send_picture(pair[0], &id).await;
            for who in pair {
                let seq = self.say(who, &id, &text("x")).await;
                self.put(who, "text", &seq);
                self.put(who, "id", &id);
                self.put(who, "media", &picture);
            }
        }
        self.lend("party", "stranger", &["id", "text", "media"]);
        self.lend("party", "newcomer", &["id"]);
        let block = format!("/api/blocks/{}", self.user("blocked"));
        self.server.request_as(self.user("blocker"), "PUT", &block).send().await.expect(204);
    }

    /// Who has none of these things tries another's.
    fn lend(&mut self, whose: &str, to: &str, kinds: &[&str]) {
        for kind in kinds {
            if let Some(thing) = self.things.get(&format!("{whose}.{kind}")).cloned() {
                self.put(to, kind, &thing);
            }
        }
    }

    fn put(&mut self, who: &str, kind: &str, thing: &str) {
        self.things.insert(format!("{who}.{kind}"), thing.to_owned());
    }

    /// The id of who has this name in the table.
    pub fn user(&self, who: &str) -> &str {
        &self.things[who]
    }

    /// With everything filled in that stands between braces.
    fn fill(&self, who: &str, text: &str) -> String {
        let other = match who {
            "blocked" => "blocker",
            "blocker" => "blocked",
            _ => "peer",
        };
        let text = text.replace("{own.", &format!("{{{who}.")).replace("{me}", self.user(who));
        let text = text.replace("{other}", &format!("{{{other}}}"));
        let text = text.replace("{other.", &format!("{{{other}."));
        let fill = |text: String, (name, thing): (&String, &String)| {
            text.replace(&format!("{{{name}}}"), thing)
        };
        let text = self.things.iter().fold(text, fill);
        let left = text.split('{').skip(1).any(|rest| rest.starts_with(char::is_alphabetic));
        assert!(!left, "nothing stands for a name in {text}");
        text
    }

    /// The request of a row, as this user makes it.
    pub fn request(&self, row: &Row, who: &str) -> Call {
        let (method, path, body) = row.parts();
        let call = self.server.request_as(self.user(who), method, &self.fill(who, &path));
        let body = self.fill(who, &body);
        if body.is_empty() {
            call
        } else {
            call.header("content-type", "application/json").text(&body)
        }
    }

    /// What a message with this content is answered over a socket.
    pub async fn send(&self, content: &str, who: &str) -> Value {
        let content = serde_json::from_str(&self.fill(who, content)).unwrap();
        let id = self.fill(who, "{own.id}");
        let mut frame = frames::send(&id, 0, &frames::new_id(), content);
        frame["seen"] = Value::Null;
        self.server.connect(self.user(who)).await.ask(&frame).await
    }

    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Value {
        let path = self.fill(who, &format!("/api/conversations/{{own.id}}{path}"));
        let answer = self.server.request_as(self.user(who), method, &path).json(&body).send().await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.body);
        answer.body
    }

    async fn allow(&self, post: &str, add: &str) {
        self.ask("owner", "PATCH", "", json!({"post": post, "add": add})).await;
    }

    /// The seq at which this is stored.
    async fn say(&self, who: &str, to: &str, content: &Value) -> String {
        let body = json!({"conversation_id": to, "content": content});
        let sent = self.server.post(self.user(who), "/api/messages", &body).await.expect(201);
        sent["seq"].to_string()
    }

    async fn upload(&self, who: &str) -> String {
        let user = self.user(who);
        let id = media::upload(self.server, user, "image/png", &format!("of {user}")).await;
        id.as_str().unwrap().to_owned()
    }

    async fn send_picture(&self, who: &str, to: &str) -> String {
        let picture = self.upload(who).await;
        self.say(who, to, &json!({"type": "media", "media_id": picture})).await
    }

    /// All that anyone has: logs, watermarks, what each chose, the group with its members and invites, and what was reported.
    pub async fn stored(&self) -> Vec<Value> {
        self.stored_of(&self.kind.everyone().collect::<Vec<_>>()).await
    }

    /// What this one has of it.
    pub async fn stored_for(&self, who: &str) -> Vec<Value> {
        self.stored_of(&[who]).await
    }

    async fn stored_of(&self, users: &[&str]) -> Vec<Value> {
        let mut all = vec![];
        for who in users {
            let body = json!({"cursors": {&self.things[&format!("{who}.id")]: 0}});
            all.push(self.server.post(self.user(who), "/api/sync", &body).await.expect(200));
        }
        let who = self.kind.roles()[0];
        for path in ["", "/invites"] {
            let path = self.fill(who, &format!("/api/conversations/{{own.id}}{path}"));
            all.push(self.server.get(self.user(who), &path).await.body);
        }
        let reports = self.server.state().await["reports"].clone();
        let ours = |report: &&Value| {
            self.things.values().any(|thing| report["conversation_id"] == thing.as_str())
        };
        all.extend(reports.as_array().unwrap().iter().filter(ours).cloned());
        all
    }
}
