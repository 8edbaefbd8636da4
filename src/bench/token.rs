//! Connection tokens for the benched server.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use super::clock;
use super::failure::Failure;

/// How long a token lasts, seconds; longer than any bench.
const LIFETIME: u64 = 3_600;

/// An HMAC secret and what is signed with it.
pub(super) struct Tokens {
    secret: String,
}

impl Tokens {
    /// With a fresh secret.
    pub(super) fn new() -> Tokens {
        let bytes: [u8; 32] = rand::random();
        let secret = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Tokens { secret }
    }

    /// Of a server that has this secret already.
    pub(super) fn with(secret: String) -> Tokens {
        Tokens { secret }
    }

    /// The secret, for the server's configuration.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// A token for `user` (HS256, RFC 7515).
    ///
    /// # Errors
    /// If the crypto library cannot sign.
    pub(super) fn of(&self, user: &str) -> Result<String, Failure> {
        let now = clock::unix_now();
        let claims = serde_json::json!({ "sub": user, "iat": now, "exp": now + LIFETIME });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256)
            .map_err(|error| Failure::Server(format!("cannot sign a token: {error}")))?;
        Ok(format!("{signed}.{signature}"))
    }
}
