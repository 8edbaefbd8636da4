//! Makes tokens.

use std::process::ExitCode;
use std::time::Duration;

use sealcast_wire::{Channel, User};
use serde_json::{Map, Value, json};

use super::super::about::print;
use super::super::text::duration;
use super::super::{EXIT_CONFIG, EXIT_USAGE, Failure};
use super::Keys;
use super::check::lines;
use crate::auth::{Issuer, Purpose, Verifier};
use crate::server::unix_now;

/// For whom, and what else is in it.
#[derive(clap::Args)]
#[command(after_help = CONNECTION_HELP)]
pub(crate) struct Connection {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    common: Common,
    /// A channel that the connection is subscribed to by the server; can be given
    /// several times.
    #[arg(long = "channel", value_name = "NAME")]
    channels: Vec<String>,
}

/// For whom, to what, and what else is in it.
#[derive(clap::Args)]
#[command(after_help = SUBSCRIPTION_HELP)]
pub(crate) struct Subscription {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    common: Common,
    /// The channel.
    #[arg(long, value_name = "NAME")]
    channel: String,
    /// The one connection that may use it, by its client id.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

#[derive(clap::Args)]
#[group(skip)]
struct Common {
    /// The user's id.
    #[arg(long, short, value_name = "ID")]
    user: String,
    /// How long the token is good, such as 90s, 15m or 1h.
    #[arg(long, default_value = "10m", value_parser = duration)]
    ttl: Duration,
    /// What others are told of the user: JSON.
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    info: Option<Value>,
    /// Further claims: a JSON object, which wins over everything else.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    claims: Option<Map<String, Value>>,
}

const CONNECTION_HELP: &str = "\
The secret is read from a file and never from an argument. The token is checked
as the node would check it, and not printed if the node would refuse it.

  sealcast gen-token --config sealcast.json --user ada
  sealcast gen-token --secret-file hmac.txt --user ada --ttl 1h \\
    --info '{\"name\":\"Ada\"}' --channel news

Exit codes: 0 the token is on standard output; 1 the node would refuse it;
2 wrong arguments; 65 the secret is unfit; 66 it cannot be read;
78 the configuration is at fault.";

const SUBSCRIPTION_HELP: &str = "\
The secret is read from a file and never from an argument. The token is checked
as the node would check it, and not printed if the node would refuse it.

  sealcast gen-sub-token --config sealcast.json --user ada --channel '$room'

Exit codes: 0 the token is on standard output; 1 the node would refuse it;
2 wrong arguments; 65 the secret is unfit; 66 it cannot be read;
78 the configuration is at fault.";

/// Prints a connection token.
pub(crate) fn connection(options: &Connection) -> Result<ExitCode, Failure> {
    let verifier = options.keys.verifier()?;
    let mut claims = Map::new();
    if !options.channels.is_empty() {
        claims.insert("channels".into(), json!(options.channels));
    }
    let token = options.common.sign(&verifier, Purpose::Connection, claims)?;
    let checked = verifier.explain_connection(&token, unix_now());
    finish(&token, checked.err().map(|why| lines("the node would refuse the token", &why)))
}

/// Prints a subscription token.
pub(crate) fn subscription(options: &Subscription) -> Result<ExitCode, Failure> {
    let verifier = options.keys.verifier()?;
    Channel::parse(&options.channel).map_err(|_| {
        let problem = "--channel: no channel can have this name; take 1 to 255 bytes of ASCII";
        Failure::new(EXIT_USAGE, problem)
    })?;
    let mut claims = Map::new();
    claims.insert("channel".into(), options.channel.clone().into());
    if let Some(client) = &options.client {
        claims.insert("client".into(), client.clone().into());
    }
    let token = options.common.sign(&verifier, Purpose::Subscription, claims)?;
    let checked = verifier.explain_subscription(&token, unix_now());
    finish(&token, checked.err().map(|why| lines("the node would refuse the token", &why)))
}

fn finish(token: &str, refused: Option<Vec<String>>) -> Result<ExitCode, Failure> {
    match refused {
        Some(lines) => Err(Failure { code: 1, lines }),
        None => print(format!("{token}\n").as_bytes()),
    }
}

impl Common {
    fn sign(
        &self,
        verifier: &Verifier,
        purpose: Purpose,
        mut claims: Map<String, Value>,
    ) -> Result<String, Failure> {
        let user = User::parse(&self.user).map_err(|_| {
            let problem =
                "--user: not a user's id; take up to 255 bytes without control characters";
            Failure::new(EXIT_USAGE, problem)
        })?;
        let issuer: Issuer = verifier.issuer(purpose).ok_or_else(|| {
            let problem = "the first configured key is a public one, with which nothing can be \
                           signed; sign with its private half, where that is kept";
            Failure::new(EXIT_CONFIG, problem)
        })?;
        if let Some(info) = &self.info {
            claims.insert("info".into(), info.clone());
        }
        claims.extend(self.claims.clone().unwrap_or_default());
        issuer
            .sign(&user, unix_now(), self.ttl.as_secs().max(1), claims)
            .ok_or_else(|| Failure::plain("the crypto library cannot sign with this key"))
    }
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    match json_value(text)? {
        Value::Object(members) => Ok(members),
        _ => Err("not a JSON object such as {\"role\":\"admin\"}".into()),
    }
}
