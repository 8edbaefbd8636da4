//! Says whether a node takes a token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::about::print;
use super::super::text::{date, printable};
use super::super::{Failure, input};
use super::Keys;
use crate::auth::{Explanation, advice};
use crate::server::unix_now;

/// Which token, and for what.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    #[command(flatten)]
    keys: Keys,
    /// The file with the token; without one, or with -, standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// It is to be a subscription token, not a connection token.
    #[arg(long)]
    subscription: bool,
    /// It is to be of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// It is to be for this channel.
    #[arg(long, value_name = "NAME", requires = "subscription")]
    channel: Option<String>,
    /// It is to be usable by the connection with this client id.
    #[arg(long, value_name = "ID", requires = "subscription")]
    client: Option<String>,
}

const AFTER_HELP: &str = "\
The token is read from standard input or from a file and never from an argument.

  sealcast check-token --config sealcast.json < token.txt
  sealcast check-token --secret-file hmac.txt --token-file token.txt \\
    --subscription --channel '$room'

A good token is told with its claims and its end, a refused one with the rule
that it breaks, the claim, and what was expected and found.

Exit codes: 0 the node takes it; 1 the node refuses it; 2 wrong arguments;
65 an input is unfit; 66 it cannot be read; 78 the configuration is at fault.";

/// Prints what is in the token; fails with the reason if it is refused.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let verifier = options.keys.verifier()?;
    let token = input::token(options.token_file.as_deref())?;
    let now = unix_now();
    let (user, expires_at, rest) = if options.subscription {
        let claims = verifier.explain_subscription(&token, now).map_err(|why| refused(&why))?;
        let channel = claims.channel.as_str();
        if let Some(wanted) = &options.channel
            && wanted != channel
        {
            return Err(mismatch("channel", wanted, channel));
        }
        if let (Some(wanted), Some(client)) = (&options.client, &claims.client)
            && wanted != client
        {
            return Err(mismatch("client", wanted, client));
        }
        (claims.user, claims.expires_at, format!("channel  {channel:?}\n"))
    } else {
        let claims = verifier.explain_connection(&token, now).map_err(|why| refused(&why))?;
        let names: Vec<_> =
            claims.subscriptions.keys().map(|channel| format!("{:?}", channel.as_str())).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(" ") };
        (claims.user, claims.expires_at, format!("channels {names}\n"))
    };
    if let Some(wanted) = &options.user
        && wanted != user.as_str()
    {
        return Err(mismatch("user", wanted, user.as_str()));
    }
    let expires = expires_at.map_or_else(
        || "never".to_owned(),
        |at| format!("{}, in {} s", date(Duration::from_secs(at)), at.saturating_sub(now)),
    );
    let kind = if options.subscription { "subscription" } else { "connection" };
    let text = format!(
        "good     a {kind} token of the user {:?}\nexpires  {expires}\n{rest}claims   {}\n",
        user.as_str(),
        payload(&token)
    );
    print(text.as_bytes())
}

/// What is wrong with a token and what to do, a line each.
pub(super) fn lines(what: &str, why: &Explanation) -> Vec<String> {
    let mut lines = vec![format!("{what}: {}", why.rule)];
    let mut add = |name, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {name:<9} {value}"));
        }
    };
    add("member", &why.member);
    add("expected", &why.expected);
    add("found", &why.found);
    add("to do", advice(why.rule));
    lines
}

fn refused(why: &Explanation) -> Failure {
    Failure { code: 1, lines: lines("the token is refused", why) }
}

fn mismatch(member: &str, expected: &str, found: &str) -> Failure {
    refused(&Explanation {
        rule: "mismatch",
        member: member.to_owned(),
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}

/// The claims of a token that was verified, as they were written.
fn payload(token: &str) -> String {
    let segment = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(segment).unwrap_or_default();
    printable(&String::from_utf8_lossy(&bytes))
}
