//! Tokens that an attacker makes of an issuer's public keys, or of another issuer's private ones.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use petrel_aws::token::{Verifier, is_access};
use petrel_core::error::ErrorKind;
use ring::rsa;
use serde_json::{Value, json};

use crate::token::{
    Issuer, b64, claims, claims_but, ec_jwk, ec_key, ec_signature, expected, hs256, now_s, rs256,
    rsa_components, rsa_jwk, rsa_signature, token,
};

async fn assert_refused(verifier: &Verifier, why: &str, token: &str) {
    let Err(error) = verifier.verify(token).await else { panic!("{why} is not refused") };
    assert_eq!(error.kind, ErrorKind::Unauthenticated, "{why}");
    assert_eq!(error.message, "the token is not valid", "{why}");
}

/// The public key in the spellings that a careless library would take for a secret.
fn spellings_of_the_public_key() -> Vec<(&'static str, Vec<u8>)> {
    let rsa::PublicKeyComponents { n, e } = rsa_components();
    let jwk = rsa_jwk("rsa");
    let der = [&[0x02][..], &n, &[0x02], &e].concat();
    let pem = |kind: &str| {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(&der))
    };
    vec![
        ("the modulus", n.clone()),
        ("the modulus in base64", b64(&n).into_bytes()),
        ("the exponent", e),
        ("the JWK", jwk.to_string().into_bytes()),
        ("the set", json!({"keys": [jwk]}).to_string().into_bytes()),
        ("DER", der.clone()),
        ("PEM", pem("PUBLIC KEY").into_bytes()),
        ("PEM without an end", pem("RSA PUBLIC KEY").trim_end().as_bytes().to_vec()),
        ("nothing", vec![]),
    ]
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let verifier = Issuer::with([Some(vec![rsa_jwk("rsa")])]).verifier();
    verifier.verify(&rs256(&claims())).await.unwrap();
    for (what, secret) in spellings_of_the_public_key() {
        for alg in ["HS256", "HS384", "HS512", "hs256", "none", "RS256", "PS256", "ES256", "EdDSA"]
        {
            let header = json!({"alg": alg, "kid": "rsa"});
            let forged = token(&header, &claims(), hs256(&secret));
            assert_refused(&verifier, &format!("{alg} with {what}"), &forged).await;
        }
    }
}

#[tokio::test]
async fn the_header_chooses_neither_key_nor_algorithm() {
    let attackers = ec_key();
    let issuers = ec_key();
    let verifier = Issuer::with([Some(vec![rsa_jwk("rsa"), ec_jwk(&issuers, "ec")])]).verifier();
    let jwk = ec_jwk(&attackers, "ec");
    let of = |header: Value| token(&header, &claims(), |m| ec_signature(&attackers, m));
    for (why, header) in [
        ("its own key", json!({"alg": "ES256", "kid": "ec", "jwk": jwk})),
        ("its own set", json!({"alg": "ES256", "kid": "ec", "jku": "https://evil.example/k"})),
        (
            "its own certificate",
            json!({"alg": "ES256", "kid": "ec", "x5u": "https://evil.example"}),
        ),
        ("a chain", json!({"alg": "ES256", "kid": "ec", "x5c": ["AAAA"], "x5t": "AAAA"})),
        ("no name", json!({"alg": "ES256"})),
        ("an empty name", json!({"alg": "ES256", "kid": ""})),
        ("a path", json!({"alg": "ES256", "kid": "../../ec"})),
        ("a path with NUL", json!({"alg": "ES256", "kid": "ec\u{0}"})),
        ("a URL", json!({"alg": "ES256", "kid": "https://evil.example/k#ec"})),
        ("SQL", json!({"alg": "ES256", "kid": "' OR '1'='1"})),
        ("a command", json!({"alg": "ES256", "kid": "|id"})),
        ("another's name", json!({"alg": "ES256", "kid": "rsa"})),
        ("capitals", json!({"alg": "ES256", "kid": "EC"})),
        ("blanks", json!({"alg": "ES256", "kid": " ec"})),
        ("a list", json!({"alg": "ES256", "kid": ["ec"]})),
        ("a list of algorithms", json!({"alg": ["ES256"], "kid": "ec"})),
        ("nothing critical", json!({"alg": "ES256", "kid": "ec", "crit": []})),
        (
            "an unencoded payload",
            json!({"alg": "ES256", "kid": "ec", "crit": ["b64"], "b64": false}),
        ),
        ("an endless name", json!({"alg": "ES256", "kid": "k".repeat(7_000)})),
        ("deep", json!({"alg": "ES256", "kid": "ec", "x": json!([[[[[[[[]]]]]]]])})),
    ] {
        assert_refused(&verifier, why, &of(header)).await;
    }
    // A signature of nothing but zeros is one of none (CVE-2022-21449), as is an empty one.
    for length in [0, 64] {
        let header = json!({"alg": "ES256", "kid": "ec"});
        let forged = token(&header, &claims(), |_| vec![0; length]);
        assert_refused(&verifier, "zeros", &forged).await;
    }
}

/// Two stacks, two issuers, and each gives its keys the same name.
#[tokio::test]
async fn another_issuers_token_is_none_whatever_it_says() {
    let (ours, theirs) = (ec_key(), ec_key());
    let verifier = Issuer::with([Some(vec![ec_jwk(&ours, "1")])]).verifier();
    let header = json!({"alg": "ES256", "kid": "1"});
    let good = token(&header, &claims(), |m| ec_signature(&ours, m));
    verifier.verify(&good).await.unwrap();
    for claims in [
        claims(),
        claims_but(json!({"iss": "https://theirs.example"})),
        claims_but(json!({"iss": ["https://issuer.example", "https://theirs.example"]})),
    ] {
        let forged = token(&header, &claims, |m| ec_signature(&theirs, m));
        assert_refused(&verifier, "of their key", &forged).await;
    }
    for iss in [
        json!("https://issuer.example/"),
        json!("HTTPS://ISSUER.EXAMPLE"),
        json!("https://issuer.example.evil.example"),
        json!("https://issuer.example\u{0}"),
        json!({"url": "https://issuer.example"}),
    ] {
        let claims = claims_but(json!({"iss": iss}));
        let mixed = token(&header, &claims, |m| ec_signature(&ours, m));
        assert!(verifier.verify(&mixed).await.is_err(), "{iss}");
    }
}

#[tokio::test]
async fn claims_count_once_and_as_they_are_written() {
    let verifier = Issuer::with([Some(vec![rsa_jwk("rsa")])]).verifier();
    let signed = |claims: &str| {
        let message = format!("{}.{}", b64(r#"{"alg":"RS256","kid":"rsa"}"#), b64(claims));
        let signature = b64(rsa_signature(message.as_bytes()));
        format!("{message}.{signature}")
    };
    let with = |first: &str| {
        let text = claims().to_string();
        signed(&format!("{{{first},{}", &text[1..]))
    };
    verifier.verify(&with(r#""x":1"#)).await.unwrap();
    for (why, first) in [
        ("two users", r#""sub":"bo""#),
        ("two users, the same", r#""sub":"ana""#),
        ("two audiences", r#""aud":"petrel""#),
        ("two issuers", r#""iss":"https://other.example""#),
        ("two ends", r#""exp":1"#),
        ("two uses", r#""token_use":"id","token_use":"access""#),
        ("an ID token", r#""token_use":"id""#),
        ("another use", r#""token_use":"refresh""#),
        ("an empty use", r#""token_use":"""#),
        ("not yet valid", &format!(r#""nbf":{}"#, now_s() + 3_600)),
    ] {
        assert_refused(&verifier, why, &with(first)).await;
    }
    for changed in [
        json!({"sub": "ana\u{0}"}),
        json!({"sub": "ana\n"}),
        json!({"sub": ["ana"]}),
        json!({"sub": "\u{430}na"}),
        json!({"sub": "a".repeat(65)}),
        json!({"sub": ".."}),
        json!({"sub": "u#ana"}),
        json!({"sub": "d:ana:bo"}),
        json!({"aud": "petrel "}),
        json!({"aud": "Petrel"}),
        json!({"aud": "other,petrel"}),
        json!({"aud": [["petrel"]]}),
        json!({"aud": [], "client_id": "petrel"}),
        json!({"aud": "other", "azp": "petrel"}),
        json!({"aud": null, "client_id": ["petrel"]}),
        json!({"exp": (now_s() + 600).to_string()}),
        json!({"exp": [now_s() + 600]}),
        json!({"exp": -1}),
    ] {
        let refused = verifier.verify(&rs256(&claims_but(changed.clone()))).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Unauthenticated, "{changed}");
    }
    verifier.verify(&rs256(&claims_but(json!({"token_use": "access"})))).await.unwrap();
    assert!(is_access(None) && is_access(Some("access")) && !is_access(Some("id")));
}

/// A set of keys that is not the issuer's to use does not become one.
#[tokio::test]
async fn weak_and_foreign_keys_of_a_set_are_not_used() {
    let rsa::PublicKeyComponents { n, e } = rsa_components();
    let symmetric = json!({"kty": "oct", "kid": "oct", "k": b64([7; 32])});
    let short = json!({"kty": "RSA", "kid": "short", "n": b64(&n[..64]), "e": b64(&e)});
    let one = json!({"kty": "RSA", "kid": "one", "n": b64(&n), "e": b64([1])});
    let other_curve =
        json!({"kty": "EC", "crv": "P-384", "kid": "384", "x": b64([1; 48]), "y": b64([1; 48])});
    let no_point =
        json!({"kty": "EC", "crv": "P-256", "kid": "off", "x": b64([1; 32]), "y": b64([1; 32])});
    let keys = vec![symmetric, short, one, other_curve, no_point, rsa_jwk("rsa")];
    let verifier = Verifier::issuer(Issuer::with([Some(keys)]), expected());
    for (alg, kid) in [
        ("HS256", "oct"),
        ("RS256", "short"),
        ("RS256", "one"),
        ("ES384", "384"),
        ("ES256", "384"),
        ("ES256", "off"),
    ] {
        let header = json!({"alg": alg, "kid": kid});
        assert_refused(&verifier, kid, &token(&header, &claims(), hs256(&[7; 32]))).await;
        // With e = 1 a signature is the padded hash itself; without a bound anyone could write it.
        assert_refused(&verifier, kid, &token(&header, &claims(), |_| n.clone())).await;
    }
    verifier.verify(&rs256(&claims())).await.unwrap();
}
