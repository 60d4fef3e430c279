//! What a user shows of himself, and to whom. Knows no table.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;
use crate::ids::MediaId;

/// Longest name of a user, bytes.
const MAX_NAME_BYTES: usize = 128;

/// The name that a user goes by: 1 to 128 bytes, something to be seen, no control characters nor any that turn the direction of
/// the text. Anyone may take any name: it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DisplayName(String);

impl DisplayName {
    /// Checks a name.
    ///
    /// # Errors
    /// `bad_request` when a rule above is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(Error::bad_request(format!("a name is 1 to {MAX_NAME_BYTES} bytes")));
        }
        check_shown(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name is shown among other words: it has something to be seen, is one line, and does not turn the text around it.
///
/// # Errors
/// `bad_request`.
pub(crate) fn check_shown(name: &str) -> Result<(), Error> {
    // White space, or of no width.
    let blank = |c: char| {
        c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    // Line ends, and what begins another direction of writing.
    let apart =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.chars().any(apart) {
        return Err(Error::bad_request("a name has no control characters"));
    }
    if name.chars().all(blank) {
        return Err(Error::bad_request("a name has something to be seen"));
    }
    Ok(())
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DisplayName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Self::parse(&text).map_err(|e| serde::de::Error::custom(e.message))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for DisplayName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DisplayName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": 128 })
    }
}

/// Who may see whether a user is online, and when he last was. Nobody does who blocks him, or whom he blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Audience {
    /// Whoever knows the user's id.
    Everyone,
    /// Those with whom the user has a direct conversation.
    #[default]
    Contacts,
    /// No one.
    Nobody,
}

/// What a user shows of himself, and what he has chosen not to show. Who never set anything has the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// What he goes by. Everyone who knows his id may read it.
    pub name: Option<DisplayName>,
    /// His picture. Everyone who knows his id may read which it is.
    pub avatar: Option<MediaId>,
    /// Whether others are not told what he has read.
    pub hide_read_receipts: bool,
    /// Who sees whether he is online.
    pub presence: Audience,
    /// Whether the pushes to his phones leave out what was written.
    pub hide_previews: bool,
}

/// What of a profile shall be other than it is; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The name, or that there is none.
    pub name: Option<Option<DisplayName>>,
    /// The picture, or that there is none.
    pub avatar: Option<Option<MediaId>>,
    /// Whether others are not told what he has read.
    pub hide_read_receipts: Option<bool>,
    /// Who sees whether he is online.
    pub presence: Option<Audience>,
    /// Whether the pushes to his phones leave out what was written.
    pub hide_previews: Option<bool>,
}

impl ProfileChange {
    /// Whether it changes nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts in what it names.
    pub fn apply(&self, profile: &mut Profile) {
        if let Some(name) = &self.name {
            profile.name.clone_from(name);
        }
        if let Some(avatar) = &self.avatar {
            profile.avatar.clone_from(avatar);
        }
        profile.hide_read_receipts = self.hide_read_receipts.unwrap_or(profile.hide_read_receipts);
        profile.presence = self.presence.unwrap_or(profile.presence);
        profile.hide_previews = self.hide_previews.unwrap_or(profile.hide_previews);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_rule() {
        for good in ["Ana", "a", "Ана 👋", &"x".repeat(128)] {
            assert_eq!(DisplayName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "  ", "a\nb", "a\u{0}", "\u{7f}", &"x".repeat(129), &"ы".repeat(65)] {
            assert!(DisplayName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_change_does_not_name_stays() {
        let name = |n: &str| Some(DisplayName::parse(n).unwrap());
        let mut profile = Profile { name: name("Ana"), ..Profile::default() };
        ProfileChange { presence: Some(Audience::Nobody), ..Default::default() }
            .apply(&mut profile);
        assert_eq!(
            profile,
            Profile { name: name("Ana"), presence: Audience::Nobody, ..Profile::default() }
        );
        ProfileChange { name: Some(None), ..Default::default() }.apply(&mut profile);
        assert_eq!(profile.name, None);
    }
}
