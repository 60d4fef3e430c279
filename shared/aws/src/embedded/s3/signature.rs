//! Signature Version 4 as S3 checks it, in a header or in the query of a presigned URL. Written after AWS's description
//! and not with the SDK's signer, so that the one shows what the other does wrong.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::HeaderMap;
use http::request::Parts;
use ring::{digest, hmac};

use super::refusal::Refusal;

/// How far the clocks may differ.
const SKEW: Duration = Duration::from_secs(900);
/// The longest life of a presigned URL, seconds: seven days.
const LONGEST: u64 = 604_800;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Who may sign, and for where.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) region: String,
}

/// What a request says of its signature.
struct Claim {
    credential: String,
    signed_headers: String,
    signature: String,
    date: String,
    /// Seconds; `None` in a header, where the signature is for now.
    expires: Option<u64>,
}

/// Checks the signature, and returns the hash (hex) that the body must have, if it is signed.
pub(crate) fn verify(
    keys: &Keys,
    now: SystemTime,
    head: &Parts,
) -> Result<Option<String>, Refusal> {
    let query = pairs(head.uri.query().unwrap_or_default())?;
    let claim = claim(&query, &head.headers)?;
    in_time(&claim, now)?;
    let day = claim.date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/s3/aws4_request", keys.region);
    let Some((id, given_scope)) = claim.credential.split_once('/') else {
        return Err(Refusal::denied("the credential is malformed"));
    };
    if id != keys.id {
        return Err(Refusal::new(403, "InvalidAccessKeyId", "there is no such access key"));
    }
    if given_scope != scope {
        return Err(Refusal::denied("the credential is for another day, region or service"));
    }
    let names: Vec<&str> = claim.signed_headers.split(';').collect();
    all_are_signed(&head.headers, &names)?;
    let stated = only(&head.headers, "x-amz-content-sha256");
    let payload = match (stated, claim.expires) {
        (Some(hash), _) => hash,
        (None, Some(_)) => UNSIGNED,
        (None, None) => return Err(Refusal::bad("x-amz-content-sha256 is missing")),
    };
    let canonical = canonical(head, &query, &names, payload)?;
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", claim.date, sha256(canonical.as_bytes()));
    let key = signing_key(keys, day);
    let signature = unhex(&claim.signature).unwrap_or_default();
    if hmac::verify(&key, to_sign.as_bytes(), &signature).is_err() {
        let words = "the signature does not match the request";
        return Err(Refusal::new(403, "SignatureDoesNotMatch", words));
    }
    match payload {
        UNSIGNED => Ok(None),
        hash if unhex(hash).is_some_and(|h| h.len() == 32) => Ok(Some(hash.to_owned())),
        _ => Err(Refusal::unknown("a body that is signed in parts")),
    }
}

fn claim(query: &[(String, String)], headers: &HeaderMap) -> Result<Claim, Refusal> {
    let asked = |name: &str| {
        let mut found = query.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone());
        found.next().filter(|_| found.next().is_none())
    };
    let part = |name: &str| asked(name).ok_or_else(|| Refusal::denied("the query is not signed"));
    if query.iter().any(|(name, _)| name == "X-Amz-Algorithm") {
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Refusal::denied("no such algorithm"));
        }
        let expires = part("X-Amz-Expires")?.parse().ok().filter(|s| (1..=LONGEST).contains(s));
        return Ok(Claim {
            credential: part("X-Amz-Credential")?,
            signed_headers: part("X-Amz-SignedHeaders")?,
            signature: part("X-Amz-Signature")?,
            date: part("X-Amz-Date")?,
            expires: Some(expires.ok_or_else(|| Refusal::denied("X-Amz-Expires is out of range"))?),
        });
    }
    let header = only(headers, "authorization").and_then(|h| h.strip_prefix(ALGORITHM));
    let header = header.ok_or_else(|| Refusal::denied("the request is not signed"))?;
    let of = |name: &str| {
        let mut parts = header.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(n, _)| *n == name).map(|(_, value)| value.to_owned())
    };
    let part = |name: &str| of(name).ok_or_else(|| Refusal::denied("the signature is malformed"));
    let date = only(headers, "x-amz-date").unwrap_or_default().to_owned();
    Ok(Claim {
        credential: part("Credential")?,
        signed_headers: part("SignedHeaders")?,
        signature: part("Signature")?,
        date,
        expires: None,
    })
}

fn in_time(claim: &Claim, now: SystemTime) -> Result<(), Refusal> {
    let signed = instant(&claim.date).ok_or_else(|| Refusal::denied("the date is malformed"))?;
    if signed > now + SKEW {
        return Err(Refusal::new(403, "RequestTimeTooSkewed", "the request is not yet valid"));
    }
    let end = match claim.expires {
        Some(seconds) => signed + Duration::from_secs(seconds),
        None => signed + SKEW,
    };
    if now >= end {
        return Err(Refusal::denied("the request has expired"));
    }
    Ok(())
}

/// `20130524T000000Z`.
fn instant(date: &str) -> Option<SystemTime> {
    let digits = |range| date.get::<std::ops::Range<usize>>(range);
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    let written = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    if date.len() != 16 || date.as_bytes().get(8) != Some(&b'T') || !date.ends_with('Z') {
        return None;
    }
    let parsed = DateTime::from_str(&written, Format::DateTime).ok()?;
    SystemTime::try_from(parsed).ok()
}

/// S3 takes nothing that changes what a request means unless it is signed.
fn all_are_signed(headers: &HeaderMap, names: &[&str]) -> Result<(), Refusal> {
    let unsigned = headers.keys().map(http::HeaderName::as_str).find(|name| {
        (name.starts_with("x-amz-") || *name == "content-md5") && !names.contains(name)
    });
    match unsigned {
        Some(name) => Err(Refusal::denied(&format!("{name} is not signed"))),
        None if !names.contains(&"host") => Err(Refusal::denied("host is not signed")),
        None => Ok(()),
    }
}

fn canonical(
    head: &Parts,
    query: &[(String, String)],
    names: &[&str],
    payload: &str,
) -> Result<String, Refusal> {
    let path = encode(&decode(head.uri.path())?, true);
    let mut parts: Vec<_> = query
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name, false), encode(value, false)))
        .collect();
    parts.sort();
    let parts: Vec<_> = parts.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = String::new();
    for name in names {
        let value = value(head, name).ok_or_else(|| {
            let words = format!("{name} is signed, and the request does not have it");
            Refusal::new(403, "SignatureDoesNotMatch", &words)
        })?;
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let (method, query, names) = (&head.method, parts.join("&"), names.join(";"));
    Ok(format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}"))
}

/// A header's lines as they are signed. A client without a socket leaves the host in the URL.
fn value(head: &Parts, name: &str) -> Option<String> {
    let lines = head.headers.get_all(name).into_iter();
    let lines: Option<Vec<_>> = lines.map(|line| line.to_str().ok().map(squeeze)).collect();
    match lines {
        Some(lines) if !lines.is_empty() => Some(lines.join(",")),
        _ if name == "host" => head.uri.authority().map(ToString::to_string),
        _ => None,
    }
}

fn squeeze(line: &str) -> String {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn signing_key(keys: &Keys, day: &str) -> hmac::Key {
    let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
    let start = key(format!("AWS4{}", keys.secret).as_bytes());
    [day, &keys.region, "s3", "aws4_request"]
        .into_iter()
        .fold(start, |last, part| key(hmac::sign(&last, part.as_bytes()).as_ref()))
}

/// The value of a header that may stand there once.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).into_iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

/// The names and values of a query, decoded. A `+` is a plus.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Takes percent-encoding away.
pub(crate) fn decode(text: &str) -> Result<String, Refusal> {
    let malformed = || Refusal::new(400, "InvalidURI", "the URL cannot be read");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        bytes.push(digits.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(malformed)?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// Percent-encodes all but what RFC 3986 leaves alone, and the slashes of a path.
fn encode(text: &str, path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (path && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// In lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's own description.
    fn example(url: &str) -> Parts {
        let request = http::Request::get(url).header("host", "examplebucket.s3.amazonaws.com");
        request.body(()).unwrap().into_parts().0
    }

    const URL: &str = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

    fn keys() -> Keys {
        Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            region: "us-east-1".to_owned(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        instant("20130524T000000Z").unwrap() + Duration::from_secs(seconds)
    }

    fn code(url: &str, now: SystemTime) -> Option<&'static str> {
        verify(&keys(), now, &example(url)).err().map(|refusal| refusal.code)
    }

    #[test]
    fn the_example_of_aws_is_good_for_a_day() {
        assert_eq!(code(URL, at(0)), None);
        assert_eq!(code(URL, at(86_399)), None);
        assert_eq!(code(URL, at(86_400)), Some("AccessDenied"));
        assert_eq!(code(URL, at(0) - Duration::from_secs(901)), Some("RequestTimeTooSkewed"));
    }

    #[test]
    fn whatever_is_changed_spoils_it() {
        for (from, to) in [
            ("test.txt", "test2.txt"),
            ("86400", "86401"),
            ("X-Amz-Expires", "response-content-type=text%2Fhtml&X-Amz-Expires"),
            ("aeeed", "beeed"),
            ("X-Amz-Signature=", "X-Amz-Signature="),
        ] {
            let changed = URL.replace(from, to);
            assert_eq!(code(&changed, at(1)).is_some(), from != to, "{from} to {to}");
        }
        let put = http::Request::put(URL).header("host", "examplebucket.s3.amazonaws.com");
        let put = put.body(()).unwrap().into_parts().0;
        assert_eq!(verify(&keys(), at(1), &put).unwrap_err().code, "SignatureDoesNotMatch");
        assert_eq!(code(&URL.replace("AKIA", "BKIA"), at(1)), Some("InvalidAccessKeyId"));
        assert_eq!(code(&URL.replace("us-east-1", "us-west-2"), at(1)), Some("AccessDenied"));
        assert_eq!(
            code("https://examplebucket.s3.amazonaws.com/test.txt", at(1)),
            Some("AccessDenied")
        );
    }

    #[test]
    fn a_header_that_means_something_must_be_signed() {
        let mut head = example(URL);
        head.headers.insert("x-amz-meta-owner", "eve".parse().unwrap());
        assert_eq!(verify(&keys(), at(1), &head).unwrap_err().code, "AccessDenied");
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for bad in ["%", "%1", "%zz", "%ff", "%é"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
        assert_eq!(decode("a%20b+c").unwrap(), "a b+c");
    }
}
