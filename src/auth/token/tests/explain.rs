//! Each rule that a token can break is explained by the member that breaks it.

use super::super::{Explanation, advice};
use super::*;

fn explained(told: Result<Claims, Explanation>) -> (&'static str, String, String, String) {
    let Err(Explanation { rule, member, expected, found }) = told else { panic!("accepted") };
    (rule, member, expected, found)
}

fn strict() -> Verifier {
    let mut config = config(key("HS256"));
    config.connection.max_lifetime = Some(3_600);
    config.connection.issuers[0].issuer = Some("here".into());
    config.connection.issuers[0].audience = Some("relay".into());
    fit(&config)
}

#[test]
fn each_rule_names_its_member_with_expected_and_found() {
    let (past, soon) = (NOW - 100, NOW + 60);
    let base = format!(r#""iss":"here","aud":"relay","exp":{soon}"#);
    for (claims, rule, member, expected, found) in [
        (r#"{"sub":"a","iss":"there"}"#.into(), "wrong_issuer", "iss", "\"here\"", "\"there\""),
        (
            format!(r#"{{"sub":"a","iss":"here","aud":["x"],"exp":{soon}}}"#),
            "wrong_audience",
            "aud",
            "\"relay\"",
            "[\"x\"]",
        ),
        (
            format!(r#"{{"sub":"a","iss":"here","aud":"relay","exp":{past}}}"#),
            "expired",
            "exp",
            "later than now",
            "100 s ago",
        ),
        (format!(r#"{{"sub":"a",{base},"nbf":{}}}"#, NOW + 50), "expired", "nbf", "now", "in 50 s"),
        (format!(r#"{{"sub":"",{base}}}"#), "bad_subject", "sub", "user's id", "\"\""),
        (format!(r#"{{{base}}}"#), "bad_subject", "sub", "user's id", "none"),
        (format!(r#"{{"sub":"a","tenant":"",{base}}}"#), "bad_tenant", "tenant", "255", "\"\""),
        (format!(r#"{{"sub":"a","tenant":7,{base}}}"#), "bad_claims", "tenant", "a text", "7"),
        (r#"{"sub":"a","iss":"here","aud":"relay"}"#.into(), "no_expiry", "exp", "Unix", "none"),
        (
            format!(r#"{{"sub":"a",{base},"iat":{}}}"#, NOW + 99),
            "issued_in_future",
            "iat",
            "30",
            "",
        ),
        (
            format!(r#"{{"sub":"a","iss":"here","aud":"relay","exp":{}}}"#, NOW + 9_000),
            "lives_too_long",
            "exp",
            "3600 s",
            "9000 s",
        ),
        (format!(r#"{{"sub":"a",{base},"channel":"x"}}"#), "wrong_purpose", "channel", "none", "x"),
        (format!(r#"{{"sub":7,{base}}}"#), "bad_claims", "sub", "a text", "7"),
        (
            format!(r#"{{"sub":"a",{base},"meta":"canary"}}"#),
            "bad_claims",
            "meta",
            "object",
            "a text",
        ),
        (
            format!(r#"{{"sub":"a",{base},"channels":[7]}}"#),
            "bad_claims",
            "channels",
            "a list of texts",
            "[7]",
        ),
    ] {
        let told = explained(strict().explain_connection(&token("HS256", &claims), NOW));
        assert_eq!((told.0, told.1.as_str()), (rule, member), "{claims}: {told:?}");
        assert!(told.2.contains(expected) && told.3.contains(found), "{claims}: {told:?}");
        assert!(!format!("{told:?}").contains("canary"), "{told:?}");
    }
}

#[test]
fn what_comes_before_the_claims_is_explained_too() {
    let verifier = strict();
    let told = |token: &str| explained(verifier.explain_connection(token, NOW));
    assert_eq!(told("a.b").3, "2");
    assert!(told(&"a".repeat(9_000)).3.contains("9000 bytes"));
    assert!(told("a.b.c").2.contains("first segment"));
    let here = format!(r#"{{"sub":"a","iss":"here","aud":"relay","exp":{}}}"#, NOW + 60);
    let other = told(&token("HS384", &here));
    assert_eq!((other.0, other.1.as_str()), ("alg_not_allowed", "alg"));
    assert_eq!((other.2.as_str(), other.3.as_str()), ("HS256", "\"HS384\""));
    let mut forged = token("HS256", &here);
    forged.replace_range(forged.len() - 5.., "AAAAA");
    assert!(matches!(told(&forged).0, "bad_signature" | "malformed"));
    let nobody = Verifier::new(&Config::default()).expect("fit");
    assert_eq!(explained(nobody.explain_connection(&token("HS256", &here), NOW)).0, "no_key");
}

#[test]
fn a_secret_that_is_over_is_recognized() {
    let mut keys = key("HS256");
    keys.hmac_previous_secret_key = keys.hmac_secret_key.take();
    keys.hmac_previous_secret_key_valid_until = Some(NOW - 5);
    keys.hmac_secret_key = Some(Secret::new(SECRET.chars().rev().collect()));
    let claims = format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60);
    let told = explained(verifier(keys).explain_connection(&token("HS256", &claims), NOW));
    assert_eq!(told.0, "bad_signature");
    assert!(told.3.contains("previous secret"), "{told:?}");
}

#[test]
fn every_rule_has_its_advice() {
    let unknown = advice("never heard of");
    for rule in [
        "expired",
        "too_long",
        "malformed",
        "no_key",
        "alg_not_allowed",
        "wrong_typ",
        "forbidden_header",
        "wrong_issuer",
        "bad_signature",
        "wrong_audience",
        "bad_subject",
        "bad_tenant",
        "no_expiry",
        "issued_in_future",
        "lives_too_long",
        "wrong_purpose",
        "bad_claims",
        "too_many_channels",
        "bad_channel",
        "info_not_json",
        "info_too_long",
        "no_token",
        "mismatch",
    ] {
        assert_ne!(advice(rule), unknown, "{rule}");
    }
}
