//! An issuer's public keys, by `kid`: fetched when one is asked for that is not known, kept while they cannot be
//! fetched. Knows nothing of tokens or of HTTP.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use petrel_core::error::{Error, Result};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::invalid;

/// Keys are fetched at most once in this time, so that tokens with invented `kid`s cannot hammer the issuer. For so
/// long, at most, a token is refused whose key was published after the last fetch.
pub const REFETCH_AFTER: Duration = Duration::from_secs(5);
/// Keys older than this are fetched again, so that one the issuer withdrew is not trusted for ever.
pub const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// Where keys come from.
#[async_trait]
pub trait FetchKeys: Send + Sync {
    /// The issuer's key set (RFC 7517) as JSON. Must end by itself within seconds: logins wait for it.
    async fn fetch(&self) -> Result<Vec<u8>, Box<dyn StdError + Send + Sync>>;
}

/// A key and the one algorithm that it is for.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

impl Key {
    /// The key of this JWK, if it is one of an algorithm that we take. Never a symmetric one: what is published is no
    /// secret.
    fn of(jwk: &Jwk) -> Option<Self> {
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES256))
                if key.curve == EllipticCurve::P256 =>
            {
                Algorithm::ES256
            }
            _ => return None,
        };
        Some(Self { algorithm, decoding: DecodingKey::from_jwk(jwk).ok()? })
    }
}

/// What was fetched last.
#[derive(Default)]
struct Known {
    keys: HashMap<String, Key>,
    fetched_at: Option<Instant>,
}

/// The last attempt to fetch.
#[derive(Default)]
struct Attempt {
    at: Option<Instant>,
    failed: bool,
}

/// An issuer's keys.
pub(super) struct KeySet {
    source: Box<dyn FetchKeys>,
    known: RwLock<Known>,
    /// Held while keys are fetched: no two fetches at once, and who needs a new key waits for the one under way.
    attempt: Mutex<Attempt>,
}

impl KeySet {
    /// The keys from there. The first is fetched when it is asked for.
    pub(super) fn new(source: impl FetchKeys + 'static) -> Self {
        Self { source: Box::new(source), known: RwLock::default(), attempt: Mutex::default() }
    }

    /// Fetches the keys before anybody asks for one, for at most this time. If that fails it counts for nothing: the first
    /// token tries again at once.
    pub(super) async fn prefetch(&self, limit: Duration) {
        let mut attempt = self.attempt.lock().await;
        match tokio::time::timeout(limit, self.fetch()).await {
            Ok(true) => *attempt = Attempt { at: Some(Instant::now()), failed: false },
            Ok(false) => {}
            Err(_) => tracing::warn!("the issuer took too long to answer at the start"),
        }
    }

    /// The key of this name.
    ///
    /// # Errors
    /// `unauthenticated` if the issuer has no such key; `busy` if it cannot be asked.
    pub(super) async fn get(&self, kid: &str) -> Result<Key> {
        let mut failed = false;
        match self.find(kid) {
            (Some(key), false) => return Ok(key),
            // Old. Only one call waits for the new ones, and if there are none to be had it will do.
            (Some(key), true) => {
                let Ok(attempt) = self.attempt.try_lock() else { return Ok(key) };
                self.refetch(attempt).await;
            }
            (None, _) => {
                let attempt = self.attempt.lock().await;
                // The call that we waited for may have brought it.
                if let (Some(key), _) = self.find(kid) {
                    return Ok(key);
                }
                failed = self.refetch(attempt).await;
            }
        }
        match self.find(kid) {
            (Some(key), _) => Ok(key),
            (None, _) if failed => Err(Error::port("the issuer's keys cannot be fetched")),
            (None, _) => Err(invalid("the token is signed with an unknown key")),
        }
    }

    /// The key, and whether the keys are old.
    fn find(&self, kid: &str) -> (Option<Key>, bool) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let old = known.fetched_at.is_none_or(|at| at.elapsed() > MAX_AGE);
        (known.keys.get(kid).cloned(), old)
    }

    /// Fetches the keys, unless that was tried a moment ago, and returns whether the last attempt failed.
    async fn refetch(&self, mut attempt: MutexGuard<'_, Attempt>) -> bool {
        if attempt.at.is_some_and(|at| at.elapsed() < REFETCH_AFTER) {
            return attempt.failed;
        }
        // Stands also if the caller gives up while we wait.
        *attempt = Attempt { at: Some(Instant::now()), failed: true };
        attempt.failed = !self.fetch().await;
        attempt.failed
    }

    /// Fetches the keys and returns whether they came.
    async fn fetch(&self) -> bool {
        let keys = match self.source.fetch().await {
            Ok(body) => read(&body),
            Err(error) => Err(error),
        };
        match keys {
            Ok(keys) => {
                *self.known.write().unwrap_or_else(PoisonError::into_inner) =
                    Known { keys, fetched_at: Some(Instant::now()) };
                true
            }
            Err(error) => {
                tracing::warn!(error = &*error, "the issuer's keys cannot be fetched");
                false
            }
        }
    }
}

/// The keys in a set that we can use. A set without any is none: better to keep the keys we have.
fn read(body: &[u8]) -> Result<HashMap<String, Key>, Box<dyn StdError + Send + Sync>> {
    #[derive(Deserialize)]
    struct Set {
        // Parsed one by one: a key of a kind yet unknown must not take the others with it.
        keys: Vec<serde_json::Value>,
    }

    let set: Set = serde_json::from_slice(body)?;
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: HashMap<_, _> =
        jwks.filter_map(|jwk| Some((jwk.common.key_id.clone()?, Key::of(&jwk)?))).collect();
    if keys.is_empty() { Err("the key set has no key that can be used".into()) } else { Ok(keys) }
}
