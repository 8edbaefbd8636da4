//! Checking a connection token.

use std::hint::black_box;

use criterion::Criterion;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sealcast::auth::{KeyOptions, Secret, TokenConfig, Trust, TrustedIssuer, Verifier};
use serde_json::json;

const NOW: u64 = 1_800_000_000;
/// Of this bench and nothing else.
const SECRET: &str = "a-secret-of-the-benches-and-nothing-else-0123456789";

macro_rules! test_key {
    ($name:literal) => {
        include_str!(concat!("../../src/auth/token/testdata/test-only-", $name, ".pem"))
    };
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let claims = json!({ "sub": "ada", "iat": NOW, "exp": NOW + 600 });
    let kinds = [
        (
            Algorithm::HS256,
            KeyOptions { hmac_secret_key: Some(Secret::new(SECRET.into())), ..Default::default() },
            EncodingKey::from_secret(SECRET.as_bytes()),
        ),
        (
            Algorithm::RS256,
            KeyOptions {
                rsa_public_key: Some(test_key!("rsa-2048.public").into()),
                ..Default::default()
            },
            EncodingKey::from_rsa_pem(test_key!("rsa-2048.private").as_bytes()).expect("a key"),
        ),
        (
            Algorithm::ES256,
            KeyOptions {
                ecdsa_public_key: Some(test_key!("p-256.public").into()),
                ..Default::default()
            },
            EncodingKey::from_ec_pem(test_key!("p-256.private").as_bytes()).expect("a key"),
        ),
    ];
    for (algorithm, keys, key) in kinds {
        let issuer = TrustedIssuer { place: "bench".into(), keys, ..Default::default() };
        let connection = Trust { issuers: vec![issuer], ..Trust::default() };
        let config = TokenConfig { connection, subscription: None, compat: false };
        let verifier = Verifier::new(&config).unwrap_or_else(|faults| panic!("{faults:?}"));
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).expect("signed");
        criterion.bench_function(&format!("check a token, {algorithm:?}"), |bencher| {
            bencher.iter(|| assert!(verifier.connection(black_box(&token), NOW).is_ok()));
        });
    }
}
