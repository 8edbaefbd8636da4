//! `client.token` and `client.subscription_token`, as they are written.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::Time;
use crate::auth::{KeyOptions, Secret, TrustedIssuer};

/// Serde cannot both flatten and refuse unknown members, so each section that
/// describes an issuer repeats its options by way of this macro.
macro_rules! issuer_section {
    ($(#[$doc:meta])* $section:ident { $($own:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(in crate::config) struct $section {
            $(pub(in crate::config) $own: $kind,)*
            pub(in crate::config) issuer: Option<String>,
            pub(in crate::config) audience: Option<String>,
            pub(in crate::config) hmac_secret_key: Option<SecretText>,
            pub(in crate::config) hmac_algorithm: Option<String>,
            pub(in crate::config) hmac_previous_secret_key: Option<SecretText>,
            pub(in crate::config) hmac_previous_secret_key_valid_until: Option<u64>,
            pub(in crate::config) rsa_public_key: Option<String>,
            pub(in crate::config) rsa_algorithm: Option<String>,
            pub(in crate::config) ecdsa_public_key: Option<String>,
            pub(in crate::config) ed25519_public_key: Option<String>,
        }

        impl $section {
            /// The issuer that the section at `place` describes.
            pub(in crate::config) fn issuer(&self, place: String) -> TrustedIssuer {
                TrustedIssuer {
                    place,
                    issuer: self.issuer.clone(),
                    audience: self.audience.clone(),
                    keys: KeyOptions {
                        hmac_secret_key: self.hmac_secret_key.as_ref().map(SecretText::secret),
                        hmac_algorithm: self.hmac_algorithm.clone(),
                        hmac_previous_secret_key: self
                            .hmac_previous_secret_key
                            .as_ref()
                            .map(SecretText::secret),
                        hmac_previous_secret_key_valid_until: self
                            .hmac_previous_secret_key_valid_until,
                        rsa_public_key: self.rsa_public_key.clone(),
                        rsa_algorithm: self.rsa_algorithm.clone(),
                        ecdsa_public_key: self.ecdsa_public_key.clone(),
                        ed25519_public_key: self.ed25519_public_key.clone(),
                    },
                }
            }
        }
    };
}

issuer_section! {
    Token {
        issuers: Option<Vec<TokenIssuer>>,
        max_lifetime: Option<Time>,
        user_id_claim: Option<String>,
    }
}

issuer_section! {
    SubscriptionToken {
        enabled: bool,
        issuers: Option<Vec<TokenIssuer>>,
        max_lifetime: Option<Time>,
        user_id_claim: Option<String>,
    }
}

issuer_section! {
    /// An entry of `issuers`.
    TokenIssuer {}
}

/// A secret, of which no fault that reading meets repeats anything.
pub(in crate::config) struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(in crate::config) fn new(text: String) -> SecretText {
        SecretText(Zeroizing::new(text))
    }

    /// The text, to be shown to nobody.
    pub(in crate::config) fn text(&self) -> &str {
        &self.0
    }

    pub(in crate::config) fn secret(&self) -> Secret {
        Secret::new(String::clone(&self.0))
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SecretText, D::Error> {
        struct Text;

        macro_rules! unsaid {
            ($($visit:ident: $kind:ty,)*) => {
                $(fn $visit<E: Error>(self, _: $kind) -> Result<SecretText, E> {
                    Err(E::custom("a secret must be a text"))
                })*
            };
        }

        impl Visitor<'_> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText::new(text.to_owned()))
            }

            unsaid!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64,);
        }

        // Asked for a text, the reader itself would tell of the number it met.
        from.deserialize_any(Text)
    }
}
