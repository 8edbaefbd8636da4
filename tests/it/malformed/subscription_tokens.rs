//! Subscription tokens, of a client that has connected (protocol 4.2, 4.3). Their
//! signature holds, unless a case is about it.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{Case, Close, Error, Expected, Input};
use crate::support::token::{self, HEADER, signed_text};

const INVALID: Expected = Error(103);
const EXPIRED: Expected = Error(109);
const NOT_FOR_THIS: Expected = Close(3500);

pub(super) fn cases() -> Vec<Case> {
    let claims = json!({ "sub": "ada", "channel": "$room", "exp": token::now() + 600 });
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        claims
    };
    let good = token::signed(claims.clone());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let text = |claims: &Value| claims.to_string();
    let headed = |header: &str| signed_text(header, &text(&claims));
    let raw = |more: &str| {
        let claims = text(&claims);
        signed_text(HEADER, &format!("{}{more}}}", claims.strip_suffix('}').unwrap()))
    };
    let changed = |name: &str, value: Value| token::signed(changed(name, value));
    let rows: Vec<(&str, String, Expected, &'static str)> = vec![
        ("nothing like one", "x".into(), INVALID, "protocol 4.3"),
        ("no signature", format!("{signed}."), INVALID, "R-01"),
        ("no payload", format!("{}..{signature}", &signed[..4]), INVALID, "R-01"),
        ("padded", format!("{good}=="), INVALID, "R-01"),
        ("a byte more", format!("{good}A"), INVALID, "R-01"),
        (
            "another secret",
            token::signed_with(claims.clone(), &"z".repeat(40), Algorithm::HS256),
            INVALID,
            "R-01",
        ),
        (
            "another algorithm",
            token::signed_with(claims.clone(), token::SECRET, Algorithm::HS512),
            INVALID,
            "R-02",
        ),
        ("alg none", headed(r#"{"alg":"none"}"#), INVALID, "R-02"),
        ("a key of its own", headed(r#"{"alg":"HS256","jwk":{"kty":"oct"}}"#), INVALID, "R-05"),
        ("another type", headed(r#"{"alg":"HS256","typ":"at+jwt"}"#), INVALID, "R-04"),
        ("a connection token", changed("channel", Value::Null), INVALID, "protocol 12.8, R-04"),
        ("a null channel", raw(r#","channel":null"#), INVALID, "RFC 7519 4"),
        ("channel twice", raw(r#","channel":"$room""#), INVALID, "RFC 7519 4"),
        ("a channel that is a list", changed("channel", json!(["$room"])), INVALID, "protocol 4.2"),
        ("a channel that is a number", changed("channel", json!(1)), INVALID, "protocol 4.2"),
        ("an empty channel", changed("channel", json!("")), INVALID, "protocol 4.2"),
        ("a channel that is no name", changed("channel", json!("$a b")), INVALID, "R-32"),
        ("another channel", changed("channel", json!("$other")), NOT_FOR_THIS, "protocol 4.3"),
        ("a part of the channel", changed("channel", json!("$roo")), NOT_FOR_THIS, "protocol 4.3"),
        ("another case", changed("channel", json!("$Room")), NOT_FOR_THIS, "protocol 4.3"),
        ("a pattern", changed("channel", json!("$*")), NOT_FOR_THIS, "protocol 4.3"),
        ("another user", changed("sub", json!("bob")), NOT_FOR_THIS, "protocol 4.2"),
        ("a longer user", changed("sub", json!("ada2")), NOT_FOR_THIS, "protocol 4.2"),
        ("another client", changed("client", json!("someone")), NOT_FOR_THIS, "protocol 4.2"),
        ("an empty client", changed("client", json!("")), NOT_FOR_THIS, "protocol 4.2"),
        ("a client that is a number", changed("client", json!(1)), INVALID, "protocol 4.2"),
        ("no user", changed("sub", Value::Null), INVALID, "R-03"),
        ("an empty user", changed("sub", json!("")), INVALID, "R-03"),
        ("no expiry", changed("exp", Value::Null), INVALID, "R-03"),
        ("an expiry of text", changed("exp", json!("never")), INVALID, "R-03"),
        ("expired", changed("exp", json!(token::now() - 60)), EXPIRED, "protocol 4.3"),
        ("not yet", changed("nbf", json!(token::now() + 60)), EXPIRED, "protocol 4.2"),
        ("issued later", changed("iat", json!(token::now() + 300)), INVALID, "R-03"),
        ("info in bad base64", changed("b64info", json!("!")), INVALID, "protocol 4.2"),
        ("info that is no JSON", changed("b64info", json!("AP8=")), INVALID, "protocol 2.1"),
        ("data in bad base64", changed("b64data", json!("=")), INVALID, "protocol 4.2"),
        ("info that is too long", changed("info", json!("x".repeat(3_000))), INVALID, "R-63"),
        ("an override of text", changed("override", json!("x")), INVALID, "protocol 4.2"),
        (
            "an override without value",
            changed("override", json!({ "force_recovery": {} })),
            INVALID,
            "protocol 4.2",
        ),
        (
            "an override that is bare",
            changed("override", json!({ "join_leave": true })),
            INVALID,
            "protocol 4.2",
        ),
    ];
    let mut cases: Vec<Case> = rows
        .into_iter()
        .map(|(name, token, expected, clause)| {
            let request = json!({ "channel": "$room", "token": token });
            let command = json!({ "id": 2, "subscribe": request }).to_string();
            Case::new(name, Input::Text(command), expected, clause)
        })
        .collect();
    let refresh = json!({ "id": 2, "sub_refresh": { "channel": "$room", "token": good } });
    cases.push(Case::new(
        "a refresh of no subscription",
        Input::Text(refresh.to_string()),
        INVALID,
        "protocol 3.4, 12.5",
    ));
    cases
}
