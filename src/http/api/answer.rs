//! How the outcome of a call is told.

use axum::http::{HeaderMap, StatusCode};
use sealcast_wire::ErrorCode;
use serde::Serialize;
use serde_json::value::RawValue;

/// Where errors of a call stand. Those of a batch and of a broadcast's channels
/// stand in the body in either mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorMode {
    /// In the body of a 200.
    #[default]
    Body,
    /// In the HTTP status, with the error alone in the body.
    Transport,
}

impl ErrorMode {
    /// The mode for a request, which may ask for errors by status itself.
    pub(super) fn asked_by(self, headers: &HeaderMap) -> ErrorMode {
        match headers.get("x-centrifugo-error-mode") {
            Some(mode) if mode == "transport" => ErrorMode::Transport,
            _ => self,
        }
    }
}

/// What a method came to: its result as JSON, or its error.
pub(super) type Outcome = Result<Box<RawValue>, Problem>;

/// An error, with the usual text of its code or one that says more.
#[derive(Clone, Copy)]
pub(super) struct Problem {
    pub(super) code: ErrorCode,
    pub(super) message: &'static str,
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Problem {
        let message = match code {
            // The server API has another text for it than the client protocol.
            ErrorCode::MethodNotFound => "not found",
            code => code.message(),
        };
        Problem { code, message }
    }
}

/// A result as JSON.
pub(super) fn done<T: Serialize>(result: Result<T, impl Into<Problem>>) -> Outcome {
    let result = result.map_err(Into::into)?;
    serde_json::value::to_raw_value(&result).map_err(|_| ErrorCode::Internal.into())
}

/// `{"result":…}` or `{"error":…}`; by status, the error stands alone.
pub(super) fn told(outcome: &Outcome, mode: ErrorMode) -> (StatusCode, String) {
    match (outcome, mode) {
        (Ok(result), _) => (StatusCode::OK, [r#"{"result":"#, result.get(), "}"].concat()),
        (Err(problem), ErrorMode::Transport) => (status_of(problem.code), error_text(*problem)),
        (Err(problem), ErrorMode::Body) => {
            (StatusCode::OK, format!(r#"{{"error":{}}}"#, error_text(*problem)))
        }
    }
}

/// An error as JSON.
pub(super) fn error_text(problem: impl Into<Problem>) -> String {
    let Problem { code, message } = problem.into();
    format!(r#"{{"code":{},"message":"{message}"}}"#, code.code())
}

/// A method or channel that the key may not use is error 103, the client
/// protocol's number for it, and not a bare 403: server libraries show an error's
/// code and message, but of a status only the number; and in a broadcast or a
/// batch only an error can stand beside the results of the rest.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::UnknownChannel | ErrorCode::MethodNotFound => StatusCode::NOT_FOUND,
        ErrorCode::BadRequest | ErrorCode::NotAvailable => StatusCode::BAD_REQUEST,
        ErrorCode::UnrecoverablePosition => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::ConcurrentPagination => StatusCode::CONFLICT,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
