//! A client without a socket: it asks again and again, and has no less than one that is told.

use futures::future::join;
use petrel_test_client::frames::{new_id, text};
use serde_json::{Value, json};

use crate::server::Server;

const CHAT: &str = "d:ana:bo";
const WRITTEN: u64 = 60;

/// What a device without a socket holds.
#[derive(Default)]
struct Poller {
    cursor: u64,
    held: Vec<Value>,
    asked: usize,
}

impl Poller {
    /// Asks once, and takes what comes; returns whether there may be more.
    async fn ask(&mut self, server: &Server, user: &str) -> bool {
        self.asked += 1;
        let sync = json!({"cursors": {CHAT: self.cursor}, "limit": 7});
        let answer = server.post(user, "/api/sync", &sync).await.expect(200);
        let mut more = false;
        for batch in answer["batches"].as_array().unwrap() {
            for entry in batch["messages"].as_array().unwrap() {
                assert_eq!(entry["seq"], self.cursor + 1, "no hole and nothing twice: {batch}");
                self.cursor += 1;
                self.held.push(entry.clone());
            }
            more |= batch["more"] == true;
        }
        more
    }
}

#[tokio::test]
async fn who_only_asks_holds_the_same_as_who_is_told() {
    let server = Server::start().await;
    let mut told = server.connect("bo").await;
    let mut poller = Poller::default();
    let write = async {
        for n in 0..WRITTEN {
            let message = json!({"to_user_id": "bo", "content": text(&format!("no {n}")),
                "message_id": new_id()});
            let sent = server.post("ana", "/api/messages", &message).await.expect(201);
            // An answer that was lost: the same once more is the same message.
            let again = server.post("ana", "/api/messages", &message).await.expect(200);
            assert_eq!((&again["seq"], &again["duplicate"]), (&sent["seq"], &json!(true)));
        }
    };
    let read = async {
        while poller.cursor < WRITTEN {
            poller.ask(&server, "bo").await;
        }
    };
    join(write, read).await;
    assert!(!poller.ask(&server, "bo").await);

    let mut pushed = vec![];
    while (pushed.len() as u64) < WRITTEN {
        let mut entry = told.wait_for_type("message").await;
        if entry["seq"] == pushed.len() + 1 {
            entry
                .as_object_mut()
                .unwrap()
                .retain(|key, _| key != "type" && key != "conversation_id");
            pushed.push(entry);
        }
    }
    assert_eq!(poller.held, pushed);
    assert!(poller.asked > usize::try_from(WRITTEN).unwrap() / 7, "in more than one answer");

    // His receipts are as good as those of a socket, and what he has is not sent again.
    let ack = json!({"delivered": WRITTEN, "read": WRITTEN});
    server.post("bo", &format!("/api/conversations/{CHAT}/ack"), &ack).await.expect(204);
    let answer = server.post("bo", "/api/sync", &json!({})).await.expect(200);
    assert_eq!(answer["batches"], json!([]));
    assert_eq!(answer["conversations"][0]["unread"], 0);
    let receipts = format!("/api/conversations/{CHAT}/receipts?seq={WRITTEN}");
    assert_eq!(server.get("ana", &receipts).await.expect(200)["read"], 1);
}
