//! `gen-token`, `gen-sub-token`, `check-token`.

use serde_json::json;
use tokio::time::Instant;

use super::{Scratch, run, run_with};
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

#[tokio::test]
async fn a_node_takes_what_was_made_with_its_configuration() {
    let node = TestNode::start().await;
    let config = Scratch::config(json!({}));
    let secret = Scratch::new(&format!("{}\n", token::SECRET));
    let source = [["--config", config.path()], ["--secret-file", secret.path()]];
    for source in source {
        let began = Instant::now();
        let ended = run(&[
            &["gen-token"],
            &source[..],
            &["--user", "ada", "--channel", "talk:a", "--info", r#"{"name":"Ada"}"#],
        ]
        .concat())
        .await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        let made = ended.stdout.trim();
        let (_wire, connected) = Wire::admitted(&node, json!({ "token": made })).await;
        let left = connected["ttl"].as_u64().unwrap();
        // Of the 600 s as many have gone as this took, and the parts of seconds at its ends.
        let least = 600 - began.elapsed().as_secs() - 2;
        assert!((least..=600).contains(&left), "{connected}");
        assert!(connected["subs"]["talk:a"].is_object(), "{connected}");

        let wanted = ["--user", "ada", "--channel", "$room"];
        let ended = run(&[&["gen-sub-token"], &source[..], &wanted].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let mut wire = Wire::connected(&node, "ada").await;
        let subscribe = json!({ "id": 2, "subscribe": {
            "channel": "$room", "token": ended.stdout.trim(),
        }});
        let answer = wire.ask(&subscribe.to_string()).await;
        assert!(answer["subscribe"].is_object(), "{answer}");
    }
}

#[tokio::test]
async fn a_good_token_is_told_with_its_claims_and_its_end() {
    let config = Scratch::config(json!({}));
    let made = token::signed(json!({
        "sub": "ada", "exp": token::now() + 600, "channels": ["news"], "role": "ad\u{9b}min",
    }));
    let ended =
        run_with(&["check-token", "--config", config.path()], &format!("{made}\n"), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["connection token", "\"ada\"", "\"news\"", "in 600 s", "\"role\"", "\\u009b"] {
        let near = part.replace("600", "599");
        assert!(ended.stdout.contains(part) || ended.stdout.contains(&near), "{part}: {ended:?}");
    }
    assert!(!ended.stdout.contains('\u{9b}'));
    let file = Scratch::new(&made);
    let with_file = ["check-token", "--config", config.path(), "--token-file", file.path()];
    assert_eq!(run(&with_file).await.code, Some(0));
    let variables = [("SEALCAST_CONFIG", config.path())];
    assert_eq!(run_with(&["check-token"], &made, &variables).await.code, Some(0));

    let made = token::signed(json!({
        "sub": "ada", "exp": token::now() + 600, "channel": "$room", "client": "c1",
    }));
    let check = ["check-token", "--config", config.path(), "--subscription"];
    for (more, code, part) in [
        (&[][..], 0, "\"$room\""),
        (&["--user", "ada", "--channel", "$room", "--client", "c1"], 0, "\"$room\""),
        (&["--user", "bob"], 1, "bob"),
        (&["--channel", "$other"], 1, "$other"),
        (&["--client", "c2"], 1, "c2"),
    ] {
        let ended = run_with(&[&check, more].concat(), &made, &[]).await;
        assert_eq!(ended.code, Some(code), "{more:?}: {ended:?}");
        assert!((ended.stdout.clone() + &ended.stderr).contains(part), "{more:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_refused_token_is_told_with_rule_member_expected_and_found() {
    let config = Scratch::config(json!({ "client": { "token": {
        "issuer": "here", "audience": "relay",
    }}}));
    let (soon, past) = (token::now() + 60, token::now() - 100);
    let forged = token::signed_with(
        json!({ "sub": "canary-user", "iss": "here", "aud": "relay", "exp": soon }),
        "canary-secret-of-another-issuer-32-bytes",
        jsonwebtoken::Algorithm::HS256,
    );
    let base = json!({ "sub": "ada", "iss": "here", "aud": "relay", "exp": soon });
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = base.clone();
        claims[name] = value;
        token::signed(claims)
    };
    for (made, parts) in [
        (forged, &["bad_signature", "HS256", "another key"][..]),
        (with("exp", past.into()), &["expired", "exp", "s ago"]),
        (with("exp", (soon + 90_000).into()), &["lives_too_long", "exp", "3600 s"]),
        (with("aud", "other".into()), &["wrong_audience", "aud", "\"relay\"", "\"other\""]),
        (with("iss", "there".into()), &["wrong_issuer", "iss", "\"here\"", "\"there\""]),
        (with("sub", 7.into()), &["bad_claims", "sub", "a text", "7"]),
        (with("channel", "x".into()), &["wrong_purpose", "channel"]),
        ("canary".into(), &["malformed", "three segments"]),
        (format!("Bearer {}", with("sub", "ada".into())), &["malformed", "Bearer"]),
    ] {
        let check = ["check-token", "--config", config.path()];
        let ended = run_with(&check, &made, &[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stdout, "");
        for part in parts {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
        assert!(ended.stderr.contains("to do"), "{}", ended.stderr);
        for secret in [token::SECRET, "canary", made.rsplit('.').next().unwrap()] {
            assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_token_that_a_node_would_refuse_is_not_made() {
    let config = Scratch::config(json!({}));
    let make = ["gen-token", "--config", config.path(), "--user", "ada"];
    for (more, part) in [
        (&["--ttl", "2h"][..], "lives_too_long"),
        (&["--claims", r#"{"exp":1}"#], "expired"),
        (&["--claims", r#"{"channel":"x"}"#], "wrong_purpose"),
        (&["--channel", "\u{e9}"], "bad_channel"),
    ] {
        let ended = run(&[&make, more].concat()).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{more:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{more:?}: {ended:?}");
    }
    let public = Scratch::config(json!({ "client": { "token": {
        "hmac_secret_key": null,
        "ed25519_public_key":
            include_str!("../../../src/auth/token/testdata/test-only-ed25519.public.pem"),
    }}}));
    let ended = run(&["gen-token", "--config", public.path(), "--user", "ada"]).await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("public one"), "{ended:?}");
}
