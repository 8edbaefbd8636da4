//! which keys are fit, and that every fault is told at once.

use base64::engine::general_purpose::STANDARD;

use super::*;

/// What is wrong with the keys: options and faults.
fn faults(keys: KeyOptions) -> Vec<(String, KeyError)> {
    let faults = Verifier::new(&config(keys)).err().unwrap_or_default();
    let places = faults.into_iter().map(|fault| {
        let option = fault.place.strip_prefix("client.token").expect("the place is told");
        (option.trim_start_matches('.').to_owned(), fault.problem)
    });
    places.collect()
}

fn one(option: &str, problem: KeyError) -> Vec<(String, KeyError)> {
    vec![(option.to_owned(), problem)]
}

fn hmac(length: usize, algorithm: &str) -> KeyOptions {
    KeyOptions {
        hmac_secret_key: Some(Secret::new("x".repeat(length))),
        hmac_algorithm: Some(algorithm.into()),
        ..KeyOptions::default()
    }
}

fn rsa(text: &str) -> KeyOptions {
    KeyOptions { rsa_public_key: Some(text.into()), ..KeyOptions::default() }
}

fn ecdsa(text: &str) -> KeyOptions {
    KeyOptions { ecdsa_public_key: Some(text.into()), ..KeyOptions::default() }
}

fn ed25519(text: &str) -> KeyOptions {
    KeyOptions { ed25519_public_key: Some(text.into()), ..KeyOptions::default() }
}

#[test]
fn a_secret_is_as_long_as_its_hash() {
    for (algorithm, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        assert_eq!(faults(hmac(least, algorithm)), []);
        let short = one("hmac_secret_key", KeyError::TooShort(least));
        assert_eq!(faults(hmac(least - 1, algorithm)), short);
        let mut previous = hmac(least, algorithm);
        previous.hmac_previous_secret_key = Some(Secret::new("x".repeat(least - 1)));
        previous.hmac_previous_secret_key_valid_until = Some(NOW);
        let short = one("hmac_previous_secret_key", KeyError::TooShort(least));
        assert_eq!(faults(previous), short);
    }
    let compat = |length| {
        let config = Config { compat: true, ..config(hmac(length, "HS256")) };
        Verifier::new(&config).err().map(|faults| faults[0].problem)
    };
    assert_eq!(compat(1), None);
    assert_eq!(compat(0), Some(KeyError::TooShort(1)), "no secret at all is none");
}

#[test]
fn a_public_key_is_no_secret() {
    let mut keys = hmac(64, "HS256");
    keys.hmac_secret_key = Some(Secret::new(test_key!("rsa-2048.public").into()));
    assert_eq!(faults(keys), one("hmac_secret_key", KeyError::PemAsSecret));
}

#[test]
fn an_algorithm_fits_its_kind_of_key() {
    let known = KeyError::Algorithm("HS256, HS384, HS512");
    for wrong in ["none", "hs256", "RS256", "ES256", ""] {
        assert_eq!(faults(hmac(64, wrong)), one("hmac_algorithm", known), "{wrong}");
    }
    let known = KeyError::Algorithm("RS256, RS384, RS512, PS256, PS384, PS512");
    for wrong in ["none", "rs256", "HS256", "ES256", "RS1", ""] {
        let mut keys = key("RS256");
        keys.rsa_algorithm = Some(wrong.into());
        assert_eq!(faults(keys), one("rsa_algorithm", known), "{wrong}");
    }
}

#[test]
fn only_strong_rsa_keys_are_taken() {
    assert_eq!(faults(rsa(test_key!("rsa-2048.public"))), []);
    assert_eq!(faults(rsa(test_key!("rsa-2048.pkcs1"))), []);
    let token = token("RS256", &good());
    assert!(verifier(rsa(test_key!("rsa-2048.pkcs1"))).connection(&token, NOW).is_ok());
    for (text, problem) in [
        (test_key!("rsa-1024.public"), KeyError::RsaSize),
        (test_key!("rsa-2040.public"), KeyError::RsaSize),
        (test_key!("rsa-pss.public"), KeyError::NotRsa),
        (test_key!("p-256.public"), KeyError::NotRsa),
        (test_key!("ed25519.public"), KeyError::NotRsa),
        (test_key!("rsa-2048.private"), KeyError::PrivateKey),
        (test_key!("rsa-2048.certificate"), KeyError::NotPem),
    ] {
        assert_eq!(faults(rsa(text)), one("rsa_public_key", problem), "{text}");
    }
}

#[test]
fn an_rsa_key_has_an_exponent_that_hides_something() {
    let (label, body) = ("RSA PUBLIC KEY", test_key!("rsa-2048.pkcs1"));
    let body: String = body.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    // The number at the end, after a length of two bytes at the start.
    let rest = der.strip_suffix(b"\x02\x03\x01\x00\x01").expect("the usual exponent");
    let with = |exponent: &[u8]| {
        let mut der = [rest, exponent].concat();
        let length = u16::try_from(der.len() - 4).expect("small");
        der[2..4].copy_from_slice(&length.to_be_bytes());
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", STANDARD.encode(der))
    };
    assert_eq!(faults(rsa(&with(b"\x02\x03\x01\x00\x01"))), []);
    for exponent in [&b"\x02\x01\x00"[..], b"\x02\x01\x01", b"\x02\x03\x01\x00\x00"] {
        let told = faults(rsa(&with(exponent)));
        assert_eq!(told, one("rsa_public_key", KeyError::NotRsa), "{exponent:?}");
    }
}

#[test]
fn a_point_beside_its_curve_verifies_nothing() {
    let (key, algorithm) = pem::ecdsa(test_key!("p-256.public")).expect("fit");
    let mut point = key.try_get_as_bytes().expect("a point").to_vec();
    assert_eq!((point.len(), point[0], algorithm), (65, 4, Algorithm::ES256));
    point[64] ^= 1;
    let mut der = STANDARD
        .decode(
            test_key!("p-256.public")
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .expect("base64");
    let start = der.len() - 65;
    der[start..].copy_from_slice(&point);
    let text =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(der));
    let told = verifier(ecdsa(&text)).connection(&token("ES256", &good()), NOW);
    assert_eq!(refusal(told), Some(Refused::Invalid("bad_signature")));
}

#[test]
fn the_curve_is_the_algorithm() {
    assert_eq!(faults(ecdsa(test_key!("p-256.public"))), []);
    assert_eq!(faults(ecdsa(test_key!("p-384.public"))), []);
    for (text, problem) in [
        (test_key!("p-521.public"), KeyError::NotEcdsa),
        (test_key!("secp256k1.public"), KeyError::NotEcdsa),
        (test_key!("p-256-compressed.public"), KeyError::NotEcdsa),
        (test_key!("rsa-2048.public"), KeyError::NotEcdsa),
        (test_key!("ed25519.public"), KeyError::NotEcdsa),
        (test_key!("p-256.private"), KeyError::PrivateKey),
        (test_key!("rsa-2048.pkcs1"), KeyError::NotPem),
    ] {
        assert_eq!(faults(ecdsa(text)), one("ecdsa_public_key", problem), "{text}");
    }
}

#[test]
fn only_ed25519_is_taken_for_eddsa() {
    assert_eq!(faults(ed25519(test_key!("ed25519.public"))), []);
    for (text, problem) in [
        (test_key!("ed448.public"), KeyError::NotEd25519),
        (test_key!("p-256.public"), KeyError::NotEd25519),
        (test_key!("ed25519.private"), KeyError::PrivateKey),
    ] {
        assert_eq!(faults(ed25519(text)), one("ed25519_public_key", problem), "{text}");
    }
}

#[test]
fn pem_is_one_whole_block() {
    let good = test_key!("ed25519.public");
    assert_eq!(faults(ed25519(&format!("\n{}\r\n", good.replace('\n', "\r\n")))), []);
    for bad in [
        String::new(),
        "text".into(),
        good.replace("-----END", "----END"),
        good.replace("PUBLIC KEY", "PUBLIC-KEY"),
        format!("{good}{good}"),
        format!("Name: x\n{good}"),
        good.replace('M', "*"),
    ] {
        assert_eq!(faults(ed25519(&bad)), one("ed25519_public_key", KeyError::NotPem), "{bad}");
    }
    let shorter = good.replacen("MCow", "MCo", 1);
    assert!(!faults(ed25519(&shorter)).is_empty());
}

#[test]
fn options_fit_together() {
    for (change, expected) in [
        (
            (|keys| keys.rsa_public_key = key("RS256").rsa_public_key) as fn(&mut KeyOptions),
            one("hmac_secret_key", KeyError::Mixed),
        ),
        (
            |keys| keys.ed25519_public_key = key("EdDSA").ed25519_public_key,
            one("hmac_secret_key", KeyError::Mixed),
        ),
        (
            |keys| keys.rsa_algorithm = Some("RS256".into()),
            one("rsa_algorithm", KeyError::WithoutKey),
        ),
        (
            |keys| keys.hmac_previous_secret_key = Some(Secret::new(SECRET.into())),
            one("hmac_previous_secret_key_valid_until", KeyError::NoEnd),
        ),
        (
            |keys| keys.hmac_previous_secret_key_valid_until = Some(NOW),
            one("hmac_previous_secret_key_valid_until", KeyError::WithoutKey),
        ),
        (
            |keys| {
                keys.hmac_previous_secret_key = keys.hmac_secret_key.take();
                keys.hmac_previous_secret_key_valid_until = Some(NOW);
                keys.hmac_algorithm = None;
            },
            one("hmac_previous_secret_key", KeyError::WithoutKey),
        ),
        (|keys| *keys = KeyOptions::default(), one("", KeyError::NoKey)),
    ] {
        let mut keys = key("HS256");
        change(&mut keys);
        assert_eq!(faults(keys), expected);
    }
    // Also where an existing installation is to be moved over.
    let mut both = key("HS256");
    both.ecdsa_public_key = key("ES256").ecdsa_public_key;
    assert!(Verifier::new(&Config { compat: true, ..config(both) }).is_err());
}

#[test]
fn every_fault_is_told_at_once_and_none_tells_a_secret() {
    let keys = KeyOptions {
        hmac_secret_key: Some(Secret::new("canary".into())),
        hmac_algorithm: Some("canary".into()),
        hmac_previous_secret_key: Some(Secret::new("canary".into())),
        hmac_previous_secret_key_valid_until: None,
        rsa_public_key: Some("canary".into()),
        rsa_algorithm: None,
        ecdsa_public_key: Some("canary".into()),
        ed25519_public_key: Some(test_key!("ed25519.private").into()),
    };
    let told = Verifier::new(&config(keys)).err().expect("unfit");
    let places: Vec<&str> = told.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "client.token.hmac_secret_key",
            "client.token.hmac_previous_secret_key",
            "client.token.hmac_algorithm",
            "client.token.rsa_public_key",
            "client.token.ecdsa_public_key",
            "client.token.ed25519_public_key",
            "client.token.hmac_secret_key",
            "client.token.hmac_previous_secret_key_valid_until",
        ]
    );
    let text: String = told.iter().map(|fault| format!("{fault:?} {}", fault.problem)).collect();
    assert!(!text.contains("canary"), "{text}");
}
