//! Keys that tokens are verified with. Each has exactly one algorithm, so that no
//! token can choose how it is looked at.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

use super::pem;
use super::trust::KeyOptions;
use crate::auth::Secret;

/// A key, its algorithm, and how long it is good.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    key: DecodingKey,
    /// Good before this time, Unix seconds; `None` for ever.
    until: Option<u64>,
}

/// An option that no tokens can be verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// The path of the option.
    pub place: String,
    /// What is wrong with it.
    pub problem: KeyError,
}

/// What is wrong with a key or with an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret shorter than the hash of its algorithm.
    #[error("shorter than {0} bytes; take {0} random bytes or more")]
    TooShort(usize),
    /// The crypto library does not verify what it has signed.
    #[error("the crypto library fails its self-test with it")]
    SelfTest,
    /// A secret that is a PEM text, whose public half anyone may know.
    #[error("a PEM text is no HMAC secret; public keys have options of their own")]
    PemAsSecret,
    /// An algorithm of no key of this kind.
    #[error("none of {0}")]
    Algorithm(&'static str),
    /// Not one PEM block of a public key.
    #[error("not a public key in PEM; give one block, BEGIN PUBLIC KEY")]
    NotPem,
    /// A private key where a public one is enough.
    #[error("a private key has no business here; give the public key, and replace this one")]
    PrivateKey,
    /// Not an RSA key.
    #[error("not an RSA public key")]
    NotRsa,
    /// An RSA key that is too small or too large.
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaSize,
    /// Not an ECDSA key of a curve that is known here.
    #[error("not an uncompressed public key of the curve P-256 or P-384 (ES512 is not supported)")]
    NotEcdsa,
    /// Not an Ed25519 key.
    #[error("not an Ed25519 public key")]
    NotEd25519,
    /// An option without the key that it is about.
    #[error("says something of a key that is not there")]
    WithoutKey,
    /// A previous secret that would be good for ever.
    #[error("needed with a previous secret: the Unix time in seconds when it ends")]
    NoEnd,
    /// A secret and public keys of one issuer.
    #[error("an issuer has an HMAC secret or public keys, never both")]
    Mixed,
    /// An issuer without any key.
    #[error("has no key")]
    NoKey,
    /// An issuer without a name, or a name without text.
    #[error("empty or missing")]
    Empty,
    /// An issuer that stands twice.
    #[error("stands twice; one issuer has one entry")]
    Twice,
    /// An issuer whose tokens for other services would pass.
    #[error("needed with an issuer: the name of this service in the tokens' `aud`")]
    NoAudience,
}

impl Key {
    /// Every key that the options give. Tells of each option that is wrong by its
    /// name, and goes on, so that all are told at once.
    pub(super) fn all(
        options: &KeyOptions,
        compat: bool,
        mut fault: impl FnMut(&'static str, KeyError),
    ) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut take = |option, key: Result<Key, KeyError>| match key {
            Ok(key) => keys.push(key),
            Err(problem) => fault(option, problem),
        };
        if let Some(secret) = &options.hmac_secret_key {
            let algorithm = hmac_algorithm(options);
            // A wrong algorithm is told once, below.
            let assumed = algorithm.unwrap_or(Algorithm::HS256);
            take("hmac_secret_key", Key::hmac(secret, assumed, None, compat));
            if let Some(previous) = &options.hmac_previous_secret_key {
                let until = options.hmac_previous_secret_key_valid_until;
                take("hmac_previous_secret_key", Key::hmac(previous, assumed, until, compat));
            }
            if let Err(problem) = algorithm {
                take("hmac_algorithm", Err(problem));
            }
        }
        if let Some(text) = &options.rsa_public_key {
            match rsa_algorithm(options) {
                Ok(algorithm) => {
                    take("rsa_public_key", pem::rsa(text).map(|key| Key::new(algorithm, key)));
                }
                Err(problem) => take("rsa_algorithm", Err(problem)),
            }
        }
        if let Some(text) = &options.ecdsa_public_key {
            let key = pem::ecdsa(text).map(|(key, algorithm)| Key::new(algorithm, key));
            take("ecdsa_public_key", key);
        }
        if let Some(text) = &options.ed25519_public_key {
            let key = pem::ed25519(text).map(|key| Key::new(Algorithm::EdDSA, key));
            take("ed25519_public_key", key);
        }
        check_together(options, compat, fault);
        keys
    }

    /// Whether the key is good at the time `now`, Unix seconds, and has signed the
    /// message. `signature` is in base64url. The crypto library compares in
    /// constant time.
    pub(super) fn signed(&self, message: &[u8], signature: &str, now: u64) -> bool {
        self.until.is_none_or(|until| now < until) && self.verifies(message, signature)
    }

    /// When the key was no longer good, Unix seconds, if it has signed the message.
    pub(super) fn outlived(&self, message: &[u8], signature: &str, now: u64) -> Option<u64> {
        self.until.filter(|until| *until <= now && self.verifies(message, signature))
    }

    /// What can be signed with: an HMAC secret, but no public key.
    pub(super) fn secret(&self) -> Option<&[u8]> {
        let hmac = matches!(self.algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
        self.key.try_get_as_bytes().ok().filter(|_| hmac)
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> Key {
        Key { algorithm, key, until: None }
    }

    fn hmac(
        secret: &Secret,
        algorithm: Algorithm,
        until: Option<u64>,
        compat: bool,
    ) -> Result<Key, KeyError> {
        let bytes = secret.bytes();
        let least = if compat { 1 } else { hash_bytes(algorithm) };
        if bytes.len() < least {
            return Err(KeyError::TooShort(least));
        }
        if pem::is_pem(bytes) {
            return Err(KeyError::PemAsSecret);
        }
        let key = Key { algorithm, key: DecodingKey::from_secret(bytes), until };
        let signed = crypto::sign(b"self-test", &EncodingKey::from_secret(bytes), algorithm)
            .map_err(|_| KeyError::SelfTest)?;
        if key.verifies(b"self-test", &signed) && !key.verifies(b"self-tesT", &signed) {
            Ok(key)
        } else {
            Err(KeyError::SelfTest)
        }
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.key, self.algorithm).unwrap_or(false)
    }
}

/// The one algorithm of the HMAC secrets.
fn hmac_algorithm(options: &KeyOptions) -> Result<Algorithm, KeyError> {
    match options.hmac_algorithm.as_deref() {
        None | Some("HS256") => Ok(Algorithm::HS256),
        Some("HS384") => Ok(Algorithm::HS384),
        Some("HS512") => Ok(Algorithm::HS512),
        Some(_) => Err(KeyError::Algorithm("HS256, HS384, HS512")),
    }
}

/// The one algorithm of the RSA key.
fn rsa_algorithm(options: &KeyOptions) -> Result<Algorithm, KeyError> {
    match options.rsa_algorithm.as_deref() {
        None | Some("RS256") => Ok(Algorithm::RS256),
        Some("RS384") => Ok(Algorithm::RS384),
        Some("RS512") => Ok(Algorithm::RS512),
        Some("PS256") => Ok(Algorithm::PS256),
        Some("PS384") => Ok(Algorithm::PS384),
        Some("PS512") => Ok(Algorithm::PS512),
        Some(_) => Err(KeyError::Algorithm("RS256, RS384, RS512, PS256, PS384, PS512")),
    }
}

fn hash_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        _ => 64,
    }
}

/// What the options must be like taken together.
fn check_together(
    options: &KeyOptions,
    compat: bool,
    mut fault: impl FnMut(&'static str, KeyError),
) {
    let secret = options.hmac_secret_key.is_some();
    let previous = options.hmac_previous_secret_key.is_some();
    let until = options.hmac_previous_secret_key_valid_until.is_some();
    let public = options.rsa_public_key.is_some()
        || options.ecdsa_public_key.is_some()
        || options.ed25519_public_key.is_some();
    if (secret || previous) && public {
        fault("hmac_secret_key", KeyError::Mixed);
    }
    if previous && !secret {
        fault("hmac_previous_secret_key", KeyError::WithoutKey);
    }
    if previous && !until && !compat {
        fault("hmac_previous_secret_key_valid_until", KeyError::NoEnd);
    }
    if until && !previous {
        fault("hmac_previous_secret_key_valid_until", KeyError::WithoutKey);
    }
    if options.hmac_algorithm.is_some() && !secret {
        fault("hmac_algorithm", KeyError::WithoutKey);
    }
    if options.rsa_algorithm.is_some() && options.rsa_public_key.is_none() {
        fault("rsa_algorithm", KeyError::WithoutKey);
    }
}
