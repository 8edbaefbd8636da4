//! Who may connect, and what connecting brings.

use sealcast_wire::User;

use super::super::Fault;
use super::super::file::Client;
use super::fault;
use crate::auth::{Namespaces, PersonalChannels};
use crate::session::{Admission, OneTooMany};

pub(super) fn admission(
    client: &Client,
    namespaces: &Namespaces,
    faults: &mut Vec<Fault>,
) -> Admission {
    Admission {
        anonymous: client.allow_anonymous_connect_without_token,
        no_anonymous_tokens: client.disallow_anonymous_connection_tokens,
        one_too_many: one_too_many(client, faults),
        personal: personal(client, namespaces, faults),
        tells_time: client.connect_include_server_time,
        tells_why: false,
    }
}

fn one_too_many(client: &Client, faults: &mut Vec<Fault>) -> OneTooMany {
    match client.user_connection_limit_answer.as_str() {
        "retry" => OneTooMany::Retry,
        "refuse" => OneTooMany::Refuse,
        "replace" => OneTooMany::Replace,
        _ => {
            let problem = "none of retry, refuse and replace";
            fault(faults, "client.user_connection_limit_answer", problem);
            OneTooMany::default()
        }
    }
}

/// The namespace of the channels must be there, because otherwise no user at all
/// could connect.
fn personal(
    client: &Client,
    namespaces: &Namespaces,
    faults: &mut Vec<Fault>,
) -> Option<PersonalChannels> {
    let written = &client.subscribe_to_user_personal_channel;
    let place = "client.subscribe_to_user_personal_channel";
    let namespace = written.personal_channel_namespace.clone().filter(|name| !name.is_empty());
    if !written.enabled {
        if written.single_connection || namespace.is_some() {
            fault(faults, format!("{place}.enabled"), "needed, because the others say something");
        }
        return None;
    }
    let personal = PersonalChannels { namespace, single_connection: written.single_connection };
    let example = User::parse("user").ok().and_then(|user| personal.of(&user)?.ok());
    if example.is_none_or(|channel| namespaces.of(&channel).is_err()) {
        let problem = match &personal.namespace {
            Some(name) => format!("{name:?} is not in channel.namespaces"),
            None => "needed, because channel.without_namespace is not there".into(),
        };
        fault(faults, format!("{place}.personal_channel_namespace"), problem);
    }
    Some(personal)
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    const TOKEN: &str = r#""token":{"hmac_secret_key":"0123456789abcdef0123456789abcdef"}"#;

    fn built(personal: &str, channels: &str) -> Result<Admission, Vec<String>> {
        let client = format!(r#"{TOKEN},"subscribe_to_user_personal_channel":{personal}"#);
        let text = format!(r#"{{"client":{{{client}}},"channel":{channels}}}"#);
        match parse(&text) {
            Ok(config) => Ok(config.admission),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.place).collect()),
        }
    }

    #[test]
    fn personal_channels_need_their_namespace() {
        let named = r#"{"namespaces":[{"name":"own"}]}"#;
        let plain = r#"{"without_namespace":{}}"#;
        let enabled = r#"{"enabled":true}"#;
        let in_own = r#"{"enabled":true,"personal_channel_namespace":"own"}"#;
        let personal = |namespace: Option<&str>| {
            let namespace = namespace.map(str::to_owned);
            Some(PersonalChannels { namespace, single_connection: false })
        };
        assert_eq!(built(enabled, plain).map(|it| it.personal), Ok(personal(None)));
        assert_eq!(built(in_own, named).map(|it| it.personal), Ok(personal(Some("own"))));
        assert_eq!(built("{}", plain).map(|it| it.personal), Ok(None));
        let place = "client.subscribe_to_user_personal_channel";
        let namespace = vec![format!("{place}.personal_channel_namespace")];
        for (written, channels) in [
            (enabled, named),
            (in_own, plain),
            (r#"{"enabled":true,"personal_channel_namespace":"$own"}"#, named),
            (r#"{"enabled":true,"personal_channel_namespace":"own:x"}"#, named),
            (r#"{"enabled":true,"personal_channel_namespace":"a b"}"#, named),
        ] {
            assert_eq!(built(written, channels), Err(namespace.clone()), "{written}");
        }
        let half = r#"{"single_connection":true}"#;
        assert_eq!(built(half, plain), Err(vec![format!("{place}.enabled")]));
    }
}
