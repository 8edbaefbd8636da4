//! Reading a request's body, bounded in bytes and time.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use sealcast_wire::Encoding;

use crate::limit::Limits;

/// The body, of at most `most` bytes.
///
/// # Errors
/// 413 if it is larger, 408 if it takes too long, 400 if it is cut off.
pub(super) async fn read(limits: &Limits, body: Body, most: usize) -> Result<Bytes, StatusCode> {
    // A length that is told beforehand need not be waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let reading = Limited::new(body, most).collect();
    match tokio::time::timeout(limits.body_timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// How a client's body is written, by its content type: JSON, or Protobuf for
/// `application/octet-stream`.
///
/// # Errors
/// 415 for any other type, and for a body that is packed.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, StatusCode> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else if kind.eq_ignore_ascii_case("application/octet-stream") {
        Ok(Encoding::Protobuf)
    } else {
        Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }
}
