//! Who is present by this node: entered at Redis for a limited time, and again
//! before that is over, so that those of a node that died are gone soon after.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Cmd, Value};
use sealcast_wire::Channel;
use sealcast_wire::reply::ClientInfo;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::super::Unavailable;
use super::keys::{self, Kind, Name, Names};
use super::primary::{Way, answered};
use super::record::BadRecord;
use super::router::Router;
use super::{record, scripts};

/// How long a client stays present if its node does not say so again.
const TTL: Duration = Duration::from_secs(60);
/// In which time every client is entered again.
const ROUND: Duration = Duration::from_secs(20);
/// How many are entered again together.
const STEP: usize = 64;

/// See the module's text.
#[derive(Default)]
pub(super) struct Present {
    /// Held while a command takes its place in the lane, so that who is entered
    /// again and goes at the same time has gone.
    clients: Mutex<HashMap<(Channel, String), Arc<ClientInfo>>>,
}

impl Present {
    /// Enters a client, and keeps it there until [`Present::exit`].
    ///
    /// # Errors
    /// If Redis is away; the client is entered when it is back.
    pub(super) fn enter(
        &self,
        (names, router): (&Names, &Router),
        channel: &Channel,
        who: Arc<ClientInfo>,
    ) -> Result<oneshot::Receiver<Value>, Unavailable> {
        let mut clients = self.clients.lock();
        let sent = send_enter(names, router, channel, &who);
        clients.insert((channel.clone(), who.client.clone()), who);
        sent
    }

    /// Takes a client out.
    ///
    /// # Errors
    /// If Redis is away; what is left there is over after a while.
    pub(super) fn exit(
        &self,
        (names, router): (&Names, &Router),
        channel: &Channel,
        client: String,
    ) -> Result<oneshot::Receiver<Value>, Unavailable> {
        let name = names.channel(channel);
        let mut command = scripts::EXIT.call(&keys(name));
        command.arg(&client);
        let mut clients = self.clients.lock();
        clients.remove(&(channel.clone(), client));
        router.send(Way::Write, name, command, 0)
    }

    /// Enters everyone again, round after round.
    pub(super) async fn keep(&self, names: &Names, router: &Router) {
        loop {
            let all: Vec<_> = self.clients.lock().keys().cloned().collect();
            let steps = all.len().div_ceil(STEP).max(1);
            let pause = ROUND / u32::try_from(steps).unwrap_or(u32::MAX);
            for step in all.chunks(STEP) {
                for key in step {
                    let send = |who: &Arc<ClientInfo>| send_enter(names, router, &key.0, who);
                    let sent = self.clients.lock().get(key).map(send);
                    if let Some(Ok(entered)) = sent {
                        // If it was not, the next round does it again.
                        let _ = answered(entered).await;
                    }
                }
                sleep(pause).await;
            }
            if all.is_empty() {
                sleep(pause).await;
            }
        }
    }
}

/// Reads what stands for someone who is present.
///
/// # Errors
/// If this version does not write it.
pub(super) fn read(channel: &Channel, record: &[u8]) -> Result<ClientInfo, BadRecord> {
    match record.split_first() {
        Some((&record::VERSION, rest)) => {
            let sealed = rest.get(keys::USER_BYTES..).ok_or(BadRecord::Broken)?;
            record::read_info(channel, Bytes::copy_from_slice(sealed))
        }
        Some((other, _)) => Err(BadRecord::Version(*other)),
        None => Err(BadRecord::Broken),
    }
}

/// A command to read who is present, or how many.
pub(super) fn ask(script: &scripts::Script, name: Name) -> Cmd {
    script.call(&keys(name))
}

fn send_enter(
    names: &Names,
    router: &Router,
    channel: &Channel,
    who: &ClientInfo,
) -> Result<oneshot::Receiver<Value>, Unavailable> {
    let name = names.channel(channel);
    let mut sealed = vec![record::VERSION];
    sealed.extend(keys::user(&who.user));
    sealed.extend(record::info(channel, who));
    let bytes = sealed.len();
    let mut command = scripts::ENTER.call(&keys(name));
    command.arg(&who.client).arg(sealed).arg(TTL.as_millis() as u64);
    router.send(Way::Write, name, command, bytes)
}

fn keys(name: Name) -> [String; 3] {
    [name.key(Kind::Present), name.key(Kind::Until), name.key(Kind::Users)]
}
