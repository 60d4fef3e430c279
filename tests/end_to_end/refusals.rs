//! Bad input, each with the exact answer it gets; and after all of it, nothing is stored.
//!
//! Every answer is compared as a whole, but for `message`, which is written for developers and may change.

mod documented;
mod frames;
mod handshakes;
mod operators;
mod requests;

use petrel_test_client::frames::{new_id, text};
use serde_json::{Value, json};

use crate::server::Server;

/// What ana and bo have before anyone misbehaves: a chat with one message and a group with two entries.
struct Scene {
    server: Server,
    group: String,
    before: Vec<Value>,
}

impl Scene {
    async fn set() -> Self {
        let server = Server::start().await;
        let hello = json!({"to_user_id": "bo", "content": text("hello"), "message_id": new_id()});
        server.post("ana", "/api/messages", &hello).await.expect(201);
        let group = server.found("ana", &["bo".to_owned()]).await;
        let hello = json!({"conversation_id": group, "content": text("hello")});
        server.post("ana", "/api/messages", &hello).await.expect(201);
        let mut scene = Self { server, group, before: vec![] };
        scene.before = scene.stored().await;
        scene
    }

    /// All that anybody has, also those who should have nothing.
    async fn stored(&self) -> Vec<Value> {
        let mut all = vec![];
        for user in ["ana", "bo", "eve"] {
            all.push(self.server.post(user, "/api/sync", &json!({})).await.expect(200));
        }
        all.push(self.server.state().await["queues"].clone());
        all
    }

    async fn assert_nothing_changed(&self) {
        assert_eq!(self.stored().await, self.before);
        assert_eq!(self.before[2]["conversations"], json!([]), "eve belongs to nothing");
    }
}

/// An `error` without its words.
fn error(code: &str) -> Value {
    json!({"type": "error", "code": code})
}

/// The answer without its words, which must be there.
fn without_words(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        let words = fields.remove("message");
        assert!(words.is_some_and(|w| w.as_str().is_some_and(|w| !w.is_empty())), "{answer}");
    }
    answer
}
