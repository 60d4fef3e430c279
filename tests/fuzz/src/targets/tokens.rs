//! A token on the first line, to a local key and to an issuer; the rest is what the issuer says that its keys are.

use std::error::Error;

use async_trait::async_trait;
use petrel_aws::token::{Expected, FetchKeys, LocalKey, Verifier};
use petrel_core::ErrorKind;

use crate::scene::wait;

/// Signs what the corpus holds.
pub const KEY: [u8; 32] = [7; 32];
/// The issuer of its tokens.
pub const ISSUER: &str = "https://issuer.example";

fn expected() -> Expected {
    Expected { issuer: Some(ISSUER.into()), audiences: vec!["petrel".into()] }
}

/// Trusts [`KEY`].
pub fn local() -> Verifier {
    Verifier::local(&LocalKey::new(KEY).expect("long enough"), expected())
}

struct Says(Vec<u8>);

#[async_trait]
impl FetchKeys for Says {
    async fn fetch(&self) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.clone())
    }
}

pub fn run(input: &[u8]) {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let Ok(token) = std::str::from_utf8(&input[..end]) else { return };
    match wait(local().verify(token)) {
        // Nothing else was ever signed with this key.
        Ok(user) => assert_eq!(user.as_str(), "ana"),
        Err(error) => assert_eq!(error.kind, ErrorKind::Unauthenticated),
    }
    let keys = input.get(end + 1..).unwrap_or_default().to_vec();
    match wait(Verifier::issuer(Says(keys), expected()).verify(token)) {
        Ok(user) => assert_eq!(user.as_str(), "ana"),
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::Busy));
        }
    }
}
