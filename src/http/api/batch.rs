//! `batch`: several methods in one call. Alone among the methods it answers
//! without `result` around its replies.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use sealcast_wire::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{App, Method, ServerApi, error_text, parse};

/// Most commands of one batch.
const MAX_COMMANDS: usize = 1_000;

#[derive(Default, Deserialize)]
struct Batch<'a> {
    #[serde(borrow, default)]
    commands: Option<Vec<BTreeMap<&'a str, &'a RawValue>>>,
}

/// The commands are carried out one after the other, also where `parallel` would
/// let them be otherwise; a command that cannot be read gets an error among the
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
    let mut replies = Vec::with_capacity(commands.len());
    for command in commands {
        replies.push(one(app, caller, &command).await);
    }
    Ok(format!(r#"{{"replies":[{}]}}"#, replies.join(",")))
}

/// A command has one member that is named like a method; others are ignored.
async fn one(app: &App, caller: &ServerApi, command: &BTreeMap<&str, &RawValue>) -> String {
    let mut known = command.iter().filter_map(|(name, request)| {
        Some((*name, Method::parse(name)?, request.get().as_bytes()))
    });
    let outcome = match known.next() {
        Some((name, method, request)) => match method.answer(app, caller, request).await {
            Ok(Ok(result)) => return format!(r#"{{"{name}":{result}}}"#),
            Ok(Err(problem)) => problem,
            Err(_) => ErrorCode::BadRequest.into(),
        },
        None => ErrorCode::MethodNotFound.into(),
    };
    format!(r#"{{"error":{}}}"#, error_text(outcome))
}
