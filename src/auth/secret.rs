//! Secrets: zeroized when dropped, compared in constant time, never printed.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A secret text.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret text.
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// Its bytes, for the one place that needs them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Its SHA-256, which is what is compared, so that no length leaks.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The SHA-256 of a secret.
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of a text that may be a secret.
    #[must_use]
    pub fn of(text: &[u8]) -> SecretDigest {
        SecretDigest(Sha256::digest(text).into())
    }

    /// Whether both are of the same secret; takes the same time whatever they are.
    #[must_use]
    pub fn equals(&self, other: &SecretDigest) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
