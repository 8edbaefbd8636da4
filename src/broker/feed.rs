//! The node's side of the broker: what arrives, by shard, bounded.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Epoch, Publication};
use tokio::sync::{Mutex, MutexGuard, mpsc};

use super::{Tails, Unavailable};

/// How many deliveries may wait in one shard of a feed.
pub const FEED_CAPACITY: usize = 128;

/// Which shard a channel belongs to: a keyed hash, so that nobody can choose
/// names that fall together. Cloned for everyone who must agree.
#[derive(Clone, Debug)]
pub struct Sharding {
    shards: usize,
    key: foldhash::fast::RandomState,
}

impl Sharding {
    /// As many shards as given, at least one, under a random key.
    #[must_use]
    pub fn new(shards: usize) -> Sharding {
        Sharding { shards: shards.max(1), key: foldhash::fast::RandomState::default() }
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shards
    }

    /// The shard of a channel, below [`Sharding::count`].
    #[must_use]
    pub fn of(&self, channel: &Channel) -> usize {
        (self.key.hash_one(channel) as usize) % self.shards
    }
}

/// What arrives from the broker.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A publication of a channel that this node wants.
    Publication {
        /// Where.
        channel: Channel,
        /// What; its offset is 0 if it is not kept.
        publication: Arc<Publication>,
        /// The stream that the offset counts in, if it is kept.
        epoch: Option<Epoch>,
        /// Whether subscribers who asked for deltas may get one.
        delta: bool,
        /// Whether it is worth nothing a moment later.
        passing: bool,
    },
    /// Someone came or went.
    Membership {
        /// Where.
        channel: Channel,
        /// Who.
        who: Arc<ClientInfo>,
        /// Whether they came.
        came: bool,
    },
    /// A mark of [`super::Broker::probe`].
    Probe(u64),
    /// A message of [`super::Broker::tell`].
    Told(Bytes),
    /// The channel may have missed something: what was published between the
    /// delivery before this one and the one after it. Its stream, read from now
    /// on, has all of it that was kept.
    Gap {
        /// Where.
        channel: Channel,
        /// Since when, counted in connections of the broker; for the log.
        since: u64,
    },
}

/// Where a broker puts what arrives. A full shard makes the broker wait, and
/// with it those who publish into that shard.
pub struct Feed {
    sharding: Sharding,
    shards: Vec<Shard>,
    tails: Arc<Tails>,
}

/// One shard's inbox, entered in the order of asking.
pub(super) struct Shard {
    number: usize,
    /// Held from asking for a place until something is put there: who has been
    /// given a place and has not run yet must not be overtaken.
    turn: Mutex<()>,
    inbox: mpsc::Sender<Delivery>,
    tails: Arc<Tails>,
}

/// A place in a shard's inbox.
pub(super) struct Place<'a> {
    shard: usize,
    permit: mpsc::Permit<'a, Delivery>,
    tails: &'a Tails,
    _turn: MutexGuard<'a, ()>,
}

impl Shard {
    /// Waits for a place, behind everyone who asked before.
    pub(super) async fn place(&self) -> Result<Place<'_>, Unavailable> {
        let turn = self.turn.lock().await;
        let permit = self.inbox.reserve().await.map_err(|_| Unavailable)?;
        Ok(Place { shard: self.number, permit, tails: &self.tails, _turn: turn })
    }

    /// A place, if there is one and nobody waits for it.
    pub(super) fn place_now(&self) -> Option<Place<'_>> {
        let turn = self.turn.try_lock().ok()?;
        let permit = self.inbox.try_reserve().ok()?;
        Some(Place { shard: self.number, permit, tails: &self.tails, _turn: turn })
    }
}

impl Place<'_> {
    /// Puts it there, and in the channel's tail if it is kept.
    pub(super) fn send(self, delivery: Delivery) {
        if let Delivery::Publication { .. } = &delivery {
            self.tails.arrivals().note(self.shard);
        }
        match &delivery {
            Delivery::Publication { channel, publication, epoch: Some(epoch), .. } => {
                self.tails.push(channel, publication, epoch);
            }
            Delivery::Gap { channel, .. } => self.tails.forget(channel),
            _ => {}
        }
        self.permit.send(delivery);
    }
}

impl Feed {
    /// A feed that keeps at most `tail_bytes` of what lately arrived, and the
    /// receiving end of each shard in order.
    #[must_use]
    pub fn new(sharding: Sharding, tail_bytes: usize) -> (Feed, Vec<mpsc::Receiver<Delivery>>) {
        let tails = Arc::new(Tails::new(&sharding, tail_bytes));
        let (shards, receivers) = (0..sharding.count())
            .map(|number| {
                let (inbox, receiver) = mpsc::channel(FEED_CAPACITY);
                let (turn, tails) = (Mutex::new(()), Arc::clone(&tails));
                (Shard { number, turn, inbox, tails }, receiver)
            })
            .unzip();
        (Feed { sharding, shards, tails }, receivers)
    }

    /// What lately arrived.
    #[must_use]
    pub fn tails(&self) -> &Arc<Tails> {
        &self.tails
    }

    /// How channels are spread over the shards.
    #[must_use]
    pub(super) fn sharding(&self) -> &Sharding {
        &self.sharding
    }

    /// The shard of a channel.
    #[must_use]
    pub(super) fn shard(&self, channel: &Channel) -> Option<&Shard> {
        self.shards.get(self.sharding.of(channel))
    }

    /// Every shard.
    pub(super) fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter()
    }
}
