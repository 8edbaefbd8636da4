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
pub(super) type Outcome = Result<Box<RawValue>, ErrorCode>;

/// A result as JSON.
pub(super) fn done<T: Serialize>(result: Result<T, ErrorCode>) -> Outcome {
    serde_json::value::to_raw_value(&result?).map_err(|_| ErrorCode::Internal)
}

/// `{"result":…}` or `{"error":…}`; by status, the error stands alone.
pub(super) fn told(outcome: &Outcome, mode: ErrorMode) -> (StatusCode, String) {
    match (outcome, mode) {
        (Ok(result), _) => (StatusCode::OK, format!(r#"{{"result":{result}}}"#)),
        (Err(code), ErrorMode::Transport) => (status_of(*code), error_text(*code)),
        (Err(code), ErrorMode::Body) => {
            (StatusCode::OK, format!(r#"{{"error":{}}}"#, error_text(*code)))
        }
    }
}

/// An error as JSON.
pub(super) fn error_text(code: ErrorCode) -> String {
    let message = match code {
        // The server API has another text for it than the client protocol.
        ErrorCode::MethodNotFound => "not found",
        code => code.message(),
    };
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
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
