//! Which tokens are taken, what is said of each that is not, and how often the issuer is asked.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use petrel_aws::SystemWorld;
use petrel_aws::token::{Expected, FetchKeys, LocalKey, MAX_AGE, REFETCH_AFTER, Verifier, sign};
use petrel_core::error::{ErrorKind, Result};
use petrel_core::ids::UserId;
use petrel_core::ports::World;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

const ISSUER: &str = "https://issuer.example";

/// Made for these tests and used nowhere else.
static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).unwrap());

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn now_s() -> u64 {
    SystemWorld.now_ms() / 1_000
}

pub fn rsa_signature(message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; RSA.public().modulus_len()];
    RSA.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

pub fn rsa_components() -> rsa::PublicKeyComponents<Vec<u8>> {
    rsa::PublicKeyComponents::from(RSA.public())
}

pub fn rsa_jwk(kid: &str) -> Value {
    let rsa::PublicKeyComponents { n, e } = rsa_components();
    json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(n), "e": b64(e)})
}

pub fn ec_key() -> EcdsaKeyPair {
    let rng = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &rng).unwrap()
}

pub fn ec_jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y})
}

/// A token of these parts, signed by `signer`.
pub fn token(header: &Value, claims: &Value, signer: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = b64(signer(message.as_bytes()));
    format!("{message}.{signature}")
}

fn ec_token(key: &EcdsaKeyPair, kid: &str) -> String {
    token(&json!({"alg": "ES256", "kid": kid}), &claims(), |message| ec_signature(key, message))
}

pub fn ec_signature(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

pub fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec()
}

pub fn claims() -> Value {
    json!({"sub": "ana", "iss": ISSUER, "aud": ["other", "petrel"], "exp": now_s() + 600})
}

/// The usual claims with some changed; `null` removes one.
pub fn claims_but(changed: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

pub fn rs256(claims: &Value) -> String {
    token(&json!({"alg": "RS256", "kid": "rsa"}), claims, rsa_signature)
}

pub fn expected() -> Expected {
    Expected { issuer: Some(ISSUER.into()), audiences: vec!["petrel".into()] }
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// An issuer whose key sets are answered in turn; the last stands. `None`: it is out.
#[derive(Clone)]
pub struct Issuer {
    sets: Arc<Mutex<VecDeque<Option<Value>>>>,
    fetches: Arc<AtomicUsize>,
}

impl Issuer {
    pub fn with<const N: usize>(sets: [Option<Vec<Value>>; N]) -> Self {
        let sets = sets.into_iter().map(|set| set.map(|keys| json!({ "keys": keys })));
        Self { sets: Arc::new(Mutex::new(sets.collect())), fetches: Arc::default() }
    }

    pub fn verifier(&self) -> Verifier {
        Verifier::issuer(self.clone(), expected())
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FetchKeys for Issuer {
    async fn fetch(&self) -> Result<Vec<u8>, BoxError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let mut sets = self.sets.lock().unwrap();
        let set = if sets.len() > 1 { sets.pop_front().unwrap() } else { sets[0].clone() };
        set.map(|set| set.to_string().into_bytes()).ok_or_else(|| "out".into())
    }
}

/// The kind and, apart, what a stranger and what the log gets to see.
fn said(outcome: Result<UserId>) -> (ErrorKind, String, String) {
    let error = outcome.unwrap_err();
    (error.kind, error.message, error.source.unwrap().to_string())
}

fn refused(reason: &str) -> (ErrorKind, String, String) {
    (ErrorKind::Unauthenticated, "the token is not valid".into(), reason.into())
}

#[tokio::test]
async fn good_tokens_name_their_user() {
    let key = ec_key();
    let verifier = Issuer::with([Some(vec![rsa_jwk("rsa"), ec_jwk(&key, "ec")])]).verifier();
    for token in [
        rs256(&claims()),
        ec_token(&key, "ec"),
        // One audience; several; Cognito's access tokens, which have none.
        rs256(&claims_but(json!({"aud": "petrel"}))),
        rs256(&claims_but(json!({"aud": null, "client_id": "petrel"}))),
        // Clocks that are a little apart.
        rs256(&claims_but(json!({"exp": now_s() - 20}))),
        rs256(&claims_but(json!({"nbf": now_s() + 20}))),
        rs256(&claims_but(json!({"exp": now_s() as f64 + 0.5, "scope": "openid", "x": {}}))),
    ] {
        assert_eq!(verifier.verify(&token).await.unwrap().as_str(), "ana");
    }
}

#[tokio::test]
async fn scopes_are_read_from_scope_and_from_scp() {
    let verifier = Issuer::with([Some(vec![rsa_jwk("rsa")])]).verifier();
    for (claims, scope) in [
        (json!({}), ""),
        (json!({"scope": "openid petrel/admin"}), "openid petrel/admin"),
        (json!({"scp": "openid petrel/admin"}), "openid petrel/admin"),
        (json!({"scp": ["openid", "petrel/admin"]}), "openid petrel/admin"),
        (json!({"scope": "openid", "scp": ["petrel/admin"]}), "openid petrel/admin"),
    ] {
        let token = rs256(&claims_but(claims.clone()));
        assert_eq!(verifier.read(&token).await.unwrap().scope, scope, "{claims}");
    }
}

#[tokio::test]
async fn bad_tokens_are_told_apart_in_the_log_alone() {
    let key = ec_key();
    let symmetric = json!({"kty": "oct", "kid": "oct", "alg": "HS256", "k": b64([7; 32])});
    let keys = vec![rsa_jwk("rsa"), ec_jwk(&key, "ec"), symmetric];
    let verifier = Issuer::with([Some(keys)]).verifier();
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let good = rs256(&claims());
    let tampered = {
        let parts: Vec<&str> = good.split('.').collect();
        let claims = b64(claims_but(json!({"sub": "bo"})).to_string());
        format!("{}.{claims}.{}", parts[0], parts[2])
    };
    let critical = json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false});
    let changed = |changed: Value| rs256(&claims_but(changed));
    let table = [
        ("wrong alg", token(&header("ES256", "rsa"), &claims(), rsa_signature), "InvalidAlgorithm"),
        (
            "wrong hash",
            token(&header("RS512", "rsa"), &claims(), rsa_signature),
            "InvalidAlgorithm",
        ),
        (
            "hs256 with the modulus as secret",
            token(&header("HS256", "rsa"), &claims(), hs256(&rsa_components().n)),
            "InvalidAlgorithm",
        ),
        (
            "hs256 with a published secret",
            token(&header("HS256", "oct"), &claims(), hs256(&[7; 32])),
            "the token is signed with an unknown key",
        ),
        (
            "another's key",
            token(&header("ES256", "ec"), &claims(), rsa_signature),
            "InvalidSignature",
        ),
        ("tampered", tampered, "InvalidSignature"),
        ("no signature", format!("{}.", good.rsplit_once('.').unwrap().0), "InvalidSignature"),
        ("not yet valid", changed(json!({"nbf": now_s() + 60})), "ImmatureSignature"),
        ("nbf of no number", changed(json!({"nbf": "soon"})), "Invalid format for claim: nbf"),
        ("no exp", changed(json!({"exp": null})), "Missing required claim: exp"),
        ("exp of no number", changed(json!({"exp": "never"})), "Missing required claim: exp"),
        ("wrong issuer", changed(json!({"iss": "https://other.example"})), "InvalidIssuer"),
        ("no issuer", changed(json!({"iss": null})), "Missing required claim: iss"),
        ("wrong audience", changed(json!({"aud": "other"})), "InvalidAudience"),
        ("no audience", changed(json!({"aud": null})), "InvalidAudience"),
        ("empty audience", changed(json!({"aud": []})), "InvalidAudience"),
        (
            "the client does not make up for the audience",
            changed(json!({"aud": "other", "client_id": "petrel"})),
            "InvalidAudience",
        ),
        ("another client", changed(json!({"aud": null, "client_id": "other"})), "InvalidAudience"),
        ("no sub", changed(json!({"sub": null})), "Missing required claim: sub"),
        ("sub that is no user", changed(json!({"sub": "a b"})), "not a valid user id"),
        ("empty sub", changed(json!({"sub": ""})), "not a valid user id"),
        (
            "unknown kid",
            token(&header("RS256", "x"), &claims(), rsa_signature),
            "the token is signed with an unknown key",
        ),
        (
            "no kid",
            token(&json!({"alg": "RS256"}), &claims(), rsa_signature),
            "the token names no key",
        ),
        (
            "critical extension",
            token(&critical, &claims(), rsa_signature),
            "the token has critical extensions",
        ),
        ("nothing", String::new(), "InvalidToken"),
        ("no token", "c0ffee".into(), "InvalidToken"),
        ("two parts", "a.b".into(), "InvalidToken"),
        ("endless", "a".repeat(1_000_000), "the token is too long"),
    ];
    for (what, token, reason) in table {
        assert_eq!(said(verifier.verify(&token).await), refused(reason), "{what}");
    }

    // Reasons in the words of a parser.
    for (what, token, reason) in [
        (
            "alg none",
            token(&header("none", "rsa"), &claims(), |_| vec![]),
            "unknown variant `none`",
        ),
        ("garbage", "a.b.c".into(), "Base64 error"),
        ("no JSON", format!("{}.e30.c2ln", b64("hi")), "JSON error"),
        ("aud of no text", changed(json!({"aud": {"petrel": 1}})), "JSON error"),
        ("sub of no text", changed(json!({"sub": 7})), "JSON error"),
    ] {
        let (kind, message, source) = said(verifier.verify(&token).await);
        assert_eq!(
            (kind, message.as_str()),
            (ErrorKind::Unauthenticated, "the token is not valid")
        );
        assert!(source.contains(reason), "{what}: {source}");
    }

    let expired = said(verifier.verify(&changed(json!({"exp": now_s() - 40}))).await);
    let words = ("the token has expired".into(), "ExpiredSignature".into());
    assert_eq!(expired, (ErrorKind::Unauthenticated, words.0, words.1));
}

#[tokio::test]
async fn what_is_not_expected_is_not_checked() {
    let issuer = Issuer::with([Some(vec![rsa_jwk("rsa")])]);
    let verifier = Verifier::issuer(issuer, Expected::default());
    let any = rs256(&claims_but(json!({"iss": null, "aud": "whatever"})));
    assert_eq!(verifier.verify(&any).await.unwrap().as_str(), "ana");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_a_withdrawn_one_forgotten() {
    let (old, new) = (ec_key(), ec_key());
    let issuer = Issuer::with([
        Some(vec![ec_jwk(&old, "old")]),
        Some(vec![ec_jwk(&old, "old"), ec_jwk(&new, "new")]),
        Some(vec![ec_jwk(&new, "new")]),
    ]);
    let verifier = issuer.verifier();
    verifier.verify(&ec_token(&old, "old")).await.unwrap();
    verifier.verify(&ec_token(&old, "old")).await.unwrap();
    assert_eq!(issuer.fetches(), 1);

    advance(REFETCH_AFTER).await;
    verifier.verify(&ec_token(&new, "new")).await.unwrap();
    verifier.verify(&ec_token(&old, "old")).await.unwrap();
    assert_eq!(issuer.fetches(), 2);

    advance(MAX_AGE + Duration::from_secs(1)).await;
    let gone = said(verifier.verify(&ec_token(&old, "old")).await);
    assert_eq!(gone, refused("the token is signed with an unknown key"));
    verifier.verify(&ec_token(&new, "new")).await.unwrap();
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn invented_keys_do_not_hammer_the_issuer() {
    let issuer = Issuer::with([Some(vec![rsa_jwk("rsa")])]);
    let verifier = issuer.verifier();
    let garbage = |n: usize| ec_token(&ec_key(), &format!("invented-{n}"));
    let garbage: Vec<String> = (0..50).map(garbage).collect();
    let at_once = garbage.iter().map(|token| verifier.verify(token));
    assert!(futures::future::join_all(at_once).await.iter().all(Result::is_err));
    assert_eq!(issuer.fetches(), 1);
    for token in &garbage {
        verifier.verify(token).await.unwrap_err();
        advance(Duration::from_millis(200)).await;
    }
    // 10 s at 5 s each.
    assert_eq!(issuer.fetches(), 2);
    verifier.verify(&rs256(&claims())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn known_keys_outlive_an_outage_of_the_issuer() {
    let key = ec_key();
    let issuer = Issuer::with([Some(vec![ec_jwk(&key, "known")]), None]);
    let verifier = issuer.verifier();
    verifier.verify(&ec_token(&key, "known")).await.unwrap();
    advance(MAX_AGE * 3).await;
    verifier.verify(&ec_token(&key, "known")).await.unwrap();
    assert_eq!(issuer.fetches(), 2);

    // Who cannot be judged is not turned away for good.
    let (kind, _, reason) = said(verifier.verify(&ec_token(&key, "new")).await);
    assert_eq!((kind, reason.as_str()), (ErrorKind::Busy, "the issuer's keys cannot be fetched"));
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_comes_back_is_asked_again() {
    let issuer = Issuer::with([None, Some(vec![]), Some(vec![rsa_jwk("rsa")])]);
    let verifier = issuer.verifier();
    let token = rs256(&claims());
    for _ in 0..2 {
        // Out, and then without a key that can be used.
        assert_eq!(verifier.verify(&token).await.unwrap_err().kind, ErrorKind::Busy);
        advance(REFETCH_AFTER).await;
    }
    verifier.verify(&token).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_may_be_there_before_the_first_token() {
    let limit = Duration::from_secs(1);
    let issuer = Issuer::with([Some(vec![rsa_jwk("rsa")])]);
    let verifier = issuer.verifier();
    verifier.warm(limit).await;
    verifier.verify(&rs256(&claims())).await.unwrap();
    assert_eq!(issuer.fetches(), 1);

    // An issuer that could not be asked at the start is asked again by the first token, not 5 s later.
    let issuer = Issuer::with([None, Some(vec![rsa_jwk("rsa")])]);
    let verifier = issuer.verifier();
    verifier.warm(limit).await;
    verifier.verify(&rs256(&claims())).await.unwrap();

    // And one that does not answer holds nobody up for longer than the limit.
    struct Silent;
    #[async_trait]
    impl FetchKeys for Silent {
        async fn fetch(&self) -> Result<Vec<u8>, BoxError> {
            std::future::pending().await
        }
    }
    let start = Instant::now();
    Verifier::issuer(Silent, expected()).warm(limit).await;
    assert_eq!(start.elapsed(), limit);
}

#[tokio::test]
async fn keys_that_we_cannot_use_do_not_take_the_others_with_them() {
    let mut encryption = rsa_jwk("rsa");
    encryption["use"] = json!("enc");
    let unknown = json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"});
    let keys = vec![json!("?"), json!({"kid": 7}), unknown, encryption, rsa_jwk("rsa")];
    let verifier = Issuer::with([Some(keys)]).verifier();
    verifier.verify(&rs256(&claims())).await.unwrap();
}

#[tokio::test]
async fn a_local_key_signs_what_it_verifies() {
    let key = LocalKey::new([7; 32]).unwrap();
    let ana = UserId::parse("ana").unwrap();
    let hour = Duration::from_secs(3_600);
    let now = SystemWorld.now_ms();
    let signed = |key: &LocalKey, now| sign(key, &ana, ISSUER, "petrel", now, hour, None).unwrap();
    let verifier = Verifier::local(&key, expected());
    assert_eq!(verifier.verify(&signed(&key, now)).await.unwrap(), ana);

    let other = LocalKey::new([8; 32]).unwrap();
    assert_eq!(said(verifier.verify(&signed(&other, now)).await), refused("InvalidSignature"));
    let old = said(verifier.verify(&signed(&key, now - 2 * 3_600_000)).await);
    assert_eq!(old.1, "the token has expired");
    assert_eq!(said(verifier.verify(&rs256(&claims())).await), refused("InvalidAlgorithm"));
    let unsigned = token(&json!({"alg": "none"}), &claims(), |_| vec![]);
    verifier.verify(&unsigned).await.unwrap_err();
}

#[test]
fn a_local_key_is_long_enough_and_not_printed() {
    assert_eq!(
        LocalKey::new([7; 31]).unwrap_err().to_string(),
        "a signing key has at least 32 bytes"
    );
    let key = LocalKey::new(*b"a secret that nobody may ever see").unwrap();
    assert_eq!(format!("{key:?}"), "LocalKey");
    let verifier = format!("{:?}", Verifier::local(&key, expected()));
    assert!(!verifier.contains("secret") && !verifier.contains("97, 32"), "{verifier}");
}
