//! What every request of a client passes first: the Origin rule.

use axum::http::{HeaderMap, StatusCode, header};

use super::App;

/// Lets a request in whose origin is on the list. Without an `Origin` header it
/// is no browser's page; it may pass if it brings no cookie either, because then
/// nothing of a person's browser is used.
///
/// # Errors
/// 403, and counted.
pub(super) fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), StatusCode> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let allowed = match (origins.next(), origins.next()) {
        (None, _) => !headers.contains_key(header::COOKIE),
        (Some(origin), None) => origin.to_str().is_ok_and(|origin| app.origins.allow(origin)),
        (Some(_), Some(_)) => false,
    };
    if allowed {
        return Ok(());
    }
    app.metrics().origin_rejected.increment(1);
    Err(StatusCode::FORBIDDEN)
}
