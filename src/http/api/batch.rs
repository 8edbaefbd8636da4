//! `batch`: several methods in one call. Alone among the methods it answers
//! without `result` around its replies.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use sealcast_wire::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Problem, error_text};
use super::{ApiMethod, App, ServerApi, admit, method, parse};
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

/// Requests by the names of methods; `null` is none.
type Command<'a> = BTreeMap<String, Option<&'a RawValue>>;

/// Carries the commands out one after the other, each as if it came alone, also in
/// what the caller's key allows. A command that cannot be read or is not carried
/// out has its error among the replies.
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
    let mut replies = String::new();
    for command in commands {
        if !replies.is_empty() {
            replies.push(',');
        }
        let reply = if replies.len() < MAX_REPLIES {
            one(app, caller, &command).await
        } else {
            error(ErrorCode::LimitExceeded)
        };
        replies.push_str(&reply);
    }
    Ok(format!(r#"{{"replies":[{replies}]}}"#))
}

/// Of several methods only the first is called, in the order of [`ApiMethod::ALL`].
async fn one(app: &App, caller: &ServerApi, command: &Command<'_>) -> String {
    let asked = |method: &ApiMethod| command.get(method.name()).copied().flatten();
    let first = ApiMethod::ALL.iter().find_map(|method| Some((*method, asked(method)?)));
    let Some((method, request)) = first else { return error(ErrorCode::MethodNotFound) };
    if let Err(too_many) = admit::admit_call(app, caller.name()) {
        return error(match too_many.scope {
            Scope::Blocked => ErrorCode::PermissionDenied,
            _ => ErrorCode::TooManyRequests,
        });
    }
    match method::call(method, app, caller, request.get().as_bytes()).await {
        Ok(Ok(result)) => format!(r#"{{"{}":{result}}}"#, method.name()),
        Ok(Err(problem)) => error(problem),
        Err(_) => error(ErrorCode::BadRequest),
    }
}

fn error(problem: impl Into<Problem>) -> String {
    format!(r#"{{"error":{}}}"#, error_text(problem))
}
