//! Why a token is refused, in detail: for the people who run a node, at its command
//! line. A client is never told more than the code.
//!
//! The verifier decides; only a token that it refused is looked at here, without
//! its signature, to say which member broke the rule. Nothing that is found out
//! here lets anyone in.

use serde_json::Value;

use super::trust::{Party, Trusted};
use super::{Claims, MAX_TOKEN, Purpose, Refused, SubscriptionClaims, Verifier, decode};

/// Longest value of a token that is shown, characters.
const SHOWN: usize = 120;
/// Claims whose value is data, of which only the type is shown.
const DATA: [&str; 5] = ["info", "b64info", "meta", "data", "b64data"];
/// Members of a header that no token may have.
const FORBIDDEN: [&str; 11] =
    ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk", "p2c", "p2s"];
/// The claims that must be of one type.
const TYPES: [(&str, &str); 14] = [
    ("sub", "a text"),
    ("tenant", "a text"),
    ("exp", "a number"),
    ("nbf", "a number"),
    ("iat", "a number"),
    ("expire_at", "a number"),
    ("aud", "a text or a list of texts"),
    ("channel", "a text"),
    ("client", "a text"),
    ("b64info", "a text"),
    ("channels", "a list of texts"),
    ("subs", "an object of objects"),
    ("meta", "an object"),
    ("override", "an object"),
];

/// Which rule a token breaks, and how. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The fixed word for the rule that is also in metrics and logs.
    pub rule: &'static str,
    /// The member of the token's header or payload.
    pub member: String,
    /// What would have been taken.
    pub expected: String,
    /// What the token has instead.
    pub found: String,
}

impl Verifier {
    /// Verifies a connection token as [`Verifier::connection`] does.
    ///
    /// # Errors
    /// Explains why the token is refused.
    pub fn explain_connection(&self, token: &str, now: u64) -> Result<Claims, Explanation> {
        self.connection(token, now)
            .map_err(|refused| self.explain(Purpose::Connection, token, now, refused))
    }

    /// Verifies a subscription token as [`Verifier::subscription`] does.
    ///
    /// # Errors
    /// Explains why the token is refused.
    pub fn explain_subscription(
        &self,
        token: &str,
        now: u64,
    ) -> Result<SubscriptionClaims, Explanation> {
        self.subscription(token, now)
            .map_err(|refused| self.explain(Purpose::Subscription, token, now, refused))
    }

    fn explain(&self, purpose: Purpose, token: &str, now: u64, refused: Refused) -> Explanation {
        let trusted = self.trusted(purpose);
        let seen = Seen::new(token, trusted, now);
        let (member, expected, found) = match refused {
            Refused::Expired => seen.times(),
            Refused::Invalid("too_long") => {
                ("", format!("at most {MAX_TOKEN} bytes"), format!("{} bytes", token.len()))
            }
            Refused::Invalid("malformed") => seen.form(token),
            Refused::Invalid("no_key") => {
                ("", "a configured key".into(), "none is configured for this purpose".into())
            }
            Refused::Invalid("alg_not_allowed") => {
                ("alg", seen.algorithms(), seen.header_member("alg"))
            }
            Refused::Invalid("wrong_typ") => {
                ("typ", "\"JWT\", or none".into(), seen.header_member("typ"))
            }
            Refused::Invalid("forbidden_header") => seen.forbidden(),
            Refused::Invalid("wrong_issuer") => ("iss", issuers(trusted), seen.claim("iss")),
            Refused::Invalid("bad_signature") => seen.signature(token),
            Refused::Invalid("wrong_audience") => {
                let wanted = seen.party.and_then(|party| party.audience.as_deref());
                (
                    "aud",
                    format!("{:?}, alone or in a list", wanted.unwrap_or("")),
                    seen.claim("aud"),
                )
            }
            Refused::Invalid("bad_subject") => {
                let claim = trusted.user_claim.as_deref().unwrap_or("sub");
                let expected = "the user's id, printable and not empty".into();
                return explanation("bad_subject", claim, expected, seen.claim(claim));
            }
            Refused::Invalid("bad_tenant") => (
                "tenant",
                "a tenant's name, printable and 1 to 255 bytes".into(),
                seen.claim("tenant"),
            ),
            Refused::Invalid("no_expiry") => {
                ("exp", "when the token expires, Unix seconds".into(), seen.claim("exp"))
            }
            Refused::Invalid("issued_in_future") => {
                ("iat", format!("at most 30 s after now, which is {now}"), seen.claim("iat"))
            }
            Refused::Invalid("lives_too_long") => seen.lifetime(trusted.max_lifetime),
            Refused::Invalid("wrong_purpose") => seen.purpose(purpose),
            Refused::Invalid("too_many_channels") => {
                ("channels", "at most 128 channels in channels or subs".into(), "more".into())
            }
            Refused::Invalid("bad_channel") => {
                let member = if purpose == Purpose::Subscription { "channel" } else { "channels" };
                let expected = "names of 1 to 255 bytes that can be channels".into();
                (member, expected, seen.claim(member))
            }
            Refused::Invalid("info_not_json") => {
                ("b64info", "JSON in base64".into(), "something else".into())
            }
            Refused::Invalid("info_too_long") => {
                ("info", "at most 2048 bytes".into(), "more".into())
            }
            Refused::Invalid(_) => seen.types(),
        };
        explanation(refused.reason(), member, expected, found)
    }
}

/// What to do about a refused token, by the rule that it breaks.
#[must_use]
pub fn advice(rule: &str) -> &'static str {
    match rule {
        "expired" => "fetch a new token; if it is new, compare the clocks of both machines",
        "too_long" => "keep data out of the token, and list channels in the backend instead",
        "malformed" => "pass the token as it was made, without quotes, spaces or `Bearer`",
        "no_key" => "configure a key in client.token, such as hmac_secret_key",
        "alg_not_allowed" => "sign with the algorithm of the configured key, or configure its key",
        "wrong_typ" => "leave `typ` out of the header, or make it JWT",
        "forbidden_header" => "leave keys and extensions out of the header",
        "wrong_issuer" => "name the issuer in client.token.issuers, or correct `iss`",
        "bad_signature" => "sign with the key that this node has; compare both configurations",
        "wrong_audience" => "put this node's audience into `aud`, or correct client.token.audience",
        "bad_subject" => "put the user's id into the token, as a text",
        "bad_tenant" => "name the tenant as a text, or leave the claim out",
        "no_expiry" => "put `exp` into the token: Unix seconds, at most max_lifetime from now",
        "issued_in_future" => "compare the clocks of both machines",
        "lives_too_long" => "let tokens expire earlier, or raise client.token.max_lifetime",
        "wrong_purpose" => {
            "a token with `channel` is for subscribing, one without is for connecting"
        }
        "bad_claims" => "correct the claim's type; each member stands once",
        "too_many_channels" => "name at most 128 channels, and subscribe to the others",
        "bad_channel" => "correct the name of the channel",
        "info_not_json" | "info_too_long" => "put short JSON into `info`",
        "no_token" => "connect with a token, or set client.allow_anonymous_connect_without_token",
        "mismatch" => "make the token for this user, channel and client",
        _ => "see docs/operation.md",
    }
}

fn explanation(rule: &'static str, member: &str, expected: String, found: String) -> Explanation {
    Explanation { rule, member: member.to_owned(), expected, found }
}

type Told = (&'static str, String, String);

/// A token as it presents itself.
struct Seen<'a> {
    header: Option<Value>,
    payload: Option<Value>,
    party: Option<&'a Party>,
    now: u64,
}

impl<'a> Seen<'a> {
    fn new(token: &str, trusted: &'a Trusted, now: u64) -> Seen<'a> {
        // What is too long is not even taken apart.
        let token = if token.len() > MAX_TOKEN { "" } else { token };
        let mut segments = token.split('.');
        let mut next = || segments.next().and_then(|segment| decode(segment).ok());
        let (header, payload) = (next(), next());
        Seen {
            header: header.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            party: payload.as_deref().and_then(|bytes| trusted.party(bytes).ok()),
            payload: payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            now,
        }
    }

    fn claim(&self, name: &str) -> String {
        show(name, self.payload.as_ref().and_then(|payload| payload.get(name)))
    }

    fn header_member(&self, name: &str) -> String {
        show(name, self.header.as_ref().and_then(|header| header.get(name)))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.payload.as_ref()?.get(name)?.as_f64()
    }

    fn form(&self, token: &str) -> Told {
        let segments = token.split('.').count();
        if segments != 3 {
            let expected = "three segments with dots between them".into();
            return ("", expected, format!("{segments}"));
        }
        if self.header.as_ref().is_none_or(|header| !header.is_object()) {
            let expected = "a JSON object in base64url without padding as first segment";
            return ("", expected.into(), "something else".into());
        }
        for (name, segment) in ["header", "payload", "signature"].iter().zip(token.split('.')) {
            if decode(segment).is_err() {
                let found = "other characters, padding, or stray bits at the end".into();
                return ("", format!("base64url without padding as {name}"), found);
            }
        }
        let expected = "a header whose members stand once, `alg` and `typ` as texts".into();
        ("", expected, "another header".into())
    }

    fn algorithms(&self) -> String {
        let keys = self.party.map_or(&[][..], |party| &party.keys);
        let mut names: Vec<_> = keys.iter().map(|key| format!("{:?}", key.algorithm)).collect();
        names.dedup();
        if names.is_empty() { "one that this server knows".into() } else { names.join(" or ") }
    }

    fn forbidden(&self) -> Told {
        let has = |name: &&&'static str| {
            self.header.as_ref().is_some_and(|header| header.get(**name).is_some())
        };
        let found: Vec<_> = FORBIDDEN.iter().filter(has).copied().collect();
        let member = found.first().copied().unwrap_or_default();
        (member, "a header with `alg` and `typ` only".into(), found.join(", "))
    }

    fn signature(&self, token: &str) -> Told {
        let keys = self.party.map_or(&[][..], |party| &party.keys);
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let outlived =
            keys.iter().find_map(|key| key.outlived(signed.as_bytes(), signature, self.now));
        let found = match outlived {
            Some(until) => format!("a signature by the previous secret, which ended at {until}"),
            None => "a signature by another key, or changed contents".into(),
        };
        ("", format!("a signature by a configured key ({})", self.algorithms()), found)
    }

    fn times(&self) -> Told {
        let now = self.now as f64;
        match (self.number("exp"), self.number("nbf")) {
            (Some(exp), _) if exp <= now => (
                "exp",
                format!("later than now, which is {}", self.now),
                format!("{exp}, {} s ago", (now - exp).round()),
            ),
            (_, nbf) => (
                "nbf",
                format!("not after now, which is {}", self.now),
                nbf.map_or_else(
                    || self.claim("nbf"),
                    |nbf| format!("{nbf}, in {} s", (nbf - now).round()),
                ),
            ),
        }
    }

    fn lifetime(&self, most: Option<u64>) -> Told {
        let from = self.number("iat").unwrap_or(self.now as f64);
        let lives = self.number("exp").unwrap_or(from) - from;
        let expected = format!("at most {} s after `iat`, or after now", most.unwrap_or_default());
        ("exp", expected, format!("{lives} s after it"))
    }

    fn purpose(&self, purpose: Purpose) -> Told {
        let expected = match purpose {
            Purpose::Connection => "none: this is to be a connection token",
            Purpose::Subscription => "the channel: this is to be a subscription token",
        };
        ("channel", expected.into(), self.claim("channel"))
    }

    /// The first claim of a wrong type.
    fn types(&self) -> Told {
        let payload = self.payload.as_ref().filter(|payload| payload.is_object());
        let Some(payload) = payload else {
            return ("", "a JSON object as payload".into(), "something else".into());
        };
        for (name, expected) in TYPES {
            if let Some(value) = payload.get(name)
                && !is(expected, value)
            {
                return (name, expected.into(), show(name, Some(value)));
            }
        }
        let expected = "members that stand once, in JSON at most 32 levels deep, with \
                        subscriptions' options as documented";
        ("", expected.into(), "something else".into())
    }
}

fn is(kind: &str, value: &Value) -> bool {
    let texts =
        |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    match kind {
        "a text" => value.is_string(),
        "a number" => value.is_number(),
        "a text or a list of texts" => value.is_string() || texts(value),
        "a list of texts" => texts(value),
        "an object of objects" => {
            value.as_object().is_some_and(|members| members.values().all(Value::is_object))
        }
        _ => value.is_object(),
    }
}

fn issuers(trusted: &Trusted) -> String {
    let names = trusted.parties().iter().filter_map(|party| party.issuer.as_deref());
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
}

/// A member as it may be shown.
fn show(name: &str, value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".into() };
    if DATA.contains(&name) {
        return match value {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
        .into();
    }
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
