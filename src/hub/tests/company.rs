//! The answer to a publish and the publication itself, when that comes from outside.

use std::time::Duration;

use super::*;

struct Bench {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    script: Script,
}

impl Bench {
    fn start() -> Bench {
        let limits = Profile::Standard.limits();
        let hub = Hub::new(1, &limits, Clock::start(), crate::metrics::Metrics::new("test"));
        tokio::spawn(Arc::clone(&hub).end_waits());
        let script = Script::with_room(1 << 20);
        let connection = Connection::scripted(Encoding::Json, script.clone());
        Bench { hub, connection, script }
    }

    /// As the connection's task does when an answer is there.
    fn answer(&self, echo: Echo) {
        self.hub.confirm(echo, || {
            self.connection.push(&self.hub, self.frame(), 1);
        });
        self.connection.flush(&self.hub);
    }

    /// As the pump does at the end of its tick.
    fn deliver(&self) {
        if self.connection.push(&self.hub, self.frame(), 1) {
            self.hub.flush_delivered(Arc::clone(&self.connection));
        }
    }

    fn frame(&self) -> Bytes {
        self.connection.frame(&Reply::error(1, sealcast_wire::ErrorCode::Internal))
    }

    fn came(&self) -> (usize, usize) {
        (self.script.writes(), self.script.read().0.len())
    }
}

#[tokio::test(start_paused = true)]
async fn whichever_is_first_waits_for_the_other() {
    let bench = Bench::start();
    let echo = bench.connection.expect_echo();
    bench.deliver();
    assert_eq!(bench.came(), (0, 0));
    bench.answer(echo);
    assert_eq!(bench.came(), (1, 2));

    bench.answer(bench.connection.expect_echo());
    assert_eq!(bench.came(), (1, 2));
    bench.deliver();
    assert_eq!(bench.came(), (2, 4));

    bench.deliver();
    assert_eq!(bench.came(), (3, 5), "nothing is under way");
}

#[tokio::test(start_paused = true)]
async fn neither_waits_long_and_an_answer_not_twice_in_vain() {
    let bench = Bench::start();
    let pass = || tokio::time::sleep(Duration::from_millis(6));
    bench.answer(bench.connection.expect_echo());
    assert_eq!(bench.came(), (0, 0));
    pass().await;
    assert_eq!(bench.came(), (1, 1));
    bench.answer(bench.connection.expect_echo());
    assert_eq!(bench.came(), (2, 2), "it does not listen, or not to this");

    let echo = bench.connection.expect_echo();
    bench.deliver();
    assert_eq!(bench.came(), (2, 2));
    pass().await;
    assert_eq!(bench.came(), (3, 3), "the broker takes its time to answer");
    bench.deliver();
    bench.answer(echo);
    assert_eq!(bench.came(), (4, 5));
    bench.answer(bench.connection.expect_echo());
    assert_eq!(bench.came(), (4, 5), "they come together again");

    bench.connection.close(&bench.hub, Disconnect::SHUTDOWN);
    assert_eq!(bench.came().1, 6, "what waits goes out before the end");
}
