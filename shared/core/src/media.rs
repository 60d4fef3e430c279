//! Files that people send: what is known of an upload, and what a sender says about it. Where the bytes lie is not known
//! here; they never pass through.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{MediaId, UserId};

/// Longest content type, bytes.
const MAX_TYPE_BYTES: usize = 100;
/// Longest name of a file, in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 255;
/// Longest blurhash, characters: that of 9 by 9 components is 166.
const MAX_BLURHASH: usize = 166;
/// Largest thumbnail, in characters of base64: an entry with one is still read and pushed at once.
const MAX_THUMBNAIL: usize = 8 * 1024;
/// Widest and highest, pixels.
const MAX_PIXELS: u32 = 100_000;
/// Longest duration, ms: a week.
const MAX_DURATION_MS: u64 = 7 * 86_400_000;

/// A content type without parameters, such as `image/jpeg`: lower case, at most 100 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ContentType(String);

impl ContentType {
    /// Checks a content type.
    ///
    /// # Errors
    /// `bad_request` when a rule above is broken.
    pub fn parse(text: &str) -> Result<Self> {
        let is_token = |part: &str| {
            let mut bytes = part.bytes();
            bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && bytes.all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&^_.+-".contains(&b)
                })
        };
        match text.split_once('/') {
            Some((kind, sub))
                if text.len() <= MAX_TYPE_BYTES && is_token(kind) && is_token(sub) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Error::bad_request("not a valid content type")),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A picture.
    pub fn is_image(&self) -> bool {
        self.0.starts_with("image/")
    }

    /// Whether a browser may show it by itself: pictures, sound and film, and none of them a document that runs scripts.
    pub fn is_shown(&self) -> bool {
        let passive = ["image/", "audio/", "video/"].iter().any(|kind| self.0.starts_with(kind));
        passive && !self.0.contains("xml") && !self.0.contains("svg")
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Self::parse(&text).map_err(|e| serde::de::Error::custom(e.message))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ContentType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ContentType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": MAX_TYPE_BYTES,
            "pattern": r"^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$",
        })
    }
}

/// The SHA-256 of a file: 32 bytes in base64, with padding, as S3 takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sha256(String);

impl Sha256 {
    /// Checks a hash. No two texts stand for the same one.
    ///
    /// # Errors
    /// `bad_request` for anything but 44 characters of base64.
    pub fn parse(text: &str) -> Result<Self> {
        let digit = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        // The last digit holds 4 bits of the hash and 2 that must be 0.
        let last = |b: u8| b"AEIMQUYcgkosw048".contains(&b);
        match text.as_bytes() {
            [digits @ .., l, b'=']
                if digits.len() == 42 && digits.iter().all(|b| digit(*b)) && last(*l) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Error::bad_request("sha256 is not 32 bytes in base64")),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Self::parse(&text).map_err(|e| serde::de::Error::custom(e.message))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Sha256 {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$" })
    }
}

/// What the bytes are. The server sets it: what a client writes there is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct File {
    /// Their type.
    pub content_type: ContentType,
    /// How many they are.
    pub size: u64,
    /// Their SHA-256, in base64.
    pub sha256: Sha256,
}

/// What a sender says of a file, for those who have not loaded it yet. The server checks sizes, and believes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preview {
    /// The file's name: 1 to 255 bytes, no `/`, `\` or control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Pixels, 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Of sound and film, ms; at most a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// A blurred picture in 6 to 166 characters of base 83 (blurha.sh).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blurhash: Option<String>,
    /// A small JPEG, PNG or WebP in base64, at most 8 KiB of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<String>,
}

impl Preview {
    /// Checks what a client may write.
    ///
    /// # Errors
    /// `too_large` past a size; `bad_request` for anything else that is not as said above.
    pub fn check(&self) -> Result<()> {
        let bad = |what: &str| Err(Error::bad_request(format!("preview: not a valid {what}")));
        if let Some(name) = &self.name {
            if name.len() > MAX_NAME_BYTES {
                return too_long("name", MAX_NAME_BYTES);
            }
            let hidden = |c: char| c.is_control() || c == '/' || c == '\\';
            if name.trim().is_empty() || name.contains(hidden) {
                return bad("name");
            }
        }
        let sides = [self.width, self.height];
        if sides.iter().flatten().any(|side| !(1..=MAX_PIXELS).contains(side)) {
            return bad("width or height");
        }
        if self.duration_ms.is_some_and(|ms| ms > MAX_DURATION_MS) {
            return bad("duration_ms");
        }
        if let Some(hash) = &self.blurhash {
            let digit = |b: u8| b.is_ascii_alphanumeric() || b"#$%*+,-.:;=?@[]^_{|}~".contains(&b);
            if !(6..=MAX_BLURHASH).contains(&hash.len()) || !hash.bytes().all(digit) {
                return bad("blurhash");
            }
        }
        if let Some(picture) = &self.thumbnail {
            if picture.len() > MAX_THUMBNAIL {
                return too_long("thumbnail", MAX_THUMBNAIL);
            }
            // Their first bytes in base64: FF D8 FF, 89 50 4E 47, "RIFF".
            let known = ["/9j/", "iVBORw", "UklGR"].iter().any(|start| picture.starts_with(start));
            let digits = picture.trim_end_matches('=');
            let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
            if !known || !plain || picture.len() % 4 != 0 || picture.len() - digits.len() > 2 {
                return bad("thumbnail");
            }
        }
        Ok(())
    }
}

fn too_long(what: &str, limit: usize) -> Result<()> {
    Err(Error::new(ErrorKind::TooLarge, format!("preview: {what} is longer than {limit} bytes")))
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum UploadState {
    /// The bytes are not there yet.
    Waiting,
    /// They are there, and a scanner has not spoken yet.
    Pending,
    /// They can be read.
    Clean,
    /// Nobody may read them, for ever.
    Blocked,
}

/// What is known of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: MediaId,
    /// Who uploads it.
    pub owner: UserId,
    /// What it is to hold, or holds.
    pub file: File,
    /// How far it is.
    pub state: UploadState,
    /// Whether its owner shows it as a picture of himself or of a group: then everyone may see it.
    pub avatar: bool,
    /// From when on it is gone unless it is kept for longer, s since 1970. `None`: it has no end.
    pub expires_at_s: Option<u64>,
}

/// For how long an upload is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// At least until then, s since 1970.
    Until(u64),
    /// For ever, as what everyone may see.
    Shown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_plain() {
        for good in ["image/png", "image/svg+xml", "application/vnd.ms-excel", "a/b", "0/0"] {
            assert!(ContentType::parse(good).is_ok(), "{good}");
        }
        let long = format!("image/{}", "x".repeat(95));
        for bad in [
            "",
            "image",
            "image/",
            "/png",
            "image/png; charset=utf-8",
            "Image/png",
            "image/p ng",
            "image/png/x",
            "image/\r\npng",
            "imagé/png",
            "*/*",
            &long,
        ] {
            assert!(ContentType::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ContentType::parse("video/mp4").unwrap().is_shown());
        for active in ["text/html", "image/svg+xml", "application/pdf", "application/xhtml+xml"] {
            assert!(!ContentType::parse(active).unwrap().is_shown(), "{active}");
        }
    }

    #[test]
    fn a_hash_has_one_spelling() {
        assert!(Sha256::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").is_ok());
        for bad in [
            "",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU==",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(Sha256::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_preview_keeps_to_its_sizes() {
        let code = |preview: Preview| preview.check().map_err(|e| e.kind.code());
        let text = |length: usize| Some("a".repeat(length));
        let none = Preview::default;
        assert_eq!(code(none()), Ok(()));
        for (what, good) in [
            ("name", Preview { name: Some("été.jpg".into()), ..none() }),
            ("sides", Preview { width: Some(1), height: Some(100_000), ..none() }),
            ("duration", Preview { duration_ms: Some(0), ..none() }),
            (
                "blurhash",
                Preview { blurhash: Some("LEHV6nWB2yk8pyo0adR*.7kCMdnj".into()), ..none() },
            ),
            ("thumbnail", Preview { thumbnail: Some("/9j/4AAQ".into()), ..none() }),
        ] {
            assert_eq!(code(good), Ok(()), "{what}");
        }
        for (bad, expected) in [
            (Preview { name: text(256), ..none() }, "too_large"),
            (Preview { thumbnail: text(8_193), ..none() }, "too_large"),
            (Preview { name: Some(" ".into()), ..none() }, "bad_request"),
            (Preview { name: Some("../x".into()), ..none() }, "bad_request"),
            (Preview { name: Some("a\nb".into()), ..none() }, "bad_request"),
            (Preview { width: Some(0), ..none() }, "bad_request"),
            (Preview { height: Some(100_001), ..none() }, "bad_request"),
            (Preview { duration_ms: Some(604_800_001), ..none() }, "bad_request"),
            (Preview { blurhash: text(5), ..none() }, "bad_request"),
            (Preview { blurhash: text(167), ..none() }, "bad_request"),
            (Preview { blurhash: Some("a\"bcdef".into()), ..none() }, "bad_request"),
            (Preview { thumbnail: Some("PHN2Zz4=".into()), ..none() }, "bad_request"),
            (Preview { thumbnail: Some("/9j/4AA".into()), ..none() }, "bad_request"),
            (Preview { thumbnail: Some("/9j/<b>=".into()), ..none() }, "bad_request"),
        ] {
            assert_eq!(code(bad.clone()), Err(expected), "{bad:?}");
        }
    }
}
