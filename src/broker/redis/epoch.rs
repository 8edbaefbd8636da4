//! Epochs: what a stream is called from its beginning until it begins anew.

use super::Redis;
use super::keys::put_hex;

/// An epoch for a stream that may have to begin: 128 random bits, in small letters. One
/// that replaces an epoch of an older incarnation is put into capital letters by the
/// script that begins the stream, `scripts/stream.lua`.
pub(super) fn new() -> String {
    let mut epoch = String::with_capacity(32);
    put_hex(&mut epoch, &rand::random::<[u8; 16]>());
    epoch
}

/// Why a stream has begun in a call that brought `fresh` along, if it has: nobody else
/// knows that epoch. The script writes it in capitals if it replaces a stream of an older
/// incarnation; see `scripts/stream.lua`.
fn cause(fresh: &str, epoch: &str) -> Option<&'static str> {
    if epoch == fresh {
        Some("empty")
    } else {
        epoch.eq_ignore_ascii_case(fresh).then_some("incarnation")
    }
}

impl Redis {
    /// Counts the stream if this call has begun it.
    pub(super) fn note_epoch(&self, fresh: &str, epoch: &str) {
        if let Some(cause) = cause(fresh, epoch) {
            self.metrics.epoch_change(cause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_tells_who_began_it_and_why() {
        let (fresh, other) = (format!("a{}", &new()[1..]), new());
        assert!(fresh.len() == 32 && fresh != other);
        assert_eq!(cause(&fresh, &fresh), Some("empty"));
        assert_eq!(cause("0a", "0A"), Some("incarnation"));
        for epoch in [other.as_str(), "", &format!("{fresh}x")] {
            assert_eq!(cause(&fresh, epoch), None, "{epoch}");
        }
    }
}
