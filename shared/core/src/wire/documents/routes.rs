//! The table of the HTTP API: a row a method and path. `functions/tests` holds it beside the router.

use super::route::{Route, route};
use crate::error::ErrorKind::{
    Forbidden, NotAMember, NotFound, NotReady, SyncRequired, TooManyMembers,
};
use crate::ids::Seq;
use crate::wire::EntryFrame;
use crate::wire::people::{BlockList, OwnProfile, PatchProfile, PostProfiles, ProfileList};
use crate::wire::query::{BlocksQuery, ExportQuery, ListQuery, MessagesQuery, ReceiptsQuery};
use crate::wire::rest::{
    AccountAnswer, ChangeAnswer, ClosedAnswer, CompleteAnswer, ConversationList, DownloadAnswer,
    ErasureAnswer, ForwardAnswer, GroupAnswer, HealthAnswer, InviteAnswer, InviteList, MediaAnswer,
    Messages, PatchGroup, PatchMember, PatchState, PostAck, PostConversationFor, PostErasure,
    PostGroup, PostInvite, PostMedia, PostMembers, PostMessage, PostNotice, PostReport, PostSync,
    PreviewAnswer, PutPush, ReceiptsAnswer, ReportAnswer, StateAnswer, SyncAnswer, UnreadAnswer,
};

/// Every route.
pub fn routes() -> Vec<Route> {
    let mut all = vec![
        route("GET", "/api/health", "health", "Which version answers")
            .open()
            .gives::<HealthAnswer>(200),
    ];
    all.extend(messages());
    all.extend(conversations());
    all.extend(invites());
    all.extend(devices());
    all.extend(operators());
    all.extend(media());
    all.extend(people());
    all
}

fn people() -> Vec<Route> {
    const OWN: &str = "/api/profile";
    const BLOCK: &str = "/api/blocks/{user}";
    vec![
        route("GET", OWN, "profile", "The caller's own profile and settings")
            .gives::<OwnProfile>(200),
        route("PATCH", OWN, "update_profile", "Changes them")
            .takes::<PatchProfile>()
            .gives::<OwnProfile>(200)
            .fails(&[Forbidden, NotFound, NotReady]),
        route("POST", "/api/profiles", "profiles", "What users show of themselves")
            .takes::<PostProfiles>()
            .gives::<ProfileList>(200),
        route("GET", "/api/blocks", "blocks", "Whom the caller blocks")
            .query::<BlocksQuery>()
            .gives::<BlockList>(200),
        route("PUT", BLOCK, "block", "From now on this user is blocked").gives_nothing(),
        route("DELETE", BLOCK, "unblock", "From now on they are not").gives_nothing(),
    ]
}

fn messages() -> Vec<Route> {
    vec![
        route("POST", "/api/messages", "send", "Stores a message and delivers it")
            .takes::<PostMessage>()
            .gives_frame(201, "sent")
            .gives_frame(200, "sent")
            .fails(&[NotAMember, Forbidden, NotFound, NotReady, SyncRequired]),
        route("POST", "/api/sync", "sync", "Everything above the cursors")
            .takes::<PostSync>()
            .gives::<SyncAnswer>(200),
        route(
            "GET",
            "/api/conversations/{id}/messages",
            "history",
            "A stretch of a conversation's log: back, forth, or around an entry",
        )
        .query::<MessagesQuery>()
        .gives::<Messages>(200)
        .fails(&[NotAMember]),
        route(
            "GET",
            "/api/conversations/{id}/export",
            "export",
            "What the caller may read of a conversation, a line of JSON an entry, about 1 MiB at a time",
        )
        .query::<ExportQuery>()
        .gives_lines::<EntryFrame>(200)
        .fails(&[NotAMember]),
        route(
            "GET",
            "/api/conversations/{id}/receipts",
            "receipts",
            "Who has a message, and who has read it",
        )
        .query::<ReceiptsQuery>()
        .gives::<ReceiptsAnswer>(200)
        .fails(&[NotAMember, NotFound]),
        route(
            "POST",
            "/api/conversations/{id}/messages/{seq}/report",
            "report",
            "Reports a message to whoever moderates",
        )
        .names::<Seq>("seq")
        .takes::<PostReport>()
        .gives::<ReportAnswer>(202)
        .fails(&[NotAMember, NotFound]),
        route("POST", "/api/conversations/{id}/ack", "ack", "Raises the caller's watermarks")
            .takes::<PostAck>()
            .gives_nothing()
            .fails(&[NotAMember]),
        route(
            "PATCH",
            "/api/conversations/{id}/state",
            "set_state",
            "Mutes, pins or archives a conversation, or marks it as unread, for the caller",
        )
        .takes::<PatchState>()
        .gives::<StateAnswer>(200)
        .fails(&[NotAMember]),
        route("GET", "/api/unread", "unread", "How much the caller has not read")
            .gives::<UnreadAnswer>(200),
    ]
}

fn conversations() -> Vec<Route> {
    const ONE: &str = "/api/conversations/{id}";
    const MEMBERS: &str = "/api/conversations/{id}/members";
    const MEMBER: &str = "/api/conversations/{id}/members/{user}";
    vec![
        route("GET", "/api/conversations", "conversations", "The caller's conversations")
            .query::<ListQuery>()
            .gives::<ConversationList>(200),
        route("POST", "/api/conversations", "create_group", "Founds a group")
            .takes::<PostGroup>()
            .gives::<ChangeAnswer>(201)
            .fails(&[Forbidden, TooManyMembers]),
        route("GET", ONE, "conversation", "A conversation and its members")
            .gives::<GroupAnswer>(200)
            .fails(&[NotAMember]),
        route(
            "PATCH",
            ONE,
            "update_group",
            "Renames a group, changes its rules, or how long a conversation keeps messages",
        )
        .takes::<PatchGroup>()
        .gives::<ChangeAnswer>(200)
        .fails(&[NotAMember, Forbidden, NotFound, NotReady]),
        route("POST", MEMBERS, "add_members", "Adds members to a group")
            .takes::<PostMembers>()
            .gives::<ChangeAnswer>(200)
            .fails(&[NotAMember, Forbidden, TooManyMembers]),
        route("DELETE", MEMBER, "remove_member", "Removes a member; one's own id leaves")
            .gives::<ChangeAnswer>(200)
            .fails(&[NotAMember, Forbidden]),
        route("PATCH", MEMBER, "set_role", "Changes a member's role, or hands the group over")
            .takes::<PatchMember>()
            .gives::<ChangeAnswer>(200)
            .fails(&[NotAMember, Forbidden, NotFound]),
    ]
}

fn invites() -> Vec<Route> {
    const ALL: &str = "/api/conversations/{id}/invites";
    vec![
        route("POST", ALL, "create_invite", "Makes a code that whoever has it joins by")
            .takes::<PostInvite>()
            .gives::<InviteAnswer>(201)
            .fails(&[NotAMember, Forbidden]),
        route("GET", ALL, "invites", "The invites that can still be used")
            .gives::<InviteList>(200)
            .fails(&[NotAMember, Forbidden]),
        route(
            "DELETE",
            "/api/conversations/{id}/invites/{invite}",
            "revoke_invite",
            "Takes an invite back",
        )
        .gives_nothing()
        .fails(&[NotAMember, Forbidden]),
        route("GET", "/api/invites/{code}", "preview_invite", "What a code leads to")
            .gives::<PreviewAnswer>(200)
            .fails(&[NotFound]),
        route("POST", "/api/invites/{code}", "join", "Joins by a code")
            .gives::<ChangeAnswer>(200)
            .fails(&[NotFound, TooManyMembers]),
    ]
}

fn devices() -> Vec<Route> {
    const PUSH: &str = "/api/devices/{device}/push";
    vec![
        route("PUT", PUSH, "set_push", "From now on this device is woken")
            .takes::<PutPush>()
            .gives_nothing(),
        route("DELETE", PUSH, "remove_push", "From now on it is not").gives_nothing(),
    ]
}

/// What operators ask. The scope is that of a stack that names no other.
fn operators() -> Vec<Route> {
    const SCOPE: &str = "petrel/admin";
    const DISABLED: &str = "/api/admin/users/{user}/disabled";
    let all = vec![
        route("POST", "/api/admin/conversations", "create_group_for", "Founds a group for a user")
            .takes::<PostConversationFor>()
            .gives::<ChangeAnswer>(201)
            .fails(&[TooManyMembers]),
        route(
            "POST",
            "/api/admin/conversations/{id}/notices",
            "post_notice",
            "Writes a notice into a conversation; a direct one comes into being by it",
        )
        .takes::<PostNotice>()
        .gives_frame(201, "sent")
        .gives_frame(200, "sent")
        .fails(&[NotFound]),
        route("GET", "/api/admin/users/{user}", "account", "What is known of a user")
            .gives::<AccountAnswer>(200),
        route("PUT", DISABLED, "disable", "Disables a user, and closes every socket of his")
            .gives::<ClosedAnswer>(200),
        route("DELETE", DISABLED, "enable", "Enables him again").gives_nothing(),
        route(
            "POST",
            "/api/admin/users/{user}/erasure",
            "erase",
            "Erases a user, some at a time: to be asked again until there is no page",
        )
        .takes::<PostErasure>()
        .gives::<ErasureAnswer>(200)
        .fails(&[NotFound]),
        route(
            "DELETE",
            "/api/admin/users/{user}/connections",
            "cut",
            "Closes every socket of a user, who may connect again",
        )
        .gives::<ClosedAnswer>(200),
        route(
            "DELETE",
            "/api/admin/users/{user}/devices/{device}",
            "sign_out",
            "Closes a device's socket, and wakes it no more",
        )
        .gives_nothing(),
    ];
    all.into_iter().map(|route| route.scope(SCOPE)).collect()
}

fn media() -> Vec<Route> {
    const OF: &str = "/api/conversations/{id}/messages/{seq}/media";
    const FORWARD: &str = "/api/conversations/{id}/messages/{seq}/forward";
    vec![
        route("POST", "/api/media", "announce_upload", "A request by which a file goes up")
            .takes::<PostMedia>()
            .gives::<MediaAnswer>(201),
        route(
            "POST",
            "/api/media/{media}/complete",
            "complete_upload",
            "Says that the bytes are there",
        )
        .gives::<CompleteAnswer>(200)
        .fails(&[NotFound, NotReady]),
        route("GET", "/api/media/{media}/avatar", "avatar", "How to read an avatar")
            .gives::<DownloadAnswer>(200)
            .fails(&[Forbidden, NotFound, NotReady]),
        route("GET", OF, "media", "How to read a message's file")
            .gives::<DownloadAnswer>(200)
            .fails(&[NotAMember, Forbidden, NotFound, NotReady]),
        route("POST", FORWARD, "forward_media", "Lets the caller send a message's file on")
            .gives::<ForwardAnswer>(200)
            .fails(&[NotAMember, Forbidden, NotFound, NotReady]),
    ]
}
