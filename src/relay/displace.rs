//! Making room for a newer connection of a user whose places are all taken, wherever
//! the others are. Other nodes are asked above the relay; wishes wait here until then.

use std::time::Duration;

use parking_lot::Mutex;
use sealcast_wire::User;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Relay;

/// Wishes that wait; more are refused.
const MOST_WISHES: usize = 1_024;
/// Longest time until one is answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// From the connections to who asks the nodes.
pub(super) struct Wishes(mpsc::Sender<Displace>, Mutex<Option<mpsc::Receiver<Displace>>>);

/// The wish that one more connection of a user has room.
pub struct Displace {
    /// Whose.
    pub user: User,
    /// How many there may be on all nodes together, that one included.
    pub most: usize,
    done: oneshot::Sender<bool>,
}

impl Displace {
    /// Says whether there is room now.
    pub fn answer(self, room: bool) {
        // Who wished for it may have gone.
        let _ = self.done.send(room);
    }
}

impl Default for Wishes {
    fn default() -> Wishes {
        let (wish, wishes) = mpsc::channel(MOST_WISHES);
        Wishes(wish, Mutex::new(Some(wishes)))
    }
}

impl Relay {
    /// Ends the oldest connection of a user, on whatever node it is, if more than `most`
    /// are there or about to come. `false` if there is no room in time.
    pub async fn make_room(&self, user: &User, most: usize) -> bool {
        let (done, answer) = oneshot::channel();
        let wish = Displace { user: user.clone(), most, done };
        self.wishes.0.try_send(wish).is_ok()
            && matches!(timeout(PATIENCE, answer).await, Ok(Ok(true)))
    }

    /// What is wished for. Whoever asks first gets it.
    #[must_use]
    pub fn take_wishes(&self) -> Option<mpsc::Receiver<Displace>> {
        self.wishes.1.lock().take()
    }
}
