//! T-04 and T-05: tokens that are not of the one form, or bring what a token may
//! not bring.

use proptest::prelude::*;

use super::*;
use Refused::Invalid;

fn check(header: &str, claims: &str) -> Option<Refused> {
    let token = signed(header, claims, &signing_key("HS256"), "HS256");
    refusal(verifier(key("HS256")).connection(&token, NOW))
}

#[test]
fn headers_that_could_bring_a_key_or_change_the_meaning_are_refused() {
    for (member, reason) in [
        (r#""typ":"dpop+jwt""#, "wrong_typ"),
        (r#""typ":"at+jwt""#, "wrong_typ"),
        (r#""typ":null"#, "malformed"),
        (r#""typ":7"#, "malformed"),
        (r#""jwk":{"kty":"oct","k":"AA"}"#, "forbidden_header"),
        (r#""jku":"https://evil.example""#, "forbidden_header"),
        (r#""x5u":null"#, "forbidden_header"),
        (r#""x5c":[]"#, "forbidden_header"),
        (r#""crit":["exp"]"#, "forbidden_header"),
        (r#""crit":[]"#, "forbidden_header"),
        (r#""b64":false"#, "forbidden_header"),
        (r#""b64":true"#, "forbidden_header"),
        (r#""zip":"DEF""#, "forbidden_header"),
        (r#""enc":"A256GCM""#, "forbidden_header"),
        (r#""p2c":1000000000"#, "forbidden_header"),
        (r#""kid":"1","kid":"2""#, "malformed"),
    ] {
        let header = format!(r#"{{"alg":"HS256",{member}}}"#);
        assert_eq!(check(&header, &good()), Some(Invalid(reason)), "{header}");
    }
    for header in [r#"["HS256"]"#, r#""HS256""#, "", "{", r#"{"alg":"HS256"}{}"#, "\u{feff}{}"] {
        assert_eq!(check(header, &good()), Some(Invalid("malformed")), "{header}");
    }
    for member in [r#""kid":"1""#, r#""typ":"jwt""#, r#""cty":"x""#, r#""x5t":"x""#] {
        assert_eq!(check(&format!(r#"{{"alg":"HS256",{member}}}"#), &good()), None, "{member}");
    }
}

#[test]
fn the_form_is_exact() {
    let verifier = verifier(key("HS256"));
    let good = token("HS256", &good());
    assert!(verifier.connection(&good, NOW).is_ok());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments")
    };
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "....".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}.{}+/", &signature[..signature.len() - 2]),
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
    ] {
        assert_eq!(refusal(verifier.connection(&bad, NOW)), Some(Invalid("malformed")), "{bad}");
    }
}

#[test]
fn no_other_character_anywhere_passes() {
    let verifier = verifier(key("HS256"));
    let good = token("HS256", &good());
    for at in 0..good.len() {
        for other in ["A", "b", "9", "-", "_", ".", "=", "%", ""] {
            if &good[at..=at] != other {
                let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
                assert!(verifier.connection(&changed, NOW).is_err(), "{at} {other}");
            }
        }
    }
}

#[test]
fn a_token_has_a_longest_length() {
    let verifier = verifier(key("HS256"));
    let padded = |length: usize| {
        let claims = |filler: usize| {
            format!(r#"{{"sub":"ada","exp":{},"f":"{}"}}"#, NOW + 60, "x".repeat(filler))
        };
        // Four characters stand for three bytes.
        let empty = token("HS256", &claims(0)).len();
        (0..4)
            .map(|more| token("HS256", &claims((length - empty) * 3 / 4 + more)))
            .find(|token| token.len() == length)
            .expect("some filler fits")
    };
    assert_eq!(MAX_TOKEN, 8_192);
    assert!(verifier.connection(&padded(MAX_TOKEN), NOW).is_ok());
    let long = [padded(MAX_TOKEN + 1), padded(64 << 10), ".".repeat(MAX_TOKEN + 1)];
    for long in long {
        assert_eq!(refusal(verifier.connection(&long, NOW)), Some(Invalid("too_long")));
    }
}

#[test]
fn claims_are_nested_only_so_deep() {
    let nested = |levels: usize| {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        format!(r#"{{"sub":"ada","exp":{},"anything":{deep}}}"#, NOW + 60)
    };
    assert_eq!(check(r#"{"alg":"HS256"}"#, &nested(31)), None);
    assert_eq!(check(r#"{"alg":"HS256"}"#, &nested(32)), Some(Invalid("bad_claims")));
    assert_eq!(check(r#"{"alg":"HS256"}"#, &nested(2_500)), Some(Invalid("bad_claims")));
    let header = format!(r#"{{"alg":"HS256","a":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    assert_eq!(check(&header, &good()), Some(Invalid("malformed")));
}

#[test]
fn claims_are_one_object() {
    for text in ["", "[]", "null", "7", "not json", "{", "{}{}", "{\"sub\":\"\u{0}\"}"] {
        assert_eq!(check(r#"{"alg":"HS256"}"#, text), Some(Invalid("bad_claims")), "{text}");
    }
    let invalid_utf8 = [b"{\"sub\":\"\xff\"}".as_slice(), b"\xef\xbb\xbf{}"];
    for bytes in invalid_utf8 {
        let start = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
            URL_SAFE_NO_PAD.encode(bytes)
        );
        let signature =
            crypto::sign(start.as_bytes(), &signing_key("HS256"), Algorithm::HS256).expect("signs");
        let told = verifier(key("HS256")).connection(&format!("{start}.{signature}"), NOW);
        assert_eq!(refusal(told), Some(Invalid("bad_claims")));
    }
}

proptest! {
    #[test]
    fn no_text_passes_that_was_not_signed(
        text in "[a-zA-Z0-9_.-]{0,80}|.{0,40}",
        header in ".{0,40}",
        claims in ".{0,80}",
    ) {
        let mut config = config(key("ES256"));
        config.connection.issuers[0].issuer = Some("here".into());
        config.connection.issuers[0].audience = Some("relay".into());
        let verifier = fit(&config);
        let built = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(&header),
            URL_SAFE_NO_PAD.encode(&claims),
            URL_SAFE_NO_PAD.encode(&text)
        );
        for token in [&text, &built] {
            prop_assert!(verifier.connection(token, NOW).is_err());
            prop_assert!(verifier.subscription(token, NOW).is_err());
        }
    }

    #[test]
    fn whatever_is_signed_is_read_without_a_panic(
        name in "sub|exp|nbf|iat|aud|iss|expire_at|info|b64info|channels|subs|meta|channel|client|override|data|b64data",
        value in r#"(-?[0-9]{0,30}(\.[0-9]{1,5})?(e[0-9]{1,3})?)|"[^"\\]{0,20}"|\[\]|\{\}|null|true|\{"a":(\{\}|1|null|\{"override":\{"presence":\{"value":(true|1)\}\}\})\}|\[".{0,5}"\]"#,
    ) {
        let verifier = verifier(key("HS256"));
        let claims = format!(r#"{{"sub":"ada","exp":1800000060,"{name}":{value}}}"#);
        let token = token("HS256", &claims);
        let connection = verifier.connection(&token, NOW);
        let subscription = verifier.subscription(&token, NOW);
        prop_assert!(connection.is_err() || subscription.is_err(), "both purposes: {claims}");
    }
}
