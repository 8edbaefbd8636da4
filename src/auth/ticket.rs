//! Tickets: a text of 256 random bits that stands in a URL in the place of a
//! token, because an `EventSource` can send no header. It is good once, and not for
//! long.
//!
//! What it stands for is kept sealed under a key that only the ticket itself makes,
//! at a name that is another digest of it. Whoever reads what is kept has neither the
//! ticket nor the token.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The form of what is sealed; the first byte of it, and authenticated with the rest.
const VERSION: u8 = 1;

/// See the module's text.
pub struct Ticket(Zeroizing<[u8; 32]>);

/// Where what a ticket stands for is kept. It says nothing of the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TicketId([u8; 32]);

/// From where a page asks: what a browser says, and the page cannot choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// A page of this origin, by its digest.
    Page([u8; 32]),
    /// A page of the node's own origin, which a browser need not name.
    Own,
    /// No page.
    Program,
}

/// What a ticket stands for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    /// The one transport that it opens, by its name.
    pub transport: String,
    /// Who asked for it, and whether as a page of the node's own origin.
    pub asker: Asker,
    /// See `asker`: a page may name its origin here and not where the ticket is used.
    pub own: bool,
    /// The connection token.
    pub token: String,
}

impl Ticket {
    /// Makes one, from the operating system's generator.
    #[must_use]
    pub fn generate() -> Ticket {
        Ticket(Zeroizing::new(rand::random()))
    }

    /// Reads what [`Ticket::text`] wrote, and takes no other form of it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Ticket> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        bytes.first_chunk().filter(|_| bytes.len() == 32).map(|secret| Ticket((*secret).into()))
    }

    /// What the client gets.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(*self.0)
    }

    /// Where it is kept.
    #[must_use]
    pub fn id(&self) -> TicketId {
        TicketId(self.digest(b"sealcast ticket id"))
    }

    /// Seals what the ticket stands for; `None` if the crypto library fails.
    #[must_use]
    pub fn seal(&self, stub: &Stub) -> Option<Vec<u8>> {
        let mut sealed = serde_json::to_vec(stub).ok()?;
        let tag = self.key()?.seal_in_place_separate_tag(nonce(), aad(), &mut sealed).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        sealed.insert(0, VERSION);
        Some(sealed)
    }

    /// Opens it; `None` if it was sealed for another ticket, by a version that wrote
    /// otherwise, or was changed.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<Stub> {
        let (version, sealed) = sealed.split_first()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let stub = self.key()?.open_in_place(nonce(), aad(), &mut sealed).ok()?;
        (*version == VERSION).then(|| serde_json::from_slice(stub).ok()).flatten()
    }

    fn key(&self) -> Option<LessSafeKey> {
        let key = Zeroizing::new(self.digest(b"sealcast ticket key"));
        UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).ok()
    }

    fn digest(&self, purpose: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update(*self.0).finalize().into()
    }
}

impl TicketId {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Asker {
    /// A page that names its origin so.
    #[must_use]
    pub fn page(origin: &[u8]) -> Asker {
        Asker::Page(Sha256::digest(origin).into())
    }
}

impl Stub {
    /// Whether `asker` may use what the ticket stands for.
    #[must_use]
    pub fn is_for(&self, asker: &Asker) -> bool {
        match (&self.asker, asker) {
            (Asker::Page(one), Asker::Page(other)) => one.ct_eq(other).into(),
            (_, Asker::Own) => self.own,
            (one, other) => one == other,
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// One key seals one text, so that any nonce will do.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn aad() -> Aad<[u8; 1]> {
    Aad::from([VERSION])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stub() -> Stub {
        let asker = Asker::page(b"https://a.example");
        Stub { transport: "sse".into(), asker, own: false, token: "a.b.c".into() }
    }

    #[test]
    fn only_the_ticket_opens_what_it_seals() {
        let (ticket, other) = (Ticket::generate(), Ticket::generate());
        let text = ticket.text();
        assert_eq!(text.len(), 43);
        let read = Ticket::parse(&text).expect("its own text");
        let sealed = ticket.seal(&stub()).expect("sealed");
        assert_eq!(read.open(&sealed), Some(stub()));
        assert_eq!(read.id(), ticket.id());
        assert!(other.id() != ticket.id() && other.open(&sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(ticket.open(&changed), None, "byte {at}");
            assert_eq!(ticket.open(&sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn what_is_kept_holds_nothing_readable() {
        let ticket = Ticket::generate();
        let sealed = ticket.seal(&stub()).expect("sealed");
        let holds = |text: &[u8]| sealed.windows(text.len()).any(|part| part == text);
        assert!(!holds(b"a.b.c") && !holds(b"sse") && !holds(ticket.0.as_slice()));
        assert!(!holds(ticket.text().as_bytes()));
        assert_ne!(ticket.id().bytes(), &*ticket.0);
        assert!(!format!("{ticket:?} {:?}", stub()).contains("a.b.c"));
    }

    #[test]
    fn a_ticket_has_one_form() {
        let text = Ticket::generate().text();
        let (long, short) = (format!("{text}A"), &text[1..]);
        for bad in
            ["", "a", short, &long, &format!("{text}="), &format!(" {text}"), &text.repeat(2)]
        {
            assert!(Ticket::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_ticket_is_for_whoever_asked_for_it() {
        let page = |name: &str| Asker::page(name.as_bytes());
        let of = |asker: Asker, own: bool| Stub { asker, own, ..stub() };
        let foreign = of(page("https://a.example"), false);
        assert!(foreign.is_for(&page("https://a.example")));
        for other in [page("https://b.example"), Asker::Own, Asker::Program] {
            assert!(!foreign.is_for(&other), "{other:?}");
        }
        // The page of the node itself names its origin in a POST, and not in a GET.
        let own = of(page("https://a.example"), true);
        assert!(own.is_for(&Asker::Own) && own.is_for(&page("https://a.example")));
        assert!(!own.is_for(&page("https://b.example")) && !own.is_for(&Asker::Program));
        let program = of(Asker::Program, false);
        assert!(program.is_for(&Asker::Program));
        assert!(!program.is_for(&Asker::Own) && !program.is_for(&page("https://a.example")));
    }
}
