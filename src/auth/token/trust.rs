//! Whose tokens are taken: issuers, each bound to its own keys and audience.

use serde::Deserialize;

use super::json::{object, strict};
use super::key::Key;
use super::{KeyError, KeyFault, Refused};
use crate::auth::Secret;

/// Which tokens are taken.
#[derive(Debug, Default)]
pub struct Config {
    /// Connection tokens, and subscription tokens unless these have their own.
    pub connection: Trust,
    /// Subscription tokens, where they have keys of their own.
    pub subscription: Option<Trust>,
    /// Tokens as an existing Centrifugo installation makes them pass too: without
    /// `exp`, with an empty `sub`, signed with a short HMAC secret. Nothing else
    /// is different: algorithms, types and purposes stay as strict.
    pub compat: bool,
}

/// Whose tokens are taken for one purpose.
#[derive(Debug, Default)]
pub struct Trust {
    /// One issuer without a name, whose tokens may have any `iss`; or any number
    /// with different names. None at all refuses every token.
    pub issuers: Vec<TrustedIssuer>,
    /// Longest time between `iat` (or now) and `exp`, seconds; `None` for any.
    pub max_lifetime: Option<u64>,
    /// The claim that names the user, where it is not `sub`.
    pub user_claim: Option<String>,
}

/// One issuer.
#[derive(Debug, Default)]
pub struct TrustedIssuer {
    /// Where it stands in the configuration, for faults.
    pub place: String,
    /// The `iss` of its tokens.
    pub issuer: Option<String>,
    /// The `aud` that its tokens must have; demanded together with `issuer`
    ///
    pub audience: Option<String>,
    /// What its tokens are signed with.
    pub keys: KeyOptions,
}

/// The keys of one issuer, named as the options are: HMAC secrets, or one public
/// key for each kind.
#[derive(Debug, Default)]
pub struct KeyOptions {
    /// HMAC secret, at least as long as its hash.
    pub hmac_secret_key: Option<Secret>,
    /// Its one algorithm: HS256 (the default), HS384, HS512.
    pub hmac_algorithm: Option<String>,
    /// The secret before, while tokens of it are still about.
    pub hmac_previous_secret_key: Option<Secret>,
    /// The secret before is taken until then, Unix seconds.
    pub hmac_previous_secret_key_valid_until: Option<u64>,
    /// RSA key in PEM, 2048 bits or more.
    pub rsa_public_key: Option<String>,
    /// Its one algorithm: RS256 (the default), RS384, RS512, PS256, PS384, PS512.
    pub rsa_algorithm: Option<String>,
    /// ECDSA key in PEM: ES256 on P-256, ES384 on P-384.
    pub ecdsa_public_key: Option<String>,
    /// Ed25519 key in PEM, for EdDSA.
    pub ed25519_public_key: Option<String>,
}

impl KeyOptions {
    fn is_empty(&self) -> bool {
        // Taken apart, so that no option is forgotten.
        let KeyOptions {
            hmac_secret_key,
            hmac_algorithm,
            hmac_previous_secret_key,
            hmac_previous_secret_key_valid_until,
            rsa_public_key,
            rsa_algorithm,
            ecdsa_public_key,
            ed25519_public_key,
        } = self;
        hmac_secret_key.is_none()
            && hmac_algorithm.is_none()
            && hmac_previous_secret_key.is_none()
            && hmac_previous_secret_key_valid_until.is_none()
            && rsa_public_key.is_none()
            && rsa_algorithm.is_none()
            && ecdsa_public_key.is_none()
            && ed25519_public_key.is_none()
    }
}

/// A [`Trust`] whose keys were checked.
pub(super) struct Trusted {
    parties: Vec<Party>,
    pub(super) max_lifetime: Option<u64>,
    pub(super) user_claim: Option<String>,
}

/// One issuer with its checked keys.
pub(super) struct Party {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) keys: Vec<Key>,
}

impl Trusted {
    pub(super) fn new(trust: &Trust, compat: bool, faults: &mut Vec<KeyFault>) -> Trusted {
        for (at, entry) in trust.issuers.iter().enumerate() {
            let mut fault = |option, problem| faults.push(entry.fault(option, problem));
            // An issuer without a name would take the tokens of the others.
            let unnamed = entry.issuer.is_none() && trust.issuers.len() > 1;
            if unnamed || entry.issuer.as_deref() == Some("") {
                fault("issuer", KeyError::Empty);
            } else if trust.issuers.iter().take(at).any(|other| other.issuer == entry.issuer) {
                fault("issuer", KeyError::Twice);
            }
            match entry.audience.as_deref() {
                Some("") => fault("audience", KeyError::Empty),
                None if entry.issuer.is_some() && !compat => {
                    fault("audience", KeyError::NoAudience);
                }
                _ => {}
            }
        }
        let parties = trust.issuers.iter().map(|entry| Party::new(entry, compat, faults));
        Trusted {
            parties: parties.collect(),
            max_lifetime: trust.max_lifetime,
            user_claim: trust.user_claim.clone(),
        }
    }

    /// Everyone whose tokens are taken, as configured.
    pub(super) fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// Whose keys a token is to be verified with: by its `iss` and nothing else.
    /// What the payload says here was not verified yet.
    pub(super) fn party(&self, payload: &[u8]) -> Result<&Party, Refused> {
        match self.parties.as_slice() {
            [] => Err(Refused::Invalid("no_key")),
            [party] if party.issuer.is_none() => Ok(party),
            parties => {
                let hint = object::<Hint>(payload).and_then(|hint| hint.iss);
                parties
                    .iter()
                    .find(|party| hint.is_some() && party.issuer == hint)
                    .ok_or(Refused::Invalid("wrong_issuer"))
            }
        }
    }
}

impl Party {
    fn new(entry: &TrustedIssuer, compat: bool, faults: &mut Vec<KeyFault>) -> Party {
        let before = faults.len();
        let keys = Key::all(&entry.keys, compat, |option, problem| {
            faults.push(entry.fault(option, problem));
        });
        if keys.is_empty() && faults.len() == before {
            faults.push(KeyFault { place: entry.place.clone(), problem: KeyError::NoKey });
        }
        Party { issuer: entry.issuer.clone(), audience: entry.audience.clone(), keys }
    }
}

impl TrustedIssuer {
    /// Whether nothing at all is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuer.is_none() && self.audience.is_none() && self.keys.is_empty()
    }

    fn fault(&self, option: &str, problem: KeyError) -> KeyFault {
        KeyFault { place: format!("{}.{option}", self.place), problem }
    }
}

#[derive(Deserialize)]
struct Hint {
    #[serde(default, deserialize_with = "strict")]
    iss: Option<String>,
}
