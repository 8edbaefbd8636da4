//! A channel for each user alone, to which the server subscribes them.

use sealcast_wire::name::BadName;
use sealcast_wire::{Channel, User};

/// Where the channels of single users are: `#<user>`, in a namespace or in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonalChannels {
    /// The namespace; `None` for channels without one.
    pub namespace: Option<String>,
    /// A user's newer connection ends the older ones that have the channel.
    pub single_connection: bool,
}

impl PersonalChannels {
    /// The user's channel; `None` for the anonymous user, who is not one person.
    ///
    /// # Errors
    /// If the user id cannot stand in a channel's name, or would name others: `#`
    /// and `,` part the users that a channel is limited to, and `:` ends the name
    /// of a namespace.
    pub fn of(&self, user: &User) -> Option<Result<Channel, BadName>> {
        if user.is_anonymous() {
            return None;
        }
        let id = user.as_str();
        let name = match &self.namespace {
            None => format!("#{id}"),
            Some(namespace) => format!("{namespace}:#{id}"),
        };
        Some(Channel::parse(&name).and_then(|channel| {
            let users: Vec<&str> = channel.users().into_iter().flatten().collect();
            if users == [id] && channel.namespace() == self.namespace.as_deref() {
                Ok(channel)
            } else {
                Err(BadName::Character)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: Option<&str>, user: &str) -> Option<Result<String, BadName>> {
        let namespace = namespace.map(str::to_owned);
        let personal = PersonalChannels { namespace, single_connection: false };
        let channel = personal.of(&User::parse(user).expect("a user"))?;
        Some(channel.map(|channel| channel.as_str().to_owned()))
    }

    #[test]
    fn the_channel_is_named_after_its_one_user() {
        assert_eq!(of(None, "42"), Some(Ok("#42".into())));
        assert_eq!(of(Some("personal"), "ada"), Some(Ok("personal:#ada".into())));
        assert_eq!(of(Some("personal"), "team:ada"), Some(Ok("personal:#team:ada".into())));
        assert_eq!(of(None, ""), None, "the anonymous user has none");
    }

    #[test]
    fn an_id_that_would_name_others_has_none() {
        for id in ["42,43", "a#42", "#", ",", "team:ada"] {
            assert_eq!(of(None, id), Some(Err(BadName::Character)), "{id}");
        }
        for id in ["zo\u{eb}", "a b", "a\"b"] {
            assert_eq!(of(Some("personal"), id), Some(Err(BadName::Character)), "{id}");
        }
        assert_eq!(of(None, &"a".repeat(255)), Some(Err(BadName::TooLong)));
        assert_eq!(of(None, &"a".repeat(254)), Some(Ok(format!("#{}", "a".repeat(254)))));
    }
}
