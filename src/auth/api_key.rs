//! Keys of the server API: who calls, and what each key may do.

mod method;
mod pattern;

use std::collections::BTreeMap;
use std::sync::Arc;

use sealcast_wire::{Channel, Payload};
use subtle::ConditionallySelectable;

use super::grants::{Authorized, Backend, Denied, Publish};
use super::secret::{Secret, SecretDigest};

pub use method::ApiMethod;
pub use pattern::{BadPattern, ChannelPattern};

/// The shortest key, bytes; a shorter one could be guessed.
const MIN_KEY: usize = 16;
/// The longest name of a key, bytes.
const MAX_NAME: usize = 64;

/// One key of the server API. `Debug` shows no secret.
#[derive(Debug)]
pub struct ApiKey {
    name: String,
    digest: SecretDigest,
    scope: Scope,
}

/// What a key may do. A list that is there is the whole of it, so an empty one
/// allows nothing; without a list everything of its kind is allowed.
#[derive(Debug, Default)]
pub struct Scope {
    /// Methods that may be called.
    pub methods: Option<Vec<ApiMethod>>,
    /// Channels that may be touched and learned of. A key with this list can
    /// call no method that reaches beyond channels, see
    /// [`ApiMethod::stays_in_channels`].
    pub channels: Option<Vec<ChannelPattern>>,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadApiKey {
    /// Shorter than 16 bytes.
    #[error("shorter than 16 bytes; take 32 random ones")]
    Short,
    /// Not 1 to 64 letters, digits, `-`, `_` and `.`: it becomes a label of metrics.
    #[error("needs 1 to 64 letters, digits, `-`, `_` and `.`")]
    Name,
}

impl ApiKey {
    /// A key by its name.
    ///
    /// # Errors
    /// Says what is wrong with the name or the key.
    pub fn new(name: &str, key: &Secret, scope: Scope) -> Result<ApiKey, BadApiKey> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(known) {
            return Err(BadApiKey::Name);
        }
        if key.bytes().len() < MIN_KEY {
            return Err(BadApiKey::Short);
        }
        Ok(ApiKey { name: name.to_owned(), digest: key.digest(), scope })
    }

    /// Its name, which is no secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both have the same secret.
    #[must_use]
    pub fn is_same_secret(&self, other: &ApiKey) -> bool {
        self.digest.equals(&other.digest).into()
    }
}

/// All keys of the server API. None means that nobody may call it.
#[derive(Debug, Default)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);

impl ApiKeys {
    /// The keys; their names and secrets are distinct.
    #[must_use]
    pub fn new(keys: Vec<ApiKey>) -> ApiKeys {
        ApiKeys(keys.into_iter().map(Arc::new).collect())
    }

    /// Checks what a caller presents. Every key is compared, by digest and without
    /// a branch, so that the time tells neither which one matched nor how nearly.
    #[must_use]
    pub fn check(&self, presented: &str) -> Option<ServerApi> {
        let presented = SecretDigest::of(presented.as_bytes());
        let mut found = u64::MAX;
        for (at, key) in (0_u64..).zip(&self.0) {
            found.conditional_assign(&at, key.digest.equals(&presented));
        }
        self.0.get(usize::try_from(found).ok()?).cloned().map(ServerApi)
    }
}

/// Proof that a caller holds a key of the server API. What that key may do is
/// asked of it.
#[derive(Clone, Debug)]
pub struct ServerApi(Arc<ApiKey>);

impl ServerApi {
    /// The name of the caller's key: a label of metrics, and the owner of the
    /// caller's idempotency keys.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Lets the caller call `method`, whose channels are asked for one by one.
    ///
    /// # Errors
    /// [`Denied::Permission`].
    pub fn admit(&self, method: ApiMethod) -> Result<(), Denied> {
        let Scope { methods, channels } = &self.0.scope;
        let listed = methods.as_ref().is_none_or(|listed| listed.contains(&method));
        if listed && (channels.is_none() || method.stays_in_channels()) {
            Ok(())
        } else {
            Err(Denied::Permission)
        }
    }

    /// For what is done to connections, on every node.
    #[must_use]
    pub fn backend(&self) -> Backend {
        Backend::believed()
    }

    /// Whether the caller may touch this channel, and know of it.
    #[must_use]
    pub fn may_reach(&self, channel: &Channel) -> bool {
        let patterns = &self.0.scope.channels;
        patterns
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(channel.as_str())))
    }

    /// Lets the caller touch a channel.
    ///
    /// # Errors
    /// [`Denied::Permission`].
    pub fn reach(&self, channel: Channel) -> Result<Reach, Denied> {
        if self.may_reach(&channel) { Ok(Reach(channel)) } else { Err(Denied::Permission) }
    }
}

/// Proof that a caller of the server API may touch a channel: there it may do what
/// a client needs permission for.
#[derive(Debug)]
pub struct Reach(Channel);

impl Reach {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.0
    }

    /// Takes the channel.
    #[must_use]
    pub fn into_channel(self) -> Channel {
        self.0
    }

    /// Publishing there; a server's publication has no publisher.
    #[must_use]
    pub fn publish(self, payload: Payload, tags: BTreeMap<String, String>) -> Authorized<Publish> {
        Authorized::granted(Publish { channel: self.0, payload, publisher: None, tags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str, scope: Scope) -> ApiKey {
        ApiKey::new(name, &Secret::new(secret.into()), scope).expect("a good key")
    }

    fn caller(scope: Scope) -> ServerApi {
        let keys = ApiKeys::new(vec![key("one", "0123456789abcdef", scope)]);
        keys.check("0123456789abcdef").expect("the key")
    }

    fn channel(name: &str) -> Channel {
        Channel::parse(name).expect("valid")
    }

    #[test]
    fn only_a_whole_key_opens_and_tells_its_name() {
        let keys = ApiKeys::new(vec![
            key("first", "0123456789abcdef", Scope::default()),
            key("second", "fedcba9876543210", Scope::default()),
            key("third", "0123456789abcdeF", Scope::default()),
        ]);
        for (secret, name) in [
            ("0123456789abcdef", "first"),
            ("fedcba9876543210", "second"),
            ("0123456789abcdeF", "third"),
        ] {
            assert_eq!(keys.check(secret).expect("a key").name(), name);
        }
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(keys.check(wrong).is_none());
        }
        assert!(ApiKeys::default().check("").is_none());
        assert!(!format!("{keys:?}").contains("0123"));
    }

    #[test]
    fn short_keys_and_odd_names_are_refused() {
        let new = |name: &str, secret: &str| {
            ApiKey::new(name, &Secret::new(secret.into()), Scope::default()).map(|_| ())
        };
        assert_eq!(new("one", "0123456789abcde"), Err(BadApiKey::Short));
        for name in ["", "a b", "a\"", "é", &"n".repeat(65)] {
            assert_eq!(new(name, "0123456789abcdef"), Err(BadApiKey::Name), "{name}");
        }
        assert_eq!(new("Back-end_2.eu", "0123456789abcdef"), Ok(()));
    }

    #[test]
    fn without_lists_everything_is_allowed_and_an_empty_list_allows_nothing() {
        let all = caller(Scope::default());
        let none = caller(Scope { methods: Some(vec![]), channels: None });
        for method in ApiMethod::ALL {
            assert_eq!(all.admit(*method), Ok(()), "{method:?}");
            assert_eq!(none.admit(*method), Err(Denied::Permission), "{method:?}");
        }
        assert!(all.reach(channel("any:thing")).is_ok());
        let nowhere = caller(Scope { methods: None, channels: Some(vec![]) });
        assert_eq!(nowhere.admit(ApiMethod::Publish), Ok(()));
        assert_eq!(nowhere.reach(channel("any")).map(|_| ()), Err(Denied::Permission));
    }

    #[test]
    fn a_key_with_channels_reaches_nothing_beyond_them() {
        let news = ChannelPattern::parse("news:*").expect("a pattern");
        let caller = caller(Scope { methods: None, channels: Some(vec![news]) });
        assert!(caller.reach(channel("news:a")).is_ok());
        for other in ["news", "$news:a", "xnews:a", "News:a", "chat:news:a"] {
            assert!(!caller.may_reach(&channel(other)), "{other}");
        }
        use ApiMethod::{Disconnect, Info, Refresh, Rpc};
        for method in [Disconnect, Info, Refresh, Rpc] {
            assert_eq!(caller.admit(method), Err(Denied::Permission), "{method:?}");
        }
        assert_eq!(caller.admit(ApiMethod::Channels), Ok(()));
    }
}
