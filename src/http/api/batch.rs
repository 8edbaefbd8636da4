//! `batch`: several methods in one call. Alone among the methods it answers
//! without `result` around its replies.

use std::fmt;
use std::future::ready;

use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use sealcast_wire::ErrorCode;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::admission::{self, Admitted};
use super::ahead::Ahead;
use super::answer::{Problem, error_text};
use super::{ApiMethod, App, ServerApi, method, parse};
use crate::limit::Scope;

/// Most commands of one batch.
const MAX_COMMANDS: usize = 1_000;
/// Once the replies are this long, bytes, no further command is carried out: a
/// short batch could otherwise read the same history a thousand times.
const MAX_REPLIES: usize = 16 << 20;

#[derive(Default, Deserialize)]
pub(super) struct Batch<'a> {
    #[serde(borrow)]
    commands: Option<Vec<Command<'a>>>,
    /// Lets the order vary, which it need not.
    #[serde(rename = "parallel")]
    _parallel: Option<bool>,
}

/// Requests by their methods; `null` is none. What is no method is not looked at, and of
/// one that stands there twice the last counts.
struct Command<'a>(Vec<(ApiMethod, Option<&'a RawValue>)>);

/// Carries the commands out in order, each as if it came alone, also in what the
/// caller's key allows. Publications that follow one another are sent together; any
/// other command waits for what stands before it, and what stands behind it for it.
/// A command that cannot be read or is not carried out has its error among the
/// replies.
pub(super) async fn answer(
    app: &App,
    caller: &ServerApi,
    body: &[u8],
) -> Result<String, StatusCode> {
    let commands = parse::<Batch<'_>>(body)?.commands.unwrap_or_default();
    if commands.len() > MAX_COMMANDS {
        return Err(StatusCode::BAD_REQUEST);
    }
    if commands.is_empty() {
        return Ok("{}".into());
    }
    let mut replies = Ahead::of(commands.len());
    let mut length = 0;
    for command in &commands {
        let asked = command.asked();
        let publishes = asked.is_some_and(|(method, _)| method == ApiMethod::Publish);
        if !publishes {
            length = replies.end().await.iter().map(String::len).sum();
        }
        let reply: BoxFuture<'_, String> = if length < MAX_REPLIES {
            Box::pin(one(app, caller, asked))
        } else {
            Box::pin(ready(error(ErrorCode::LimitExceeded)))
        };
        replies.begin(reply).await;
        if !publishes {
            replies.end().await;
        }
    }
    Ok(listed(replies.end().await))
}

impl<'a> Command<'a> {
    /// Of several methods only the first is called, in the order of [`ApiMethod::ALL`].
    fn asked(&self) -> Option<(ApiMethod, &'a RawValue)> {
        let of = |method: ApiMethod| self.0.iter().rev().find(|(named, _)| *named == method);
        if let [(method, request)] = &*self.0 {
            return Some((*method, (*request)?));
        }
        ApiMethod::ALL.iter().find_map(|method| Some((*method, of(*method)?.1?)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Command<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Command<'a>, D::Error> {
        struct Requests;

        impl<'de> Visitor<'de> for Requests {
            type Value = Command<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("requests by the names of methods")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Command<'de>, A::Error> {
                let mut requests = Vec::with_capacity(1);
                while let Some(Named(method)) = map.next_key()? {
                    let request = map.next_value()?;
                    requests.extend(method.map(|method| (method, request)));
                }
                Ok(Command(requests))
            }
        }

        from.deserialize_map(Requests)
    }
}

/// What a member is called; nothing if that is no method.
struct Named(Option<ApiMethod>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Named, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Named, E> {
                Ok(Named(ApiMethod::parse(name)))
            }
        }

        from.deserialize_str(Name)
    }
}

fn listed(replies: &[String]) -> String {
    let length: usize = replies.iter().map(|reply| reply.len() + 1).sum();
    let mut text = String::with_capacity(length + 16);
    text.push_str(r#"{"replies":["#);
    for (at, reply) in replies.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(reply);
    }
    text.push_str("]}");
    text
}

async fn one(app: &App, caller: &ServerApi, asked: Option<(ApiMethod, &RawValue)>) -> String {
    let Some((method, request)) = asked else { return error(ErrorCode::MethodNotFound) };
    let body = request.get().as_bytes();
    let called = match admission::admit(method, app, caller, body).await {
        Admitted::Once => method::call(method, app, caller, body).await,
        Admitted::Again(outcome) => Ok(outcome),
        Admitted::Refused(too_many) => {
            return error(match too_many.scope {
                Scope::Blocked => ErrorCode::PermissionDenied,
                _ => ErrorCode::TooManyRequests,
            });
        }
    };
    match called {
        Ok(Ok(result)) => [r#"{""#, method.name(), r#"":"#, result.get(), "}"].concat(),
        Ok(Err(problem)) => error(problem),
        Err(_) => error(ErrorCode::BadRequest),
    }
}

fn error(problem: impl Into<Problem>) -> String {
    format!(r#"{{"error":{}}}"#, error_text(problem))
}
