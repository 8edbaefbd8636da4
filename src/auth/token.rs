//! The one verifier of tokens; nothing else parses a JWT.
//!
//! Order: length, three segments, header with its `typ`, issuer by exact string,
//! algorithm equal to a key's own, signature, and only then the claims. Before
//! the signature holds, `iss` alone is read, and only to find the keys. RFC 7519,
//! RFC 7515, RFC 8725.

mod claims;
mod explain;
mod header;
mod issue;
mod json;
mod key;
mod pem;
mod subscription;
mod trust;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use sealcast_wire::{Channel, User};

use super::grants::{Authorized, Subscribe};
use claims::Rules;
use trust::Trusted;

pub use claims::{Claims, SubscriptionClaims};
pub use explain::{Explanation, advice};
pub use issue::Issuer;
pub use key::{KeyError, KeyFault};
pub use subscription::{Overrides, SubscriptionOptions, WrittenOptions};
pub use trust::{Config, KeyOptions, Trust, TrustedIssuer};

/// Longest token, bytes; longer ones are refused before any work.
const MAX_TOKEN: usize = 8 << 10;

/// Verifies connection tokens and subscription tokens.
pub struct Verifier {
    connection: Trusted,
    /// Where subscription tokens have keys of their own.
    subscription: Option<Trusted>,
    compat: bool,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Connecting.
    Connection,
    /// Subscribing to one channel.
    Subscription,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its time is over, or has not come: the client should fetch another.
    Expired,
    /// Anything else; the text is a fixed reason for metrics and logs.
    Invalid(&'static str),
}

/// Why a subscription token does not let someone subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenDenied {
    /// Its time is over, or has not come.
    Expired,
    /// It does not verify; the text is a fixed reason for metrics and logs.
    Invalid(&'static str),
    /// It is a good token, of another user, channel or connection.
    Mismatch,
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

impl TokenDenied {
    /// A fixed word for metrics and logs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            TokenDenied::Expired => "expired",
            TokenDenied::Invalid(reason) => reason,
            TokenDenied::Mismatch => "mismatch",
        }
    }
}

impl Verifier {
    /// Takes the configuration, checks every key and tries the secret ones.
    ///
    /// # Errors
    /// Everything that makes a key or an issuer unfit, and a crypto
    /// library that fails its self-test.
    pub fn new(config: &Config) -> Result<Verifier, Vec<KeyFault>> {
        let mut faults = Vec::new();
        let verifier = Verifier {
            connection: Trusted::new(&config.connection, config.compat, &mut faults),
            subscription: config
                .subscription
                .as_ref()
                .map(|trust| Trusted::new(trust, config.compat, &mut faults)),
            compat: config.compat,
        };
        if faults.is_empty() { Ok(verifier) } else { Err(faults) }
    }

    /// Verifies a connection token at the time `now`, Unix seconds.
    ///
    /// # Errors
    /// Says why the token is refused.
    pub fn connection(&self, token: &str, now: u64) -> Result<Claims, Refused> {
        let (payload, rules) = self.verified(&self.connection, token, now)?;
        claims::connection(&payload, &rules)
    }

    /// Verifies a subscription token at the time `now`, Unix seconds. Whether user,
    /// channel and client are those of the command is left to the caller.
    ///
    /// # Errors
    /// Says why the token is refused.
    pub fn subscription(&self, token: &str, now: u64) -> Result<SubscriptionClaims, Refused> {
        let (payload, rules) = self.verified(self.trusted(Purpose::Subscription), token, now)?;
        claims::subscription(&payload, &rules)
    }

    /// Whether a subscription token lets `holder` subscribe to `channel` over the
    /// connection `client`; and what else it says.
    ///
    /// # Errors
    /// If the token does not verify, or is another user's, channel's or client's.
    pub fn authorize_subscribe(
        &self,
        token: &str,
        now: u64,
        holder: &User,
        client: &str,
        channel: &Channel,
    ) -> Result<(Authorized<Subscribe>, SubscriptionClaims), TokenDenied> {
        let claims = self.subscription(token, now).map_err(|refused| match refused {
            Refused::Expired => TokenDenied::Expired,
            Refused::Invalid(reason) => TokenDenied::Invalid(reason),
        })?;
        let whose = claims.client.as_deref().is_none_or(|wanted| wanted == client);
        if claims.user != *holder || claims.channel != *channel || !whose {
            return Err(TokenDenied::Mismatch);
        }
        let wish = Authorized::granted(Subscribe { channel: channel.clone() });
        Ok((wish, claims))
    }

    /// Whose tokens are taken for a purpose.
    fn trusted(&self, purpose: Purpose) -> &Trusted {
        match (purpose, &self.subscription) {
            (Purpose::Subscription, Some(own)) => own,
            _ => &self.connection,
        }
    }

    /// The payload of a token whose signature holds, and the rules for it.
    fn verified<'a>(
        &self,
        trusted: &'a Trusted,
        token: &str,
        now: u64,
    ) -> Result<(Vec<u8>, Rules<'a>), Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::Invalid("too_long"));
        }
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Refused::Invalid("malformed"));
        };
        // The segments are joined by the dot that parted them.
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let algorithm = header::algorithm(&decode(header)?)?;
        let payload = decode(payload)?;
        decode(signature)?;
        let party = trusted.party(&payload)?;
        let mut fitting = party.keys.iter().filter(|key| key.algorithm == algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(Refused::Invalid("alg_not_allowed"));
        }
        if !fitting.any(|key| key.signed(signed.as_bytes(), signature, now)) {
            return Err(Refused::Invalid("bad_signature"));
        }
        let rules = Rules {
            audience: party.audience.as_deref(),
            max_lifetime: trusted.max_lifetime,
            user_claim: trusted.user_claim.as_deref(),
            compat: self.compat,
            now: now as f64,
        };
        Ok((payload, rules))
    }
}

/// A segment in exact base64url: no padding, no stray bits.
fn decode(segment: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Refused::Invalid("malformed"))
}

#[cfg(test)]
mod tests;
