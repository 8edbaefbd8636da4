//! Application payloads: bytes that pass through unread.

use std::fmt;

use bytes::Bytes;

/// A payload as it stands in a decoded command, still borrowed from the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// Exactly one JSON value; the JSON decoder has checked it.
    Json(&'a [u8]),
    /// Bytes of a Protobuf command, not looked at.
    Opaque(&'a [u8]),
}

impl<'a> Data<'a> {
    /// The bytes as the client wrote them.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Data::Json(bytes) | Data::Opaque(bytes) => bytes,
        }
    }
}

/// An owned payload that may be published. Cheap to clone; `Debug` shows only
/// its size, so that no payload can reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    json: bool,
}

/// The payload is not one JSON value, or is empty, or is nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

impl Payload {
    /// Takes bytes that must be one JSON value, whatever encoding they came by.
    /// The bytes are copied, so that they do not pin the frame they came in.
    ///
    /// # Errors
    /// [`NotJson`] if they are not, or are nested deeper than [`crate::MAX_DEPTH`].
    pub fn json(data: Data<'_>) -> Result<Payload, NotJson> {
        let bytes = match data {
            Data::Json(bytes) => bytes,
            Data::Opaque(bytes) => {
                if !crate::json::is_value(bytes) {
                    return Err(NotJson);
                }
                bytes
            }
        };
        Ok(Payload { bytes: Bytes::copy_from_slice(bytes), json: true })
    }

    /// Takes any bytes, for namespaces whose subscribers all read binary.
    #[must_use]
    pub fn binary(data: Data<'_>) -> Payload {
        let json = matches!(data, Data::Json(_));
        Payload { bytes: Bytes::copy_from_slice(data.bytes()), json }
    }

    /// The bytes, untouched since the publisher wrote them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether the bytes are known to be one JSON value.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.bytes.len())
    }
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.bytes().len())
    }
}
