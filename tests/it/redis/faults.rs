//! One broker, its feed and its history, while Redis is treated badly.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::{Listener, Publisher, ROOMS};
use crate::broker_contract::Bench;
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::{RedisServer, credentials};

/// How soon everything must be well after a fault has ended.
const WELL_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_link_is_announced_for_every_channel_and_nothing_is_lost() {
    const KILLS: usize = 5;
    let server = RedisServer::start().await;
    let mut bench = Bench::on(server.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    for kill in 1..=KILLS {
        let killing = async {
            publisher.goes_on(200).await;
            let killed: usize = server.ask("CLIENT KILL TYPE pubsub").await;
            assert_eq!(killed, 1, "the link is one connection");
        };
        listener.during(&mut bench, killing).await;
        listener.is_told(&mut bench, kill * ROOMS).await;
    }
    assert_eq!(publisher.failures(), 0, "publishing goes on by other connections");
    let published = publisher.stop().await;
    listener.has(&mut bench, &published).await;
    // Each channel after each kill; a link that a loaded machine loses adds to it.
    assert!(listener.gaps >= KILLS * ROOMS, "{}", listener.gaps);
    assert!(listener.missed > 0, "the fault did not bite");
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_every_connection_costs_at_most_what_was_under_way() {
    let server = RedisServer::start().await;
    let mut bench = Bench::on(server.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let killing = async {
        for _ in 0..5 {
            publisher.goes_on(200).await;
            let _: usize = server.ask("CLIENT KILL SKIPME yes").await;
        }
        publisher.goes_on(200).await;
    };
    listener.during(&mut bench, killing).await;
    let failures = publisher.failures();
    let published = publisher.stop().await;
    listener.has(&mut bench, &published).await;
    assert!(listener.gaps > 0, "the fault did not bite");
    assert!(failures <= 5 * 2, "{failures} failed: little can be under way at each kill");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_has_everything_acknowledged() {
    let mut server = RedisServer::durable().await;
    let mut bench = Bench::on(server.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    for _ in 0..2 {
        let before = (publisher.failures(), listener.gaps);
        let restart = async {
            publisher.goes_on(200).await;
            server.kill();
            sleep(Duration::from_secs(1)).await;
            server.start_again().await;
            publisher.goes_on(200).await
        };
        let back = listener.during(&mut bench, restart).await;
        assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
        assert!(publisher.failures() > before.0, "the fault did not bite");
        listener.is_told(&mut bench, before.1 + ROOMS).await;
    }
    let published = publisher.stop().await;
    listener.has(&mut bench, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_and_thaws_is_left_and_found_again() {
    let server = RedisServer::start().await;
    let mut bench = Bench::on(server.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let freezing = async {
        publisher.goes_on(200).await;
        server.signal(Signal::STOP);
        sleep(Duration::from_secs(4)).await;
        let failures = publisher.failures();
        server.signal(Signal::CONT);
        (failures, publisher.goes_on(200).await)
    };
    let (failures, back) = listener.during(&mut bench, freezing).await;
    assert!(failures > 5, "the fault did not bite");
    assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
    listener.is_told(&mut bench, ROOMS).await;
    let published = publisher.stop().await;
    listener.has(&mut bench, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_cut_off_end_their_connections_and_nothing_else() {
    let server = RedisServer::start().await;
    let (proxy, mut bench) = through_a_proxy(&server).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let cutting = async {
        publisher.goes_on(100).await;
        proxy.set(Passes::Half);
        sleep(Duration::from_secs(1)).await;
        let failures = publisher.failures();
        proxy.set(Passes::All);
        (failures, publisher.goes_on(100).await)
    };
    let (failures, back) = listener.during(&mut bench, cutting).await;
    assert!(failures > 0 && proxy.swallowed() > 0, "the fault did not bite");
    assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
    listener.is_told(&mut bench, ROOMS).await;
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
}

/// What no ping finds: the connection lives, and what is published is not pushed.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_lives_and_is_deaf_is_noticed_by_its_heartbeat() {
    let server = RedisServer::start().await;
    let (proxy, mut bench) = through_a_proxy(&server).await;
    let mut listener = Listener::start(&bench).await;
    // What comes before the next heartbeat is due comes behind a hole.
    listener.strict = false;
    let publisher = Publisher::start(&bench.broker);
    let deafening = async {
        publisher.goes_on(100).await;
        proxy.set(Passes::NoPushes);
        // A heartbeat may have come back just now: one a second, and a second more.
        sleep(Duration::from_secs(3)).await;
        proxy.set(Passes::All);
        publisher.goes_on(100).await;
    };
    listener.during(&mut bench, deafening).await;
    assert!(proxy.swallowed() > 0, "the fault did not bite");
    listener.is_told(&mut bench, ROOMS).await;
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
    assert!(listener.missed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_on_which_nothing_passes_is_left_and_found_again() {
    let server = RedisServer::start().await;
    let (proxy, mut bench) = through_a_proxy(&server).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let blocking = async {
        publisher.goes_on(100).await;
        proxy.set(Passes::Nothing);
        sleep(Duration::from_secs(4)).await;
        let failures = publisher.failures();
        proxy.set(Passes::All);
        (failures, publisher.goes_on(100).await)
    };
    let (failures, back) = listener.during(&mut bench, blocking).await;
    assert!(failures > 5, "the fault did not bite");
    assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
    listener.is_told(&mut bench, ROOMS).await;
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_refused_its_topics_is_tried_until_it_is_not() {
    let server = RedisServer::start().await;
    let mut bench = Bench::on(server.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let refusing = async {
        publisher.goes_on(200).await;
        let _: () = server.ask("ACL SETUSER relay resetchannels").await;
        sleep(Duration::from_secs(2)).await;
        let _: () = server.ask("ACL SETUSER relay &sc:*").await;
        let _: () = server.ask("ACL LOG RESET").await;
        publisher.goes_on(200).await;
    };
    listener.during(&mut bench, refusing).await;
    assert!(publisher.failures() > 0, "the fault did not bite");
    listener.is_told(&mut bench, ROOMS).await;
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
}

/// A broker between which and its Redis anything may happen.
async fn through_a_proxy(server: &RedisServer) -> (Proxy, Bench) {
    let proxy = Proxy::start(server.address()).await;
    let config = RedisServer::config_at(&proxy.address.to_string(), &credentials());
    (proxy, Bench::on(config).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_lost_are_loaded_again_without_a_failure() {
    let server = RedisServer::start().await;
    let mut bench = Bench::on(server.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let flushing = async {
        for _ in 0..5 {
            publisher.goes_on(100).await;
            let _: () = server.ask("SCRIPT FLUSH SYNC").await;
        }
        publisher.goes_on(100).await;
    };
    listener.during(&mut bench, flushing).await;
    assert_eq!(publisher.failures(), 0);
    let published = publisher.stop().await;
    listener.has(&mut bench, &published).await;
    let errors: String = server.ask("INFO errorstats").await;
    assert!(errors.contains("errorstat_NOSCRIPT"), "the fault did not bite: {errors}");
    assert_eq!((listener.gaps, listener.missed), (0, 0));
}
