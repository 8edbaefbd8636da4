//! Which broker, and where it is.

use std::collections::HashSet;

use super::super::file::{Addresses, Engine, File, RedisEngine, RedisTls};
use super::super::secret::SecretText;
use super::super::{Engine as Choice, Fault};
use super::fault;
use crate::auth::ClusterKey;
use crate::broker::{
    BadEndpoint, Credentials, Durability, Endpoint, RedisConfig, Sentinels, Tls, Topology,
};

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
    let with = Credentials {
        user: engine.user.clone(),
        password: engine.password.as_ref().map(|password| password.text().to_owned()),
        db: engine.db.and_then(|db| i64::try_from(db).ok()),
        tls: tls("engine.redis.tls", &engine.tls, faults),
    };
    let durability = Durability::parse(&engine.durability);
    if durability.is_none() {
        let problem = "neither everysec, always nor wait:1";
        fault(faults, "engine.redis.durability", problem);
    }
    let sentinels = sentinels(engine, &with, faults);
    let given = [
        ("address", &engine.address),
        ("sentinel_address", &engine.sentinel_address),
        ("cluster_address", &engine.cluster_address),
    ];
    if let [_, (also, _), ..] = given.iter().filter(|(_, at)| at.is_some()).collect::<Vec<_>>()[..]
    {
        let problem = "one of address, sentinel_address and cluster_address says where Redis is";
        fault(faults, format!("engine.redis.{also}"), problem);
        return None;
    }
    let topology = match (&engine.sentinel_address, &engine.cluster_address, &engine.address) {
        (Some(_), ..) => Topology::Watched(sentinels?),
        (None, Some(addresses), _) => {
            if engine.db.is_some_and(|db| db != 0) {
                fault(faults, "engine.redis.db", "a cluster has none but 0");
                return None;
            }
            let place = "engine.redis.cluster_address";
            Topology::Cluster(endpoints(place, &addresses.texts(), &with, faults)?)
        }
        (None, None, address) => {
            let place = "engine.redis.address";
            let texts = address.as_ref().map_or(vec![ADDRESS], Addresses::texts);
            let endpoints = endpoints(place, &texts, &with, faults)?;
            let shown: HashSet<_> = endpoints.iter().map(ToString::to_string).collect();
            if shown.len() < endpoints.len() {
                fault(faults, place, "names one of them twice");
                return None;
            }
            Topology::Primaries(endpoints)
        }
    };
    Some(RedisConfig { topology, prefix: engine.prefix.clone(), durability: durability? })
}

/// Who knows where the primary is, if that is asked.
fn sentinels(
    engine: &RedisEngine,
    primary: &Credentials,
    faults: &mut Vec<Fault>,
) -> Option<Sentinels> {
    let place = "engine.redis.sentinel_address";
    let with = Credentials {
        user: engine.sentinel_user.clone(),
        password: engine.sentinel_password.as_ref().map(|password| password.text().to_owned()),
        db: None,
        tls: tls("engine.redis.sentinel_tls", &engine.sentinel_tls, faults),
    };
    let name = engine.sentinel_master_name.as_deref();
    let Some(addresses) = &engine.sentinel_address else {
        if name.is_some() || with.user.is_some() || with.password.is_some() || with.tls.is_some() {
            fault(faults, place, "missing, but something else is said of sentinels");
        }
        return None;
    };
    let addresses = endpoints(place, &addresses.texts(), &with, faults)?;
    let Some(name) = name else {
        let problem = "needed with sentinel_address: what the sentinels call the primary";
        fault(faults, "engine.redis.sentinel_master_name", problem);
        return None;
    };
    match Sentinels::new(addresses, name, primary) {
        Ok(sentinels) => Some(sentinels),
        Err(bad) => {
            fault(faults, "engine.redis.tls", bad.to_string());
            None
        }
    }
}

/// All of them, or what is wrong with the first that is none.
fn endpoints(
    place: &str,
    texts: &[&str],
    with: &Credentials,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Endpoint>> {
    if texts.is_empty() {
        fault(faults, place, "an empty list");
        return None;
    }
    let endpoints = texts.iter().map(|text| Endpoint::parse(text, with)).collect();
    match endpoints {
        Ok(endpoints) => Some(endpoints),
        Err(bad) => {
            let bad: BadEndpoint = bad;
            fault(faults, place, bad.to_string());
            None
        }
    }
}

fn tls(place: &str, tls: &RedisTls, faults: &mut Vec<Fault>) -> Option<Tls> {
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
            Ok(Choice::Redis(RedisConfig { topology: Topology::Primaries(endpoints), .. })) => {
                let all: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
                all.join(" ")
            }
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
        let several = r#"{"type":"redis","redis":{"address":["h:1","redis://h:2"]}}"#;
        assert_eq!(endpoint(several), "redis://h:1 redis://h:2");
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
            (r#"{"type":"redis","redis":{"durability":"wait:2"}}"#, "engine.redis.durability"),
            (r#"{"type":"redis","redis":{"address":"http://:hunter2@h"}}"#, "engine.redis.address"),
            (r#"{"type":"redis","redis":{"address":["a:1","b:hunter2"]}}"#, "engine.redis.address"),
            (
                r#"{"type":"redis","redis":{"address":["a:1","redis://:hunter2@a:1"]}}"#,
                "engine.redis.address",
            ),
            (r#"{"type":"redis","redis":{"address":[]}}"#, "engine.redis.address"),
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
        let unknown = read(r#"{"type":"redis","redis":{"replica_client_enabled":true}}"#);
        assert!(unknown.is_err(), "an option that is not done is not passed over");
    }

    #[test]
    fn sentinels_are_given_with_the_name_of_what_they_watch() {
        let read = |redis: &str| read(&format!(r#"{{"type":"redis","redis":{redis}}}"#));
        let full = r#"{"sentinel_address":["a:1","b:2"],"sentinel_master_name":"m",
            "sentinel_user":"ada","sentinel_password":"hunter2","password":"hunter2"}"#;
        let Ok(Choice::Redis(RedisConfig { topology: Topology::Watched(sentinels), .. })) =
            read(full)
        else {
            panic!("not taken")
        };
        assert_eq!(sentinels.to_string(), "\"m\" by sentinels redis://a:1, redis://b:2");
        assert!(!format!("{sentinels:?}").contains("hunter2"));
        for (redis, place) in [
            (r#"{"sentinel_address":"a:1"}"#, "engine.redis.sentinel_master_name"),
            (r#"{"sentinel_master_name":"m"}"#, "engine.redis.sentinel_address"),
            (r#"{"sentinel_password":"hunter2"}"#, "engine.redis.sentinel_address"),
            (
                r#"{"sentinel_address":[],"sentinel_master_name":"m"}"#,
                "engine.redis.sentinel_address",
            ),
            (
                r#"{"address":"b:1","sentinel_address":"a:1","sentinel_master_name":"m"}"#,
                "engine.redis.sentinel_address",
            ),
        ] {
            let faults = read(redis).expect_err(redis);
            assert!(matches!(&faults[..], [one] if one.starts_with(place)), "{redis}: {faults:?}");
        }
    }

    #[test]
    fn a_cluster_is_given_by_some_of_its_members() {
        let read = |redis: &str| read(&format!(r#"{{"type":"redis","redis":{redis}}}"#));
        let Ok(Choice::Redis(RedisConfig { topology: Topology::Cluster(seeds), .. })) =
            read(r#"{"cluster_address":["a:1","b:2"],"db":0}"#)
        else {
            panic!("not taken")
        };
        let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["redis://a:1", "redis://b:2"]);
        for (redis, place) in [
            (r#"{"cluster_address":["a:1"],"db":1}"#, "engine.redis.db"),
            (r#"{"cluster_address":[]}"#, "engine.redis.cluster_address"),
            (r#"{"cluster_address":["a:1"],"address":"b:1"}"#, "engine.redis.cluster_address"),
        ] {
            let faults = read(redis).expect_err(redis);
            assert!(matches!(&faults[..], [one] if one.starts_with(place)), "{redis}: {faults:?}");
        }
    }
}
