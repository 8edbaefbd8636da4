//! Which tokens connect, and with which code the others do not (T-02 to T-05, T-11).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use sealcast_client::Frame;
use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, token};

/// How a connect ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Connected,
    Error(u64),
    Close(u16),
}

use Outcome::{Close, Connected, Error};

const INVALID: Outcome = Close(3500);
const EXPIRED: Outcome = Error(109);

#[tokio::test]
async fn each_token_has_its_outcome() {
    let node = TestNode::start().await;
    let now = token::now();
    let with = |changes: Value| {
        let mut claims = json!({ "sub": "ada", "exp": now + 600 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        token::signed(claims)
    };
    let without = |name: &str| {
        let mut claims = json!({ "sub": "ada", "exp": now + 600 });
        claims.as_object_mut().unwrap().remove(name);
        token::signed(claims)
    };
    let claims = json!({ "sub": "ada", "exp": now + 600 });
    let good = token::signed(claims.clone());
    let mut parts = good.split('.');
    let (header, body, signature) =
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let headed = |header: Value| token::signed_text(&header.to_string(), &claims.to_string());
    let twice = format!(r#"{{"sub":"ada","exp":1,"exp":{}}}"#, now + 600);

    let rows: Vec<(&str, String, Outcome)> = vec![
        ("good", good.clone(), Connected),
        ("a float exp", with(json!({ "exp": now as f64 + 600.5 })), Connected),
        ("nbf in the past", with(json!({ "nbf": now - 60 })), Connected),
        ("iat a little ahead", with(json!({ "iat": now + 20 })), Connected),
        ("info", with(json!({ "info": { "name": "Ada" } })), Connected),
        ("unknown claims", with(json!({ "jti": "1", "meta": {}, "novelty": [1] })), Connected),
        ("aud and iss that nobody asks for", with(json!({ "aud": "x", "iss": "y" })), Connected),
        ("typ in another case", headed(json!({ "alg": "HS256", "typ": "jwt" })), Connected),
        ("never expires, with a short token", with(json!({ "expire_at": 0 })), Connected),
        ("expired", with(json!({ "exp": now - 60 })), EXPIRED),
        // An error 110 would end the client for good.
        ("expired within the leeway", with(json!({ "exp": now - 5 })), EXPIRED),
        ("exp of zero", with(json!({ "exp": 0 })), EXPIRED),
        ("a negative exp", with(json!({ "exp": -1 })), EXPIRED),
        ("nbf in the future", with(json!({ "nbf": now + 60 })), EXPIRED),
        ("no exp", without("exp"), INVALID),
        ("a text as exp", with(json!({ "exp": (now + 600).to_string() })), INVALID),
        ("null as exp", with(json!({ "exp": null })), INVALID),
        ("a list as exp", with(json!({ "exp": [now + 600] })), INVALID),
        ("a huge exp", with(json!({ "exp": u64::MAX })), INVALID),
        ("a text as nbf", with(json!({ "nbf": "1" })), INVALID),
        ("exp twice", token::signed_text(token::HEADER, &twice), INVALID),
        ("iat in the future", with(json!({ "iat": now + 300 })), INVALID),
        ("lives too long", with(json!({ "exp": now + 36_000 })), INVALID),
        ("no sub", without("sub"), INVALID),
        ("an empty sub", with(json!({ "sub": "" })), INVALID),
        ("a number as sub", with(json!({ "sub": 42 })), INVALID),
        ("a sub with a line break", with(json!({ "sub": "a\nb" })), INVALID),
        ("a sub of 256 bytes", with(json!({ "sub": "a".repeat(256) })), INVALID),
        ("a subscription token", with(json!({ "channel": "room" })), INVALID),
        ("a null channel is one too", with(json!({ "channel": null })), INVALID),
        ("no token at all", "nothing".into(), INVALID),
        ("two segments", format!("{header}.{body}"), INVALID),
        ("four segments", format!("{good}.{signature}"), INVALID),
        ("five segments", format!("{good}.a.b"), INVALID),
        ("no signature", format!("{header}.{body}."), INVALID),
        ("padded", format!("{good}="), INVALID),
        ("a flipped signature", flipped(&good), INVALID),
        ("over 8 KiB", with(json!({ "jti": "x".repeat(9_000) })), INVALID),
        (
            "another secret",
            token::signed_with(claims.clone(), &"o".repeat(40), Algorithm::HS256),
            INVALID,
        ),
        ("HS384", token::signed_with(claims.clone(), token::SECRET, Algorithm::HS384), INVALID),
        ("HS512", token::signed_with(claims.clone(), token::SECRET, Algorithm::HS512), INVALID),
        ("alg none", unsigned("none", &claims), INVALID),
        ("alg NoNe", unsigned("NoNe", &claims), INVALID),
        ("alg RS256 over HS256", headed(json!({ "alg": "RS256" })), INVALID),
        ("alg absent", headed(json!({ "typ": "JWT" })), INVALID),
        ("another typ", headed(json!({ "alg": "HS256", "typ": "at+jwt" })), INVALID),
        ("jku", headed(json!({ "alg": "HS256", "jku": "https://evil.example/k" })), INVALID),
        ("jwk", headed(json!({ "alg": "HS256", "jwk": {} })), INVALID),
        ("x5u", headed(json!({ "alg": "HS256", "x5u": "https://evil.example/k" })), INVALID),
        ("x5c", headed(json!({ "alg": "HS256", "x5c": [] })), INVALID),
        ("crit", headed(json!({ "alg": "HS256", "crit": ["exp"] })), INVALID),
        ("b64", headed(json!({ "alg": "HS256", "b64": false })), INVALID),
        ("zip", headed(json!({ "alg": "HS256", "zip": "DEF" })), INVALID),
    ];
    check(&node, rows).await;
    let refused = node.number(
        "sealcast_auth_total{method=\"jwt\",result=\"failure\",reason=\"alg_not_allowed\"}",
    );
    assert_eq!(refused, 6.0);
}

#[tokio::test]
async fn issuer_and_audience_are_demanded_once_configured() {
    let token = json!({ "issuer": "https://issuer.example", "audience": "sealcast" });
    let node = TestNode::with(json!({ "client": { "token": token } })).await;
    let claims = |iss: Value, aud: Value| {
        token::signed(json!({ "sub": "ada", "exp": token::now() + 60, "iss": iss, "aud": aud }))
    };
    let issuer = json!("https://issuer.example");
    let rows = vec![
        ("both right", claims(issuer.clone(), json!("sealcast")), Connected),
        ("among several", claims(issuer.clone(), json!(["x", "sealcast"])), Connected),
        ("another audience", claims(issuer.clone(), json!("other")), INVALID),
        ("no audience", claims(issuer.clone(), json!([])), INVALID),
        ("another issuer", claims(json!("https://issuer.example/"), json!("sealcast")), INVALID),
        ("neither", token::of("ada"), INVALID),
    ];
    check(&node, rows).await;
}

async fn check(node: &TestNode, rows: Vec<(&str, String, Outcome)>) {
    let mut wrong = Vec::new();
    for (name, token, expected) in rows {
        let outcome = connect(node, &token).await;
        if outcome != expected {
            wrong.push(format!("{name}: {outcome:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

async fn connect(node: &TestNode, token: &str) -> Outcome {
    let mut wire = Wire::open(node).await;
    wire.say(&format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)).await;
    match wire.0.next_frame(PATIENCE).await {
        Ok(Frame::Text(text)) => {
            let answer: Value = serde_json::from_str(&text).unwrap();
            answer["error"]["code"].as_u64().map_or(Connected, Error)
        }
        Ok(Frame::Close(code, _)) => Close(code.unwrap_or(0)),
        other => panic!("{other:?}"),
    }
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    format!("{signed}.")
}

/// The token with one bit of its signature changed.
fn flipped(token: &str) -> String {
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[0] ^= 1;
    format!("{rest}.{}", URL_SAFE_NO_PAD.encode(bytes))
}
