//! Every id, content and job by itself: what is taken comes out as it went in.

use petrel_core::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, InviteCode, InviteId, MessageId, UserId,
};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::Job;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// That what can be read is written, and read again, the same.
fn same<T: DeserializeOwned + Serialize>(text: &str) {
    if let Ok(value) = serde_json::from_str::<T>(text) {
        let once = serde_json::to_string(&value).expect("JSON");
        let again: T = serde_json::from_str(&once).expect("what was written can be read");
        assert_eq!(serde_json::to_string(&again).expect("JSON"), once);
    }
}

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for line in text.lines().take(32) {
        macro_rules! round {
            ($($id:ident),*) => {$(
                if let Ok(id) = $id::parse(line) {
                    assert_eq!(id.to_string(), line);
                }
            )*};
        }
        round!(UserId, DeviceId, ConnectionId, EndpointId, InviteId, ConversationId, InviteCode);
        if let Ok(id) = ConversationId::parse(line)
            && let Some((a, b)) = id.pair()
        {
            assert_eq!(ConversationId::direct(&b, &a), id);
        }
        if let Ok(id) = MessageId::parse(line) {
            assert_eq!(MessageId::parse(&id.to_string()).expect("an id"), id);
        }
        same::<Content>(line);
        same::<Entry>(line);
        same::<Job>(line);
        if let Ok(content) = serde_json::from_str::<Content>(line)
            && content.check_from_client().is_ok()
        {
            assert!(!matches!(content, Content::System { .. }));
        }
    }
}
