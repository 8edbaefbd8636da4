//! What the verifier accepts, and every way it refuses.

mod claims;
mod confusion;
mod explain;
mod form;
mod issuers;
mod keys;
mod matrix;

use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use super::*;
use crate::auth::Secret;

const NOW: u64 = 1_800_000_000;
/// A secret long enough for every HMAC algorithm.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Every algorithm that a key can have.
const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

/// A key that was made for these tests and is used nowhere else.
macro_rules! test_key {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/auth/token/testdata/test-only-",
            $name,
            ".pem"
        ))
    };
}
use test_key;

/// The options of a key with this one algorithm.
fn key(algorithm: &str) -> KeyOptions {
    let name = Some(algorithm.to_owned());
    match &algorithm[..2] {
        "HS" => KeyOptions {
            hmac_secret_key: Some(Secret::new(SECRET.into())),
            hmac_algorithm: name,
            ..KeyOptions::default()
        },
        "RS" | "PS" => KeyOptions {
            rsa_public_key: Some(test_key!("rsa-2048.public").into()),
            rsa_algorithm: name,
            ..KeyOptions::default()
        },
        "ES" => {
            let p256 = algorithm == "ES256";
            let text = if p256 { test_key!("p-256.public") } else { test_key!("p-384.public") };
            KeyOptions { ecdsa_public_key: Some(text.into()), ..KeyOptions::default() }
        }
        _ => KeyOptions {
            ed25519_public_key: Some(test_key!("ed25519.public").into()),
            ..KeyOptions::default()
        },
    }
}

/// The other half of [`key`].
fn signing_key(algorithm: &str) -> EncodingKey {
    match algorithm {
        "ES256" => EncodingKey::from_ec_pem(test_key!("p-256.private").as_bytes()),
        "ES384" => EncodingKey::from_ec_pem(test_key!("p-384.private").as_bytes()),
        "EdDSA" => EncodingKey::from_ed_pem(test_key!("ed25519.private").as_bytes()),
        hmac if hmac.starts_with("HS") => Ok(EncodingKey::from_secret(SECRET.as_bytes())),
        _ => EncodingKey::from_rsa_pem(test_key!("rsa-2048.private").as_bytes()),
    }
    .expect("a test key")
}

/// One issuer without a name.
fn config(keys: KeyOptions) -> Config {
    let issuer = TrustedIssuer { place: "client.token".into(), keys, ..TrustedIssuer::default() };
    Config {
        connection: Trust { issuers: vec![issuer], max_lifetime: Some(3_600), ..Trust::default() },
        ..Config::default()
    }
}

fn verifier(keys: KeyOptions) -> Verifier {
    fit(&config(keys))
}

fn fit(config: &Config) -> Verifier {
    Verifier::new(config).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// A token whose signature is `algorithm`'s, whatever its header says.
fn signed(header: &str, claims: &str, key: &EncodingKey, algorithm: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let algorithm: Algorithm = algorithm.parse().expect("known");
    let signature = crypto::sign(signed.as_bytes(), key, algorithm).expect("signs");
    format!("{signed}.{signature}")
}

/// A token as its issuer makes it.
fn token(algorithm: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    signed(&header, claims, &signing_key(algorithm), algorithm)
}

fn good() -> String {
    format!(r#"{{"sub":"ada","exp":{}}}"#, NOW + 60)
}

fn refusal<T>(verified: Result<T, Refused>) -> Option<Refused> {
    verified.err()
}

#[test]
fn every_algorithm_verifies_what_it_signed() {
    for algorithm in ALGORITHMS {
        let told = verifier(key(algorithm)).connection(&token(algorithm, &good()), NOW);
        assert_eq!(told.expect(algorithm).user.as_str(), "ada");
    }
}

#[test]
fn what_the_issuer_makes_the_verifier_takes() {
    for algorithm in ["HS256", "HS384", "HS512"] {
        let mut config = config(key(algorithm));
        config.connection.issuers[0].issuer = Some("here".into());
        config.connection.issuers[0].audience = Some("relay".into());
        let user = sealcast_wire::User::parse("ada").expect("valid");
        let issuer = Issuer::new(&config).expect("has a secret");
        let token = issuer.connection(&user, NOW, 60).expect("signs");
        let verifier = fit(&config);
        assert_eq!(verifier.connection(&token, NOW).expect("good").user, user);
        assert!(verifier.connection(&token, NOW + 69).is_ok(), "within the leeway");
        assert_eq!(refusal(verifier.connection(&token, NOW + 70)), Some(Refused::Expired));
    }
    assert!(Issuer::new(&config(key("ES256"))).is_none(), "there is nothing to sign with");
    assert!(Issuer::new(&Config::default()).is_none());
}

#[test]
fn without_any_key_every_token_is_refused() {
    let verifier = fit(&Config::default());
    let told = verifier.connection(&token("HS256", &good()), NOW);
    assert_eq!(refusal(told), Some(Refused::Invalid("no_key")));
}

#[test]
fn no_secret_shows_in_debug() {
    let mut keys = key("HS256");
    keys.hmac_previous_secret_key = Some(Secret::new(SECRET.into()));
    assert!(!format!("{:?}", config(keys)).contains("0123456789"));
    let claims = format!(
        r#"{{"sub":"ada","exp":{},"info":"canary","meta":{{"canary":1}},
            "subs":{{"a":{{"info":"canary","data":"canary"}}}}}}"#,
        NOW + 60
    );
    let told = verifier(key("HS256")).connection(&token("HS256", &claims), NOW).expect("good");
    let shown = format!("{told:?}");
    assert!(!shown.contains("canary") && !shown.contains("ada"), "{shown}");
}
