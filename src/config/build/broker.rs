//! Which broker, and where it is.

use super::super::file::{Engine, File, RedisEngine, RedisTls};
use super::super::secret::SecretText;
use super::super::{Engine as Choice, Fault};
use super::fault;
use crate::auth::ClusterKey;
use crate::broker::{Credentials, Endpoint, RedisConfig, Tls};

/// Centrifugo's, which is Redis' own port on this machine.
const ADDRESS: &str = "redis://127.0.0.1:6379";

pub(super) fn engine(engine: &Engine, faults: &mut Vec<Fault>) -> Choice {
    match engine.r#type.as_str() {
        "memory" => {
            if engine.redis.is_some() {
                let problem = "not \"redis\", but engine.redis says something";
                fault(faults, "engine.type", problem);
            }
            Choice::Memory
        }
        "redis" => {
            let none = RedisEngine::default();
            match redis(engine.redis.as_ref().unwrap_or(&none), faults) {
                Some(redis) => Choice::Redis(redis),
                None => Choice::Memory,
            }
        }
        _ => {
            fault(faults, "engine.type", "neither memory nor redis");
            Choice::Memory
        }
    }
}

/// What the nodes of a cluster share. Without it any client of the same Redis could
/// command them, so nodes on Redis do not start.
pub(super) fn cluster_key(file: &File, faults: &mut Vec<Fault>) -> Option<ClusterKey> {
    let Some(key) = &file.cluster.key else {
        if file.engine.r#type == "redis" {
            let problem = "needed with the engine redis: 32 random bytes, the same on every node";
            fault(faults, "cluster.key", problem);
        }
        return None;
    };
    let key = ClusterKey::new(&key.secret());
    if key.is_none() {
        fault(faults, "cluster.key", "shorter than 32 bytes; take 32 random ones");
    }
    key
}

fn redis(engine: &RedisEngine, faults: &mut Vec<Fault>) -> Option<RedisConfig> {
    let address = match engine.address.as_ref().map(|addresses| addresses.0.as_slice()) {
        None => ADDRESS,
        Some([address]) => address.text(),
        Some(_) => {
            fault(faults, "engine.redis.address", "must be one address");
            return None;
        }
    };
    let with = Credentials {
        user: engine.user.clone(),
        password: engine.password.as_ref().map(|password| password.text().to_owned()),
        db: engine.db.and_then(|db| i64::try_from(db).ok()),
        tls: tls(&engine.tls, faults),
    };
    match Endpoint::parse(address, &with) {
        Ok(endpoint) => Some(RedisConfig { endpoint, prefix: engine.prefix.clone() }),
        Err(bad) => {
            fault(faults, "engine.redis.address", bad.to_string());
            None
        }
    }
}

fn tls(tls: &RedisTls, faults: &mut Vec<Fault>) -> Option<Tls> {
    let place = "engine.redis.tls";
    let RedisTls { enabled, server_ca_pem, cert_pem, key_pem } = tls;
    if !enabled {
        if server_ca_pem.is_some() || cert_pem.is_some() || key_pem.is_some() {
            fault(faults, format!("{place}.enabled"), "certificates are given, but it is off");
        }
        return None;
    }
    let mut read = |name: &str, text: Option<&str>| {
        let pem = pem(text?);
        if pem.is_none() {
            fault(faults, format!("{place}.{name}"), "neither PEM nor a file that can be read");
        }
        pem
    };
    let authority = read("server_ca_pem", server_ca_pem.as_deref());
    let certificate = read("cert_pem", cert_pem.as_deref());
    let key = read("key_pem", key_pem.as_ref().map(SecretText::text));
    if cert_pem.is_some() != key_pem.is_some() {
        fault(faults, place, "cert_pem and key_pem are needed together");
    }
    Some(Tls { authority, own: certificate.zip(key) })
}

/// The text itself, or the file that it names.
fn pem(text: &str) -> Option<Vec<u8>> {
    if text.contains("-----BEGIN ") {
        return Some(text.as_bytes().to_vec());
    }
    std::fs::read(text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    fn read(engine: &str) -> Result<Choice, Vec<String>> {
        let open = r#""client":{"allow_anonymous_connect_without_token":true},
            "cluster":{"key":"0123456789abcdef0123456789abcdef"}"#;
        let parsed = parse(&format!("{{{open},\"engine\":{engine}}}"));
        parsed
            .map(|config| config.engine)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    fn endpoint(engine: &str) -> String {
        match read(engine) {
            Ok(Choice::Redis(redis)) => redis.endpoint.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn memory_unless_redis_is_named() {
        assert!(matches!(read("{}"), Ok(Choice::Memory)));
        assert!(matches!(read(r#"{"type":"memory"}"#), Ok(Choice::Memory)));
        assert_eq!(endpoint(r#"{"type":"redis"}"#), ADDRESS);
        for address in [r#""redis://h:1""#, r#"["h:1"]"#] {
            let engine = format!(r#"{{"type":"redis","redis":{{"address":{address}}}}}"#);
            assert_eq!(endpoint(&engine), "redis://h:1");
        }
        let tls = r#"{"type":"redis","redis":{"address":"h:1","tls":{"enabled":true}}}"#;
        assert_eq!(endpoint(tls), "rediss://h:1");
    }

    #[test]
    fn nodes_on_redis_share_a_key() {
        let open = r#""client":{"allow_anonymous_connect_without_token":true}"#;
        for cluster in ["{}", r#"{"key":"short"}"#] {
            let file = format!(r#"{{{open},"cluster":{cluster},"engine":{{"type":"redis"}}}}"#);
            let faults = parse(&file).err().unwrap_or_default();
            assert!(matches!(&faults[..], [fault] if fault.place == "cluster.key"), "{faults:?}");
        }
    }

    #[test]
    fn nothing_weaker_is_taken_instead_and_no_secret_is_told() {
        for (engine, place) in [
            (r#"{"type":"nats"}"#, "engine.type"),
            (r#"{"redis":{"address":"h:1"}}"#, "engine.type"),
            (r#"{"type":"redis","redis":{"address":"http://:hunter2@h"}}"#, "engine.redis.address"),
            (r#"{"type":"redis","redis":{"address":["a:1","b:hunter2"]}}"#, "engine.redis.address"),
            (
                r#"{"type":"redis","redis":{"tls":{"enabled":true,"key_pem":"/hunter2"}}}"#,
                "engine.redis.tls.key_pem",
            ),
            (
                r#"{"type":"redis","redis":{"tls":{"key_pem":"hunter2"}}}"#,
                "engine.redis.tls.enabled",
            ),
            (
                r#"{"type":"redis","redis":{"address":"redis://:hunter2@h:x"}}"#,
                "engine.redis.address",
            ),
        ] {
            let faults = read(engine).expect_err(engine);
            assert!(faults.iter().any(|fault| fault.starts_with(place)), "{engine}: {faults:?}");
            assert!(!faults.iter().any(|fault| fault.contains("hunter2")), "{faults:?}");
        }
        let shown = format!("{:?}", read(r#"{"type":"redis","redis":{"password":"hunter2"}}"#));
        assert!(!shown.contains("hunter2"), "{shown}");
        let unknown = read(r#"{"type":"redis","redis":{"sentinel_address":"h:1"}}"#);
        assert!(unknown.is_err(), "an option that is not done is not passed over");
    }
}
