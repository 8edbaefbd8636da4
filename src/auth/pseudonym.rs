//! What stands for a user in the log: `u_` and the base32 of an HMAC of the
//! user id. Lines of one user can be found together, and nobody learns from them who
//! it is; whoever has the key and an id can make its pseudonym again. The key that
//! makes them is another every 30 days.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sealcast_wire::User;
use sha2::Sha256;

use super::secret::Secret;

/// How long a user keeps a pseudonym, seconds.
const PERIOD: u64 = 30 * 24 * 3_600;
/// Bytes of the HMAC that are kept: enough that no two users ever share one.
const BYTES: usize = 16;
/// RFC 4648, section 6, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes pseudonyms. Nodes with the same key make the same.
#[derive(Clone)]
pub struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// Takes the secret; at least 32 bytes, or there is none.
    #[must_use]
    pub fn new(secret: &Secret) -> Option<Pseudonyms> {
        if secret.bytes().len() < 32 {
            return None;
        }
        Hmac::new_from_slice(secret.bytes()).ok().map(Pseudonyms)
    }

    /// With a key that nobody knows.
    #[must_use]
    pub fn random() -> Pseudonyms {
        let secret: [u8; 64] = rand::random();
        Pseudonyms(Hmac::new(&secret.into()))
    }

    /// What stands for the user at this time, Unix seconds; `None` for the anonymous
    /// one, who is not one person.
    #[must_use]
    pub fn of(&self, user: &User, now: u64) -> Option<String> {
        if user.is_anonymous() {
            return None;
        }
        let period = (now / PERIOD).to_be_bytes();
        let key = self.0.clone().chain_update(period).finalize().into_bytes();
        let tag: Hmac<Sha256> = Hmac::new_from_slice(&key).ok()?;
        let tag = tag.chain_update(user.as_str()).finalize().into_bytes();
        let mut text = String::from("u_");
        put_base32(&mut text, tag.get(..BYTES)?);
        Some(text)
    }
}

/// Without padding.
fn put_base32(out: &mut String, bytes: &[u8]) {
    let (mut held, mut bits) = (0_u32, 0);
    let mut put = |five: u32| {
        let letter = ALPHABET.get((five & 31) as usize).copied().unwrap_or(b'a');
        out.push(char::from(letter));
    };
    for byte in bytes {
        (held, bits) = (held << 8 | u32::from(*byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            put(held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        put(held << (5 - bits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(secret: &str) -> Option<Pseudonyms> {
        Pseudonyms::new(&Secret::new(secret.to_owned()))
    }

    fn user(id: &str) -> User {
        User::parse(id).expect("a user")
    }

    #[test]
    fn one_user_has_one_for_a_while_and_no_two_users_share_one() {
        let secret = "a-secret-of-32-bytes-for-pseudonyms";
        let [one, other] = [pseudonyms(secret), pseudonyms(secret)].map(|made| made.expect("long"));
        let start = 700 * PERIOD;
        let ada = one.of(&user("ada"), start).expect("not anonymous");
        assert_eq!(ada.len(), 2 + 26, "{ada}");
        assert!(ada.starts_with("u_") && ada.bytes().skip(2).all(|it| ALPHABET.contains(&it)));
        assert_eq!(other.of(&user("ada"), start + PERIOD - 1), Some(ada.clone()), "on every node");
        assert_ne!(other.of(&user("ada"), start + PERIOD), Some(ada.clone()), "not for ever");
        assert_ne!(one.of(&user("Ada"), start), Some(ada.clone()));
        assert_ne!(Pseudonyms::random().of(&user("ada"), start), Some(ada), "another key");
        assert_eq!(one.of(&user(""), start), None);
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(pseudonyms(&"x".repeat(31)).is_none());
        assert!(pseudonyms(&"x".repeat(32)).is_some());
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            let mut out = String::new();
            put_base32(&mut out, bytes.as_bytes());
            assert_eq!(out, text);
        }
    }
}
