//! The base that patches of a subscription apply to.

use bytes::Bytes;
use sealcast_wire::{Encoding, Publication, delta};

/// What deltas are made against: the publication before.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// Whether the server said that it will send deltas.
    pub(super) granted: bool,
    bytes: Option<Bytes>,
}

impl Base {
    pub(super) fn forget(&mut self) {
        self.bytes = None;
    }

    /// Makes the publication whole, of at most `most` bytes.
    ///
    /// In JSON, where deltas were granted, every payload is a string that holds
    /// the text of the payload or of the patch. Protocol, delta.
    pub(super) fn apply(
        &mut self,
        publication: &mut Publication,
        encoding: Encoding,
        most: usize,
    ) -> Result<(), String> {
        let is_patch = std::mem::take(&mut publication.delta);
        if !self.granted {
            return if is_patch { Err("no deltas were agreed on".into()) } else { Ok(()) };
        }
        let sent = match encoding {
            Encoding::Protobuf => publication.data.clone(),
            Encoding::Json => serde_json::from_slice::<String>(&publication.data)
                .map_err(|_| "the payload is not a JSON string")?
                .into(),
        };
        publication.data = if is_patch {
            let base = self.bytes.as_ref().ok_or("nothing came before it")?;
            delta::decode(base, &sent, most).map_err(|error| error.to_string())?.into()
        } else {
            sent
        };
        self.bytes = Some(publication.data.clone());
        Ok(())
    }
}
