//! Sessions whose commands come by requests of their own, over other sockets than
//! the stream that answers them.
//!
//! The id of such a session is a secret of 256 random bits, because whoever has it
//! speaks for the client. The node keeps its digest only, and nodes tell each other
//! no more. A session is bound to what its stream came with: an origin, cookies, a
//! ticket.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Context;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sealcast_wire::{Disconnect, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Client, Message, Session};
use crate::hub::{Connection, Hub, Millis};

/// Most frames of one session that wait to be carried out.
const MOST_FRAMES: usize = 64;
/// Most bytes of them, but for a single one that is larger.
const MOST_BYTES: usize = 256 << 10;

/// The digest of a session's secret id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// Of this secret.
    #[must_use]
    pub fn of(secret: &str) -> SessionKey {
        SessionKey(Sha256::digest(secret).into())
    }
}

/// What a request came with that another page has not: digests of its origin, of its
/// cookies, and of its ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    origin: Option<[u8; 32]>,
    cookies: Option<[u8; 32]>,
    ticket: Option<[u8; 32]>,
}

impl Binding {
    /// Of a request with this origin and these cookies, each as its header says it.
    #[must_use]
    pub fn new(origin: Option<&[u8]>, cookies: Option<&[u8]>) -> Binding {
        let digest = |text: &[u8]| Sha256::digest(text).into();
        Binding { origin: origin.map(digest), cookies: cookies.map(digest), ticket: None }
    }

    /// The same with the digest of a ticket.
    #[must_use]
    pub fn with_ticket(self, ticket: [u8; 32]) -> Binding {
        Binding { ticket: Some(ticket), ..self }
    }

    /// The same with the digest of an origin that the request need not have named.
    #[must_use]
    pub fn with_origin(self, origin: [u8; 32]) -> Binding {
        Binding { origin: Some(origin), ..self }
    }

    /// Whether a session that is bound so takes a request that came with `other`.
    fn admits(&self, other: &Binding) -> bool {
        let same = |own: &Option<[u8; 32]>, its: &Option<[u8; 32]>| own.is_none() || own == its;
        same(&self.origin, &other.origin)
            && same(&self.cookies, &other.cookies)
            && same(&self.ticket, &other.ticket)
    }
}

/// Commands for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whose.
    pub key: SessionKey,
    /// What the request came with.
    pub from: Binding,
    /// How the commands are written.
    pub encoding: Encoding,
    /// The commands.
    pub bytes: Vec<u8>,
}

/// Why commands were not handed to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// There is none that takes them. Whether there is one that does not is not told.
    NoSession,
    /// More commands wait than may; the session was ended.
    TooMany,
}

/// The sessions of a node, by the digests of their ids.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<SessionKey, Arc<Inbox>>>);

impl Sessions {
    /// Hands commands to a session, in the order in which they come.
    ///
    /// # Errors
    /// If no session takes them.
    pub fn deliver(&self, hub: &Hub, frame: Frame) -> Result<(), Undelivered> {
        let inbox = self.0.lock().get(&frame.key).cloned();
        inbox.ok_or(Undelivered::NoSession)?.put(hub, frame)
    }

    fn open(&self, connection: &Arc<Connection>, binding: Binding) -> (String, Opened) {
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let inbox =
            Inbox { connection: Arc::clone(connection), binding, waiting: Mutex::default() };
        let opened = Opened { key: SessionKey::of(&secret), inbox: Arc::new(inbox) };
        self.0.lock().insert(opened.key, Arc::clone(&opened.inbox));
        (secret, opened)
    }
}

struct Opened {
    key: SessionKey,
    inbox: Arc<Inbox>,
}

/// Commands that have come and were not yet taken up.
struct Inbox {
    connection: Arc<Connection>,
    binding: Binding,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Inbox {
    fn put(&self, hub: &Hub, frame: Frame) -> Result<(), Undelivered> {
        let Frame { from, encoding, bytes, .. } = frame;
        let fits = self.binding.admits(&from) && self.connection.encoding() == encoding;
        if !fits || !self.connection.is_open() {
            return Err(Undelivered::NoSession);
        }
        let mut waiting = self.waiting.lock();
        let held = waiting.bytes + bytes.len();
        if waiting.frames.len() >= MOST_FRAMES || waiting.bytes > 0 && held > MOST_BYTES {
            drop(waiting);
            self.connection.close(hub, Disconnect::TOO_MANY_REQUESTS);
            return Err(Undelivered::TooMany);
        }
        waiting.frames.push_back(bytes);
        waiting.bytes = held;
        self.connection.set_partial(hub, held, false, Millis::NEVER);
        drop(waiting);
        self.connection.wake();
        Ok(())
    }

    fn take(&self, hub: &Hub) -> Option<Vec<u8>> {
        let mut waiting = self.waiting.lock();
        let Some(frame) = waiting.frames.pop_front() else {
            // A resting session has no storage here.
            waiting.frames = VecDeque::new();
            return None;
        };
        waiting.bytes = waiting.bytes.saturating_sub(frame.len());
        self.connection.set_partial(hub, waiting.bytes, false, Millis::NEVER);
        Some(frame)
    }
}

/// A client of the Centrifuge protocol over an emulated transport.
pub struct Emulated {
    client: Client,
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    opened: Opened,
}

impl Emulated {
    /// Makes `client` one of `sessions`, and has it told its secret and the node's
    /// id in the connect reply.
    #[must_use]
    pub fn new(
        client: Client,
        sessions: &Arc<Sessions>,
        (hub, connection): (&Arc<Hub>, &Arc<Connection>),
        node: String,
        binding: Binding,
    ) -> Emulated {
        let (secret, opened) = sessions.open(connection, binding);
        let client = client.emulated(secret, node);
        Emulated { client, sessions: Arc::clone(sessions), hub: Arc::clone(hub), opened }
    }
}

impl Session for Emulated {
    fn message(&mut self, message: Message<'_>, context: &mut Context<'_>) {
        self.client.message(message, context);
    }

    fn resume(&mut self, context: &mut Context<'_>) {
        self.client.resume(context);
        let inbox = &self.opened.inbox;
        while self.client.wants_input() && inbox.connection.is_open() {
            let Some(frame) = inbox.take(&self.hub) else { return };
            match inbox.connection.encoding() {
                Encoding::Protobuf => self.client.message(Message::Binary(&frame), context),
                Encoding::Json => match std::str::from_utf8(&frame) {
                    Ok(text) => self.client.message(Message::Text(text), context),
                    Err(_) => inbox.connection.close(&self.hub, Disconnect::BAD_REQUEST),
                },
            }
        }
    }

    fn wants_input(&self) -> bool {
        self.client.wants_input()
    }

    fn pseudonym(&self) -> Option<String> {
        self.client.pseudonym()
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.sessions.0.lock().remove(&self.opened.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_admits_only_what_its_stream_came_with() {
        let none = Binding::default();
        let page = Binding::new(Some(b"https://a.example"), None);
        let other = Binding::new(Some(b"https://b.example"), None);
        let person = Binding::new(Some(b"https://a.example"), Some(b"s=1"));
        let guest = Binding::new(Some(b"https://a.example"), Some(b"s=2"));
        assert!(none.admits(&none) && none.admits(&person));
        assert!(page.admits(&page) && page.admits(&person));
        assert!(!page.admits(&none) && !page.admits(&other));
        let ticket = page.clone().with_ticket([1; 32]);
        assert!(ticket.admits(&ticket) && page.admits(&ticket));
        assert!(!ticket.admits(&page) && !ticket.admits(&page.clone().with_ticket([2; 32])));
        assert_eq!(none.clone().with_origin(Sha256::digest("https://a.example").into()), page);
        assert!(person.admits(&person));
        assert!(!person.admits(&page) && !person.admits(&guest) && !person.admits(&none));
    }

    #[test]
    fn what_nodes_tell_each_other_is_not_the_secret() {
        let sessions = Sessions::default();
        let script = crate::hub::tests::Script::with_room(100);
        let connection = Connection::scripted(Encoding::Json, script);
        let (secret, opened) = sessions.open(&connection, Binding::default());
        let (other, _) = sessions.open(&connection, Binding::default());
        assert!(secret.len() == 43 && secret != other);
        assert!(SessionKey::of(&secret) == opened.key && SessionKey::of(&other) != opened.key);
        let written = serde_json::to_string(&opened.key).expect("a list");
        assert!(!written.contains(&secret));
    }

    #[test]
    fn commands_that_are_not_taken_up_have_a_bound() {
        let limits = crate::limit::Profile::Standard.limits();
        let metrics = crate::metrics::Metrics::new("test");
        let hub = Hub::new(1, &limits, crate::hub::Clock::start(), metrics);
        let sessions = Sessions::default();
        let script = crate::hub::tests::Script::with_room(1_000);
        let format = crate::hub::Format::emulated(crate::hub::Framing::Lines, Encoding::Json);
        let connection = Connection::scripted(format, script);
        let (_, opened) = sessions.open(&connection, Binding::default());
        let frame = |encoding| Frame {
            key: opened.key,
            from: Binding::default(),
            encoding,
            bytes: vec![b' '; 1_000],
        };
        let say = |encoding| sessions.deliver(&hub, frame(encoding));
        assert_eq!(say(Encoding::Protobuf), Err(Undelivered::NoSession));
        for _ in 0..MOST_FRAMES {
            assert_eq!(say(Encoding::Json), Ok(()));
        }
        assert_eq!(hub.budget().held(), MOST_FRAMES * 1_000);
        assert!(opened.inbox.take(&hub).is_some());
        assert_eq!(hub.budget().held(), (MOST_FRAMES - 1) * 1_000);
        assert_eq!(say(Encoding::Json), Ok(()));
        assert_eq!(say(Encoding::Json), Err(Undelivered::TooMany));
        assert!(!connection.is_open());
        assert_eq!(say(Encoding::Json), Err(Undelivered::NoSession));
        assert_eq!(connection.finish(&hub), Disconnect::TOO_MANY_REQUESTS.code);
        while opened.inbox.take(&hub).is_some() {}
        assert_eq!(hub.budget().held(), 0, "nothing is counted for what has ended");
    }
}
