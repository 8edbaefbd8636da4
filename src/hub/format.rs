//! How what the node says is put on a client's socket: one form for each kind of
//! transport, so that all connections of a kind share the same bytes.

use sealcast_wire::reply::{Body, Event};
use sealcast_wire::{Disconnect, Encoding, Publication, Push, Reply, chunk, json, ws};

use super::connection::Pings;

/// See the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    framing: Framing,
    encoding: Encoding,
    /// Bare pushes, to a client that only listens.
    unidirectional: bool,
}

/// What stands around each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A WebSocket frame.
    Frames,
    /// A chunk of an HTTP response; in JSON with a newline behind the message.
    Lines,
    /// A chunk with a server-sent event.
    Events,
}

/// The id of the event that ends a stream for good. An `EventSource` comes back by
/// itself; one that names this id is told to stay away.
pub const OVER: &str = "over";

/// Nothing, for readers of event streams; proxies and phones see that it lives.
const COMMENT: &[u8] = b"3\r\n:\n\n\r\n";

impl Format {
    /// A WebSocket of a client that talks.
    #[must_use]
    pub const fn websocket(encoding: Encoding) -> Format {
        Format { framing: Framing::Frames, encoding, unidirectional: false }
    }

    /// A stream of a client that talks by requests of their own.
    #[must_use]
    pub const fn emulated(framing: Framing, encoding: Encoding) -> Format {
        Format { framing, encoding, unidirectional: false }
    }

    /// What a client gets that only listens, always in JSON.
    #[must_use]
    pub const fn unidirectional(framing: Framing) -> Format {
        Format { framing, encoding: Encoding::Json, unidirectional: true }
    }

    /// How replies and pushes are written.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        self.encoding
    }

    /// What stands around them.
    #[must_use]
    pub const fn framing(self) -> Framing {
        self.framing
    }

    /// Whether the client only listens.
    #[must_use]
    pub const fn is_unidirectional(self) -> bool {
        self.unidirectional
    }

    /// The transport's name, as in metrics.
    #[must_use]
    pub const fn transport(self) -> &'static str {
        match (self.framing, self.unidirectional) {
            (Framing::Frames, false) => "websocket",
            (Framing::Lines, false) => "http_stream",
            (Framing::Events, false) => "sse",
            (Framing::Frames, true) => "uni_websocket",
            (Framing::Lines, true) => "uni_http_stream",
            (Framing::Events, true) => "uni_sse",
        }
    }

    /// Appends a reply. A client that only listens gets the push that says the same;
    /// where there is none, nothing.
    pub fn put_reply(self, out: &mut Vec<u8>, reply: &Reply) {
        let mut message = Vec::with_capacity(128);
        if !self.unidirectional {
            self.encoding.put_reply(&mut message, reply);
        } else if let Some(push) = bare(reply) {
            json::put_push(&mut message, &push);
        } else {
            return;
        }
        self.put_message(out, &message);
    }

    /// Appends the push of a publication, written to `scratch` first.
    pub(super) fn put_publication(
        self,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
        channel: &str,
        publication: &Publication,
    ) {
        scratch.clear();
        if self.unidirectional {
            json::put_bare_publication(scratch, channel, publication);
        } else {
            self.encoding.put_publication(scratch, channel, publication);
        }
        self.put_message(out, scratch);
    }

    /// Appends what ends the connection: a close frame, or the disconnect push and
    /// the end of the response. A client that went away itself is told nothing.
    pub(super) fn put_ending(self, out: &mut Vec<u8>, code: u16, reason: &str) {
        let told = self.unidirectional || self.framing != Framing::Frames;
        if told && code != Disconnect::CONNECTION_CLOSED.code {
            let event = Event::Disconnect { code: code.into(), reason: reason.to_owned().into() };
            if self.has_ids() && is_final(code) {
                chunk::put_chunk(out, &[b"id: ", OVER.as_bytes(), b"\n"]);
            }
            self.put_reply(out, &Reply::push("".into(), event));
        }
        match self.framing {
            Framing::Frames => ws::put_close(out, code, reason),
            Framing::Lines | Framing::Events => out.extend_from_slice(chunk::LAST),
        }
    }

    /// Where the message ends that holds the byte before `offset`.
    pub(super) fn message_end(self, bytes: &[u8], offset: usize) -> usize {
        match self.framing {
            Framing::Frames => ws::frame_end(bytes, offset),
            Framing::Lines | Framing::Events => chunk::chunk_end(bytes, offset),
        }
    }

    /// What asks whether the client is there.
    pub(super) fn ping(self, pings: Pings) -> &'static [u8] {
        match (self.framing, self.encoding, pings) {
            // A page does not see ping frames, and counts on the empty push.
            (Framing::Frames, _, Pings::Frames) if self.unidirectional => {
                &[0x81, 0x02, b'{', b'}', 0x89, 0x00]
            }
            (Framing::Frames, _, Pings::Frames) => &[0x89, 0x00],
            (Framing::Frames, Encoding::Json, _) => &[0x81, 0x02, b'{', b'}'],
            (Framing::Frames, Encoding::Protobuf, _) => &[0x82, 0x01, 0x00],
            (Framing::Lines, Encoding::Json, _) => b"3\r\n{}\n\r\n",
            (Framing::Lines, Encoding::Protobuf, _) => b"1\r\n\0\r\n",
            (Framing::Events, ..) => b"a\r\ndata: {}\n\n\r\n",
        }
    }

    /// A sign of life between pings, where idle streams are cut on their way.
    pub(super) fn heartbeat(self) -> Option<&'static [u8]> {
        (self.framing == Framing::Events).then_some(COMMENT)
    }

    /// Whether events have ids, by which a reader comes back to where it was.
    pub(super) fn has_ids(self) -> bool {
        self.unidirectional && self.framing == Framing::Events
    }

    fn put_message(self, out: &mut Vec<u8>, message: &[u8]) {
        match (self.framing, self.encoding) {
            (Framing::Frames, Encoding::Json) => ws::put_frame(out, ws::Opcode::Text, message),
            (Framing::Frames, Encoding::Protobuf) => {
                ws::put_frame(out, ws::Opcode::Binary, message);
            }
            (Framing::Lines, Encoding::Json) => chunk::put_chunk(out, &[message, b"\n"]),
            (Framing::Lines, Encoding::Protobuf) => chunk::put_chunk(out, &[message]),
            // One line: JSON as it is written here holds no carriage return or newline.
            (Framing::Events, _) => chunk::put_chunk(out, &[b"data: ", message, b"\n\n"]),
        }
    }
}

impl From<Encoding> for Format {
    /// A WebSocket.
    fn from(encoding: Encoding) -> Format {
        Format::websocket(encoding)
    }
}

/// The push that says what a reply says.
fn bare(reply: &Reply) -> Option<Push> {
    match &reply.body {
        Body::Push(push) => Some(push.clone()),
        Body::Connect(result) => {
            Some(Push { channel: "".into(), event: Event::Connect(result.clone()) })
        }
        _ => None,
    }
}

/// Whether a client that was sent away with this code must not come back.
fn is_final(code: u16) -> bool {
    matches!(code, 3_500..=3_999 | 4_500..=4_999)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [(Framing, Encoding, bool); 8] = [
        (Framing::Frames, Encoding::Json, false),
        (Framing::Frames, Encoding::Protobuf, false),
        (Framing::Lines, Encoding::Json, false),
        (Framing::Lines, Encoding::Protobuf, false),
        (Framing::Events, Encoding::Json, false),
        (Framing::Frames, Encoding::Json, true),
        (Framing::Lines, Encoding::Json, true),
        (Framing::Events, Encoding::Json, true),
    ];

    fn all() -> impl Iterator<Item = Format> {
        CODES.into_iter().map(|(framing, encoding, unidirectional)| Format {
            framing,
            encoding,
            unidirectional,
        })
    }

    fn put(format: Format, write: impl Fn(Format, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(format, &mut out);
        out
    }

    #[test]
    fn whatever_is_written_is_whole_messages() {
        let publication = Publication { data: "{}".into(), offset: 1, ..Publication::default() };
        for format in all() {
            let mut out = Vec::new();
            format.put_publication(&mut out, &mut Vec::new(), "room", &publication);
            let first = out.len();
            format.put_reply(&mut out, &Reply::push("".into(), Event::Message("1".into())));
            assert_eq!(format.message_end(&out, 1), first, "{format:?}");
            assert_eq!(format.message_end(&out, first + 1), out.len(), "{format:?}");
            for pings in [Pings::Replies, Pings::Frames] {
                let ping = format.ping(pings);
                assert_eq!(format.message_end(ping, ping.len()), ping.len(), "{format:?}");
            }
        }
        assert_eq!(chunk::chunk_end(COMMENT, 1), COMMENT.len());
    }

    #[test]
    fn a_publication_in_every_form() {
        let publication = Publication { data: "1".into(), ..Publication::default() };
        let written = |format: Format| {
            let mut out = Vec::new();
            format.put_publication(&mut out, &mut Vec::new(), "c", &publication);
            String::from_utf8_lossy(&out).into_owned()
        };
        let reply = r#"{"push":{"channel":"c","pub":{"data":1}}}"#;
        let push = r#"{"channel":"c","pub":{"data":1}}"#;
        let json = Encoding::Json;
        let expected = [
            (Format::websocket(json), format!("\u{fffd}){reply}")),
            (Format::emulated(Framing::Lines, json), format!("2a\r\n{reply}\n\r\n")),
            (Format::emulated(Framing::Events, json), format!("31\r\ndata: {reply}\n\n\r\n")),
            (Format::unidirectional(Framing::Frames), format!("\u{fffd} {push}")),
            (Format::unidirectional(Framing::Lines), format!("21\r\n{push}\n\r\n")),
            (Format::unidirectional(Framing::Events), format!("28\r\ndata: {push}\n\n\r\n")),
        ];
        for (format, bytes) in expected {
            assert_eq!(written(format), bytes, "{format:?}");
        }
    }

    #[test]
    fn streams_are_told_why_they_end_and_only_event_sources_to_stay_away() {
        let told = r#"{"disconnect":{"code":3503,"reason":"go"}}"#;
        let ending = |format: Format, code| {
            let out = put(format, |format, out| format.put_ending(out, code, "go"));
            String::from_utf8_lossy(&out).into_owned()
        };
        let emulated = Format::emulated(Framing::Events, Encoding::Json);
        let text = ending(emulated, 3503);
        assert!(text.contains(&format!("data: {{\"push\":{told}}}\n\n")), "{text}");
        assert!(text.ends_with("\r\n0\r\n\r\n") && !text.contains("id:"), "{text}");
        assert_eq!(ending(emulated, 3000), "0\r\n\r\n");
        let source = Format::unidirectional(Framing::Events);
        let text = ending(source, 3503);
        assert!(text.contains("id: over\n") && text.contains(told), "{text}");
        assert!(!ending(source, 3001).contains("id:"));
        let frames = ending(Format::unidirectional(Framing::Frames), 3503);
        assert!(frames.contains(told) && frames.ends_with("go"), "{frames}");
    }

    #[test]
    fn who_only_listens_gets_no_replies() {
        let error = Reply::error(1, sealcast_wire::ErrorCode::Internal);
        let source = Format::unidirectional(Framing::Lines);
        assert!(put(source, |format, out| format.put_reply(out, &error)).is_empty());
        let connect = Reply { id: 1, body: Body::Connect(Box::default()) };
        let out = put(source, |format, out| format.put_reply(out, &connect));
        assert_eq!(String::from_utf8_lossy(&out), "f\r\n{\"connect\":{}}\n\r\n");
    }
}
