//! A product in memory with something in it: ana and bo have written to each other and are in a group; eve is a stranger.

use std::future::Future;
use std::sync::Arc;

use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller};
use serde_json::Value;

/// The direct conversation.
pub const DIRECT: &str = "d:ana:bo";

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
}

/// Runs it to its end.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// This user, without a socket.
pub fn caller(user: &str) -> Caller {
    Caller::http(UserId::parse(user).unwrap())
}

/// The user whom the first letter of a line names.
pub fn user(letter: u8) -> Option<&'static str> {
    match letter {
        b'a' => Some("ana"),
        b'b' => Some("bo"),
        b'e' => Some("eve"),
        _ => None,
    }
}

/// The product, and what is under it.
pub fn set() -> (Arc<Memory>, App) {
    let memory = Arc::new(Memory::default());
    let app = memory.app();
    wait(async {
        for line in [
            r#"{"action":"send","to_user_id":"bo","seen":0,"message_id":"0192f3c4-0000-7000-8000-000000000101","content":{"type":"text","text":"hi"}}"#,
            r#"{"action":"send","to_user_id":"bo","seen":1,"message_id":"0192f3c4-0000-7000-8000-000000000102","content":{"type":"text","text":"there"}}"#,
        ] {
            app.handle(&caller("ana"), line).await;
        }
        let group = petrel_core::services::NewGroup {
            name: "crew".into(),
            members: vec![UserId::parse("bo").unwrap()],
            request_id: Some("1".into()),
        };
        app.create_group(&caller("ana"), group).await.unwrap();
    });
    (memory, app)
}

/// The group's id.
pub fn group() -> ConversationId {
    let (_, app) = set();
    let rows = wait(app.conversations.rows(&UserId::parse("ana").unwrap(), None, 9)).unwrap();
    rows.into_iter().map(|row| row.conversation).find(|id| id.pair().is_none()).unwrap()
}

/// That the promise holds of what is stored: every log is without a hole.
pub fn check(app: &App) {
    let ana = UserId::parse("ana").unwrap();
    for row in wait(app.conversations.rows(&ana, None, 50)).unwrap() {
        let entries = wait(app.log.after(&row.conversation, Seq::ZERO, 1_000)).unwrap();
        for (entry, seq) in entries.iter().zip(1..) {
            assert_eq!(entry.seq.get(), seq, "{}", row.conversation);
        }
    }
}

/// The codes that an error may have.
pub const CODES: [&str; 13] = [
    "bad_request",
    "too_many_members",
    "unauthenticated",
    "not_a_member",
    "forbidden",
    "not_found",
    "not_ready",
    "disabled",
    "sync_required",
    "too_large",
    "rate_limited",
    "busy",
    "unknown_action",
];

/// That an error is one that is documented, short, and not the fault of a port: none here ever fails.
pub fn check_error(error: &Value) {
    let code = error["code"].as_str().expect("a code");
    assert!(CODES.contains(&code) && code != "busy", "{error}");
    assert!(error["message"].as_str().expect("words").len() <= 1_000, "{error}");
}
