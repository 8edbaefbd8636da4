//! Waiting that a stall of this machine does not cut short.

use std::time::Duration;

use tokio::time::timeout;

/// The longest stretch that is counted as one.
const STRETCH: Duration = Duration::from_millis(50);

/// What `what` answers, if it does within `time` while this process runs. Time in
/// which nothing here ran counts as one stretch: what came meanwhile is not late.
pub(super) async fn within<T>(time: Duration, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    let mut left = time;
    while !left.is_zero() {
        let stretch = left.min(STRETCH);
        if let Ok(done) = timeout(stretch, &mut what).await {
            return Some(done);
        }
        left -= stretch;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_as_long_as_it_is_told() {
        let began = Instant::now();
        assert_eq!(within(Duration::from_millis(120), pending::<()>()).await, None);
        assert_eq!(began.elapsed(), Duration::from_millis(120));
        let soon = sleep(Duration::from_millis(119));
        assert_eq!(within(Duration::from_millis(120), soon).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_everything_stood_still_is_in_time() {
        let answer = async {
            sleep(Duration::from_millis(10)).await;
            // It takes a few turns more to get here.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        };
        let stalled = async {
            tokio::task::yield_now().await;
            advance(Duration::from_secs(2)).await;
        };
        let waiting = within(Duration::from_millis(500), answer);
        let (answered, ()) = futures_util::join!(waiting, stalled);
        assert_eq!(answered, Some(()));
    }
}
