//! An entry of a conversation's log and what it may hold. Knows nothing of frames or tables.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::group::{Allowed, Role};
use crate::ids::{ConversationId, MediaId, MessageId, Seq, UserId};
use crate::media::{File, Preview};

/// Longest text, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Longest sealed payload, in characters of base64: leaves room for the rest of a 32 KB frame.
pub const MAX_SEALED_BYTES: usize = 24 * 1024;
/// Longest reaction, in bytes of UTF-8.
pub const MAX_REACTION_BYTES: usize = 64;

/// Most users that one message mentions.
pub const MAX_MENTIONS: usize = 32;

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Plain text.
    Text {
        /// At most [`MAX_TEXT_BYTES`].
        text: String,
        /// Whom it is for above all, at most [`MAX_MENTIONS`]: their phones are woken though they muted the conversation.
        /// Who is no member is not reached.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<UserId>,
    },
    /// A file that lies in the media store.
    Media {
        /// The upload's id.
        media_id: MediaId,
        /// Words shown with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        /// What the bytes are.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "object_or_null"
        )]
        file: Option<File>,
        /// What to show before they are loaded.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "object_or_null"
        )]
        preview: Option<Preview>,
        /// Whom it is for above all, at most [`MAX_MENTIONS`]: their phones are woken though they muted the conversation.
        /// Who is no member is not reached.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<UserId>,
    },
    /// Text that answers an earlier entry.
    Reply {
        /// The entry it answers.
        target: Seq,
        /// At most [`MAX_TEXT_BYTES`].
        text: String,
        /// Whom it is for above all, at most [`MAX_MENTIONS`]: their phones are woken though they muted the conversation.
        /// Who is no member is not reached.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<UserId>,
    },
    /// New text for an own earlier entry.
    Edit {
        /// The entry to change.
        target: Seq,
        /// At most [`MAX_TEXT_BYTES`].
        text: String,
    },
    /// Takes an entry back for everyone; its seq stays.
    Delete {
        /// The entry to take back.
        target: Seq,
    },
    /// A reaction to an entry.
    Reaction {
        /// The entry it belongs to.
        target: Seq,
        /// At most [`MAX_REACTION_BYTES`].
        emoji: String,
        /// Takes the reaction away again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        remove: bool,
    },
    /// A change of membership. Written by the server only.
    System {
        /// What changed.
        change: GroupChange,
    },
    /// Words of an operator. Written by the server only.
    Notice {
        /// At most [`MAX_TEXT_BYTES`].
        text: String,
    },
    /// Ciphertext of end-to-end encrypting clients; the server never looks inside.
    Sealed {
        /// Base64, at most [`MAX_SEALED_BYTES`].
        ciphertext: String,
        /// Whether it is a message to its readers, as its sender says who alone can know: `false` for what in the clear
        /// would be an edit or a reaction. Then it wakes no phone, does not count as unread, and cannot be a target.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        push: bool,
    },
    /// What stood here can be read no more. Written by the server only, over what it was.
    Gone {
        /// Why not.
        why: Why,
    },
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_yes(push: &bool) -> bool {
    *push
}

/// Why what an entry held is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its author, or an admin, deleted it for everyone.
    Deleted,
    /// It was kept as long as the conversation keeps messages.
    Expired,
}

/// A change of a conversation. Its place in the log is the place from which it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GroupChange {
    /// The group came into being with these members (the creator among them). Always seq 1.
    Created {
        /// The group's name.
        name: String,
        /// Everyone who belongs to it from the start.
        members: Vec<UserId>,
    },
    /// These joined.
    Added {
        /// Who.
        members: Vec<UserId>,
    },
    /// These are no longer members: removed, or left by themselves.
    Removed {
        /// Who.
        members: Vec<UserId>,
        /// Who owns the group from now on, if its owner left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<UserId>,
    },
    /// A member's role is another one. When someone becomes the owner, the one before becomes an admin.
    Role {
        /// Whose.
        member: UserId,
        /// Which.
        role: Role,
    },
    /// These are other than before; what is absent stays.
    Updated {
        /// The group's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Who may write.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post: Option<Allowed>,
        /// Who may add members and invite.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        add: Option<Allowed>,
        /// The group's picture; `null`: it has none any more.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<MediaId>"))]
        avatar: Option<Option<MediaId>>,
        /// Days that messages are kept; 0: as long as the operator has them kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retention_days: Option<u32>,
    },
}

/// A field that is there, be it `null`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

/// What stands as an object. Of what serde derives a list would do too, if it held the fields in order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        d.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// A field that is an object.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<T, D::Error> {
    Object::deserialize(d).map(|Object(value)| value)
}

/// A field that is an object, or `null`.
pub(crate) fn object_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<Option<T>, D::Error> {
    Option::<Object<T>>::deserialize(d).map(|found| found.map(|Object(value)| value))
}

/// A field that is a list of objects, or `null`.
pub(crate) fn objects_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<Option<Vec<T>>, D::Error> {
    let found = Option::<Vec<Object<T>>>::deserialize(d)?;
    Ok(found.map(|list| list.into_iter().map(|Object(value)| value).collect()))
}

impl Content {
    /// Checks what a client may write.
    ///
    /// # Errors
    /// `too_large` past a limit; `bad_request` for empty text and for `system`, which only the server writes.
    pub fn check_from_client(&self) -> Result<()> {
        let text_of = |text: &str, limit: usize| {
            if text.is_empty() {
                Err(Error::bad_request("content is empty"))
            } else if text.len() > limit {
                Err(Error::new(
                    ErrorKind::TooLarge,
                    format!("content is longer than {limit} bytes"),
                ))
            } else {
                Ok(())
            }
        };
        if self.mentions().len() > MAX_MENTIONS {
            return Err(Error::bad_request(format!("a message mentions at most {MAX_MENTIONS}")));
        }
        match self {
            Self::Text { text, .. } | Self::Reply { text, .. } | Self::Edit { text, .. } => {
                text_of(text, MAX_TEXT_BYTES)
            }
            Self::Media { caption, preview, .. } => {
                preview.as_ref().map_or(Ok(()), Preview::check)?;
                caption.as_deref().map_or(Ok(()), |c| text_of(c, MAX_TEXT_BYTES))
            }
            Self::Reaction { emoji, .. } => text_of(emoji, MAX_REACTION_BYTES),
            Self::Sealed { ciphertext, .. } => text_of(ciphertext, MAX_SEALED_BYTES),
            Self::Delete { .. } => Ok(()),
            Self::System { .. } | Self::Notice { .. } | Self::Gone { .. } => {
                Err(Error::bad_request("only the server writes such entries"))
            }
        }
    }

    /// Plain text that mentions nobody.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), mentions: vec![] }
    }

    /// Whom it mentions.
    pub fn mentions(&self) -> &[UserId] {
        match self {
            Self::Text { mentions, .. }
            | Self::Reply { mentions, .. }
            | Self::Media { mentions, .. } => mentions,
            _ => &[],
        }
    }

    /// What is left of it once what it says is deleted: a place for what counted, and an edit of nothing.
    #[must_use]
    pub fn deleted(&self) -> Self {
        match self {
            Self::Edit { target, .. } => Self::Edit { target: *target, text: String::new() },
            _ => Self::Gone { why: Why::Deleted },
        }
    }

    /// Whether nothing is left of what it said: it is gone, or as [`Self::deleted`] leaves it.
    pub const fn is_emptied(&self) -> bool {
        match self {
            Self::Gone { .. } => true,
            Self::Edit { text, .. } => text.is_empty(),
            _ => false,
        }
    }

    /// Checks what an operator may have the server write.
    ///
    /// # Errors
    /// `too_large`; `bad_request` for what is no notice, or an empty one.
    pub fn check_from_server(&self) -> Result<()> {
        match self {
            Self::Notice { text } => Self::text(text.clone()).check_from_client(),
            _ => Err(Error::bad_request("the server writes notices")),
        }
    }

    /// Whether it counts as unread: what a person wrote, not what was done to it.
    pub const fn counts(&self) -> bool {
        matches!(
            self,
            Self::Text { .. }
                | Self::Media { .. }
                | Self::Reply { .. }
                | Self::Sealed { push: true, .. }
                | Self::Notice { .. }
        )
    }

    /// The upload that it carries.
    pub const fn media_id(&self) -> Option<&MediaId> {
        match self {
            Self::Media { media_id, .. } => Some(media_id),
            _ => None,
        }
    }

    /// Whether it makes this user a member.
    pub fn adds(&self, user: &UserId) -> bool {
        match self {
            Self::System { change: GroupChange::Added { members } } => members.contains(user),
            _ => false,
        }
    }

    /// Whether it takes this user out.
    pub fn removes(&self, user: &UserId) -> bool {
        match self {
            Self::System { change: GroupChange::Removed { members, .. } } => members.contains(user),
            _ => false,
        }
    }

    /// The entry that this one refers to.
    pub const fn target(&self) -> Option<Seq> {
        match self {
            Self::Reply { target, .. }
            | Self::Edit { target, .. }
            | Self::Delete { target }
            | Self::Reaction { target, .. } => Some(*target),
            _ => None,
        }
    }
}

/// One stored entry. Never changes once it is stored, but for a content that is deleted: see [`Content::deleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// The conversation whose log it stands in.
    pub conversation_id: ConversationId,
    /// Its place.
    pub seq: Seq,
    /// How many entries up to here (inclusive) count as unread for someone.
    pub ordinal: u64,
    /// The sender's idempotency key.
    pub message_id: MessageId,
    /// Who wrote it.
    pub sender_id: UserId,
    /// When it was stored, ms since 1970; strictly increasing in a conversation.
    pub sent_at: u64,
    /// What it holds.
    pub content: Content,
    /// How full the conversation's bucket is with it, µs until it is empty: the rate limit's memory (see
    /// [`crate::limits`]). 0 where there is no limit, and in entries from before there was one.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub level: u64,
    /// The places of its edits, in order, so that a delete finds them wherever it lies. No client sees them here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Seq>,
}

impl Entry {
    /// As a delete leaves it.
    pub fn deleted(&self) -> Self {
        Self { content: self.content.deleted(), edits: vec![], ..self.clone() }
    }

    /// Whether it mentions this user. Where only one other reads it, a mention says nothing, and does not pass a mute.
    pub fn mentions(&self, user: &UserId) -> bool {
        self.conversation_id.pair().is_none() && self.content.mentions().contains(user)
    }
}

const fn is_empty(level: &u64) -> bool {
    *level == 0
}
