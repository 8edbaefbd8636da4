//! Reading on where this node's subscribers stand, and finding out whether the
//! history behind them is still the one they saw.

use std::time::Duration;

use redis::Value;
use sealcast_wire::{Channel, Position};

use super::super::{HistoryError, Page, Unrecoverable};
use super::keys::{Kind, Name};
use super::primary::Way;
use super::seen::Entry;
use super::{Redis, epoch, millis, position, record, scripts};

impl Redis {
    /// See [`super::Broker::behind`].
    pub(super) async fn read_behind(
        &self,
        channel: &Channel,
        from: Position,
        most: usize,
        meta_ttl: Duration,
    ) -> Result<Page, HistoryError> {
        let name = self.names.channel(channel);
        let seen = self.seen.last(channel, &from.epoch);
        let keys = [name.key(Kind::Meta), name.key(Kind::Stream)];
        let mut command = scripts::BEHIND.call(&keys);
        let fresh = epoch::new();
        command.arg(&fresh).arg(millis(meta_ttl)).arg(self.router.incarnation(name));
        command.arg(&*from.epoch).arg(from.offset).arg(from.offset.saturating_add(1)).arg(most);
        match seen {
            Some(Entry { offset, tag, .. }) => command.arg(offset).arg(&tag.to_be_bytes()),
            None => command.arg("").arg(""),
        };
        let read = self.router.call(Way::Read, name, command, 0).await?;
        let (head, mut rest) = self.page(read)?;
        let entries = match rest.next() {
            Some(Value::Array(entries)) => entries,
            None => {
                self.note_epoch(&fresh, &head.epoch);
                self.begins_anew(channel);
                return Err(Unrecoverable.into());
            }
            Some(_) => {
                tracing::warn!(event = "history_rewritten", "a stream is not what was delivered");
                self.metrics.epoch_change("rewritten");
                self.begins_anew(channel);
                self.tell_renewed(name).await;
                return Err(Unrecoverable.into());
            }
        };
        let publications = self.publications(channel, entries)?;
        let tag = head.tag;
        let position = position(head);
        let Position { offset, epoch } = position.clone();
        self.seen.read(channel, Entry { epoch, offset, tag });
        Ok(Page { publications, position })
    }

    fn begins_anew(&self, channel: &Channel) {
        self.seen.forget(channel);
        self.tails.forget(channel);
    }

    /// Lets every node look; one that is not told does so by itself later.
    async fn tell_renewed(&self, name: Name) {
        let record = record::missed();
        let bytes = record.len();
        let mut tell = redis::cmd(self.mode.publish());
        tell.arg(name.key(Kind::Topic)).arg(record);
        let _ = self.done(name, tell, bytes).await;
    }
}
