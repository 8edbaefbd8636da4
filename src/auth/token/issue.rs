//! Makes tokens: for the development page, and for the people who run a node.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use sealcast_wire::User;
use serde_json::{Map, Value, json};

use super::trust::Config;
use super::{Purpose, Verifier};

/// Makes tokens with an HMAC secret.
pub struct Issuer {
    key: EncodingKey,
    algorithm: Algorithm,
    issuer: Option<String>,
    audience: Option<String>,
    user_claim: Option<String>,
}

impl Issuer {
    /// An issuer whose connection tokens the verifier of the same configuration
    /// takes. `None` if that does not begin with an HMAC secret.
    #[must_use]
    pub fn new(config: &Config) -> Option<Issuer> {
        Verifier::new(config).ok()?.issuer(Purpose::Connection)
    }

    /// A connection token for `user` from `now` on, for `lifetime` seconds; `None`
    /// if the crypto library fails.
    #[must_use]
    pub fn connection(&self, user: &User, now: u64, lifetime: u64) -> Option<String> {
        self.sign(user, now, lifetime, Map::new())
    }

    /// A token for `user` with these further claims, which win over the usual
    /// ones. `None` if the crypto library fails.
    #[must_use]
    pub fn sign(
        &self,
        user: &User,
        now: u64,
        lifetime: u64,
        further: Map<String, Value>,
    ) -> Option<String> {
        let mut claims = Map::new();
        let subject = self.user_claim.as_deref().unwrap_or("sub");
        claims.insert(subject.to_owned(), user.as_str().into());
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(lifetime).into());
        for (name, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            if let Some(value) = value {
                claims.insert(name.into(), value.clone().into());
            }
        }
        claims.extend(further);
        let header = json!({ "alg": self.algorithm, "typ": "JWT" });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string())
        );
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).ok()?;
        Some(format!("{signed}.{signature}"))
    }
}

impl Verifier {
    /// An issuer whose tokens this verifier takes: the first that is configured.
    /// `None` if there is none, or if it has public keys, with which nothing can
    /// be signed.
    #[must_use]
    pub fn issuer(&self, purpose: Purpose) -> Option<Issuer> {
        let trusted = self.trusted(purpose);
        let party = trusted.parties().first()?;
        let key = party.keys.first()?;
        Some(Issuer {
            key: EncodingKey::from_secret(key.secret()?),
            algorithm: key.algorithm,
            issuer: party.issuer.clone(),
            audience: party.audience.clone(),
            user_claim: trusted.user_claim.clone(),
        })
    }
}
