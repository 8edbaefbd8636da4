//! Tokens, good and bad.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The HMAC secret of test nodes.
pub(crate) const SECRET: &str = "a-secret-for-tests-of-32-bytes-or-more";

/// A token of `user`, good for some minutes.
pub(crate) fn of(user: &str) -> String {
    signed(json!({ "sub": user, "iat": now(), "exp": now() + 600 }))
}

/// A token of `user` that expires so many seconds from now, or has so long ago.
pub(crate) fn expiring(user: &str, seconds: i64) -> String {
    let expires = i64::try_from(now()).unwrap() + seconds;
    signed(json!({ "sub": user, "exp": expires }))
}

/// Any claims, signed with the nodes' secret.
pub(crate) fn signed(claims: Value) -> String {
    signed_with(claims, SECRET, Algorithm::HS256)
}

/// Any claims, signed as it is said.
pub(crate) fn signed_with(claims: Value, secret: &str, algorithm: Algorithm) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
}

pub(crate) fn now() -> u64 {
    sealcast::server::unix_now()
}
