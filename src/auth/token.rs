//! The one verifier of tokens (R-01 to R-05); nothing else parses a JWT.
//!
//! Order: length, three segments, header, algorithm equal to the key's own,
//! signature, and only then the claims. RFC 7519, RFC 7515, RFC 8725.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use sealcast_wire::User;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::secret::Secret;

/// Longest token, bytes; longer ones are refused before any work.
const MAX_TOKEN: usize = 8 << 10;
/// How far clocks may be apart when `exp` and `nbf` are compared, seconds.
const LEEWAY: f64 = 10.0;
/// How far in the future `iat` may lie, seconds.
const MAX_IAT_AHEAD: f64 = 30.0;
/// Shortest HMAC secret, bytes (R-02).
const MIN_HMAC_SECRET: usize = 32;
/// Longest `info` claim, bytes.
const MAX_INFO: usize = 2 << 10;

/// What tokens must be like.
#[derive(Debug)]
pub struct Config {
    /// HMAC secret of HS256 tokens.
    pub hmac_secret: Secret,
    /// `iss` that is demanded, if any.
    pub issuer: Option<String>,
    /// `aud` that is demanded, if any.
    pub audience: Option<String>,
    /// Longest time between `iat` (or now) and `exp`, seconds.
    pub max_lifetime: u64,
}

/// Verifies connection tokens.
pub struct Verifier {
    key: DecodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    max_lifetime: u64,
}

/// The configured secret is not fit to verify with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Shorter than 32 bytes.
    TooShort,
    /// The crypto library does not verify what it has signed.
    SelfTest,
}

/// What a verified token says.
#[derive(Debug)]
pub struct Claims {
    /// The user.
    pub user: User,
    /// When the connection expires, Unix seconds; `None` if never.
    pub expires_at: Option<u64>,
    /// What the token says of the user; one JSON value, or empty.
    pub info: Bytes,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its time is over, or has not come: the client should fetch another.
    Expired,
    /// Anything else; the text is a fixed reason for metrics and logs.
    Invalid(&'static str),
}

impl Refused {
    /// A fixed word for the label of a metric.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Refused::Expired => "expired",
            Refused::Invalid(reason) => reason,
        }
    }
}

impl Verifier {
    /// Takes the configuration and tries the key once.
    ///
    /// # Errors
    /// Refuses a short secret, and a crypto library that fails its self-test.
    pub fn new(config: &Config) -> Result<Verifier, KeyError> {
        if config.hmac_secret.bytes().len() < MIN_HMAC_SECRET {
            return Err(KeyError::TooShort);
        }
        let verifier = Verifier {
            key: DecodingKey::from_secret(config.hmac_secret.bytes()),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            max_lifetime: config.max_lifetime,
        };
        let signed = crypto::sign(
            b"self-test",
            &EncodingKey::from_secret(config.hmac_secret.bytes()),
            Algorithm::HS256,
        )
        .map_err(|_| KeyError::SelfTest)?;
        if verifier.signature_holds(b"self-test", &signed)
            && !verifier.signature_holds(b"self-tesT", &signed)
        {
            Ok(verifier)
        } else {
            Err(KeyError::SelfTest)
        }
    }

    /// Verifies a connection token at the time `now`, Unix seconds.
    ///
    /// # Errors
    /// Says why the token is refused.
    pub fn connection(&self, token: &str, now: u64) -> Result<Claims, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::Invalid("too_long"));
        }
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Refused::Invalid("malformed"));
        };
        check_header(header)?;
        // The segments are joined by the dot that parted them.
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        if URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(Refused::Invalid("malformed"));
        }
        if !self.signature_holds(signed.as_bytes(), signature) {
            return Err(Refused::Invalid("bad_signature"));
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refused::Invalid("malformed"))?;
        let claims: RawClaims<'_> = object(&payload).ok_or(Refused::Invalid("bad_claims"))?;
        self.check_claims(&claims, now as f64)
    }

    fn signature_holds(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.key, Algorithm::HS256).unwrap_or(false)
    }

    fn check_claims(&self, claims: &RawClaims<'_>, now: f64) -> Result<Claims, Refused> {
        if claims.channel.is_some() {
            return Err(Refused::Invalid("wrong_purpose"));
        }
        if self.issuer.is_some() && self.issuer.as_deref() != claims.iss.as_deref() {
            return Err(Refused::Invalid("wrong_issuer"));
        }
        if let Some(wanted) = &self.audience
            && !claims.aud.as_ref().is_some_and(|audience| audience.names(wanted))
        {
            return Err(Refused::Invalid("wrong_audience"));
        }
        let sub = claims.sub.as_deref().filter(|sub| !sub.is_empty());
        let user =
            sub.and_then(|sub| User::parse(sub).ok()).ok_or(Refused::Invalid("bad_subject"))?;
        let exp = claims.exp.ok_or(Refused::Invalid("no_expiry"))?;
        if exp + LEEWAY <= now {
            return Err(Refused::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf - LEEWAY > now) {
            return Err(Refused::Expired);
        }
        if claims.iat.is_some_and(|iat| iat - MAX_IAT_AHEAD > now) {
            return Err(Refused::Invalid("issued_in_future"));
        }
        let issued = claims.iat.unwrap_or(now);
        if exp - issued > self.max_lifetime as f64 + LEEWAY {
            return Err(Refused::Invalid("lives_too_long"));
        }
        let info = claims.info.map_or("", RawValue::get);
        if info.len() > MAX_INFO {
            return Err(Refused::Invalid("info_too_long"));
        }
        Ok(Claims {
            user,
            expires_at: match claims.expire_at {
                None => Some(exp as u64),
                Some(never) if never <= 0.0 => None,
                Some(at) => Some(at as u64),
            },
            info: if info == "null" {
                Bytes::new()
            } else {
                Bytes::copy_from_slice(info.as_bytes())
            },
        })
    }
}

/// Makes connection tokens: for the development page, and for tests.
pub struct Issuer {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Issuer {
    /// An issuer whose tokens the verifier of the same configuration accepts.
    #[must_use]
    pub fn new(config: &Config) -> Issuer {
        Issuer {
            key: EncodingKey::from_secret(config.hmac_secret.bytes()),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        }
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
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = crypto::sign(signed.as_bytes(), &self.key, Algorithm::HS256).ok()?;
        Some(format!("{signed}.{signature}"))
    }
}

/// The header: `alg` must be the key's own, and whatever could bring a key or
/// change the meaning of the token is refused (R-05).
fn check_header(segment: &str) -> Result<(), Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| Refused::Invalid("malformed"))?;
    let header: Header<'_> = object(&bytes).ok_or(Refused::Invalid("malformed"))?;
    if header.alg != "HS256" {
        return Err(Refused::Invalid("alg_not_allowed"));
    }
    if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(Refused::Invalid("wrong_typ"));
    }
    let forbidden = [
        &header.jku,
        &header.jwk,
        &header.x5u,
        &header.x5c,
        &header.crit,
        &header.b64,
        &header.zip,
        &header.enc,
    ];
    if forbidden.iter().any(|member| member.is_some()) {
        return Err(Refused::Invalid("forbidden_header"));
    }
    Ok(())
}

/// Reads a JSON object; serde alone would take an array for a struct as well.
fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    bytes.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(bytes).ok())?
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    typ: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "present")]
    jku: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    jwk: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    x5u: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    x5c: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    crit: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    b64: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    zip: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    enc: Option<&'a RawValue>,
}

/// A member that is there, even as `null`.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The claims with strict types (T-03): a date that is a text, or any member
/// that stands twice, makes the token invalid; unknown ones are ignored.
#[derive(Deserialize)]
struct RawClaims<'a> {
    #[serde(default, deserialize_with = "strict")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "strict")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    iat: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    expire_at: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "strict")]
    aud: Option<Audience>,
    #[serde(borrow, default, deserialize_with = "present")]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    info: Option<&'a RawValue>,
}

/// A member of exactly this type: `null` does not stand for its absence.
fn strict<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Audience::One(one) => one == wanted,
            Audience::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

#[cfg(test)]
mod tests;
