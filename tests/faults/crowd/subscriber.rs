//! A client with one subscription, which notes everything that it hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use sealcast_client::{
    Backoff, Client, Config, Event, Events, Subscribed, SubscriptionConfig, SubscriptionEvent,
};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::{END_WITHIN, Shared, channel, id_of, token_of};
use crate::checker::{Heard, Id, Lineage, Place, What};

/// One of so many reads slowly, and one comes and goes.
const SLOW: usize = 20;
const RESTLESS: usize = 10;
/// How long a slow one does not read.
const PAUSE: Duration = Duration::from_millis(700);
/// As in a browser, but without the long waits of one that was away for minutes.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(200), max: Duration::from_secs(3) };

/// Listens until the last publication of its channel has come, or the time for that is
/// over.
pub(super) async fn listen(
    shared: Arc<Shared>,
    number: usize,
    subscribed: Arc<AtomicUsize>,
    mut lasts: watch::Receiver<Option<Vec<Id>>>,
) -> Lineage {
    let is_slow = number % SLOW == SLOW - 1;
    let is_restless = number % RESTLESS == RESTLESS / 2;
    let at = number % shared.size.channels();
    let mut config = Config::new(shared.url());
    config.token = Some(token_of(number));
    config.backoff = BACKOFF;
    let (client, happens) = Client::new(config).unwrap();
    let stopped = Arc::new(Notify::new());
    tokio::spawn(note_losses(Arc::clone(&shared), happens, Arc::clone(&stopped)));
    let mut wanted = SubscriptionConfig::default();
    wanted.backoff = BACKOFF;
    wanted.event_buffer = if is_slow { 4 } else { 0 };
    let (room, events) = client.new_subscription(&channel(at), wanted).unwrap();
    client.connect().await.unwrap();
    room.subscribe().await.unwrap();
    let lineage = Lineage { channel: at, own_pace: is_slow || is_restless, heard: Vec::new() };
    let mut listener =
        Listener { shared: Arc::clone(&shared), lineage, events, last_heard: None, subscribed };
    let restless = come_and_go(&shared, number, &client, lasts.clone());
    let restless = async {
        if is_restless {
            restless.await;
        }
        std::future::pending::<()>().await;
    };
    // As an application does after a cause for which the client stays away.
    let come_back = async {
        loop {
            stopped.notified().await;
            sleep(BACKOFF.min).await;
            client.connect().await.unwrap();
        }
    };
    let listening = async {
        let last = loop {
            tokio::select! {
                () = listener.hear(is_slow) => {}
                _ = lasts.changed() => {}
            }
            if let Some(last) = &*lasts.borrow() {
                break last[at];
            }
        };
        let ending = async {
            while listener.last_heard != Some(last) {
                listener.hear(false).await;
            }
        };
        // If it does not come, the checker says so.
        let _ = timeout(END_WITHIN, ending).await;
    };
    tokio::select! {
        () = listening => {}
        () = restless => {}
        () = come_back => {}
    }
    listener.lineage
}

struct Listener {
    shared: Arc<Shared>,
    lineage: Lineage,
    events: Events<SubscriptionEvent>,
    last_heard: Option<Id>,
    subscribed: Arc<AtomicUsize>,
}

impl Listener {
    /// Hears what comes next; if slowly, after a while all that has come.
    async fn hear(&mut self, slowly: bool) {
        let event = self.events.next().await.expect("the client lives");
        self.note(event);
        if slowly {
            sleep(PAUSE).await;
            while let Some(event) = self.events.try_next() {
                self.note(event);
            }
        }
    }

    fn note(&mut self, event: SubscriptionEvent) {
        let what = match event {
            SubscriptionEvent::Subscribed(now) => {
                if self.lineage.heard.is_empty() {
                    self.subscribed.fetch_add(1, Ordering::Relaxed);
                }
                self.subscribed(now)
            }
            SubscriptionEvent::Subscribing(cause) if self.lineage.heard.is_empty() => {
                assert!(cause.code < 100, "{cause}");
                return;
            }
            SubscriptionEvent::Subscribing(cause) => What::Left(cause.code),
            // It will not come back, which the checker finds.
            SubscriptionEvent::Unsubscribed(cause) => What::Left(cause.code),
            SubscriptionEvent::Publication(publication) => {
                let id = id_of(&publication.data, self.shared.size.bytes);
                self.last_heard = id;
                What::Publication { offset: publication.offset, id }
            }
            _ => return,
        };
        self.lineage.heard.push(Heard { at: self.shared.clock.now(), what });
    }

    fn subscribed(&self, now: Subscribed) -> What {
        let position = now.position.expect("the channel keeps positions");
        let top = Place { epoch: position.epoch, offset: position.offset };
        What::Subscribed { top, recovered: now.was_recovering.then_some(now.recovered) }
    }
}

/// Disconnects and connects by its own will, until the end comes.
async fn come_and_go(
    shared: &Shared,
    number: usize,
    client: &Client,
    lasts: watch::Receiver<Option<Vec<Id>>>,
) {
    let mut random = shared.random(number);
    while lasts.borrow().is_none() {
        sleep(Duration::from_millis(random.random_range(1_000..6_000))).await;
        client.disconnect().await.unwrap();
        sleep(Duration::from_millis(random.random_range(100..800))).await;
        client.connect().await.unwrap();
    }
}

/// Notes connections that end against the client's will, and says when it stays away.
async fn note_losses(shared: Arc<Shared>, mut happens: Events<Event>, stopped: Arc<Notify>) {
    while let Some(event) = happens.next().await {
        if matches!(&event, Event::Disconnected(cause) if cause.code != 0) {
            stopped.notify_one();
        }
        if let Event::Connecting(cause) | Event::Disconnected(cause) = event
            && cause.code != 0
        {
            shared.lost.lock().push((shared.clock.now(), cause.code));
        }
    }
}
