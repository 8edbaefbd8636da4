//! Issuers and their keys: no one's key verifies another's token.

use super::*;
use Refused::Invalid;

fn issuer(at: usize, name: &str, audience: &str, keys: KeyOptions) -> TrustedIssuer {
    TrustedIssuer {
        place: format!("client.token.issuers[{at}]"),
        issuer: Some(name.into()),
        audience: Some(audience.into()),
        keys,
    }
}

fn secret(text: &str) -> KeyOptions {
    KeyOptions { hmac_secret_key: Some(Secret::new(text.into())), ..KeyOptions::default() }
}

fn two() -> Config {
    let issuers = vec![
        issuer(0, "one", "relay", secret(SECRET)),
        issuer(1, "two", "two-relay", secret(&SECRET[1..])),
        issuer(2, "three", "relay", key("ES256")),
    ];
    Config { connection: Trust { issuers, ..Trust::default() }, ..Config::default() }
}

fn claims(issuer: &str, audience: &str) -> String {
    format!(r#"{{"iss":"{issuer}","aud":"{audience}","sub":"ada","exp":{}}}"#, NOW + 60)
}

fn hmac(claims: &str, secret: &str) -> String {
    signed(
        r#"{"alg":"HS256","kid":"1"}"#,
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
        "HS256",
    )
}

#[test]
fn an_issuer_is_bound_to_its_keys_and_audience() {
    let verifier = fit(&two());
    let check = |token: String| refusal(verifier.connection(&token, NOW));
    assert_eq!(check(hmac(&claims("one", "relay"), SECRET)), None);
    assert_eq!(check(hmac(&claims("two", "two-relay"), &SECRET[1..])), None);
    assert_eq!(check(token("ES256", &claims("three", "relay"))), None);
    for (token, reason) in [
        (hmac(&claims("one", "relay"), &SECRET[1..]), "bad_signature"),
        (hmac(&claims("two", "two-relay"), SECRET), "bad_signature"),
        (hmac(&claims("three", "relay"), SECRET), "alg_not_allowed"),
        (token("ES256", &claims("one", "relay")), "alg_not_allowed"),
        (hmac(&claims("one", "two-relay"), SECRET), "wrong_audience"),
        (hmac(&claims("two", "relay"), &SECRET[1..]), "wrong_audience"),
        (hmac(&claims("four", "relay"), SECRET), "wrong_issuer"),
        (hmac(&claims("ONE", "relay"), SECRET), "wrong_issuer"),
        (hmac(&claims("one ", "relay"), SECRET), "wrong_issuer"),
        (hmac(&claims("", "relay"), SECRET), "wrong_issuer"),
        (hmac(&good(), SECRET), "wrong_issuer"),
        (hmac(r#"{"iss":"one","iss":"two"}"#, SECRET), "wrong_issuer"),
        (hmac("not json", SECRET), "wrong_issuer"),
    ] {
        assert_eq!(check(token), Some(Invalid(reason)));
    }
}

#[test]
fn subscription_tokens_can_have_keys_of_their_own() {
    let channel = format!(r#"{{"sub":"ada","exp":{},"channel":"room"}}"#, NOW + 60);
    let shared = verifier(key("HS256"));
    assert!(shared.subscription(&hmac(&channel, SECRET), NOW).is_ok());
    let own = Config {
        subscription: Some(Trust {
            issuers: vec![TrustedIssuer { keys: secret(&SECRET[1..]), ..TrustedIssuer::default() }],
            max_lifetime: Some(30),
            ..Trust::default()
        }),
        ..config(key("HS256"))
    };
    let verifier = fit(&own);
    let bad = Some(Invalid("bad_signature"));
    assert_eq!(refusal(verifier.subscription(&hmac(&channel, SECRET), NOW)), bad);
    assert_eq!(refusal(verifier.connection(&hmac(&good(), &SECRET[1..]), NOW)), bad);
    assert!(verifier.connection(&hmac(&good(), SECRET), NOW).is_ok());
    let token = hmac(&channel, &SECRET[1..]);
    assert_eq!(refusal(verifier.subscription(&token, NOW)), Some(Invalid("lives_too_long")));
    assert!(verifier.subscription(&token, NOW + 30).is_ok());
}

#[test]
fn the_secret_before_is_taken_until_its_end() {
    let mut keys = key("HS256");
    keys.hmac_previous_secret_key = Some(Secret::new(SECRET[1..].into()));
    keys.hmac_previous_secret_key_valid_until = Some(NOW);
    let verifier = verifier(keys);
    let (old, new) = (hmac(&good(), &SECRET[1..]), hmac(&good(), SECRET));
    assert!(verifier.connection(&old, NOW - 1).is_ok());
    assert_eq!(refusal(verifier.connection(&old, NOW)), Some(Invalid("bad_signature")));
    assert_eq!(refusal(verifier.connection(&old, NOW + 1)), Some(Invalid("bad_signature")));
    for now in [NOW - 1, NOW, NOW + 1] {
        assert!(verifier.connection(&new, now).is_ok());
    }
    let other = hmac(&good(), &SECRET[2..]);
    assert_eq!(refusal(verifier.connection(&other, NOW - 1)), Some(Invalid("bad_signature")));
}

#[test]
fn names_of_issuers_are_different_and_there() {
    let faults = |change: fn(&mut Config)| {
        let mut config = two();
        change(&mut config);
        let faults = Verifier::new(&config).err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.place, fault.problem)).collect::<Vec<_>>()
    };
    let issuer = |at: usize, option: &str| format!("client.token.issuers[{at}]{option}");
    assert_eq!(faults(|_| {}), []);
    assert_eq!(
        faults(|config| {
            config.connection.issuers[1].issuer = Some("one".into());
            config.connection.issuers[2].issuer = None;
        }),
        [(issuer(1, ".issuer"), KeyError::Twice), (issuer(2, ".issuer"), KeyError::Empty)]
    );
    assert_eq!(
        faults(|config| {
            config.connection.issuers[0].issuer = Some(String::new());
            config.connection.issuers[0].audience = Some(String::new());
            config.connection.issuers[1].audience = None;
            config.connection.issuers[2].keys = KeyOptions::default();
        }),
        [
            (issuer(0, ".issuer"), KeyError::Empty),
            (issuer(0, ".audience"), KeyError::Empty),
            (issuer(1, ".audience"), KeyError::NoAudience),
            (issuer(2, ""), KeyError::NoKey),
        ]
    );
    assert_eq!(
        faults(|config| {
            config.compat = true;
            config.connection.issuers[1].audience = None;
        }),
        []
    );
}
