//! What a page is told whose origin is not allowed, in development mode. A browser
//! shows a page nothing of a handshake that is refused, so this one is granted, and
//! the connection ends at once with the reason. Nothing that the page says is read.

use axum::http::HeaderMap;
use sealcast_wire::{Disconnect, ws};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Duration, timeout};

use super::door;
use crate::net::Upgrade;

/// How long the page has to see the end.
const LONGEST: Duration = Duration::from_secs(2);

/// Ends the connection with why these headers are refused.
pub(super) fn origin_refused(
    upgrade: Upgrade,
    headers: &HeaderMap,
) -> impl Future<Output = ()> + use<> {
    let reason = reason(&door::origin(headers));
    async move {
        // Whoever does not read it has the log.
        let _ = timeout(LONGEST, end(upgrade, reason)).await;
    }
}

/// The origin comes last, because what is too long is cut.
fn reason(origin: &str) -> String {
    if origin.is_empty() {
        "origin not allowed: a request with cookies must name its origin".to_owned()
    } else {
        format!("origin not allowed, see client.allowed_origins: {origin:?}")
    }
}

async fn end(upgrade: Upgrade, reason: String) -> Option<()> {
    let mut stream = std::pin::pin!(upgrade.stream().await?);
    let mut frame = Vec::new();
    ws::put_close(&mut frame, Disconnect::PERMISSION_DENIED.code, &reason);
    stream.write_all(&frame).await.ok()?;
    stream.shutdown().await.ok()?;
    // Closing while something is unread would take the frame back.
    let mut unread = [0; 1 << 10];
    while stream.read(&mut unread).await.ok()? > 0 {}
    Some(())
}
