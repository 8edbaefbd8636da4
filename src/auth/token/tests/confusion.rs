//! T-02: a token that asks to be verified in another way than its key's own; and
//! S4-47: a signature that is nearly right.

use base64::engine::general_purpose::STANDARD;

use super::*;

/// Strict and lenient: what is lenient is not about algorithms.
fn verifiers(algorithm: &str) -> [Verifier; 2] {
    [false, true].map(|compat| fit(&Config { compat, ..config(key(algorithm)) }))
}

fn refused_both(token: &str, verifier: &Verifier, reason: &'static str, what: &str) {
    let expected = Some(Refused::Invalid(reason));
    assert_eq!(refusal(verifier.connection(token, NOW)), expected, "{what}");
    assert_eq!(refusal(verifier.subscription(token, NOW)), expected, "{what}");
}

#[test]
fn no_key_takes_another_algorithm() {
    for own in ALGORITHMS {
        for verifier in verifiers(own) {
            for other in ALGORITHMS.into_iter().filter(|other| *other != own) {
                let honest = token(other, &good());
                refused_both(&honest, &verifier, "alg_not_allowed", &format!("{other} for {own}"));
                // The header lies: right name, wrong way.
                let header = format!(r#"{{"alg":"{own}"}}"#);
                let lying = signed(&header, &good(), &signing_key(other), other);
                refused_both(&lying, &verifier, "bad_signature", &format!("{other} as {own}"));
            }
        }
    }
}

#[test]
fn none_is_refused_in_every_spelling() {
    let spellings = (0..16_u8).map(|upper| {
        let letters = b"none".iter().enumerate().map(|(at, letter)| match upper >> at & 1 {
            1 => letter.to_ascii_uppercase() as char,
            _ => *letter as char,
        });
        letters.collect::<String>()
    });
    let spellings: Vec<String> =
        spellings.chain(["", " none", "none\\u0000"].map(Into::into)).collect();
    for own in ALGORITHMS {
        for verifier in verifiers(own) {
            for name in &spellings {
                let header = format!(r#"{{"alg":"{name}","typ":"JWT"}}"#);
                let token = signed(&header, &good(), &signing_key(own), own);
                let unsigned = token.rsplit_once('.').expect("dots").0;
                for token in [token.clone(), format!("{unsigned}.")] {
                    let told = refusal(verifier.connection(&token, NOW));
                    assert!(
                        matches!(told, Some(Refused::Invalid("alg_not_allowed" | "malformed"))),
                        "{own} {name} {told:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_algorithm_must_be_named_exactly() {
    let verifier = verifier(key("HS256"));
    for (header, reason) in [
        (r#"{}"#, "alg_not_allowed"),
        (r#"{"typ":"JWT"}"#, "alg_not_allowed"),
        (r#"{"alg":"hs256"}"#, "alg_not_allowed"),
        (r#"{"alg":"HS256 "}"#, "alg_not_allowed"),
        (r#"{"alg":"ES512"}"#, "alg_not_allowed"),
        (r#"{"alg":"ES256K"}"#, "alg_not_allowed"),
        (r#"{"alg":"dir","enc":"A256GCM"}"#, "alg_not_allowed"),
        (r#"{"alg":"\u0048S256"}"#, "malformed"),
        (r#"{"alg":null}"#, "malformed"),
        (r#"{"alg":["HS256"]}"#, "malformed"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "malformed"),
        (r#"{"alg":"none","alg":"HS256"}"#, "malformed"),
    ] {
        let token = signed(header, &good(), &signing_key("HS256"), "HS256");
        refused_both(&token, &verifier, reason, header);
    }
}

#[test]
fn no_public_key_is_a_secret() {
    for own in ALGORITHMS.into_iter().filter(|name| !name.starts_with("HS")) {
        let options = key(own);
        let text = options
            .rsa_public_key
            .as_deref()
            .or(options.ecdsa_public_key.as_deref())
            .or(options.ed25519_public_key.as_deref())
            .expect("a public key");
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(&body).expect("base64");
        let secrets: [&[u8]; 8] = [
            text.as_bytes(),
            text.trim_end().as_bytes(),
            body.as_bytes(),
            &der,
            &der[der.len() - 32..],
            &der[der.len().saturating_sub(65)..],
            &der[der.len().saturating_sub(270)..],
            b"",
        ];
        for verifier in verifiers(own) {
            for secret in secrets {
                let key = EncodingKey::from_secret(secret);
                for hmac in ["HS256", "HS384", "HS512"] {
                    let header = format!(r#"{{"alg":"{hmac}","typ":"JWT"}}"#);
                    let token = signed(&header, &good(), &key, hmac);
                    refused_both(&token, &verifier, "alg_not_allowed", own);
                    let lying = signed(&format!(r#"{{"alg":"{own}"}}"#), &good(), &key, hmac);
                    refused_both(&lying, &verifier, "bad_signature", own);
                }
            }
        }
    }
}

#[test]
fn keys_side_by_side_do_not_stand_in_for_each_other() {
    let keys = || KeyOptions {
        rsa_public_key: key("RS256").rsa_public_key,
        ecdsa_public_key: key("ES256").ecdsa_public_key,
        ed25519_public_key: key("EdDSA").ed25519_public_key,
        ..KeyOptions::default()
    };
    let verifier = verifier(keys());
    let own = ["RS256", "ES256", "EdDSA"];
    for claimed in own {
        assert!(verifier.connection(&token(claimed, &good()), NOW).is_ok());
        for signer in own.into_iter().filter(|signer| *signer != claimed) {
            // A `kid` says nothing where keys are configured one by one.
            let header = format!(r#"{{"alg":"{claimed}","kid":"{signer}"}}"#);
            let token = signed(&header, &good(), &signing_key(signer), signer);
            refused_both(&token, &verifier, "bad_signature", claimed);
        }
    }
}

#[test]
fn another_key_of_the_same_kind_signs_nothing() {
    let other = test_key!("rsa-2048-other.private");
    let other = EncodingKey::from_rsa_pem(other.as_bytes()).expect("a test key");
    for algorithm in ["RS256", "PS256"] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let token = signed(&header, &good(), &other, algorithm);
        refused_both(&token, &verifier(key(algorithm)), "bad_signature", algorithm);
    }
    let token = signed(
        r#"{"alg":"HS256"}"#,
        &good(),
        &EncodingKey::from_secret(&SECRET.as_bytes()[1..]),
        "HS256",
    );
    refused_both(&token, &verifier(key("HS256")), "bad_signature", "HS256");
}

#[test]
fn no_flipped_bit_of_a_signature_passes() {
    for algorithm in ALGORITHMS {
        let verifier = verifier(key(algorithm));
        let token = token(algorithm, &good());
        let (signed, signature) = token.rsplit_once('.').expect("dots");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let check = |signature: &[u8]| {
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            refusal(verifier.connection(&token, NOW))
        };
        assert_eq!(check(&signature), None, "{algorithm}");
        let bad = Some(Refused::Invalid("bad_signature"));
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&flipped), bad, "{algorithm} bit {bit}");
        }
        let zeros = vec![0; signature.len()];
        let mut longer = signature.clone();
        longer.push(0);
        for wrong in [&[], &signature[1..], &signature[..signature.len() - 1], &longer, &zeros] {
            assert_eq!(check(wrong), bad, "{algorithm}, {} bytes", wrong.len());
        }
    }
}
