//! Reading a request's body, bounded in bytes and time.

use std::pin::pin;

use axum::body::HttpBody;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use sealcast_wire::Encoding;

use crate::limit::Limits;

/// The body, of at most `most` bytes.
///
/// # Errors
/// 413 if it is larger, 408 if it takes too long, 400 if it is cut off.
pub(super) async fn read<B>(limits: &Limits, body: B, most: usize) -> Result<Bytes, StatusCode>
where
    B: HttpBody<Data = Bytes>,
{
    // A length that is told beforehand need not be waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let reading = tokio::time::timeout(limits.body_timeout, whole(body, most));
    reading.await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

/// What came in one piece is not copied.
async fn whole<B>(body: B, most: usize) -> Result<Bytes, StatusCode>
where
    B: HttpBody<Data = Bytes>,
{
    let mut body = pin!(body);
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        // What stands behind the body says nothing here.
        let Ok(piece) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        if first.len().max(all.len()) + piece.len() > most {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if first.is_empty() {
            first = piece;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
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
