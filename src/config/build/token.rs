//! The token sections: whose tokens are taken, by which keys.

use std::time::Duration;

use super::super::Fault;
use super::super::file::{File, TokenIssuer};
use super::fault;
use crate::auth::{TokenConfig, Trust, TrustedIssuer, Verifier};
use crate::limit::Profile;

/// What the verifier is to be built from; `None` if no key is configured.
pub(super) fn tokens(file: &File, faults: &mut Vec<Fault>) -> Option<TokenConfig> {
    let compat = file.compat.centrifugo;
    let profile: Profile = file.limits.profile.parse().unwrap_or_default();
    let longest = profile.limits().token_max_lifetime;
    let lifetime = |given: Option<Duration>| {
        given.or((!compat).then_some(longest)).map(|lifetime| lifetime.as_secs())
    };
    let token = &file.client.token;
    let connection = Trust {
        issuers: issuers(
            "client.token",
            token.issuer.issuer("client.token".into()),
            token.issuers.as_deref(),
            faults,
        ),
        max_lifetime: lifetime(token.max_lifetime),
        user_claim: user_claim("client.token", token.user_id_claim.as_deref(), faults),
    };
    let place = "client.subscription_token";
    let own = &file.client.subscription_token;
    let subscription = Trust {
        issuers: issuers(place, own.issuer.issuer(place.into()), own.issuers.as_deref(), faults),
        max_lifetime: lifetime(own.max_lifetime),
        user_claim: user_claim(place, own.user_id_claim.as_deref(), faults),
    };
    if own.enabled && subscription.issuers.is_empty() {
        fault(faults, place, "enabled, but has no key");
    }
    let options = own.max_lifetime.is_some() || own.user_id_claim.is_some();
    if !own.enabled && (!subscription.issuers.is_empty() || options) {
        let problem = "says something, but is not enabled: subscription tokens have the keys of \
                       client.token";
        fault(faults, format!("{place}.enabled"), problem);
    }
    if connection.issuers.is_empty() {
        if !file.client.allow_anonymous_connect_without_token {
            let problem = "needed, because nobody could connect without it: at least 32 random \
                           bytes (or give a public key, or set \
                           client.allow_anonymous_connect_without_token)";
            fault(faults, "client.token.hmac_secret_key", problem);
        }
        if !own.enabled {
            return None;
        }
    }
    let subscription = own.enabled.then_some(subscription);
    Some(TokenConfig { connection, subscription, compat })
}

pub(super) fn verifier(tokens: &TokenConfig, faults: &mut Vec<Fault>) -> Option<Verifier> {
    Verifier::new(tokens)
        .map_err(|unfit| {
            for one in unfit {
                fault(faults, one.place, one.problem.to_string());
            }
        })
        .ok()
}

/// The claim that names the user, if it is not the usual one. One of those with a
/// meaning of their own would make, say, the audience a user.
fn user_claim(place: &str, name: Option<&str>, faults: &mut Vec<Fault>) -> Option<String> {
    const TAKEN: [&str; 14] = [
        "iss",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "expire_at",
        "info",
        "b64info",
        "channels",
        "subs",
        "meta",
        "channel",
        "client",
    ];
    let name = name.filter(|name| *name != "sub")?;
    if name.is_empty() || TAKEN.contains(&name) {
        fault(faults, format!("{place}.user_id_claim"), "empty, or a claim with another meaning");
    }
    Some(name.to_owned())
}

/// The issuers of a section: those of its list, or the one that its own options
/// describe, if they say anything.
fn issuers(
    place: &str,
    own: TrustedIssuer,
    list: Option<&[TokenIssuer]>,
    faults: &mut Vec<Fault>,
) -> Vec<TrustedIssuer> {
    let Some(list) = list else {
        return if own.is_empty() { Vec::new() } else { vec![own] };
    };
    let audience = own.audience.clone();
    if !(TrustedIssuer { audience: None, ..own }).is_empty() {
        let problem = "beside keys or an issuer outside of the list; put these into an entry";
        fault(faults, format!("{place}.issuers"), problem);
    }
    if list.is_empty() {
        fault(faults, format!("{place}.issuers"), "empty");
    }
    let entries = list.iter().enumerate().map(|(at, entry)| {
        let mut issuer = entry.issuer.issuer(format!("{place}.issuers[{at}]"));
        // A nameless entry is a fault, also where it is the only one.
        issuer.issuer.get_or_insert_default();
        issuer.audience = issuer.audience.or_else(|| audience.clone());
        issuer
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const ED25519: &str = include_str!("../../auth/token/testdata/test-only-ed25519.public.pem");

    /// What is wrong with a file whose section `client` has these members.
    fn faults(client: &str) -> Vec<String> {
        let text = format!(r#"{{"client":{{{client}}}}}"#)
            .replace("SECRET", SECRET)
            .replace("ED25519", &ED25519.replace('\n', "\\n"));
        parse(&text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn places(client: &str) -> Vec<String> {
        let told = faults(client);
        told.iter().map(|fault| fault.split(": ").next().unwrap_or(fault).to_owned()).collect()
    }

    #[test]
    fn keys_are_read_by_their_known_names() {
        for fit in [
            r#""token":{"hmac_secret_key":"SECRET"}"#,
            r#""token":{"ed25519_public_key":"ED25519","audience":"relay"}"#,
            r#""token":{"hmac_secret_key":"SECRET","hmac_previous_secret_key":"SECRET2",
                "hmac_previous_secret_key_valid_until":1800000000,
                "issuer":"a","audience":"relay"}"#,
            r#""token":{"audience":"relay","issuers":[
                {"issuer":"a","hmac_secret_key":"SECRET"},
                {"issuer":"b","audience":"b","ed25519_public_key":"ED25519"}]}"#,
            r#""token":{"hmac_secret_key":"SECRET"},
               "subscription_token":{"enabled":true,"ed25519_public_key":"ED25519"}"#,
            r#""token":{"hmac_secret_key":"SECRET"},"subscription_token":{"enabled":false}"#,
            r#""allow_anonymous_connect_without_token":true"#,
        ] {
            assert_eq!(faults(fit), Vec::<String>::new(), "{fit}");
        }
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (client, expected) in [
            (r#""token":{}"#, &["client.token.hmac_secret_key"][..]),
            (
                r#""token":{"hmac_secret_key":"SECRET","ed25519_public_key":"ED25519",
                    "rsa_public_key":"x","ecdsa_public_key":"x"}"#,
                &[
                    "client.token.rsa_public_key",
                    "client.token.ecdsa_public_key",
                    "client.token.hmac_secret_key",
                ],
            ),
            (r#""token":{"hmac_secret_key":"SECRET","issuer":"a"}"#, &["client.token.audience"]),
            (r#""token":{"issuer":"a","audience":"b"}"#, &["client.token"]),
            (
                r#""token":{"issuers":[{"hmac_secret_key":"SECRET"},
                    {"issuer":"b","audience":"b","hmac_secret_key":"short"}]}"#,
                &[
                    "client.token.issuers[0].issuer",
                    "client.token.issuers[0].audience",
                    "client.token.issuers[1].hmac_secret_key",
                ],
            ),
            (
                r#""token":{"hmac_secret_key":"SECRET","issuers":[
                    {"issuer":"b","audience":"b","hmac_secret_key":"SECRET"}]}"#,
                &["client.token.issuers"],
            ),
            (
                r#""token":{"issuers":[]}"#,
                &["client.token.issuers", "client.token.hmac_secret_key"],
            ),
            (
                r#""token":{"hmac_secret_key":"SECRET"},
                   "subscription_token":{"hmac_secret_key":"SECRET"}"#,
                &["client.subscription_token.enabled"],
            ),
            (
                r#""token":{"hmac_secret_key":"SECRET"},"subscription_token":{"enabled":true}"#,
                &["client.subscription_token"],
            ),
            (
                r#""token":{"hmac_secret_key":"SECRET"},
                   "subscription_token":{"enabled":true,"hmac_secret_key":"short"}"#,
                &["client.subscription_token.hmac_secret_key"],
            ),
        ] {
            assert_eq!(places(client), expected, "{client}");
        }
    }

    #[test]
    fn no_fault_repeats_a_secret() {
        for client in [
            r#""token":{"hmac_secret_key":"canary"}"#,
            r#""token":{"hmac_secret_key":20202020}"#,
            r#""token":{"hmac_secret_key":-20202020}"#,
            r#""token":{"hmac_secret_key":["canary"]}"#,
            r#""token":{"hmac_secret_key":{"canary":"canary"}}"#,
            r#""token":{"hmac_previous_secret_key":20202020.5}"#,
            r#""token":{"rsa_public_key":"canary"}"#,
        ] {
            let told = faults(client).join("\n");
            assert!(!told.is_empty(), "{client}");
            assert!(!told.contains("canary") && !told.contains("2020"), "{told}");
        }
    }

    #[test]
    fn verification_cannot_be_switched_off() {
        for switch in [
            "insecure_skip_token_signature_verify",
            "insecure_skip_jwks_endpoint_https",
            "insecure",
            "enabled",
        ] {
            let client = format!(r#""token":{{"hmac_secret_key":"SECRET","{switch}":true}}"#);
            assert!(faults(&client).join("").contains(switch), "{switch}");
        }
    }
}
