//! What a client of an emulated transport sends in a request of its own: commands
//! for the stream that it holds open. Centrifuge client protocol, `EmulationRequest`.

use std::borrow::Cow;
use std::fmt;

use crate::{Encoding, Malformed, json, protobuf};

/// One request; `Debug` shows neither the session, which is a secret, nor the data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Emulation<'a> {
    /// The secret id that the connect reply told.
    pub session: Cow<'a, str>,
    /// The node that holds the stream.
    pub node: Cow<'a, str>,
    /// Commands, as a frame in the encoding of the request; empty if there are none.
    pub data: Cow<'a, [u8]>,
}

impl fmt::Debug for Emulation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emulation({} bytes for {:?})", self.data.len(), self.node)
    }
}

impl Encoding {
    /// Reads the body of a request. In JSON the commands are a text in the object,
    /// in Protobuf bytes in the message, which has no length before it.
    ///
    /// # Errors
    /// If it is not one object or message, or a member has the wrong type.
    pub fn emulation(self, body: &[u8]) -> Result<Emulation<'_>, Malformed> {
        match self {
            Encoding::Json => json::emulation(body),
            Encoding::Protobuf => protobuf::emulation(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_a_text_in_json_and_bytes_in_protobuf() {
        let body = br#" {"session":"s","node":"n","data":"{\"id\":1}\n{}","new":[1]} "#;
        let read = Encoding::Json.emulation(body).expect("valid");
        assert_eq!((&*read.session, &*read.node), ("s", "n"));
        assert_eq!(&*read.data, b"{\"id\":1}\n{}");
        let body = b"\x0a\x01n\x12\x01s\x1a\x02\x00\x00";
        let read = Encoding::Protobuf.emulation(body).expect("valid");
        assert_eq!((&*read.session, &*read.node), ("s", "n"));
        assert_eq!(&*read.data, [0, 0]);
        assert_eq!(format!("{read:?}"), "Emulation(2 bytes for \"n\")");
    }

    #[test]
    fn a_body_of_another_form_is_refused() {
        for body in [
            "",
            "[]",
            "null",
            "{",
            "{} {}",
            "\u{1}",
            r#"{"session":1}"#,
            r#"{"session":"s","node":"n","data":{}}"#,
            r#"{"session":"s","node":"n","data":1}"#,
        ] {
            assert_eq!(Encoding::Json.emulation(body.as_bytes()), Err(Malformed::Syntax), "{body}");
        }
        assert!(Encoding::Json.emulation(&[0xff]).is_err());
        assert!(Encoding::Protobuf.emulation(b"\x0a\x05s").is_err());
        let none = Encoding::Json.emulation(br#"{"data":null}"#).expect("valid");
        assert_eq!(none, Emulation::default());
    }
}
