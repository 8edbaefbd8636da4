//! Connection tokens. Their signature holds, unless a case is about it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::{Case, Close, Error, Expected, Input};
use crate::support::token::{self, HEADER, signed_text};

const INVALID: Expected = Close(3500);
const EXPIRED: Expected = Error(109);

pub(super) fn cases() -> Vec<Case> {
    let all = [headers(), forms(), signatures(), claims(), times(), subscriptions()];
    all.into_iter().flatten().collect()
}

fn case(name: impl Into<String>, token: &str, expected: Expected, clause: &'static str) -> Case {
    let connect = json!({ "id": 1, "connect": { "token": token } }).to_string();
    Case::new(name, Input::First(connect), expected, clause)
}

/// The claims of a good token, and more; what stands twice is meant to.
fn with(more: &str) -> String {
    format!(r#"{{"sub":"ada","exp":{}{more}}}"#, token::now() + 600)
}

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (header, clause) in [
        ("", "RFC 7515 4"),
        ("x", "RFC 7515 4"),
        ("[]", "RFC 7515 4"),
        ("null", "RFC 7515 4"),
        ("\"HS256\"", "RFC 7515 4"),
        ("{}", "RFC 7515 4.1.1"),
        (r#"["HS256","JWT"]"#, "RFC 7515 4"),
        (r#"{"alg":"HS256"}x"#, "RFC 7515 4"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "RFC 7515 4"),
        (r#"{"alg":"HS256","x":1,"x":1}"#, "RFC 7515 4"),
        (r#"{"alg":"hs256"}"#, "R-01, RFC 7515 4.1.1"),
        (r#"{"alg":"HS256 "}"#, "R-01, RFC 7515 4.1.1"),
        (r#"{"alg":"HMAC"}"#, "R-02"),
        (r#"{"alg":""}"#, "R-02"),
        (r#"{"alg":null}"#, "R-01, RFC 7515 4.1.1"),
        (r#"{"alg":256}"#, "R-01, RFC 7515 4.1.1"),
        (r#"{"alg":["HS256"]}"#, "R-01, RFC 7515 4.1.1"),
        (r#"{"alg":"none"}"#, "R-02"),
        (r#"{"alg":"HS384"}"#, "R-02"),
        (r#"{"alg":"ES256"}"#, "R-02"),
        (r#"{"alg":"EdDSA"}"#, "R-02"),
        (r#"{"alg":"PS256"}"#, "R-02"),
        (r#"{"alg":"ES512"}"#, "R-02"),
        (r#"{"alg":"dir","enc":"A256GCM"}"#, "R-02"),
        (r#"{"alg":"HS256","typ":1}"#, "R-01, RFC 7519 5.1"),
        (r#"{"alg":"HS256","typ":null}"#, "R-01, RFC 7519 5.1"),
        (r#"{"alg":"HS256","typ":"JWE"}"#, "R-04"),
        (r#"{"alg":"HS256","typ":""}"#, "R-04"),
        (r#"{"alg":"HS256","typ":"refresh+jwt"}"#, "R-04"),
        (r#"{"alg":"HS256","crit":[]}"#, "R-05"),
        (r#"{"alg":"HS256","b64":true}"#, "R-05"),
        (r#"{"alg":"HS256","jwk":null}"#, "R-05"),
        (r#"{"alg":"HS256","jku":""}"#, "R-05"),
        (r#"{"alg":"HS256","x5u":1}"#, "R-05"),
        (r#"{"alg":"HS256","x5c":["MIIB"]}"#, "R-05"),
        (r#"{"alg":"HS256","zip":""}"#, "R-05"),
        (r#"{"alg":"HS256","enc":"A128GCM"}"#, "R-05"),
        (r#"{"alg":"HS256","epk":{}}"#, "R-05"),
    ] {
        cases.push(case(header, &signed_text(header, &with("")), INVALID, clause));
    }
    let deep = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    cases.push(case("a deep header", &signed_text(&deep, &with("")), INVALID, "R-01"));
    cases
}

/// What is no token at all, or nearly one.
fn forms() -> Vec<Case> {
    let good = signed_text(HEADER, &with(""));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let padded = URL_SAFE.encode(HEADER);
    let rows: Vec<(&str, String)> = vec![
        ("dots", "..".into()),
        ("three dots", "...".into()),
        ("a dot", ".".into()),
        ("a space", " ".into()),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("a space before", format!(" {good}")),
        ("a line break behind", format!("{good}\n")),
        ("a scheme before", format!("Bearer {good}")),
        ("in quotes", format!("\"{good}\"")),
        ("NUL behind", format!("{good}\0")),
        ("a line break within", format!("{header}.\n{payload}.{signature}")),
        ("parted by commas", good.replace('.', ",")),
        ("parted by full-width dots", good.replace('.', "\u{ff0e}")),
        ("a dot more before", format!(".{good}")),
        ("padded segments", format!("{padded}=.{payload}.{signature}")),
        ("characters that are no base64", format!("{header}.{payload}.{signature}*")),
        ("characters beyond ASCII", format!("{header}.{payload}\u{e9}.{signature}")),
        ("twice", format!("{good}{good}")),
        ("two, by a comma", format!("{good},{good}")),
        ("the claims alone", with("")),
        ("JSON serialization", json!({ "payload": payload, "signature": signature }).to_string()),
        ("8 KiB and a byte", "x".repeat(8_193)),
        ("8 KiB of dots", ".".repeat(8_192)),
    ];
    let form = |(name, token): (&str, String)| case(name, &token, INVALID, "R-01, RFC 7515 3.1");
    rows.into_iter().map(form).collect()
}

fn signatures() -> Vec<Case> {
    let good = signed_text(HEADER, &with(""));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let of = |bytes: &[u8]| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let other = signed_text(HEADER, &with(r#","jti":"other""#));
    let (_, of_other) = other.rsplit_once('.').unwrap();
    let mut last = bytes.clone();
    *last.last_mut().unwrap() ^= 0x80;
    let claims = json!({ "sub": "ada", "exp": token::now() + 600 });
    let with_secret = |secret: &str| token::signed_with(claims.clone(), secret, Algorithm::HS256);
    let rows: Vec<(&str, String)> = vec![
        ("a byte too few", of(&bytes[..31])),
        ("half", of(&bytes[..16])),
        ("one byte", of(&bytes[..1])),
        ("a byte too many", of(&[&bytes[..], &[0]].concat())),
        ("twice", of(&[&bytes[..], &bytes[..]].concat())),
        ("zeros", of(&[0; 32])),
        ("the last bit", of(&last)),
        ("another token's", format!("{signed}.{of_other}")),
        ("in hexadecimal", format!("{signed}.{}", hex(&bytes))),
        ("an empty secret", with_secret("")),
        ("the secret with a line break", with_secret(&format!("{}\n", token::SECRET))),
        ("the secret in base64", with_secret(&STANDARD.encode(token::SECRET))),
        ("half the secret", with_secret(&token::SECRET[..20])),
    ];
    let name = |name: &str| format!("signature: {name}");
    rows.into_iter().map(|(what, token)| case(name(what), &token, INVALID, "R-01")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn claims() -> Vec<Case> {
    let exp = token::now() + 600;
    let mut cases = Vec::new();
    for payload in ["", "x", "[]", "null", "\"ada\"", "1", "{}x", "{", "\u{feff}{}"] {
        let name = format!("the payload {payload:?}");
        cases.push(case(name, &signed_text(HEADER, payload), INVALID, "RFC 7519 7.2"));
    }
    for sub in ["null", "true", "42.5", "[]", "[\"ada\"]", "{}", "\"a\\u0000\"", "\"\\u009f\""] {
        let payload = format!(r#"{{"sub":{sub},"exp":{exp}}}"#);
        let name = format!("the subject {sub}");
        cases.push(case(name, &signed_text(HEADER, &payload), INVALID, "R-03, RFC 7519 4.1.2"));
    }
    let deep = format!(r#","x":{}{}"#, "[".repeat(40), "]".repeat(40));
    let long_info = format!(r#","info":"{}""#, "x".repeat(2_047));
    for (more, clause) in [
        (r#","sub":"ada""#, "RFC 7519 4"),
        (r#","x":1,"x":1"#, "RFC 7519 4"),
        (r#","channel":"""#, "R-04"),
        (r#","channel":false"#, "R-04"),
        (r#","channel":{}"#, "R-04"),
        (r#","aud":1"#, "RFC 7519 4.1.3"),
        (r#","aud":{}"#, "RFC 7519 4.1.3"),
        (r#","aud":[1]"#, "RFC 7519 4.1.3"),
        (r#","meta":[]"#, "protocol 4.2"),
        (r#","meta":"x""#, "protocol 4.2"),
        (r#","b64info":"!""#, "protocol 4.2"),
        (r#","b64info":"bm90IGpzb24=""#, "protocol 2.1, 4.2"),
        (r#","b64info":"MQ""#, "protocol 4.2"),
        (r#","b64info":1"#, "protocol 4.2"),
        (&long_info, "S4-22, R-63"),
        (&deep, "R-63"),
    ] {
        cases.push(case(more, &signed_text(HEADER, &with(more)), INVALID, clause));
    }
    cases
}

fn times() -> Vec<Case> {
    let now = token::now();
    let mut cases = Vec::new();
    for exp in ["true", "{}", "[]", "\"never\"", "1e999", "-1e999", "\"\""] {
        let payload = format!(r#"{{"sub":"ada","exp":{exp}}}"#);
        let name = format!("exp {exp}");
        cases.push(case(name, &signed_text(HEADER, &payload), INVALID, "R-03, RFC 7519 2"));
    }
    for more in [
        r#","nbf":null"#,
        r#","nbf":{}"#,
        r#","nbf":false"#,
        r#","iat":"x""#,
        r#","iat":null"#,
        r#","iat":[]"#,
        r#","expire_at":"0""#,
        r#","expire_at":null"#,
        r#","expire_at":{}"#,
    ] {
        cases.push(case(more, &signed_text(HEADER, &with(more)), INVALID, "R-03, RFC 7519 2"));
    }
    for more in [r#","nbf":1e300"#.to_owned(), format!(r#","nbf":{}.5"#, now + 300)] {
        cases.push(case(&more, &signed_text(HEADER, &with(&more)), EXPIRED, "protocol 4.2"));
    }
    for exp in ["1", "-1e300", "0.5"] {
        let payload = format!(r#"{{"sub":"ada","exp":{exp}}}"#);
        let name = format!("exp {exp}");
        cases.push(case(name, &signed_text(HEADER, &payload), EXPIRED, "protocol 4.2, 12.6"));
    }
    for exp in ["1e300", "18446744073709551616"] {
        let payload = format!(r#"{{"sub":"ada","exp":{exp}}}"#);
        let name = format!("exp {exp}");
        cases.push(case(name, &signed_text(HEADER, &payload), INVALID, "R-03"));
    }
    let past = format!(r#","expire_at":{}"#, now - 300);
    cases.push(case(&past, &signed_text(HEADER, &with(&past)), Error(110), "protocol 3.2"));
    cases
}

/// Server-side subscriptions that cannot be made.
fn subscriptions() -> Vec<Case> {
    let many: Vec<String> = (0..129).map(|n| format!("\"c{n}\"")).collect();
    let entries: Vec<String> = (0..129).map(|n| format!("\"c{n}\":{{}}")).collect();
    let (many, entries) = (many.join(","), entries.join(","));
    let mut cases = Vec::new();
    for (more, clause) in [
        (r#","channels":"room""#.to_owned(), "protocol 4.2"),
        (r#","channels":{}"#.into(), "protocol 4.2"),
        (r#","channels":[1]"#.into(), "protocol 4.2"),
        (r#","channels":[null]"#.into(), "protocol 4.2"),
        (r#","channels":[["room"]]"#.into(), "protocol 4.2"),
        (r#","channels":["a b"]"#.into(), "protocol 4.1, R-32"),
        (r#","channels":["\u00e9"]"#.into(), "protocol 4.1, R-32"),
        (format!(r#","channels":["{}"]"#, "n".repeat(256)), "protocol 4.1"),
        (format!(r#","channels":[{many}]"#), "R-63"),
        (r#","subs":[]"#.into(), "protocol 4.2"),
        (r#","subs":"room""#.into(), "protocol 4.2"),
        (r#","subs":{"room":null}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":[]}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":true}"#.into(), "protocol 4.2"),
        (r#","subs":{"a b":{}}"#.into(), "protocol 4.1, R-32"),
        (r#","subs":{"room":{},"room":{}}"#.into(), "RFC 7519 4"),
        (r#","subs":{"room":{"b64info":"!"}}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":{"b64data":"!"}}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":{"override":[]}}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":{"override":{"presence":true}}}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":{"override":{"presence":{}}}}"#.into(), "protocol 4.2"),
        (r#","subs":{"room":{"override":{"presence":{"value":1}}}}"#.into(), "protocol 4.2"),
        (format!(r#","subs":{{{entries}}}"#), "R-63"),
    ] {
        cases.push(case(&more, &signed_text(HEADER, &with(&more)), INVALID, clause));
    }
    let unknown = r#","channels":["nowhere:a"]"#;
    cases.push(case(unknown, &signed_text(HEADER, &with(unknown)), Error(102), "protocol 12.7"));
    cases
}
