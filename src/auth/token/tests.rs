//! What the verifier accepts, and every way it refuses.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

fn config() -> Config {
    Config {
        hmac_secret: Secret::new(SECRET.into()),
        issuer: None,
        audience: None,
        max_lifetime: 3_600,
    }
}

fn sign(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("signs");
    format!("{signed}.{signature}")
}

fn check(header: &str, claims: &str) -> Result<Claims, Refused> {
    Verifier::new(&config()).expect("fit").connection(&sign(header, claims), NOW)
}

fn claims(text: &str) -> Result<Claims, Refused> {
    check(r#"{"alg":"HS256","typ":"JWT"}"#, &text.replace("SOON", &(NOW + 60).to_string()))
}

#[test]
fn a_good_token_tells_user_expiry_and_info() {
    let told = claims(r#"{"sub":"ada","exp":SOON,"info":{"a": 1.0}}"#).expect("good");
    assert_eq!(told.user.as_str(), "ada");
    assert_eq!(told.expires_at, Some(NOW + 60));
    assert_eq!(&told.info[..], br#"{"a": 1.0}"#);
    assert!(claims(r#"{"sub":"ada","exp":SOON.5}"#).is_ok(), "floats are numeric dates");
    let endless = claims(r#"{"sub":"ada","exp":SOON,"expire_at":0}"#).expect("good");
    assert_eq!(endless.expires_at, None);
}

#[test]
fn what_the_issuer_makes_the_verifier_takes() {
    let mut config = config();
    config.issuer = Some("here".into());
    config.audience = Some("relay".into());
    let user = User::parse("ada").expect("valid");
    let token = Issuer::new(&config).connection(&user, NOW, 60).expect("signs");
    let verifier = Verifier::new(&config).expect("fit");
    assert_eq!(verifier.connection(&token, NOW).expect("good").user, user);
    assert!(matches!(verifier.connection(&token, NOW + 71), Err(Refused::Expired)));
    assert!(verifier.connection(&token, NOW + 69).is_ok(), "within the leeway");
}

#[test]
fn times_are_strict() {
    for (text, refused) in [
        (r#"{"sub":"a","exp":1}"#, Refused::Expired),
        (r#"{"sub":"a","exp":0}"#, Refused::Expired),
        (r#"{"sub":"a","exp":-5}"#, Refused::Expired),
        (r#"{"sub":"a","exp":SOON,"nbf":SOON}"#, Refused::Expired),
        (r#"{"sub":"a"}"#, Refused::Invalid("no_expiry")),
        (r#"{"sub":"a","exp":"SOON"}"#, Refused::Invalid("bad_claims")),
        (r#"{"sub":"a","exp":null}"#, Refused::Invalid("bad_claims")),
        (r#"{"sub":"a","exp":[SOON]}"#, Refused::Invalid("bad_claims")),
        (r#"{"sub":"a","exp":SOON,"exp":SOON}"#, Refused::Invalid("bad_claims")),
        (r#"{"sub":"a","exp":SOON,"nbf":"1"}"#, Refused::Invalid("bad_claims")),
        (r#"{"sub":"a","exp":9223372036854775808}"#, Refused::Invalid("lives_too_long")),
        (r#"{"sub":"a","exp":SOON,"iat":SOON}"#, Refused::Invalid("issued_in_future")),
    ] {
        assert_eq!(claims(text).map(|_| ()), Err(refused), "{text}");
    }
}

#[test]
fn subjects_and_purposes_are_checked() {
    for (text, reason) in [
        (r#"{"exp":SOON}"#, "bad_subject"),
        (r#"{"sub":"","exp":SOON}"#, "bad_subject"),
        (r#"{"sub":"a\u0000","exp":SOON}"#, "bad_subject"),
        (r#"{"sub":7,"exp":SOON}"#, "bad_claims"),
        (r#"{"sub":"a","exp":SOON,"channel":"room"}"#, "wrong_purpose"),
        (r#"{"sub":"a","exp":SOON,"channel":null}"#, "wrong_purpose"),
        ("[]", "bad_claims"),
        ("not json", "bad_claims"),
    ] {
        assert_eq!(claims(text).map(|_| ()), Err(Refused::Invalid(reason)), "{text}");
    }
    let long = format!(r#"{{"sub":"a","exp":SOON,"info":"{}"}}"#, "x".repeat(MAX_INFO));
    assert_eq!(claims(&long).map(|_| ()), Err(Refused::Invalid("info_too_long")));
}

#[test]
fn headers_that_could_bring_a_key_or_change_the_meaning_are_refused() {
    let good = format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60);
    for (header, reason) in [
        (r#"{"alg":"none"}"#, "alg_not_allowed"),
        (r#"{"alg":"None"}"#, "alg_not_allowed"),
        (r#"{"alg":"hs256"}"#, "alg_not_allowed"),
        (r#"{"alg":"HS384"}"#, "alg_not_allowed"),
        (r#"{"alg":"RS256"}"#, "alg_not_allowed"),
        (r#"{}"#, "malformed"),
        (r#"["HS256"]"#, "malformed"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "malformed"),
        (r#"{"alg":"HS256","typ":"dpop+jwt"}"#, "wrong_typ"),
        (r#"{"alg":"HS256","jwk":{}}"#, "forbidden_header"),
        (r#"{"alg":"HS256","jku":"https://x"}"#, "forbidden_header"),
        (r#"{"alg":"HS256","x5u":null}"#, "forbidden_header"),
        (r#"{"alg":"HS256","x5c":[]}"#, "forbidden_header"),
        (r#"{"alg":"HS256","crit":["exp"]}"#, "forbidden_header"),
        (r#"{"alg":"HS256","b64":false}"#, "forbidden_header"),
        (r#"{"alg":"HS256","zip":"DEF"}"#, "forbidden_header"),
    ] {
        assert_eq!(check(header, &good).map(|_| ()), Err(Refused::Invalid(reason)), "{header}");
    }
    assert!(check(r#"{"alg":"HS256","kid":"1"}"#, &good).is_ok());
}

#[test]
fn the_form_is_exact() {
    let verifier = Verifier::new(&config()).expect("fit");
    let good = sign(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60));
    assert!(verifier.connection(&good, NOW).is_ok());
    let unsigned = good.rsplit_once('.').expect("dots").0;
    for bad in [
        String::new(),
        "..".into(),
        unsigned.into(),
        format!("{unsigned}."),
        format!("{good}."),
        format!("{good}="),
        format!("{good}.e30"),
        format!(" {good}"),
        "a".repeat(MAX_TOKEN + 1),
    ] {
        assert!(matches!(verifier.connection(&bad, NOW), Err(Refused::Invalid(_))), "{bad}");
    }
}

#[test]
fn no_flipped_bit_of_the_signature_passes() {
    let verifier = Verifier::new(&config()).expect("fit");
    let good = sign(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60));
    let (signed, signature) = good.rsplit_once('.').expect("dots");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&flipped));
        assert_eq!(
            verifier.connection(&token, NOW).map(|_| ()),
            Err(Refused::Invalid("bad_signature"))
        );
    }
}

#[test]
fn issuer_and_audience_are_demanded_when_configured() {
    let mut wanted = config();
    wanted.issuer = Some("here".into());
    wanted.audience = Some("relay".into());
    let verifier = Verifier::new(&wanted).expect("fit");
    let token = |extra: &str| {
        sign(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"a","exp":{}{extra}}}"#, NOW + 60))
    };
    for (extra, reason) in [
        ("", "wrong_issuer"),
        (r#","iss":"there","aud":"relay""#, "wrong_issuer"),
        (r#","iss":"here""#, "wrong_audience"),
        (r#","iss":"here","aud":["other"]"#, "wrong_audience"),
    ] {
        assert_eq!(
            verifier.connection(&token(extra), NOW).map(|_| ()),
            Err(Refused::Invalid(reason))
        );
    }
    assert!(verifier.connection(&token(r#","iss":"here","aud":["other","relay"]"#), NOW).is_ok());
}

#[test]
fn a_short_secret_is_refused_at_start() {
    let mut short = config();
    short.hmac_secret = Secret::new("x".repeat(31));
    assert!(matches!(Verifier::new(&short), Err(KeyError::TooShort)));
}
