//! Tokens: whom a JSON Web Token names, if it is signed by a key we trust and holds now; and signing one with a local
//! key. Knows nothing of how a token comes in or of what its user may do.

mod crypto;
mod keys;

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::{Error as JwtError, ErrorKind as JwtErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use petrel_core::error::{Error, ErrorKind, Result};
use petrel_core::ids::UserId;
use serde::{Deserialize, Serialize};

pub use keys::{FetchKeys, MAX_AGE, REFETCH_AFTER};
use keys::{Key, KeySet};

/// How far the issuer's clock and ours may be apart, seconds: for so long a token holds past its `exp` and before its
/// `nbf`.
pub const LEEWAY_S: u64 = 30;
/// Longest token that is looked at, bytes. A gateway passes no longer header.
pub const MAX_TOKEN_BYTES: usize = 10 * 1024;

/// A key that signs and verifies tokens on one machine (HS256).
#[derive(Clone)]
pub struct LocalKey(Vec<u8>);

/// The key could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing key has at least {} bytes", LocalKey::MIN_BYTES)]
pub struct ShortKey;

impl LocalKey {
    /// As long as the hash; RFC 7518 forbids less.
    pub const MIN_BYTES: usize = 32;

    /// The key of these random bytes.
    ///
    /// # Errors
    /// If there are fewer than [`Self::MIN_BYTES`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, ShortKey> {
        let bytes = bytes.into();
        if bytes.len() < Self::MIN_BYTES { Err(ShortKey) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey")
    }
}

/// What a token must say beside whom it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its `iss`; `None`: whatever.
    pub issuer: Option<String>,
    /// One of them must be in its `aud`, or be the `client_id` of a token without `aud`, as Cognito's access tokens
    /// are. Empty: whatever.
    pub audiences: Vec<String>,
}

enum Keys {
    Local(Key),
    Issuer(KeySet),
}

/// Tells whom a token names.
pub struct Verifier {
    keys: Keys,
    audiences: Vec<String>,
    validation: Validation,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("validation", &self.validation).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Trusts what [`sign`] makes with this key.
    pub fn local(key: &LocalKey, expected: Expected) -> Self {
        let decoding = DecodingKey::from_secret(&key.0);
        Self::over(Keys::Local(Key { algorithm: Algorithm::HS256, decoding }), expected)
    }

    /// Trusts what an issuer signs: RS256 with RSA keys of 2048 to 8192 bits and ES256, nothing else.
    pub fn issuer(keys: impl FetchKeys + 'static, expected: Expected) -> Self {
        Self::over(Keys::Issuer(KeySet::new(keys)), expected)
    }

    fn over(keys: Keys, expected: Expected) -> Self {
        crypto::install();
        let mut validation = Validation {
            leeway: LEEWAY_S,
            validate_nbf: true,
            // Checked here: the library lets an `aud` pass that is neither a string nor a list.
            validate_aud: false,
            ..Validation::default()
        };
        validation.set_required_spec_claims(&["exp", "sub"]);
        if let Some(issuer) = &expected.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Self { keys, audiences: expected.audiences, validation }
    }

    /// Fetches the issuer's keys before the first token comes, for at most this time; if they do not come, the first token
    /// tries again. A local key is there already.
    pub async fn warm(&self, limit: Duration) {
        if let Keys::Issuer(keys) = &self.keys {
            keys.prefetch(limit).await;
        }
    }

    /// The user whom the token names.
    ///
    /// # Errors
    /// `unauthenticated`, in the same words for everything but an expired token, with the reason as source; `busy` when
    /// the issuer's keys cannot be fetched and none is known that could have signed it.
    pub async fn verify(&self, token: &str) -> Result<UserId> {
        Ok(self.read(token).await?.user)
    }

    /// The user whom the token names, and what else it is good for.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn read(&self, token: &str) -> Result<Verified> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(refused)?;
        // RFC 7515: what is critical must be understood, and we understand no extension.
        if header.crit.is_some() {
            return Err(invalid("the token has critical extensions"));
        }
        let key = match &self.keys {
            Keys::Local(key) => key.clone(),
            Keys::Issuer(keys) => {
                let kid = header.kid.ok_or_else(|| invalid("the token names no key"))?;
                keys.get(&kid).await?
            }
        };
        // The key says which algorithm it is for, never the token.
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        let claims: Claims =
            jsonwebtoken::decode(token, &key.decoding, &validation).map_err(refused)?.claims;
        if !claims.is_for(&self.audiences) {
            return Err(refused(JwtErrorKind::InvalidAudience.into()));
        }
        if !is_access(claims.token_use.as_deref()) {
            return Err(invalid("the token is not for access"));
        }
        let user =
            UserId::parse(&claims.sub.unwrap_or_default()).map_err(|e| invalid(e.message))?;
        if user.is_system() {
            return Err(invalid("the token names the server itself"));
        }
        let scp = claims.scp.map(OneOrMany::into_list).unwrap_or_default();
        let scopes: Vec<_> = claims.scope.into_iter().chain(scp).collect();
        Ok(Verified { user, scope: scopes.join(" ") })
    }
}

/// What a token says. The rest is the library's to check.
#[derive(Deserialize)]
struct Claims {
    /// Optional, so that its absence is told by its name.
    sub: Option<String>,
    aud: Option<OneOrMany>,
    client_id: Option<String>,
    token_use: Option<String>,
    /// Where RFC 8693 has them.
    scope: Option<String>,
    /// Where other providers have them, Okta and Entra among them.
    scp: Option<OneOrMany>,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whom it names.
    pub user: UserId,
    /// Its scopes, with blanks between them, whether it has them in `scope` or in `scp`.
    pub scope: String,
}

/// Whether a token with this `token_use` may call an API. Cognito's ID tokens have the audience of its access tokens and
/// say here that they are none; a token that says nothing passes.
pub fn is_access(token_use: Option<&str>) -> bool {
    token_use.is_none_or(|what| what == "access")
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

impl Claims {
    fn is_for(&self, audiences: &[String]) -> bool {
        let named = match (&self.aud, &self.client_id) {
            (Some(OneOrMany::One(one)), _) => std::slice::from_ref(one),
            (Some(OneOrMany::Many(many)), _) => many,
            (None, Some(client)) => std::slice::from_ref(client),
            (None, None) => &[],
        };
        audiences.is_empty() || named.iter().any(|name| audiences.contains(name))
    }
}

/// Signs a token that names `user`, from now on for so long, with these scopes.
///
/// # Errors
/// `busy` if it cannot be written as JSON, which does not happen.
pub fn sign(
    key: &LocalKey,
    user: &UserId,
    issuer: &str,
    audience: &str,
    now_ms: u64,
    lifetime: Duration,
    scope: Option<&str>,
) -> Result<String> {
    #[derive(Serialize)]
    struct Signed<'a> {
        sub: &'a str,
        iss: &'a str,
        aud: &'a str,
        iat: u64,
        exp: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<&'a str>,
    }

    crypto::install();
    let iat = now_ms / 1_000;
    let exp = iat.saturating_add(lifetime.as_secs());
    let claims = Signed { sub: user.as_str(), iss: issuer, aud: audience, iat, exp, scope };
    let header = Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&key.0)).map_err(Error::port)
}

/// What the library refuses. A client can act on an expired token, by asking for a new one; the rest tells a stranger
/// nothing.
fn refused(error: JwtError) -> Error {
    let message = match error.kind() {
        JwtErrorKind::ExpiredSignature => "the token has expired",
        _ => "the token is not valid",
    };
    Error { source: Some(error.into()), ..Error::new(ErrorKind::Unauthenticated, message) }
}

/// What we refuse.
fn invalid(reason: impl Into<String>) -> Error {
    Error {
        source: Some(reason.into().into()),
        ..Error::new(ErrorKind::Unauthenticated, "the token is not valid")
    }
}
