//! Public keys from PEM text. The label and the kind of key are matched exactly:
//! neither a private key, nor a certificate, nor a key of another curve passes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::KeyError;

/// What the DER of a P-256 public key begins with (RFC 5480): the point follows,
/// uncompressed, 64 bytes.
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
/// The same of P-384: 96 bytes follow.
const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04";
/// The same of Ed25519 (RFC 8410): the key follows, 32 bytes.
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Sizes of RSA keys, bits: R-02, and the most that is verified with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// An RSA key, as `SubjectPublicKeyInfo` or PKCS#1.
pub(super) fn rsa(text: &str) -> Result<DecodingKey, KeyError> {
    decode(text, &["PUBLIC KEY", "RSA PUBLIC KEY"])?;
    let key = DecodingKey::from_rsa_pem(text.as_bytes()).map_err(|_| KeyError::NotRsa)?;
    let der = key.try_get_as_bytes().map_err(|_| KeyError::NotRsa)?;
    let components = aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
    let (modulus, exponent) = components(der).map_err(|_| KeyError::NotRsa)?;
    if !RSA_BITS.contains(&bits(&modulus)) {
        return Err(KeyError::RsaSize);
    }
    // An exponent of 1 would let everything pass.
    let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    if !odd || bits(&exponent) < 2 {
        return Err(KeyError::NotRsa);
    }
    Ok(key)
}

/// An ECDSA key and the algorithm that its curve stands for.
pub(super) fn ecdsa(text: &str) -> Result<(DecodingKey, Algorithm), KeyError> {
    let der = decode(text, &["PUBLIC KEY"])?;
    for (start, rest, algorithm) in [(P256, 64, Algorithm::ES256), (P384, 96, Algorithm::ES384)] {
        if der.starts_with(start) && der.len() == start.len() + rest {
            // The library wants the point with the byte that says "uncompressed".
            let point = der.get(start.len() - 1..).unwrap_or_default();
            return Ok((DecodingKey::from_ec_der(point), algorithm));
        }
    }
    Err(KeyError::NotEcdsa)
}

/// An Ed25519 key.
pub(super) fn ed25519(text: &str) -> Result<DecodingKey, KeyError> {
    let der = decode(text, &["PUBLIC KEY"])?;
    let key = der.strip_prefix(ED25519).filter(|key| key.len() == 32);
    key.map(DecodingKey::from_ed_der).ok_or(KeyError::NotEd25519)
}

/// Whether a text is PEM of some kind: never a secret.
pub(super) fn is_pem(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"-----BEGIN")
}

/// The content of the one block that the text must be (RFC 7468).
fn decode(text: &str, labels: &[&str]) -> Result<Vec<u8>, KeyError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::PrivateKey);
    }
    let text = text.trim();
    let body = labels
        .iter()
        .find_map(|label| {
            text.strip_prefix(&format!("-----BEGIN {label}-----"))?
                .strip_suffix(&format!("-----END {label}-----"))
        })
        .ok_or(KeyError::NotPem)?;
    let base64: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(base64).map_err(|_| KeyError::NotPem)
}

/// How many bits a big-endian number has.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let top = number.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
    ((number.len() - zeros) * 8).saturating_sub(top)
}
