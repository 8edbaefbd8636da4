//! T-11, and the types of T-03: tokens that are early, late, of another issuer,
//! audience, purpose or key, each with its exact reason. T-04's headers are in
//! `form`, replays are up to a revocation list.

use super::*;
use Refused::{Expired, Invalid};

#[derive(Clone, Copy, PartialEq)]
enum As {
    Connection,
    Subscription,
}
use As::{Connection, Subscription};

const GOOD: Option<Refused> = None;

/// What is different from a good token: members and their new JSON text, an empty
/// one leaves the member out. Then the purpose, and what comes of it.
type Case = (&'static [(&'static str, &'static str)], As, Option<Refused>);

const CASES: &[Case] = &[
    (&[], Connection, GOOD),
    // Too late.
    (&[("exp", "1799999991")], Connection, GOOD),
    (&[("exp", "1799999990")], Connection, Some(Expired)),
    (&[("exp", "1799999999.5")], Connection, GOOD),
    (&[("exp", "1")], Connection, Some(Expired)),
    (&[("exp", "0")], Connection, Some(Expired)),
    (&[("exp", "-5")], Connection, Some(Expired)),
    (&[("exp", "")], Connection, Some(Invalid("no_expiry"))),
    (&[("exp", "\"1800000060\"")], Connection, Some(Invalid("bad_claims"))),
    (&[("exp", "null")], Connection, Some(Invalid("bad_claims"))),
    (&[("exp", "true")], Connection, Some(Invalid("bad_claims"))),
    (&[("exp", "[1800000060]")], Connection, Some(Invalid("bad_claims"))),
    (&[("exp", "9223372036854775808")], Connection, Some(Invalid("lives_too_long"))),
    (&[("exp", "1e400")], Connection, Some(Invalid("bad_claims"))),
    // Too long.
    (&[("exp", "1800003610")], Connection, GOOD),
    (&[("exp", "1800003611")], Connection, Some(Invalid("lives_too_long"))),
    (&[("iat", "1799996000")], Connection, Some(Invalid("lives_too_long"))),
    (&[("iat", "-1")], Connection, Some(Invalid("lives_too_long"))),
    // Too early.
    (&[("nbf", "1800000010")], Connection, GOOD),
    (&[("nbf", "1800000011")], Connection, Some(Expired)),
    (&[("nbf", "\"1\"")], Connection, Some(Invalid("bad_claims"))),
    (&[("nbf", "null")], Connection, Some(Invalid("bad_claims"))),
    (&[("iat", "1800000030")], Connection, GOOD),
    (&[("iat", "1800000031")], Connection, Some(Invalid("issued_in_future"))),
    (&[("iat", "\"1\"")], Connection, Some(Invalid("bad_claims"))),
    (&[("expire_at", "\"0\"")], Connection, Some(Invalid("bad_claims"))),
    // Of nobody.
    (&[("sub", "")], Connection, Some(Invalid("bad_subject"))),
    (&[("sub", "\"\"")], Connection, Some(Invalid("bad_subject"))),
    (&[("sub", "\"a\\u0000\"")], Connection, Some(Invalid("bad_subject"))),
    (&[("sub", "7")], Connection, Some(Invalid("bad_claims"))),
    (&[("sub", "null")], Connection, Some(Invalid("bad_claims"))),
    // Of another issuer.
    (&[("iss", "")], Connection, Some(Invalid("wrong_issuer"))),
    (&[("iss", "\"https://issuer.example/\"")], Connection, Some(Invalid("wrong_issuer"))),
    (&[("iss", "\"HTTPS://ISSUER.EXAMPLE\"")], Connection, Some(Invalid("wrong_issuer"))),
    (&[("iss", "[\"https://issuer.example\"]")], Connection, Some(Invalid("wrong_issuer"))),
    (&[("iss", "null")], Connection, Some(Invalid("wrong_issuer"))),
    // For another service.
    (&[("aud", "")], Connection, Some(Invalid("wrong_audience"))),
    (&[("aud", "\"relay2\"")], Connection, Some(Invalid("wrong_audience"))),
    (&[("aud", "[]")], Connection, Some(Invalid("wrong_audience"))),
    (&[("aud", "[\"other\"]")], Connection, Some(Invalid("wrong_audience"))),
    (&[("aud", "[\"other\",\"relay\"]")], Connection, GOOD),
    (&[("aud", "7")], Connection, Some(Invalid("bad_claims"))),
    (&[("aud", "[\"relay\",7]")], Connection, Some(Invalid("bad_claims"))),
    // For another purpose.
    (&[("channel", "\"room\"")], Connection, Some(Invalid("wrong_purpose"))),
    (&[("channel", "null")], Connection, Some(Invalid("wrong_purpose"))),
    (&[("channel", "\"room\"")], Subscription, GOOD),
    (&[], Subscription, Some(Invalid("wrong_purpose"))),
    (&[("channel", "null")], Subscription, Some(Invalid("bad_claims"))),
    (&[("channel", "7")], Subscription, Some(Invalid("bad_claims"))),
    (&[("channel", "\"\"")], Subscription, Some(Invalid("bad_channel"))),
    (&[("channel", "\"a room\"")], Subscription, Some(Invalid("bad_channel"))),
    (&[("channel", "\"room\""), ("client", "7")], Subscription, Some(Invalid("bad_claims"))),
    (&[("channel", "\"room\""), ("client", "null")], Subscription, Some(Invalid("bad_claims"))),
    (&[("channel", "\"room\""), ("sub", "")], Subscription, Some(Invalid("bad_subject"))),
    (&[("channel", "\"room\""), ("exp", "")], Subscription, Some(Invalid("no_expiry"))),
    (&[("channel", "\"room\""), ("exp", "1")], Subscription, Some(Expired)),
    (&[("channel", "\"room\""), ("iss", "")], Subscription, Some(Invalid("wrong_issuer"))),
    (&[("channel", "\"room\""), ("aud", "")], Subscription, Some(Invalid("wrong_audience"))),
];

#[test]
fn each_token_is_refused_for_its_own_reason() {
    assert!(CASES.len() >= 40);
    for algorithm in ["HS256", "ES256"] {
        let mut config = config(key(algorithm));
        config.connection.issuers[0].issuer = Some("https://issuer.example".into());
        config.connection.issuers[0].audience = Some("relay".into());
        let verifier = fit(&config);
        for (changes, purpose, expected) in CASES {
            let token = token(algorithm, &claims(changes));
            let told = match purpose {
                Connection => refusal(verifier.connection(&token, NOW)),
                Subscription => refusal(verifier.subscription(&token, NOW)),
            };
            assert_eq!(told, *expected, "{algorithm} {changes:?}");
        }
    }
}

#[test]
fn members_that_stand_twice_are_refused_known_or_not() {
    let verifier = verifier(key("HS256"));
    for twice in [
        r#""exp":1800000060"#,
        r#""sub":"ada""#,
        r#""iss":"a""#,
        r#""nbf":1"#,
        r#""aud":"a""#,
        r#""unheard_of":1"#,
        r#""channels":["a"]"#,
    ] {
        let claims = format!(r#"{{"sub":"ada","exp":1800000060,{twice},{twice}}}"#);
        let told = verifier.connection(&token("HS256", &claims), NOW);
        assert_eq!(refusal(told), Some(Invalid("bad_claims")), "{twice}");
    }
    let different = r#"{"a":1,"A":1,"sub":"ada","exp":1800000060}"#;
    assert!(verifier.connection(&token("HS256", different), NOW).is_ok());
}

fn claims(changes: &[(&str, &str)]) -> String {
    let base = [
        ("iss", "\"https://issuer.example\""),
        ("aud", "\"relay\""),
        ("sub", "\"ada\""),
        ("exp", "1800000060"),
    ];
    let kept = base.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let members: Vec<String> = kept
        .chain(changes)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
