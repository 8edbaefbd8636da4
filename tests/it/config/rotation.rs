//! T-10: a thousand reloads of keys during ten thousand verifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::support::node::{TestNode, config};
use crate::support::token::{SECRET, now, signed_with};

const OTHER_SECRET: &str = "another-secret-of-32-bytes-or-more";
const RELOADS: usize = 1_000;
const VERIFICATIONS: usize = 10_000;

/// Even turns have one key in force, odd turns the other; a turn that is under way
/// is told by `begun` being ahead of `done`.
#[derive(Default)]
struct Turns {
    begun: AtomicUsize,
    done: AtomicUsize,
    verified: AtomicUsize,
    told_apart: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_taken_by_a_key_that_a_reload_removed() {
    let node = Arc::new(TestNode::start().await);
    let policies = Arc::clone(&node.node.as_ref().unwrap().app().policies);
    let turns = Arc::new(Turns::default());
    let tokens = [SECRET, OTHER_SECRET].map(|secret| {
        let claims = json!({ "sub": "ada", "exp": now() + 600 });
        signed_with(claims, secret, Algorithm::HS256)
    });
    let verifying: Vec<_> = (0..2)
        .map(|_| {
            let (policies, turns, tokens) = (policies.clone(), turns.clone(), tokens.clone());
            std::thread::spawn(move || verify(&policies, &turns, &tokens))
        })
        .collect();
    let reloading = {
        let (node, turns) = (Arc::clone(&node), Arc::clone(&turns));
        std::thread::spawn(move || {
            for turn in 1.. {
                let verified = turns.verified.load(Ordering::SeqCst);
                if turn > RELOADS && verified >= VERIFICATIONS {
                    break;
                }
                let secret = if turn % 2 == 0 { SECRET } else { OTHER_SECRET };
                let options = json!({ "client": { "token": { "hmac_secret_key": secret } } });
                let loaded = sealcast::config::parse(&config(options).to_string());
                turns.begun.store(turn, Ordering::SeqCst);
                node.node.as_ref().unwrap().reload(loaded).unwrap();
                turns.done.store(turn, Ordering::SeqCst);
            }
            turns.begun.store(usize::MAX, Ordering::SeqCst);
        })
    };
    tokio::task::spawn_blocking(move || {
        reloading.join().unwrap();
        verifying.into_iter().for_each(|thread| thread.join().unwrap());
    })
    .await
    .unwrap();
    let told_apart = turns.told_apart.load(Ordering::SeqCst);
    assert!(told_apart > 1_000, "{told_apart} verifications fell between two reloads");
}

fn verify(policies: &sealcast::session::Policies, turns: &Turns, tokens: &[String; 2]) {
    loop {
        let done = turns.done.load(Ordering::SeqCst);
        let policy = policies.current();
        let verifier = policy.verifier.as_ref().unwrap();
        let taken = tokens.each_ref().map(|token| verifier.connection(token, now()).is_ok());
        turns.verified.fetch_add(2, Ordering::SeqCst);
        // Never both, never none: a policy has one key.
        assert!(taken[0] != taken[1], "{taken:?}");
        match turns.begun.load(Ordering::SeqCst) {
            usize::MAX => return,
            begun if begun == done => {
                assert!(taken[done % 2], "turn {done}: {taken:?}");
                turns.told_apart.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}
