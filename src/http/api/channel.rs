//! What is kept of a channel: presence and history.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, ErrorCode, Publication};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{App, Position, find, object};
use crate::broker::{HistoryError, HistoryQuery, Retention};

/// Longest pattern, bytes: each level of its braces takes room on the stack.
const MAX_PATTERN: usize = 1_024;

#[derive(Default, Deserialize)]
pub(super) struct Named {
    channel: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Presence {
    presence: BTreeMap<String, Client>,
}

/// Someone who is subscribed, or who published.
#[derive(Serialize)]
struct Client {
    user: String,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chan_info: Option<Box<RawValue>>,
}

#[derive(Serialize)]
pub(super) struct Stats {
    num_clients: usize,
    num_users: usize,
}

#[derive(Default, Deserialize)]
pub(super) struct Page {
    channel: Option<String>,
    limit: Option<i64>,
    #[serde(default, deserialize_with = "object")]
    since: Option<Position>,
    reverse: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct History {
    publications: Vec<Kept>,
    epoch: String,
    offset: u64,
}

/// A publication that was kept. One that is not JSON comes as `b64data`, and its
/// `data` is null.
#[derive(Serialize)]
struct Kept {
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Client>,
    offset: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(super) struct Done {}

pub(super) async fn presence(app: &App, of: Named) -> Result<Presence, ErrorCode> {
    let channel = with_presence(app, of)?;
    let present = app.policy.relay.broker().presence(channel).await;
    let present = present.map_err(|_| ErrorCode::Internal)?;
    let presence = present.into_iter().map(|(id, who)| (id, client(&who))).collect();
    Ok(Presence { presence })
}

pub(super) async fn presence_stats(app: &App, of: Named) -> Result<Stats, ErrorCode> {
    let channel = with_presence(app, of)?;
    let stats = app.policy.relay.broker().presence_stats(channel).await;
    let stats = stats.map_err(|_| ErrorCode::Internal)?;
    Ok(Stats { num_clients: stats.clients, num_users: stats.users })
}

pub(super) async fn history(app: &App, page: Page) -> Result<History, ErrorCode> {
    let (channel, keep) = with_history(app, page.channel.as_deref())?;
    let reverse = page.reverse.unwrap_or(false);
    if reverse && page.since.as_ref().is_some_and(|since| since.offset == 0) {
        return Err(ErrorCode::BadRequest);
    }
    let query = HistoryQuery {
        // A negative limit asks for all.
        limit: usize::try_from(page.limit.unwrap_or(0)).unwrap_or(usize::MAX),
        since: page.since.as_ref().map(Position::since),
        reverse,
    };
    let page = app.policy.relay.broker().history(channel, query, keep.meta_ttl).await;
    let page = page.map_err(|error| match error {
        HistoryError::Unavailable(_) => ErrorCode::Internal,
        HistoryError::Unrecoverable(_) => ErrorCode::UnrecoverablePosition,
    })?;
    Ok(History {
        publications: page.publications.iter().map(kept).collect(),
        epoch: page.position.epoch.to_string(),
        offset: page.position.offset,
    })
}

pub(super) async fn history_remove(app: &App, of: Named) -> Result<Done, ErrorCode> {
    let (channel, _) = with_history(app, of.channel.as_deref())?;
    let removed = app.policy.relay.broker().remove_history(channel).await;
    removed.map(|()| Done {}).map_err(|_| ErrorCode::Internal)
}

fn with_presence(app: &App, of: Named) -> Result<Channel, ErrorCode> {
    let (channel, namespace) = find(app, of.channel.as_deref())?;
    if namespace.presence { Ok(channel) } else { Err(ErrorCode::NotAvailable) }
}

fn with_history(app: &App, name: Option<&str>) -> Result<(Channel, Retention), ErrorCode> {
    let (channel, namespace) = find(app, name)?;
    let keep = app.policy.retention(namespace).ok_or(ErrorCode::NotAvailable)?;
    Ok((channel, keep))
}

fn kept(publication: &Arc<Publication>) -> Kept {
    let data = raw(&publication.data);
    Kept {
        b64data: data.is_none().then(|| STANDARD.encode(&publication.data)),
        data,
        info: publication.info.as_ref().map(client),
        offset: publication.offset,
        tags: publication.tags.clone(),
    }
}

fn client(who: &ClientInfo) -> Client {
    Client {
        user: who.user.clone(),
        client: who.client.clone(),
        conn_info: raw(&who.conn_info),
        chan_info: raw(&who.chan_info),
    }
}

/// Bytes as they are, if they are one JSON value.
fn raw(bytes: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(std::str::from_utf8(bytes).ok()?.to_owned()).ok()
}

#[derive(Default, Deserialize)]
pub(super) struct Pattern {
    pattern: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Channels {
    channels: BTreeMap<String, Clients>,
}

#[derive(Serialize)]
struct Clients {
    num_clients: usize,
}

/// Channels that have subscribers, of those that match the pattern: `*`, `?`,
/// `[…]` and `{a,b}` as in file names.
pub(super) fn channels(app: &App, of: Pattern) -> Result<Channels, ErrorCode> {
    let pattern = match of.pattern.as_deref() {
        None | Some("") => None,
        Some(text) if text.len() > MAX_PATTERN => return Err(ErrorCode::BadRequest),
        Some(text) => {
            let glob = globset::GlobBuilder::new(text).build();
            Some(glob.map_err(|_| ErrorCode::BadRequest)?.compile_matcher())
        }
    };
    let all = app.policy.relay.hub().channels().into_iter();
    let channels = all
        .filter(|(channel, _)| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(channel.as_str()))
        })
        .map(|(channel, num_clients)| (channel.as_str().to_owned(), Clients { num_clients }))
        .collect();
    Ok(Channels { channels })
}
