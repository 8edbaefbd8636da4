//! The verifier takes what was signed with one of its keys, and reads it as it was signed.
//!
//! The first byte of an input says what the rest is: a token as it is; changes to a good token, of
//! which the second byte chooses one; or a header and claims, parted by a line feed, that are signed
//! as they are. An empty header stands for a good one.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use libfuzzer_sys::fuzz_target;
use sealcast::auth::{
    Claims, KeyOptions, Refused, Secret, SubscriptionClaims, TokenConfig, Trust, TrustedIssuer,
    Verifier,
};
use serde_json::value::RawValue;

const NOW: u64 = 1_800_000_000;
const LEEWAY: f64 = 10.0;
const MAX_LIFETIME: u64 = 3_600;
const SECRET: &str = "a-secret-of-the-fuzz-targets-and-nothing-else-0123456789";

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b's', rest)) => signed(rest),
        Some((b'm', rest)) => mutated(rest),
        Some((_, rest)) => {
            let token = String::from_utf8_lossy(rest);
            assert!(SEVERAL.connection(&token, NOW).is_err(), "nobody signed it");
            assert!(SEVERAL.subscription(&token, NOW).is_err(), "nobody signed it");
        }
        None => {}
    }
});

/// Four issuers, each with a kind of key of its own.
static SEVERAL: LazyLock<Verifier> = LazyLock::new(|| {
    let issuers = KINDS.iter().map(|(issuer, keys, ..)| TrustedIssuer {
        place: (*issuer).into(),
        issuer: Some((*issuer).into()),
        audience: Some("relay".into()),
        keys: keys(),
    });
    verifier(issuers.collect(), false)
});

/// One issuer without a name, strict and as compatible as can be.
static ONE: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    [false, true].map(|compat| {
        let issuer = TrustedIssuer { place: "one".into(), keys: hmac(), ..Default::default() };
        verifier(vec![issuer], compat)
    })
});

fn verifier(issuers: Vec<TrustedIssuer>, compat: bool) -> Verifier {
    let connection = Trust { issuers, max_lifetime: Some(MAX_LIFETIME), ..Trust::default() };
    let config = TokenConfig { connection, subscription: None, compat };
    Verifier::new(&config).unwrap_or_else(|faults| panic!("{faults:?}"))
}

macro_rules! test_key {
    ($name:literal) => {
        include_str!(concat!("../../src/auth/token/testdata/test-only-", $name, ".pem"))
    };
}

type Kind = (&'static str, fn() -> KeyOptions, Algorithm, fn() -> EncodingKey);

const KINDS: [Kind; 4] = [
    ("hmac", hmac, Algorithm::HS256, || EncodingKey::from_secret(SECRET.as_bytes())),
    (
        "rsa",
        || KeyOptions {
            rsa_public_key: Some(test_key!("rsa-2048.public").into()),
            ..Default::default()
        },
        Algorithm::RS256,
        || EncodingKey::from_rsa_pem(test_key!("rsa-2048.private").as_bytes()).expect("a key"),
    ),
    (
        "ecdsa",
        || KeyOptions {
            ecdsa_public_key: Some(test_key!("p-256.public").into()),
            ..Default::default()
        },
        Algorithm::ES256,
        || EncodingKey::from_ec_pem(test_key!("p-256.private").as_bytes()).expect("a key"),
    ),
    (
        "ed25519",
        || KeyOptions {
            ed25519_public_key: Some(test_key!("ed25519.public").into()),
            ..Default::default()
        },
        Algorithm::EdDSA,
        || EncodingKey::from_ed_pem(test_key!("ed25519.private").as_bytes()).expect("a key"),
    ),
];

fn hmac() -> KeyOptions {
    KeyOptions { hmac_secret_key: Some(Secret::new(SECRET.into())), ..Default::default() }
}

/// Good tokens: of each issuer one to connect and one to subscribe.
static GOOD: LazyLock<Vec<Good>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for (issuer, _, algorithm, key) in KINDS {
        for more in [r#","channels":["a","b"]"#, r#","channel":"a","client":"c""#] {
            let claims = format!(
                r#"{{"iss":"{issuer}","aud":"relay","sub":"ada","exp":{},"info":{{"a":1}}{more}}}"#,
                NOW + 60
            );
            let header = format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"}}"#);
            let token = sign(header.as_bytes(), claims.as_bytes(), algorithm, &key());
            let (connection, subscription) =
                (SEVERAL.connection(&token, NOW), SEVERAL.subscription(&token, NOW));
            assert!(connection.is_ok() != subscription.is_ok(), "good for one purpose");
            all.push(Good { token, connection, subscription });
        }
    }
    all
});

struct Good {
    token: String,
    connection: Result<Claims, Refused>,
    subscription: Result<SubscriptionClaims, Refused>,
}

fn sign(header: &[u8], claims: &[u8], algorithm: Algorithm, key: &EncodingKey) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(signed.as_bytes(), key, algorithm).expect("signs");
    format!("{signed}.{signature}")
}

/// A token that was changed is refused, or says the same all the same.
fn mutated(input: &[u8]) {
    let Some((&which, changes)) = input.split_first() else {
        return;
    };
    let which = usize::from(which) % GOOD.len();
    let Good { token, connection, subscription } = &GOOD[which];
    let mut bytes = token.clone().into_bytes();
    for change in changes.as_chunks::<4>().0.iter().take(16) {
        let [kind, low, high, byte] = *change;
        let at = usize::from(u16::from_le_bytes([low, high])) % (bytes.len() + 1);
        match kind % 5 {
            0 if at < bytes.len() => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            // The end of another token.
            4 => {
                let other = GOOD[usize::from(byte) % GOOD.len()].token.as_bytes();
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(at..).unwrap_or_default());
            }
            _ => {}
        }
    }
    let changed = String::from_utf8_lossy(&bytes);
    if let Some(whole) = GOOD.iter().find(|good| good.token == changed) {
        assert_eq!(SEVERAL.connection(&changed, NOW), whole.connection);
        return;
    }
    if let Ok(claims) = SEVERAL.connection(&changed, NOW) {
        assert_eq!(Ok(claims), *connection);
    }
    if let Ok(claims) = SEVERAL.subscription(&changed, NOW) {
        assert_eq!(Ok(claims), *subscription);
    }
}

/// Claims that are taken are what another reader of JSON finds in them.
fn signed(input: &[u8]) {
    let at = input.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let (header, claims) = (&input[..at], &input[input.len().min(at + 1)..]);
    let header = if header.is_empty() { br#"{"alg":"HS256","typ":"JWT"}"# } else { header };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = sign(header, claims, Algorithm::HS256, &key);
    for (verifier, strict) in ONE.iter().zip([true, false]) {
        if let Ok(taken) = verifier.connection(&token, NOW) {
            let said = Said::of(header, claims, strict);
            assert!(said.member("channel").is_none(), "for another purpose");
            assert_eq!(taken.user.as_str(), said.text("sub").unwrap_or_default());
            let tenant = taken.tenant.as_ref().map(|tenant| tenant.as_str());
            assert_eq!(tenant, said.text("tenant").as_deref());
            assert!(taken.subscriptions.len() <= 128 && taken.info.len() <= 2_048);
        }
        if let Ok(taken) = verifier.subscription(&token, NOW) {
            let said = Said::of(header, claims, strict);
            assert_eq!(Some(taken.channel.as_str()), said.text("channel").as_deref());
            assert_eq!(taken.user.as_str(), said.text("sub").unwrap_or_default());
            assert_eq!(taken.client, said.text("client"));
        }
    }
}

/// The members of an object, of which only those are read that are asked for: the
/// others may hold numbers that no program could.
struct Said<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Said<'a> {
    /// The claims of a token that was taken, if it was right to take it.
    fn of(header: &[u8], claims: &'a [u8], strict: bool) -> Said<'a> {
        let header = Said(serde_json::from_slice(header).expect("an object"));
        assert_eq!(header.text("alg").as_deref(), Some("HS256"));
        let said = Said(serde_json::from_slice(claims).expect("an object"));
        if strict {
            assert!(said.text("sub").is_some_and(|sub| !sub.is_empty()));
            assert!(said.number("exp").is_some());
        }
        let now = NOW as f64;
        assert!(said.number("exp").is_none_or(|exp| exp + LEEWAY > now), "expired");
        assert!(said.number("nbf").is_none_or(|nbf| nbf - LEEWAY <= now), "not yet");
        said
    }

    fn member(&self, name: &str) -> Option<&RawValue> {
        self.0.get(name).copied()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.member(name).map(|it| serde_json::from_str(it.get()).expect("a text"))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.member(name).map(|it| serde_json::from_str(it.get()).expect("a number"))
    }
}
