//! Keys of the server API.

use super::grants::Authorized;
use super::secret::{Secret, SecretDigest};

/// The shortest key, bytes; a shorter one could be guessed.
const MIN_KEY: usize = 16;

/// One key of the server API.
#[derive(Debug)]
pub struct ApiKey(SecretDigest);

impl ApiKey {
    /// Takes a key, unless it is too short.
    #[must_use]
    pub fn new(key: &Secret) -> Option<ApiKey> {
        (key.bytes().len() >= MIN_KEY).then(|| ApiKey(key.digest()))
    }
}

/// All keys of the server API. None means that nobody may call it.
#[derive(Debug, Default)]
pub struct ApiKeys(Vec<ApiKey>);

/// Proof that a caller holds a key of the server API: may publish anywhere.
#[derive(Debug)]
pub struct ServerApi(());

impl ApiKeys {
    /// The keys.
    #[must_use]
    pub fn new(keys: Vec<ApiKey>) -> ApiKeys {
        ApiKeys(keys)
    }

    /// Checks what a caller presents. Every key is compared, so that the time
    /// does not tell which one nearly matched.
    #[must_use]
    pub fn check(&self, presented: &str) -> Option<ServerApi> {
        let matches = self.0.iter().fold(false, |found, key| key.0.matches(presented) | found);
        matches.then_some(ServerApi(()))
    }
}

impl ServerApi {
    /// A server may do to any channel what a client needs permission for.
    #[must_use]
    pub fn authorize<T>(&self, what: T) -> Authorized<T> {
        Authorized::granted(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_key_opens() {
        let key = Secret::new("0123456789abcdef".into());
        let keys = ApiKeys::new(vec![ApiKey::new(&key).expect("long enough")]);
        assert!(keys.check("0123456789abcdef").is_some());
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(keys.check(wrong).is_none());
        }
        assert!(ApiKeys::default().check("").is_none());
        assert!(ApiKey::new(&Secret::new("short".into())).is_none());
        assert!(!format!("{key:?} {keys:?}").contains("0123"));
    }
}
