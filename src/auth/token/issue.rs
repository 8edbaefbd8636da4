//! Makes connection tokens: for the development page, and for tests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use sealcast_wire::User;

use super::key::hmac_algorithm;
use super::trust::Config;

/// Makes connection tokens with an HMAC secret.
pub struct Issuer {
    key: EncodingKey,
    algorithm: Algorithm,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Issuer {
    /// An issuer whose tokens the verifier of the same configuration accepts:
    /// the first that is configured. `None` if that has no HMAC secret.
    #[must_use]
    pub fn new(config: &Config) -> Option<Issuer> {
        let first = config.connection.issuers.first()?;
        Some(Issuer {
            key: EncodingKey::from_secret(first.keys.hmac_secret_key.as_ref()?.bytes()),
            algorithm: hmac_algorithm(&first.keys).ok()?,
            issuer: first.issuer.clone(),
            audience: first.audience.clone(),
        })
    }

    /// A token for `user` from `now` on, for `lifetime` seconds; `None` if the
    /// crypto library fails.
    #[must_use]
    pub fn connection(&self, user: &User, now: u64, lifetime: u64) -> Option<String> {
        let mut claims = serde_json::json!({
            "sub": user.as_str(),
            "iat": now,
            "exp": now.saturating_add(lifetime),
        });
        if let (Some(issuer), Some(claims)) = (&self.issuer, claims.as_object_mut()) {
            claims.insert("iss".into(), issuer.clone().into());
        }
        if let (Some(audience), Some(claims)) = (&self.audience, claims.as_object_mut()) {
            claims.insert("aud".into(), audience.clone().into());
        }
        let header = serde_json::json!({ "alg": self.algorithm, "typ": "JWT" });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).ok()?;
        Some(format!("{signed}.{signature}"))
    }
}
