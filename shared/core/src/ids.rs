//! The identifiers. Each is parsed once, at the edge; a value that exists is valid.
//! Nothing here knows where an id is stored.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::error::Error;

/// Declares a string newtype whose only way in is `parse`, also when it comes from JSON.
macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Checks a ", $what, ".\n\n# Errors\n`bad_request` when a rule above is broken.")]
            pub fn parse(text: &str) -> Result<Self, Error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Error::bad_request(concat!("not a valid ", $what)))
                }
            }

            #[doc = concat!("The ", $what, " as text.")]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                Self::parse(&text).map_err(|e| serde::de::Error::custom(e.message))
            }
        }
    };
}

string_id!(
    /// A user, as the identity provider's `sub` names them: 1 to 64 of `A-Z a-z 0-9 _ . | @ -`, but not `.` or `..`.
    UserId,
    "user id",
    r"^[A-Za-z0-9_.|@-]{1,64}$",
    |t| (1..=64).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.|@-".contains(&b))
        // In a path these two would be gone before anyone sees them.
        && t != "."
        && t != ".."
);

string_id!(
    /// One device (one socket) of a user: 1 to 64 of `A-Z a-z 0-9 _ -`.
    DeviceId,
    "device id",
    r"^[A-Za-z0-9_-]{1,64}$",
    |t| (1..=64).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

string_id!(
    /// A connection, as the gateway names it: 1 to 128 visible ASCII characters. Never used twice.
    ConnectionId,
    "connection id",
    r"^[!-~]{1,128}$",
    |t| (1..=128).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())
);

string_id!(
    /// A device's address at the push service: 1 to 512 visible ASCII characters.
    EndpointId,
    "push endpoint",
    r"^[!-~]{1,512}$",
    |t| (1..=512).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())
);

string_id!(
    /// The secret half of an invite's code: 32 of `0-9 a-f`.
    InviteId,
    "invite",
    r"^[0-9a-f]{32}$",
    |t| t.len() == 32 && t.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

string_id!(
    /// An upload: 1 to 128 visible ASCII characters. Those that the server mints are 32 of `0-9 a-f`, which nobody can
    /// guess; what is stored may name older ones, and must be read all the same.
    MediaId,
    "media id",
    r"^[!-~]{1,128}$",
    |t| (1..=128).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())
);

string_id!(
    /// A conversation: `d:<a>:<b>` with the two user ids sorted, or `g:<uuid>`.
    ConversationId,
    "conversation id",
    r"^(d:[A-Za-z0-9_.|@-]{1,64}:[A-Za-z0-9_.|@-]{1,64}|g:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
    |t| match t.split_once(':') {
        Some(("d", pair)) => pair.split_once(':').is_some_and(|(a, b)| {
            // The server writes to everyone and talks to nobody.
            let person = |user| UserId::parse(user).is_ok_and(|user| !user.is_system());
            a <= b && person(a) && person(b)
        }),
        Some(("g", id)) => Uuid::try_parse(id).is_ok_and(|u| u.as_hyphenated().to_string() == id),
        _ => false,
    }
);

impl ConversationId {
    /// The direct conversation of two users; both sides derive the same id without a read.
    /// `direct(ana, ana)` is a user's notes to self.
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self(format!("d:{low}:{high}"))
    }

    /// The group that the uuid names.
    pub fn group(id: Uuid) -> Self {
        Self(format!("g:{}", id.as_hyphenated()))
    }

    /// The two users of a direct conversation (equal for notes to self); `None` for a group.
    pub fn pair(&self) -> Option<(UserId, UserId)> {
        let (a, b) = self.0.strip_prefix("d:")?.split_once(':')?;
        Some((UserId(a.to_owned()), UserId(b.to_owned())))
    }

    /// Whether the id itself says that this user has no part in it: a direct conversation of two others.
    pub fn excludes(&self, user: &UserId) -> bool {
        self.pair().is_some_and(|(a, b)| a != *user && b != *user)
    }
}

impl InviteId {
    /// The invite that this number names.
    pub fn new(secret: u128) -> Self {
        Self(format!("{secret:032x}"))
    }
}

impl MediaId {
    /// The upload that this number names.
    pub fn new(secret: u128) -> Self {
        Self(format!("{secret:032x}"))
    }
}

/// What someone hands on who invites: the group's uuid and the invite, `<uuid>.<32 hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteCode {
    /// Into which group.
    pub group: ConversationId,
    /// By which invite.
    pub invite: InviteId,
}

impl UserId {
    /// Who writes what the server writes by itself. No token names this user: whoever lets one in must refuse it.
    pub fn system() -> Self {
        Self("@system".to_owned())
    }

    /// Refuses [`Self::system`] where a client names someone to write to, to add or to block.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn check_person(&self) -> Result<(), Error> {
        if self.is_system() { Err(Error::bad_request("not a valid user id")) } else { Ok(()) }
    }

    /// Whether it is [`Self::system`].
    pub fn is_system(&self) -> bool {
        self.0 == "@system"
    }
}

impl InviteCode {
    /// Checks a code.
    ///
    /// # Errors
    /// `bad_request` for what cannot be one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error::bad_request("not a valid invite code");
        let (group, invite) = text.split_once('.').ok_or_else(bad)?;
        let group = ConversationId::parse(&format!("g:{group}")).map_err(|_| bad())?;
        Ok(Self { group, invite: InviteId::parse(invite).map_err(|_| bad())? })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for InviteCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InviteCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.[0-9a-f]{32}$";
        schemars::json_schema!({ "type": "string", "pattern": pattern })
    }
}

impl fmt::Display for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = self.group.as_str();
        write!(f, "{}.{}", group.strip_prefix("g:").unwrap_or(group), self.invite)
    }
}

/// A message's idempotency key, a UUIDv7 minted by the device that composed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Checks the version: ids of other versions are refused, so that ids sort by time.
    ///
    /// # Errors
    /// `bad_request` for anything but a hyphenated or simple UUIDv7.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match Uuid::try_parse(text) {
            Ok(id) if id.get_version_num() == 7 => Ok(Self(id)),
            _ => Err(Error::bad_request("message_id is not a UUIDv7")),
        }
    }

    /// Wraps an id that the core minted itself (see [`crate::ports::mint`]).
    pub fn minted(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for MessageId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MessageId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uuid", "description": "UUIDv7" })
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Self::parse(&text).map_err(|e| serde::de::Error::custom(e.message))
    }
}

/// A place in one conversation: 1, 2, 3 … without holes. 0 stands for "before the first entry".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Seq(u64);

impl Seq {
    /// Before the first entry: what a device holds that holds nothing.
    pub const ZERO: Self = Self(0);
    /// The first entry's place.
    pub const FIRST: Self = Self(1);

    /// The place with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place before this one; `ZERO` stays.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many places lie between `older` (exclusive) and this one (inclusive).
    pub const fn since(self, older: Self) -> u64 {
        self.0.saturating_sub(older.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_break_a_rule_do_not_come_into_being() {
        let long = "x".repeat(65);
        for bad in ["", "a b", "a:b", "é", "a/b", "a\n", long.as_str()] {
            assert!(UserId::parse(bad).is_err(), "user {bad:?}");
            assert!(DeviceId::parse(bad).is_err(), "device {bad:?}");
        }
        for bad in [
            "",
            "d:",
            "d:a",
            "d:b:a",
            "d:a:b:c",
            "g:",
            "g:1",
            "x:a:b",
            "d::a",
            "g:0192F3C4-0000-7000-8000-000000000000",
        ] {
            assert!(ConversationId::parse(bad).is_err(), "conversation {bad:?}");
        }
        for bad in ["", "7", "67e55044-10b1-426f-9247-bb680e5fe0c8"] {
            assert!(MessageId::parse(bad).is_err(), "message {bad:?}");
        }
    }

    #[test]
    fn both_sides_derive_the_same_direct_conversation() {
        let (ana, bo) = (UserId::parse("ana").unwrap(), UserId::parse("bo").unwrap());
        let id = ConversationId::direct(&bo, &ana);
        assert_eq!(id, ConversationId::direct(&ana, &bo));
        assert_eq!(id.as_str(), "d:ana:bo");
        assert_eq!(ConversationId::parse("d:ana:bo").unwrap().pair(), Some((ana, bo)));
    }
}
