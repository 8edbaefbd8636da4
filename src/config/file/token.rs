//! `client.token` and `client.subscription_token`.

use std::time::Duration;

use super::super::secret::SecretText;
use super::section;
use crate::auth::{KeyOptions, TrustedIssuer};

section! {
    Token {
        /// Several issuers, each with keys of its own, in the place of the options here.
        issuers: Option<Vec<TokenIssuer>>,
        /// The longest life of a token; as the limit profile says unless given, 1h, or 15m with
        /// `strict`; with `compat.centrifugo` any.
        max_lifetime: Option<Duration>,
        /// The claim that names the user; `sub` unless given.
        user_id_claim: Option<String>,
        ..issuer: IssuerOptions,
    }
    unsupported {
        jwks_public_endpoint: "nothing is fetched; give the public key",
        insecure_skip_jwks_endpoint_https: "nothing is fetched; give the public key",
        audience_regex: "name the audience",
        issuer_regex: "name the issuer, or several under issuers",
    }
}

section! {
    SubscriptionToken {
        /// Subscription tokens have the keys of this section, not those of `client.token`.
        enabled: bool,
        /// Several issuers, each with keys of its own, in the place of the options here.
        issuers: Option<Vec<TokenIssuer>>,
        /// The longest life of a token; as the limit profile says unless given, 1h, or 15m with
        /// `strict`; with `compat.centrifugo` any.
        max_lifetime: Option<Duration>,
        /// The claim that names the user; `sub` unless given.
        user_id_claim: Option<String>,
        ..issuer: IssuerOptions,
    }
    unsupported {
        jwks_public_endpoint: "nothing is fetched; give the public key",
        insecure_skip_jwks_endpoint_https: "nothing is fetched; give the public key",
        audience_regex: "name the audience",
        issuer_regex: "name the issuer, or several under issuers",
    }
}

section! {
    /// An entry of `issuers`.
    TokenIssuer {
        ..issuer: IssuerOptions,
    }
}

section! {
    /// Whose tokens are taken, by which key.
    IssuerOptions {
        /// What the claim `iss` must say.
        issuer: Option<String>,
        /// What the claim `aud` must say.
        audience: Option<String>,
        /// The secret of tokens signed by HMAC; 32 bytes at least.
        hmac_secret_key: Option<SecretText>,
        /// `HS256`, `HS384` or `HS512`; `HS256` unless given.
        hmac_algorithm: Option<String>,
        /// The secret before it, while a rotation lasts.
        hmac_previous_secret_key: Option<SecretText>,
        /// Until when the secret before is taken, Unix seconds.
        hmac_previous_secret_key_valid_until: Option<u64>,
        /// An RSA public key, PEM.
        rsa_public_key: Option<String>,
        /// The algorithm of the RSA key's tokens; `RS256` unless given.
        rsa_algorithm: Option<String>,
        /// An ECDSA public key, PEM.
        ecdsa_public_key: Option<String>,
        /// An Ed25519 public key, PEM.
        ed25519_public_key: Option<String>,
    }
}

impl IssuerOptions {
    /// The issuer that the section at `place` describes.
    pub(in crate::config) fn issuer(&self, place: String) -> TrustedIssuer {
        let secret = |text: &Option<SecretText>| text.as_ref().map(SecretText::secret);
        TrustedIssuer {
            place,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            keys: KeyOptions {
                hmac_secret_key: secret(&self.hmac_secret_key),
                hmac_algorithm: self.hmac_algorithm.clone(),
                hmac_previous_secret_key: secret(&self.hmac_previous_secret_key),
                hmac_previous_secret_key_valid_until: self.hmac_previous_secret_key_valid_until,
                rsa_public_key: self.rsa_public_key.clone(),
                rsa_algorithm: self.rsa_algorithm.clone(),
                ecdsa_public_key: self.ecdsa_public_key.clone(),
                ed25519_public_key: self.ed25519_public_key.clone(),
            },
        }
    }
}
