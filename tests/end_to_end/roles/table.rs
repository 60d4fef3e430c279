//! The table: every request about a conversation, and what each role is answered.
//!
//! A request is method, path and body; `say` is `POST /api/messages` to the conversation, with this content. `{of}` is the path of the
//! conversation, `{me}` who asks, `{other}` the other of two, `{own.text}` the seq of what he wrote, `{owner.text}` of what the owner
//! wrote, and so on: see `scene`.
//!
//! Of the roles, in the order of [`GROUP_ROLES`] or [`DIRECT_ROLES`]:
//! `y` done, `-` nothing to do, `f` forbidden, `n` not a member, `b` bad request, `m` not found, `o` answered as one who belongs to nothing;
//! `p` done where all may post, else forbidden, `a` done where all may add, else forbidden, `v` done where all may add, else not found.

/// Owner, admin, member, one who was removed, one who never belonged.
pub const GROUP_ROLES: [&str; 5] = ["owner", "admin", "member", "removed", "stranger"];

/// One of the two, one who blocks the other, one whom the other blocks, one who is neither.
pub const DIRECT_ROLES: [&str; 4] = ["party", "blocker", "blocked", "stranger"];

/// A request, the status of its success, and what each role is answered.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub request: &'static str,
    pub status: u16,
    pub expected: &'static str,
}

const fn row(request: &'static str, status: u16, expected: &'static str) -> Row {
    Row { request, status, expected }
}

impl Row {
    /// Method, path and body. What the scene fills in is not.
    pub fn parts(&self) -> (&'static str, String, String) {
        let (method, rest) = self.request.split_once(' ').unwrap();
        if method == "say" {
            let body = format!(r#"{{"conversation_id":"{{own.id}}","content":{rest}}}"#);
            return ("POST", "/api/messages".to_owned(), body);
        }
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        (method, path.replace("{of}", "/api/conversations/{own.id}"), body.to_owned())
    }

    /// The content, if it is a message.
    pub fn content(&self) -> Option<&'static str> {
        self.request.strip_prefix("say ")
    }

    /// Whether its success leaves the conversation as it was.
    pub fn reads(&self) -> bool {
        let (method, path, _) = self.parts();
        method == "GET" || path == "/api/sync" || path.ends_with("/forward")
    }

    /// Whether what is answered depends on who may post and add.
    pub fn depends_on_rules(&self) -> bool {
        self.expected.contains(['p', 'a', 'v'])
    }
}

pub const GROUP: &[Row] = &[
    // Reading.
    row("GET {of}", 200, "yyynn"),
    row("GET {of}/messages?after=0", 200, "yyynn"),
    row("GET {of}/messages?before=99", 200, "yyynn"),
    row("GET {of}/messages?around={owner.text}", 200, "yyynn"),
    row("GET {of}/export", 200, "yyynn"),
    row("GET {of}/receipts?seq={owner.text}", 200, "yyynn"),
    row("GET {of}/receipts?seq={member.text}", 200, "yyynn"),
    row("GET {of}/messages/{own.media}/media", 200, "yyynn"),
    row("POST {of}/messages/{own.media}/forward", 200, "yyynn"),
    row("GET /api/conversations", 200, "yyyoo"),
    row(r#"POST /api/sync {"cursors":{"{own.id}":0}}"#, 200, "yyyoo"),
    row("GET /api/unread", 200, "yyyoo"),
    // One's own state.
    row(r#"POST {of}/ack {"delivered":{owner.text}}"#, 204, "yyynn"),
    row(r#"POST {of}/ack {"read":{admin2.text}}"#, 204, "yyynn"),
    row(r#"PATCH {of}/state {"pinned":true}"#, 200, "yyynn"),
    row(r#"PATCH {of}/state {"archived":true}"#, 200, "yyynn"),
    row(r#"PATCH {of}/state {"muted_until":253402300799999}"#, 200, "yyynn"),
    row(r#"PATCH {of}/state {"marked_unread":true}"#, 200, "yyynn"),
    row(r#"POST {of}/messages/{member2.text}/report {"reason":"abuse"}"#, 202, "yyynn"),
    // Writing.
    row(r#"say {"type":"text","text":"x"}"#, 201, "yypnn"),
    row(r#"say {"type":"text","text":"x","mentions":["{member2}"]}"#, 201, "yypnn"),
    row(r#"say {"type":"reply","target":{owner.text},"text":"x"}"#, 201, "yypnn"),
    row(r#"say {"type":"media","media_id":"{own.picture}"}"#, 201, "yypnn"),
    row(r#"say {"type":"sealed","ciphertext":"eA=="}"#, 201, "yypnn"),
    row(r#"say {"type":"sealed","ciphertext":"eA==","push":false}"#, 201, "yypnn"),
    row(r#"say {"type":"edit","target":{own.text},"text":"x"}"#, 201, "yypnn"),
    row(r#"say {"type":"edit","target":{member2.text},"text":"x"}"#, 201, "fffnn"),
    row(r#"say {"type":"edit","target":{admin2.text},"text":"x"}"#, 201, "fffnn"),
    row(r#"say {"type":"reaction","target":{owner.text},"emoji":"+"}"#, 201, "yyynn"),
    row(r#"say {"type":"reaction","target":{own.text},"emoji":"+","remove":true}"#, 201, "yyynn"),
    row(r#"say {"type":"delete","target":{own.text}}"#, 201, "yyynn"),
    row(r#"say {"type":"delete","target":{owner.text}}"#, 201, "yyfnn"),
    row(r#"say {"type":"delete","target":{admin2.text}}"#, 201, "yyfnn"),
    row(r#"say {"type":"delete","target":{member2.text}}"#, 201, "yyfnn"),
    row(r#"say {"type":"delete","target":{removed.text}}"#, 201, "yyfnn"),
    // Adding and removing.
    row(r#"POST {of}/members {"user_ids":["{newcomer}"]}"#, 200, "yyann"),
    row(r#"POST {of}/members {"user_ids":["{removed}"]}"#, 200, "yyann"),
    row(r#"POST {of}/members {"user_ids":["{stranger}"]}"#, 200, "yyann"),
    row("DELETE {of}/members/{me}", 200, "yyynn"),
    row("DELETE {of}/members/{owner}", 200, "yffnn"),
    row("DELETE {of}/members/{admin}", 200, "yyfnn"),
    row("DELETE {of}/members/{admin2}", 200, "yffnn"),
    row("DELETE {of}/members/{member2}", 200, "yyfnn"),
    row("DELETE {of}/members/{removed}", 200, "--fnn"),
    // Roles.
    row(r#"PATCH {of}/members/{member2} {"role":"admin"}"#, 200, "yyfnn"),
    row(r#"PATCH {of}/members/{member2} {"role":"owner"}"#, 200, "yffnn"),
    row(r#"PATCH {of}/members/{member2} {"role":"member"}"#, 200, "--fnn"),
    row(r#"PATCH {of}/members/{admin2} {"role":"member"}"#, 200, "yffnn"),
    row(r#"PATCH {of}/members/{admin2} {"role":"owner"}"#, 200, "yffnn"),
    row(r#"PATCH {of}/members/{owner} {"role":"member"}"#, 200, "bffnn"),
    row(r#"PATCH {of}/members/{owner} {"role":"admin"}"#, 200, "bffnn"),
    row(r#"PATCH {of}/members/{admin} {"role":"member"}"#, 200, "yyfnn"),
    row(r#"PATCH {of}/members/{me} {"role":"admin"}"#, 200, "b-fnn"),
    row(r#"PATCH {of}/members/{me} {"role":"owner"}"#, 200, "-ffnn"),
    row(r#"PATCH {of}/members/{stranger} {"role":"admin"}"#, 200, "mmfnn"),
    row(r#"PATCH {of}/members/{removed} {"role":"admin"}"#, 200, "mmfnn"),
    // The group itself.
    row(r#"PATCH {of} {"name":"tour"}"#, 200, "yyfnn"),
    row(r#"PATCH {of} {"post":"{new.post}"}"#, 200, "yyfnn"),
    row(r#"PATCH {of} {"add":"{new.add}"}"#, 200, "yyfnn"),
    row(r#"PATCH {of} {"retention_days":30}"#, 200, "yyfnn"),
    row(r#"PATCH {of} {"retention_days":0}"#, 200, "--fnn"),
    row(r#"PATCH {of} {"avatar":"{own.picture}"}"#, 200, "yyfnn"),
    row(r#"PATCH {of} {"avatar":null}"#, 200, "--fnn"),
    // Invites.
    row("POST {of}/invites {}", 201, "yyann"),
    row("GET {of}/invites", 200, "yyann"),
    row("DELETE {of}/invites/{own.invite}", 204, "yyynn"),
    row("DELETE {of}/invites/{owner.invite}", 204, "yyfnn"),
    row("DELETE {of}/invites/{admin2.invite}", 204, "yyfnn"),
    row("DELETE {of}/invites/{member2.invite}", 204, "yyfnn"),
    row("DELETE {of}/invites/{unknown.invite}", 204, "---nn"),
    row("GET /api/invites/{owner.code}", 200, "yyyyy"),
    row("GET /api/invites/{member2.code}", 200, "vvvvv"),
    row("GET /api/invites/{removed.code}", 200, "mmmmm"),
    row("POST /api/invites/{owner.code}", 200, "---yy"),
    row("POST /api/invites/{member2.code}", 200, "---vv"),
    row("POST /api/invites/{removed.code}", 200, "---mm"),
    // What is an operator's. Tokens that nearly are: `tests/security/access.rs`.
    row(
        r#"POST /api/admin/conversations {"owner_id":"{me}","name":"x","member_ids":["{newcomer}"]}"#,
        201,
        "fffff",
    ),
    row(r#"POST /api/admin/conversations/{own.id}/notices {"text":"x"}"#, 201, "fffff"),
    row("GET /api/admin/users/{member2}", 200, "fffff"),
    row("GET /api/admin/users/{me}", 200, "fffff"),
    row("PUT /api/admin/users/{member2}/disabled", 200, "fffff"),
    row("DELETE /api/admin/users/{member2}/disabled", 204, "fffff"),
    row("POST /api/admin/users/{member2}/erasure {}", 200, "fffff"),
    row(r#"POST /api/admin/users/{member2}/erasure {"conversation_id":"{own.id}"}"#, 200, "fffff"),
    row("DELETE /api/admin/users/{member2}/connections", 200, "fffff"),
    row("DELETE /api/admin/users/{member2}/devices/phone", 204, "fffff"),
];

pub const DIRECT: &[Row] = &[
    // Reading.
    row("GET {of}", 200, "yyyn"),
    row("GET {of}/messages?after=0", 200, "yyyn"),
    row("GET {of}/messages?before=99", 200, "yyyn"),
    row("GET {of}/messages?around={own.text}", 200, "yyyn"),
    row("GET {of}/export", 200, "yyyn"),
    row("GET {of}/receipts?seq={own.text}", 200, "yyyn"),
    row("GET {of}/receipts?seq={other.text}", 200, "yyyn"),
    row("GET {of}/messages/{own.media}/media", 200, "yyyn"),
    row("POST {of}/messages/{own.media}/forward", 200, "yyyn"),
    row("GET /api/conversations", 200, "yyyo"),
    row(r#"POST /api/sync {"cursors":{"{own.id}":0}}"#, 200, "yyyo"),
    row("GET /api/unread", 200, "yyyo"),
    // One's own state.
    row(r#"POST {of}/ack {"delivered":{other.text}}"#, 204, "yyyn"),
    row(r#"POST {of}/ack {"read":{other.text}}"#, 204, "yyyn"),
    row(r#"PATCH {of}/state {"pinned":true}"#, 200, "yyyn"),
    row(r#"PATCH {of}/state {"marked_unread":true}"#, 200, "yyyn"),
    row(r#"POST {of}/messages/{other.text}/report {"reason":"spam"}"#, 202, "yyyn"),
    // Writing.
    row(r#"say {"type":"text","text":"x"}"#, 201, "yynn"),
    row(r#"say {"type":"reply","target":{other.text},"text":"x"}"#, 201, "yynn"),
    row(r#"say {"type":"media","media_id":"{own.picture}"}"#, 201, "yynn"),
    row(r#"say {"type":"sealed","ciphertext":"eA=="}"#, 201, "yynn"),
    row(r#"say {"type":"sealed","ciphertext":"eA==","push":false}"#, 201, "yynn"),
    row(r#"say {"type":"edit","target":{own.text},"text":"x"}"#, 201, "yynn"),
    row(r#"say {"type":"edit","target":{other.text},"text":"x"}"#, 201, "ffnn"),
    row(r#"say {"type":"reaction","target":{other.text},"emoji":"+"}"#, 201, "yynn"),
    row(r#"say {"type":"delete","target":{own.text}}"#, 201, "yynn"),
    row(r#"say {"type":"delete","target":{other.text}}"#, 201, "ffnn"),
    // How long it is kept is for both to say; all else that a group has, it has not.
    row(r#"PATCH {of} {"retention_days":30}"#, 200, "yynn"),
    row(r#"PATCH {of} {"name":"x"}"#, 200, "bbbb"),
    row(r#"PATCH {of} {"post":"admins"}"#, 200, "bbbb"),
    row(r#"PATCH {of} {"avatar":null}"#, 200, "bbbb"),
    row(r#"POST {of}/members {"user_ids":["{newcomer}"]}"#, 200, "bbbb"),
    row(r#"POST {of}/members {"user_ids":["{stranger}"]}"#, 200, "bbbb"),
    row("DELETE {of}/members/{me}", 200, "bbbb"),
    row("DELETE {of}/members/{other}", 200, "bbbb"),
    row(r#"PATCH {of}/members/{me} {"role":"owner"}"#, 200, "bbbb"),
    row("POST {of}/invites {}", 201, "bbbb"),
    row("GET {of}/invites", 200, "bbbb"),
    row("DELETE {of}/invites/{unknown.invite}", 204, "bbbb"),
];

/// Documented routes that no row is for, each with the reason. What they are answered with bad tokens, or about another's: `tests/security`.
pub const EXEMPT: &[(&str, &str)] = &[
    ("GET /api/health", "it takes no token"),
    ("POST /api/conversations", "it founds another conversation"),
    ("GET /api/profile", "one's own"),
    ("PATCH /api/profile", "one's own"),
    ("POST /api/profiles", "whoever knows an id may read it"),
    ("GET /api/blocks", "one's own"),
    ("PUT /api/blocks/{user}", "one's own"),
    ("DELETE /api/blocks/{user}", "one's own"),
    ("PUT /api/devices/{device}/push", "one's own"),
    ("DELETE /api/devices/{device}/push", "one's own"),
    ("POST /api/media", "one's own until it is sent"),
    ("POST /api/media/{media}/complete", "one's own until it is sent"),
    ("GET /api/media/{media}/avatar", "whoever knows an id may see it"),
];
