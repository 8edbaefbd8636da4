//! What a good token tells.

use base64::engine::general_purpose::STANDARD;
use sealcast_wire::Channel;

use super::*;
use Refused::Invalid;

/// A connection token with these members beside its subject and expiry.
fn connection(members: &str) -> Result<Claims, Refused> {
    let claims = format!(r#"{{"sub":"ada","exp":{},{members}}}"#, NOW + 60);
    verifier(key("HS256")).connection(&token("HS256", &claims), NOW)
}

fn subscription(members: &str) -> Result<SubscriptionClaims, Refused> {
    let claims = format!(r#"{{"sub":"ada","exp":{},"channel":"room",{members}}}"#, NOW + 60);
    verifier(key("HS256")).subscription(&token("HS256", &claims), NOW)
}

fn names(claims: &Claims) -> Vec<&str> {
    claims.subscriptions.keys().map(Channel::as_str).collect()
}

#[test]
fn a_connection_token_tells_user_expiry_info_and_meta() {
    let told = connection(r#""info":{"a": 1.0},"meta":{"role": "x"},"jti":"1""#).expect("good");
    assert_eq!(told.user.as_str(), "ada");
    assert_eq!(told.expires_at, Some(NOW + 60));
    assert_eq!(&told.info[..], br#"{"a": 1.0}"#);
    assert_eq!(&told.meta[..], br#"{"role": "x"}"#);
    assert!(told.subscriptions.is_empty());
    for bad in [r#""meta":7"#, r#""meta":[]"#, r#""meta":"x""#] {
        assert_eq!(refusal(connection(bad)), Some(Invalid("bad_claims")), "{bad}");
    }
}

#[test]
fn a_tenant_is_a_name_of_which_there_may_be_none() {
    let tenant = |members: &str| {
        connection(members).map(|told| told.tenant.map(|tenant| tenant.as_str().to_owned()))
    };
    assert_eq!(tenant(r#""jti":"1""#), Ok(None));
    assert_eq!(tenant(r#""tenant":"Zoë & Söhne""#), Ok(Some("Zoë & Söhne".into())));
    let named = |length: usize| tenant(&format!(r#""tenant":"{}""#, "a".repeat(length)));
    assert_eq!((named(255), named(256)), (Ok(Some("a".repeat(255))), Err(Invalid("bad_tenant"))));
    assert_eq!(tenant(r#""tenant":"""#), Err(Invalid("bad_tenant")));
    assert_eq!(tenant(r#""tenant":"a\nb""#), Err(Invalid("bad_tenant")));
    for bad in [r#""tenant":null"#, r#""tenant":7"#, r#""tenant":["a"]"#] {
        assert_eq!(tenant(bad), Err(Invalid("bad_claims")), "{bad}");
    }
    assert_eq!(tenant(r#""tenant":"a","tenant":"b""#), Err(Invalid("bad_claims")));
}

#[test]
fn expire_at_outlasts_the_token() {
    let expiry = |member: &str| connection(member).expect("good").expires_at;
    assert_eq!(expiry(r#""expire_at":1800100000"#), Some(1_800_100_000));
    assert_eq!(expiry(r#""expire_at":1.5"#), Some(1), "then the connection is over at once");
    assert_eq!(expiry(r#""expire_at":0"#), None);
    assert_eq!(expiry(r#""expire_at":-1"#), None);
    let told = subscription(r#""expire_at":0"#).expect("good");
    assert_eq!(told.expires_at, None);
    assert_eq!(subscription(r#""a":0"#).expect("good").expires_at, Some(NOW + 60));
}

#[test]
fn info_is_json_however_it_is_written() {
    let info = |members: &str| connection(members).map(|told| told.info);
    let base64 = |text: &str| format!(r#""b64info":"{}""#, STANDARD.encode(text));
    assert_eq!(info(r#""info":null"#).expect("good"), "");
    assert_eq!(info(&base64(r#"{"a":1}"#)).expect("good"), r#"{"a":1}"#);
    let both = format!(r#""info":1,{}"#, base64("2"));
    assert_eq!(info(&both).expect("good"), "2", "base64 wins");
    assert_eq!(info(r#""info":1,"b64info":"""#).expect("good"), "1", "unless it is empty");
    // Else it would break the frames of everyone who is told of the user.
    for injected in ["\u{1}", "1}\n{", "{", "1,2", ""] {
        let told = info(&base64(&format!("x{injected}")));
        assert_eq!(refusal(told), Some(Invalid("info_not_json")), "{injected:?}");
    }
    for bad in [r#""b64info":"*""#, r#""b64info":"MQ""#, r#""b64info":7"#] {
        assert_eq!(refusal(info(bad)), Some(Invalid("bad_claims")), "{bad}");
    }
    let long = "x".repeat(2_047);
    assert_eq!(refusal(info(&format!(r#""info":"{long}""#))), Some(Invalid("info_too_long")));
    let long = base64(&format!("\"{long}\""));
    assert_eq!(refusal(info(&long)), Some(Invalid("info_too_long")));
    assert!(info(&format!(r#""info":"{}""#, "x".repeat(2_046))).is_ok());
}

#[test]
fn channels_become_subscriptions() {
    let told = connection(r#""channels":["b","a","","b"]"#).expect("good");
    assert_eq!(names(&told), ["a", "b"], "empty ones are skipped, equal ones are one");
    assert!(told.subscriptions.values().all(|options| *options == SubscriptionOptions::default()));
    assert!(names(&connection(r#""channels":null"#).expect("good")).is_empty());
    for (bad, reason) in [
        (r#""channels":["a b"]"#, "bad_channel"),
        (r#""channels":["a\n"]"#, "bad_channel"),
        (r#""channels":"a""#, "bad_claims"),
        (r#""channels":{"a":{}}"#, "bad_claims"),
        (r#""channels":[7]"#, "bad_claims"),
        (r#""channels":[null]"#, "bad_claims"),
    ] {
        assert_eq!(refusal(connection(bad)), Some(Invalid(reason)), "{bad}");
    }
    let long = format!(r#""channels":["{}"]"#, "a".repeat(256));
    assert_eq!(refusal(connection(&long)), Some(Invalid("bad_channel")));
}

#[test]
fn subs_win_over_channels_unless_empty() {
    let told = connection(r#""channels":["a"],"subs":{"b":{},"":{}}"#).expect("good");
    assert_eq!(names(&told), ["b"]);
    let told = connection(r#""channels":["a"],"subs":{}"#).expect("good");
    assert_eq!(names(&told), ["a"]);
    let told = connection(r#""channels":["a"],"subs":null"#).expect("good");
    assert_eq!(names(&told), ["a"]);
    for (bad, reason) in [
        (r#""subs":{"a":{},"a":{}}"#, "bad_claims"),
        (r#""subs":{"a":{},"\u0061":{}}"#, "bad_claims"),
        (r#""subs":["a"]"#, "bad_claims"),
        (r#""subs":{"a":null}"#, "bad_claims"),
        (r#""subs":{"a":[]}"#, "bad_claims"),
        (r#""subs":{"a":{"info":1,"info":1}}"#, "bad_claims"),
        (r#""subs":{"a":{"b64info":"eA=="}}"#, "info_not_json"),
        (r#""subs":{"a b":{}}"#, "bad_channel"),
    ] {
        assert_eq!(refusal(connection(bad)), Some(Invalid(reason)), "{bad}");
    }
}

#[test]
fn no_more_than_128_channels() {
    let list = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("\"c{at}\"")).collect();
        (
            format!(r#""channels":[{}]"#, names.join(",")),
            format!(r#""subs":{{{}}}"#, names.join(":{},") + ":{}"),
        )
    };
    let (channels, subs) = list(128);
    assert_eq!(connection(&channels).expect("good").subscriptions.len(), 128);
    assert_eq!(connection(&subs).expect("good").subscriptions.len(), 128);
    let (channels, subs) = list(129);
    assert_eq!(refusal(connection(&channels)), Some(Invalid("too_many_channels")));
    assert_eq!(refusal(connection(&subs)), Some(Invalid("too_many_channels")));
    assert_eq!(refusal(connection(&list(10_000).0)), Some(Invalid("too_long")));
}

#[test]
fn a_subscription_token_tells_how_to_subscribe() {
    let told = subscription(
        r#""client":"c1","info":{"n": 1},"data":[1, 2],
           "override":{"presence":{"value":true},"force_recovery":{"value":false},"later":1}"#,
    )
    .expect("good");
    assert_eq!((told.user.as_str(), told.channel.as_str()), ("ada", "room"));
    assert_eq!(told.client.as_deref(), Some("c1"));
    assert_eq!(&told.options.info[..], br#"{"n": 1}"#);
    assert_eq!(&told.options.data.expect("there").bytes()[..], b"[1, 2]");
    let overrides =
        Overrides { presence: Some(true), force_recovery: Some(false), ..Overrides::default() };
    assert_eq!(told.options.overrides, overrides);
    let told = subscription(r#""override":null,"data":null,"info":null"#).expect("good");
    assert_eq!((told.client, told.options), (None, SubscriptionOptions::default()));
}

#[test]
fn options_in_subs_are_those_of_a_subscription_token() {
    let members = r#""info":1,"b64data":"AAE=","override":{"join_leave":{"value":true},
        "force_push_join_leave":{"value":true},"force_positioning":{"value":true}}"#;
    let own = subscription(members).expect("good").options;
    let mut told = connection(&format!(r#""subs":{{"room":{{{members}}}}}"#)).expect("good");
    let (_, granted) = told.subscriptions.pop_first().expect("one");
    assert_eq!(granted, own);
    assert_eq!(
        own.overrides,
        Overrides {
            presence: None,
            join_leave: Some(true),
            force_push_join_leave: Some(true),
            force_positioning: Some(true),
            force_recovery: None,
        }
    );
    let data = own.data.expect("there");
    assert_eq!((&data.bytes()[..], data.is_json()), (&[0, 1][..], false));
    let json = subscription(r#""b64data":"WzFd","data":2"#).expect("good").options.data;
    let json = json.expect("there");
    assert_eq!((&json.bytes()[..], json.is_json()), (&b"[1]"[..], true));
}

#[test]
fn overrides_have_one_form() {
    for bad in [
        r#"true"#,
        r#"[]"#,
        r#"{"presence":true}"#,
        r#"{"presence":{}}"#,
        r#"{"presence":[true]}"#,
        r#"{"presence":{"value":1}}"#,
        r#"{"presence":{"value":null}}"#,
        r#"{"presence":{"value":true,"value":false}}"#,
        r#"{"presence":{"value":true},"presence":{"value":true}}"#,
    ] {
        let told = subscription(&format!(r#""override":{bad}"#));
        assert_eq!(refusal(told), Some(Invalid("bad_claims")), "{bad}");
        let told = connection(&format!(r#""subs":{{"a":{{"override":{bad}}}}}"#));
        assert_eq!(refusal(told), Some(Invalid("bad_claims")), "{bad}");
    }
}

#[test]
fn compat_takes_no_expiry_and_no_user_and_nothing_else() {
    let compat = fit(&Config { compat: true, ..config(key("HS256")) });
    let connection = |claims: &str| compat.connection(&token("HS256", claims), NOW);
    let subscription = |claims: &str| compat.subscription(&token("HS256", claims), NOW);
    for claims in ["{}", r#"{"sub":""}"#] {
        let told = connection(claims).expect("good");
        assert!(told.user.is_anonymous());
        assert_eq!(told.expires_at, None);
    }
    let told = subscription(r#"{"channel":"room"}"#).expect("good");
    assert!(told.user.is_anonymous() && told.expires_at.is_none());
    let told = connection(r#"{"expire_at":1800000060}"#).expect("good");
    assert_eq!(told.expires_at, Some(NOW + 60));
    for (claims, refused) in [
        (r#"{"exp":"1800000060"}"#, Invalid("bad_claims")),
        (r#"{"exp":null}"#, Invalid("bad_claims")),
        (r#"{"exp":0}"#, Refused::Expired),
        (r#"{"exp":1}"#, Refused::Expired),
        (r#"{"exp":1900000000}"#, Invalid("lives_too_long")),
        (r#"{"nbf":1800000060}"#, Refused::Expired),
        (r#"{"sub":null}"#, Invalid("bad_claims")),
        (r#"{"sub":"\u0000"}"#, Invalid("bad_subject")),
        (r#"{"channel":"room"}"#, Invalid("wrong_purpose")),
    ] {
        assert_eq!(refusal(connection(claims)), Some(refused), "{claims}");
    }
    assert_eq!(refusal(subscription("{}")), Some(Invalid("wrong_purpose")));
}

#[test]
fn another_claim_can_name_the_user() {
    let mut config = config(key("HS256"));
    config.connection.user_claim = Some("uid".into());
    let verifier = fit(&config);
    let user = |members: &str| {
        let claims = format!(r#"{{"exp":{},{members}}}"#, NOW + 60);
        let told = verifier.connection(&token("HS256", &claims), NOW);
        told.map(|told| told.user.as_str().to_owned())
    };
    assert_eq!(user(r#""uid":"ada""#), Ok("ada".into()));
    assert_eq!(user(r#""uid":"ada","sub":"bob""#), Ok("ada".into()), "sub is not looked at");
    for (members, why) in [
        (r#""sub":"bob""#, "bad_subject"),
        (r#""uid":"","sub":"bob""#, "bad_subject"),
        (r#""uid":42"#, "bad_claims"),
        (r#""uid":null"#, "bad_claims"),
        (r#""uid":"a","uid":"b""#, "bad_claims"),
    ] {
        assert_eq!(user(members), Err(Invalid(why)), "{members}");
    }
}
