//! Tokens of the local server, good and bad, written out by hand: what the server must refuse, no library would sign.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

/// How long a token is good, s: longer than any run.
const LIFETIME: u64 = 6 * 3600;

/// A token to be signed.
#[derive(Clone, Debug)]
pub struct Token {
    header: Value,
    claims: Value,
}

impl Token {
    /// A token as `petrel token` makes it.
    pub fn of(user: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({"sub": user, "iss": "petrel-local", "aud": "petrel", "iat": now,
            "exp": now + LIFETIME});
        Self { header: json!({"typ": "JWT", "alg": "HS256"}), claims }
    }

    /// The same with another claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// The token, signed with this key.
    pub fn signed(&self, key: &[u8]) -> String {
        let unsigned = self.unsigned();
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, key),
            unsigned.trim_end_matches('.').as_bytes(),
        );
        unsigned + &BASE64_URL_SAFE_NO_PAD.encode(signature)
    }

    /// The token with an empty signature.
    pub fn unsigned(&self) -> String {
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", part(&self.header), part(&self.claims))
    }
}
