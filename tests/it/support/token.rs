//! Tokens, good and bad.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::evidence::{Kind, note};

/// The HMAC secret of test nodes.
pub(crate) const SECRET: &str = "a-canary-secret-for-tests-of-32-bytes";

/// A token of `user`, good for some minutes.
pub(crate) fn of(user: &str) -> String {
    signed(json!({ "sub": user, "iat": now(), "exp": now() + 600 }))
}

/// The same, of a user of this tenant.
pub(crate) fn of_tenant(user: &str, tenant: &str) -> String {
    signed(json!({ "sub": user, "tenant": tenant, "iat": now(), "exp": now() + 600 }))
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
    note(Kind::Users, claims["sub"].as_str().unwrap_or_default());
    let key = EncodingKey::from_secret(secret.as_bytes());
    noted(jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap())
}

/// Any header and any claims, which need not even be JSON, under a signature of
/// the nodes' secret that holds.
pub(crate) fn signed_text(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    noted(format!("{signed}.{signature}"))
}

/// A token that must never be logged.
fn noted(token: String) -> String {
    note(Kind::Signatures, token.rsplit('.').next().unwrap());
    token
}

/// The header of every good token here.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(crate) fn now() -> u64 {
    sealcast::server::unix_now()
}
