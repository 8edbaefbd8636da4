//! Turns: a channel with little to do does not wait for large ones, nor they for ever.

use super::*;

fn named(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

/// One more than are served in two turns.
const MANY: usize = 2 * TURN + 1;

impl Bench {
    /// So many connections, all of them in all these channels.
    fn crowd(&self, channels: &[Channel], size: usize) -> Vec<Script> {
        let join = |_| {
            let script = Script::with_room(1 << 24);
            let connection = Connection::scripted(Encoding::Json, script.clone());
            for channel in channels {
                self.relay.hub().open(0, channel);
                let slot = self.relay.hub().join(0, channel, &connection, Wants::default());
                assert!(self.relay.hub().go_live(0, channel, slot.unwrap(), None, None));
            }
            script
        };
        (0..size).map(join).collect()
    }

    async fn say(&self, channel: &Channel) {
        let (channel, publication) = (channel.clone(), publication(0));
        let (epoch, delta, passing) = (None, false, false);
        let delivery = Delivery::Publication { channel, publication, epoch, delta, passing };
        self.inbox.send(delivery).await.expect("the pump runs");
    }
}

fn got(script: &Script) -> usize {
    script.read().0.len()
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_its_first_turn_does_not_wait_behind_large_ones() {
    let bench = Bench::start();
    // More of them than a tick has turns.
    let large: Vec<Channel> = (0..20).map(|n| named(&format!("large-{n}"))).collect();
    let crowd = bench.crowd(&large, MANY);
    let small = bench.crowd(&[named("small")], 1);
    for channel in &large {
        bench.say(channel).await;
    }
    tokio::task::yield_now().await;
    assert!(got(&crowd[0]) > 0 && got(&crowd[MANY - 1]) == 0, "they are under way");
    bench.say(&named("small")).await;
    tokio::task::yield_now().await;
    assert_eq!(got(&small[0]), 1);
    assert_eq!(got(&crowd[MANY - 1]), 0, "and so they were still");
    bench.settle().await;
    assert!(crowd.iter().all(|script| got(script) == large.len()));
}

#[tokio::test(start_paused = true)]
async fn a_large_channel_comes_to_its_end_beside_ever_new_ones() {
    let bench = Bench::start();
    let crowd = bench.crowd(&[named("large")], MANY);
    // As many as fill a tick, each done in one turn.
    let many: Vec<Channel> = (0..TICK / TURN).map(|n| named(&format!("new-{n}"))).collect();
    bench.crowd(&many, TURN);
    bench.say(&named("large")).await;
    for _ in 0..8 {
        for channel in &many {
            bench.say(channel).await;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(got(&crowd[MANY - 1]), 1);
}
