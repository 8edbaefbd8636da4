//! What is kept of a channel: presence and history.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, ErrorCode, Publication};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{App, Object, Position, ServerApi, find};
use crate::auth::ChannelPattern;
use crate::broker::{HistoryError, HistoryQuery, Retention};
use crate::cluster::{Answer, Command};

#[derive(Default, Deserialize)]
pub(super) struct Named {
    pub(super) channel: Option<String>,
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
    since: Option<Object<Position>>,
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

pub(super) async fn presence(
    app: &App,
    caller: &ServerApi,
    of: Named,
) -> Result<Presence, ErrorCode> {
    let channel = with_presence(app, caller, of)?;
    let turn = app.policy.relay.page_turn().await.map_err(|_| ErrorCode::TooManyRequests)?;
    let present = app.policy.relay.broker().presence(channel).await;
    drop(turn);
    let present = present.map_err(|_| ErrorCode::Internal)?;
    let presence = present.into_iter().map(|(id, who)| (id, client(&who))).collect();
    Ok(Presence { presence })
}

pub(super) async fn presence_stats(
    app: &App,
    caller: &ServerApi,
    of: Named,
) -> Result<Stats, ErrorCode> {
    let channel = with_presence(app, caller, of)?;
    let stats = app.policy.relay.broker().presence_stats(channel).await;
    let stats = stats.map_err(|_| ErrorCode::Internal)?;
    Ok(Stats { num_clients: stats.clients, num_users: stats.users })
}

pub(super) async fn history(
    app: &App,
    caller: &ServerApi,
    page: Page,
) -> Result<History, ErrorCode> {
    let (channel, keep) = with_history(app, caller, page.channel.as_deref())?;
    let reverse = page.reverse.unwrap_or(false);
    let since = page.since.as_ref().map(|Object(position)| position.since());
    if reverse && since.as_ref().is_some_and(|since| since.offset == 0) {
        return Err(ErrorCode::BadRequest);
    }
    let query = HistoryQuery {
        // A negative limit asks for all.
        limit: usize::try_from(page.limit.unwrap_or(0)).unwrap_or(usize::MAX),
        since,
        reverse,
    };
    let turn = app.policy.relay.page_turn().await.map_err(|_| ErrorCode::TooManyRequests)?;
    let page = app.policy.relay.broker().history(channel, query, keep.meta_ttl).await;
    drop(turn);
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

pub(super) async fn history_remove(
    app: &App,
    caller: &ServerApi,
    of: Named,
) -> Result<Done, ErrorCode> {
    let (channel, _) = with_history(app, caller, of.channel.as_deref())?;
    let removed = app.policy.relay.broker().remove_history(channel).await;
    removed.map(|()| Done {}).map_err(|_| ErrorCode::Internal)
}

fn with_presence(app: &App, caller: &ServerApi, of: Named) -> Result<Channel, ErrorCode> {
    let (reach, namespace) = find(app, caller, of.channel.as_deref())?;
    if namespace.presence { Ok(reach.into_channel()) } else { Err(ErrorCode::NotAvailable) }
}

fn with_history(
    app: &App,
    caller: &ServerApi,
    name: Option<&str>,
) -> Result<(Channel, Retention), ErrorCode> {
    let (reach, namespace) = find(app, caller, name)?;
    let keep = app.policy.retention(namespace).ok_or(ErrorCode::NotAvailable)?;
    Ok((reach.into_channel(), keep))
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

#[derive(Default, Serialize)]
struct Clients {
    num_clients: usize,
}

/// Channels that have subscribers on any node and that the caller may touch, of
/// those that match the pattern.
pub(super) async fn channels(
    app: &App,
    caller: &ServerApi,
    of: Pattern,
) -> Result<Channels, ErrorCode> {
    if let Some(text) = of.pattern.as_deref().filter(|text| !text.is_empty()) {
        ChannelPattern::parse(text).map_err(|_| ErrorCode::BadRequest)?;
    }
    let command = Command::Channels { pattern: of.pattern };
    let answers = app.cluster.run(&caller.backend(), command).await;
    let mut channels: BTreeMap<String, Clients> = BTreeMap::new();
    for answer in answers.map_err(|_| ErrorCode::Internal)? {
        let Answer::Channels(some) = answer else { continue };
        for (name, clients) in some {
            if Channel::parse(&name).is_ok_and(|channel| caller.may_reach(&channel)) {
                channels.entry(name).or_default().num_clients += clients;
            }
        }
    }
    Ok(Channels { channels })
}
