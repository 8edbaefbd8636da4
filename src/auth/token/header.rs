//! The header of a token: it names its algorithm, and may bring nothing that is a
//! key or changes what the token means.

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Refused;
use super::json::{members_are_unique, object, present, strict};

/// The algorithm that the header asks for. Whether a key has it is another
/// question: that a name is known here allows nothing.
pub(super) fn algorithm(header: &[u8]) -> Result<Algorithm, Refused> {
    let fields: Header<'_> = object(header).ok_or(Refused::Invalid("malformed"))?;
    if !members_are_unique(header) {
        return Err(Refused::Invalid("malformed"));
    }
    let algorithm =
        fields.alg.and_then(|name| name.parse().ok()).ok_or(Refused::Invalid("alg_not_allowed"))?;
    if fields.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(Refused::Invalid("wrong_typ"));
    }
    if fields.brings_what_is_forbidden() {
        return Err(Refused::Invalid("forbidden_header"));
    }
    Ok(algorithm)
}

macro_rules! header {
    ($($forbidden:ident)*) => {
        #[derive(Deserialize)]
        struct Header<'a> {
            #[serde(borrow, default, deserialize_with = "strict")]
            alg: Option<&'a str>,
            #[serde(borrow, default, deserialize_with = "strict")]
            typ: Option<&'a str>,
            $(
                #[serde(borrow, default, deserialize_with = "present")]
                $forbidden: Option<&'a RawValue>,
            )*
        }

        impl Header<'_> {
            fn brings_what_is_forbidden(&self) -> bool {
                $(self.$forbidden.is_some())||*
            }
        }
    };
}

// Keys, extensions (none is understood here), and the members of encrypted tokens.
header!(jku jwk x5u x5c crit b64 zip enc epk p2c p2s);
