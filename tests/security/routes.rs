//! Every way in, one or more rows each. A route or an action without a row fails a test, as does a row without a route.
//! Pure data: the tests of the local server and of the functions share it.

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever asks, also without a token.
    Anyone,
    /// Whoever has a token, about nobody but himself: the request can name nobody else, or what it names is his.
    Self_,
    /// The members of the conversation.
    Members,
    /// The same, unless the other side of a direct conversation blocks him.
    Writers,
    /// The admins of the group.
    Admins,
    /// Whoever has the code of an invite that holds.
    Holders,
    /// Whoever has a token with the operators' scope.
    Operators,
    /// Whoever has uploaded it; of an avatar, whoever was shown its id.
    Uploaders,
}

/// How a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over HTTP, with this method.
    Http(&'static str),
    /// In a frame of this action.
    Frame(&'static str),
}

/// One request that succeeds for those who may. `{conversation}`, `{id}` (a fresh message id) and `{me}` stand for what the
/// test fills in.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub way: Way,
    /// The route as the router has it; empty of a frame.
    pub route: &'static str,
    /// The path and the query; empty of a frame.
    pub path: &'static str,
    /// The body or the frame; empty if there is none.
    pub body: &'static str,
    pub who: Who,
    /// Which conversations it is for.
    pub of: Of,
}

/// What a request may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Any conversation, or none.
    All,
    /// Groups alone.
    Groups,
    /// Direct conversations alone.
    Direct,
}

const fn http(
    method: &'static str,
    route: &'static str,
    path: &'static str,
    body: &'static str,
    who: Who,
) -> Row {
    Row { way: Way::Http(method), route, path, body, who, of: Of::All }
}

const fn frame(action: &'static str, body: &'static str, who: Who) -> Row {
    Row { way: Way::Frame(action), route: "", path: "", body, who, of: Of::All }
}

const fn of_groups(row: Row) -> Row {
    Row { of: Of::Groups, ..row }
}

const fn of_direct(row: Row) -> Row {
    Row { of: Of::Direct, ..row }
}

const ONE: &str = "/api/conversations/{id}";
const MESSAGES: &str = "/api/conversations/{id}/messages";
const MEMBERS: &str = "/api/conversations/{id}/members";
const MEMBER: &str = "/api/conversations/{id}/members/{user}";
const INVITES: &str = "/api/conversations/{id}/invites";
const INVITE: &str = "/api/invites/{code}";
/// An invite that was never made.
const GUESSED: &str =
    "/api/invites/0192f3c4-0000-7000-8000-000000000001.00000000000000000000000000000001";
const DISABLED: &str = "/api/admin/users/{user}/disabled";
/// An upload that was never announced.
const COMPLETE: &str = "/api/media/00000000000000000000000000000001/complete";
const AVATAR: &str = "/api/media/00000000000000000000000000000001/avatar";
const PUSH: &str = "/api/devices/{device}/push";
const PROFILE: &str = "/api/profile";
const BLOCK: &str = "/api/blocks/{user}";

/// The table. What a presigned URL is good for: `tests/end_to_end/media.rs`. Webhooks go out, and are no way in.
pub const ROUTES: &[Row] = &[
    http("GET", "/api/health", "/api/health", "", Who::Anyone),
    http(
        "POST",
        "/api/messages",
        "/api/messages",
        r#"{"conversation_id":"{conversation}","message_id":"{id}","content":{"type":"text","text":"x"}}"#,
        Who::Writers,
    ),
    http(
        "POST",
        "/api/messages",
        "/api/messages",
        r#"{"conversation_id":"{conversation}","seen":0,"message_id":"{id}","content":{"type":"reaction","target":2,"emoji":"+"}}"#,
        Who::Writers,
    ),
    http("POST", "/api/sync", "/api/sync", r#"{"cursors":{"{conversation}":0}}"#, Who::Self_),
    http("GET", "/api/conversations", "/api/conversations", "", Who::Self_),
    http(
        "POST",
        "/api/conversations",
        "/api/conversations",
        r#"{"name":"mine","member_ids":["nobody"],"request_id":"{id}"}"#,
        Who::Self_,
    ),
    http("GET", ONE, "/api/conversations/{conversation}", "", Who::Members),
    http("GET", MESSAGES, "/api/conversations/{conversation}/messages?after=0", "", Who::Members),
    http(
        "GET",
        MESSAGES,
        "/api/conversations/{conversation}/messages?before=99&limit=1",
        "",
        Who::Members,
    ),
    http("GET", MESSAGES, "/api/conversations/{conversation}/messages?around=2", "", Who::Members),
    http(
        "GET",
        "/api/conversations/{id}/export",
        "/api/conversations/{conversation}/export",
        "",
        Who::Members,
    ),
    http(
        "POST",
        "/api/conversations/{id}/messages/{seq}/report",
        "/api/conversations/{conversation}/messages/2/report",
        r#"{"reason":"abuse","comment":"look"}"#,
        Who::Members,
    ),
    http(
        "GET",
        "/api/conversations/{id}/receipts",
        "/api/conversations/{conversation}/receipts?seq=2",
        "",
        Who::Members,
    ),
    http(
        "POST",
        "/api/conversations/{id}/ack",
        "/api/conversations/{conversation}/ack",
        r#"{"read":2}"#,
        Who::Members,
    ),
    http(
        "PATCH",
        "/api/conversations/{id}/state",
        "/api/conversations/{conversation}/state",
        r#"{"pinned":true}"#,
        Who::Members,
    ),
    http("GET", "/api/unread", "/api/unread", "", Who::Self_),
    of_groups(http(
        "POST",
        MEMBERS,
        "/api/conversations/{conversation}/members",
        r#"{"user_ids":["{me}"]}"#,
        Who::Admins,
    )),
    of_groups(http(
        "POST",
        MEMBERS,
        "/api/conversations/{conversation}/members",
        r#"{"user_ids":["zoe"]}"#,
        Who::Admins,
    )),
    of_groups(http(
        "DELETE",
        "/api/conversations/{id}/invites/{invite}",
        "/api/conversations/{conversation}/invites/00000000000000000000000000000001",
        "",
        Who::Members,
    )),
    of_groups(http(
        "DELETE",
        MEMBER,
        "/api/conversations/{conversation}/members/late",
        "",
        Who::Admins,
    )),
    of_groups(http(
        "DELETE",
        MEMBER,
        "/api/conversations/{conversation}/members/{me}",
        "",
        Who::Members,
    )),
    of_groups(http(
        "PATCH",
        ONE,
        "/api/conversations/{conversation}",
        r#"{"name":"crew","post":"all"}"#,
        Who::Admins,
    )),
    of_direct(http(
        "PATCH",
        ONE,
        "/api/conversations/{conversation}",
        r#"{"retention_days":30}"#,
        Who::Writers,
    )),
    of_groups(http(
        "PATCH",
        MEMBER,
        "/api/conversations/{conversation}/members/late",
        r#"{"role":"admin"}"#,
        Who::Admins,
    )),
    of_groups(http(
        "POST",
        INVITES,
        "/api/conversations/{conversation}/invites",
        r#"{"expires_in_s":60}"#,
        Who::Admins,
    )),
    of_groups(http("GET", INVITES, "/api/conversations/{conversation}/invites", "", Who::Admins)),
    http("GET", INVITE, GUESSED, "", Who::Holders),
    http("POST", INVITE, GUESSED, "", Who::Holders),
    http(
        "PUT",
        PUSH,
        "/api/devices/phone/push",
        r#"{"platform":"fcm","token":"{id}"}"#,
        Who::Self_,
    ),
    http("DELETE", PUSH, "/api/devices/phone/push", "", Who::Self_),
    http(
        "POST",
        "/api/admin/conversations",
        "/api/admin/conversations",
        r#"{"owner_id":"ana","name":"theirs","member_ids":["bo"],"request_id":"{id}"}"#,
        Who::Operators,
    ),
    http(
        "POST",
        "/api/admin/conversations/{id}/notices",
        "/api/admin/conversations/{conversation}/notices",
        r#"{"message_id":"{id}","text":"x"}"#,
        Who::Operators,
    ),
    http("GET", "/api/admin/users/{user}", "/api/admin/users/late", "", Who::Operators),
    http("PUT", DISABLED, "/api/admin/users/late/disabled", "", Who::Operators),
    http("DELETE", DISABLED, "/api/admin/users/late/disabled", "", Who::Operators),
    http(
        "POST",
        "/api/admin/users/{user}/erasure",
        "/api/admin/users/late/erasure",
        r#"{"conversation_id":"{conversation}"}"#,
        Who::Operators,
    ),
    http(
        "DELETE",
        "/api/admin/users/{user}/connections",
        "/api/admin/users/late/connections",
        "",
        Who::Operators,
    ),
    http(
        "DELETE",
        "/api/admin/users/{user}/devices/{device}",
        "/api/admin/users/late/devices/phone",
        "",
        Who::Operators,
    ),
    http(
        "POST",
        "/api/media",
        "/api/media",
        r#"{"content_type":"image/png","size":1,"sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}"#,
        Who::Self_,
    ),
    http("POST", "/api/media/{media}/complete", COMPLETE, "", Who::Uploaders),
    http("GET", "/api/media/{media}/avatar", AVATAR, "", Who::Uploaders),
    http(
        "GET",
        "/api/conversations/{id}/messages/{seq}/media",
        "/api/conversations/{conversation}/messages/6/media",
        "",
        Who::Members,
    ),
    http(
        "POST",
        "/api/conversations/{id}/messages/{seq}/forward",
        "/api/conversations/{conversation}/messages/6/forward",
        "",
        Who::Members,
    ),
    http("GET", PROFILE, PROFILE, "", Who::Self_),
    http("PATCH", PROFILE, PROFILE, r#"{"name":"X","hide_read_receipts":false}"#, Who::Self_),
    // Names and pictures are for whoever knows the id.
    http("POST", "/api/profiles", "/api/profiles", r#"{"user_ids":["ana","nobody"]}"#, Who::Self_),
    http("GET", "/api/blocks", "/api/blocks", "", Who::Self_),
    http("PUT", BLOCK, "/api/blocks/nobody", "", Who::Self_),
    http("DELETE", BLOCK, "/api/blocks/nobody", "", Who::Self_),
    frame(
        "send",
        r#"{"action":"send","conversation_id":"{conversation}","seen":0,"message_id":"{id}","content":{"type":"text","text":"x"}}"#,
        Who::Writers,
    ),
    frame(
        "send",
        r#"{"action":"send","conversation_id":"{conversation}","seen":2,"messages":[{"message_id":"{id}","content":{"type":"reply","target":2,"text":"x"}}]}"#,
        Who::Writers,
    ),
    frame(
        "ack",
        r#"{"action":"ack","conversation_id":"{conversation}","delivered":2}"#,
        Who::Members,
    ),
    frame("sync", r#"{"action":"sync","cursors":{"{conversation}":0}}"#, Who::Self_),
    frame(
        "history",
        r#"{"action":"history","conversation_id":"{conversation}","after":0}"#,
        Who::Members,
    ),
    frame(
        "history",
        r#"{"action":"history","conversation_id":"{conversation}","before":99}"#,
        Who::Members,
    ),
    frame(
        "typing",
        r#"{"action":"typing","conversation_id":"{conversation}","active":true}"#,
        Who::Writers,
    ),
    frame(
        "typing",
        r#"{"action":"typing","conversation_id":"{conversation}","active":true,"kind":"audio"}"#,
        Who::Writers,
    ),
    frame(
        "presence",
        r#"{"action":"presence","user_ids":["ana","nobody"],"watch":true}"#,
        Who::Self_,
    ),
];

/// What the local server has besides: its page and what belongs to it.
pub const LOCAL: &[&str] = &[
    "/api/{*path}",
    "/ws",
    "/local/token",
    "/local/state",
    "/local/events",
    "/",
    "/favicon.ico",
    "/style.css",
    "/app.js",
    "/conversation.js",
    "/dom.js",
    "/petrel.js",
    "/session.js",
    "/view.js",
    "/wire.js",
    "/openapi.json",
    "/asyncapi.json",
];

impl Row {
    /// The rows whose requests name a conversation that not everyone may see.
    pub fn guarded() -> impl Iterator<Item = &'static Self> {
        let guarded = [Who::Members, Who::Writers, Who::Admins];
        ROUTES.iter().filter(move |row| guarded.contains(&row.who))
    }

    /// Whether the request can be about this conversation.
    pub fn is_for(&self, conversation: &str) -> bool {
        match self.of {
            Of::All => true,
            Of::Groups => conversation.starts_with("g:"),
            Of::Direct => conversation.starts_with("d:"),
        }
    }

    /// Path and body for this conversation, message id and caller.
    pub fn fill(&self, conversation: &str, id: &str, me: &str) -> (String, String) {
        let fill = |text: &str| {
            let text = text.replace("{conversation}", conversation);
            text.replace("{id}", id).replace("{me}", me)
        };
        (fill(self.path), fill(self.body))
    }
}
