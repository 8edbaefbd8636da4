//! Methods of kinds of channels that this server does not have. They answer as a
//! channel of another kind answers, so that a caller learns what is wrong.

use sealcast_wire::ErrorCode;

use super::channel::Named;
use super::{App, ServerApi, find};

/// Any `map_*` method: no namespace holds maps.
pub(super) fn map(app: &App, caller: &ServerApi, of: Named) -> Result<(), ErrorCode> {
    find(app, caller, of.channel.as_deref())?;
    Err(ErrorCode::BadRequest)
}

/// `shared_poll_publish`: no namespace is polled.
pub(super) fn shared_poll(app: &App, caller: &ServerApi, of: Named) -> Result<(), ErrorCode> {
    find(app, caller, of.channel.as_deref())?;
    Err(ErrorCode::NotAvailable)
}
