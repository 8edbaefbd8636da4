//! Where a Redis is and how to speak with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo as _, ProtocolVersion, RedisError, TlsCertificates, Value,
};
use tokio::time::timeout;

use super::fit::Fault;
use super::scripts;

/// A connection is made within this time or not at all.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take before the connection is given up. Longer than a
/// call's own deadline, because a connection that is kept keeps the order.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Unanswered bytes end a connection after this.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// The oldest version that has every command used: `XTRIM … MINID` and `HELLO`.
const OLDEST: (u32, u32) = (6, 2);

/// Where one Redis is, and as whom to speak with it. `Debug` shows no secret.
#[derive(Clone)]
pub struct Endpoint {
    info: Arc<ConnectionInfo>,
}

/// What an [`Endpoint`] is made from beside the address. `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The user of Redis' access control; `default` if there is none.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The number of the database.
    pub db: Option<i64>,
    /// TLS, also for an address that does not say so.
    pub tls: Option<Tls>,
}

/// How TLS towards Redis is spoken. All in PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Who signs the server's certificate; the public authorities if absent.
    pub authority: Option<Vec<u8>>,
    /// The node's own certificate and its key.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("db", &self.db)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// An address that cannot be used. Says nothing of what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It does not read like an address.
    #[error("not an address such as redis://127.0.0.1:6379, rediss://host:6379 or host:6379")]
    Address,
    /// A way to switch certificates off.
    #[error("asks not to check the server's certificate, which is not done")]
    Insecure,
    /// The certificates or the key cannot be read.
    #[error("the certificates or the key of its TLS are not PEM")]
    Certificates,
}

/// Why a Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be reached, or does not answer.
    #[error("cannot reach Redis at {address}: {problem}")]
    Unreachable {
        /// Where it should be; without secrets.
        address: String,
        /// What was met.
        problem: String,
    },
    /// It does not know the user, or not with this password.
    #[error("Redis at {address} refuses the user or the password: {problem}")]
    Credentials {
        /// See above.
        address: String,
        /// See above.
        problem: String,
    },
    /// It follows another one, which is who must be asked.
    #[error("Redis at {address} is a replica; give the address of its primary")]
    Replica {
        /// See above.
        address: String,
    },
    /// It is part of a cluster, or a sentinel.
    #[error("Redis at {address} runs as {mode}, which this address is not for")]
    Mode {
        /// See above.
        address: String,
        /// What it says it is.
        mode: String,
    },
    /// It does something that a node cannot live with.
    #[error("Redis at {address} will not do: {fault}")]
    Fault {
        /// See above.
        address: String,
        /// What it does.
        fault: Fault,
    },
    /// It lacks commands that are needed.
    #[error("Redis at {address} is version {version}; 6.2 is the oldest that will do")]
    Version {
        /// See above.
        address: String,
        /// What it says.
        version: String,
    },
}

impl Endpoint {
    /// Reads an address: `host:port`, or a URL with the scheme `redis` or `rediss`.
    ///
    /// # Errors
    /// If it is none, or asks for something that is not done.
    pub fn parse(address: &str, with: &Credentials) -> Result<Endpoint, BadEndpoint> {
        let url = match address.split_once("://") {
            Some(("redis" | "rediss", _)) => address.to_owned(),
            Some(_) => return Err(BadEndpoint::Address),
            None => format!("redis://{address}"),
        };
        if url.contains('#') {
            return Err(BadEndpoint::Insecure);
        }
        let mut info = url.as_str().into_connection_info().map_err(|_| BadEndpoint::Address)?;
        if let (Some(_), ConnectionAddr::Tcp(host, port)) = (&with.tls, info.addr()) {
            let (host, port) = (host.clone(), *port);
            let tls = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
            info = info.set_addr(tls);
        }
        let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        // Not worth a permission.
        settings = settings.set_skip_set_lib_name();
        if let Some(user) = &with.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &with.password {
            settings = settings.set_password(password);
        }
        if let Some(db) = with.db {
            settings = settings.set_db(db);
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true).set_user_timeout(USER_TIMEOUT);
        info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        if let (Some(tls), ConnectionAddr::TcpTls { .. }) = (&with.tls, info.addr()) {
            // Without any, the library would trust nobody, and not say why.
            let begin = b"-----BEGIN ";
            let is_pem = |text: &Vec<u8>| text.windows(begin.len()).any(|at| at == begin);
            if !tls.authority.iter().all(is_pem) {
                return Err(BadEndpoint::Certificates);
            }
            let own = tls.own.clone();
            let certificates = TlsCertificates {
                client_tls: own
                    .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
                root_cert: tls.authority.clone(),
            };
            let client = Client::build_with_tls(info, certificates);
            info = client.map_err(|_| BadEndpoint::Certificates)?.get_connection_info().clone();
        }
        Ok(Endpoint { info: Arc::new(info) })
    }

    /// What the command pool and the link connect to.
    pub(super) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::clone(&self.info)
    }

    /// Connects and looks whether this is a Redis that will do. Tries again until
    /// `patience` is over, unless trying again cannot help.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn check(&self, patience: Duration) -> Result<(), Unfit> {
        const PAUSE: Duration = Duration::from_millis(200);
        let mut last = None;
        let trying = async {
            loop {
                match self.examine().await {
                    Ok(()) => return Ok(()),
                    Err(unfit @ Unfit::Unreachable { .. }) => last = Some(unfit),
                    Err(unfit) => return Err(unfit),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let outcome = timeout(patience, trying).await;
        outcome.unwrap_or_else(|_| {
            let (address, problem) = (self.to_string(), "no answer".to_owned());
            Err(last.unwrap_or(Unfit::Unreachable { address, problem }))
        })
    }

    async fn examine(&self) -> Result<(), Unfit> {
        let address = self.to_string();
        let client = Client::open(self.info()).map_err(|error| self.unfit(&error))?;
        let connection = client.get_multiplexed_async_connection_with_config(&settings()).await;
        let mut connection = connection.map_err(|error| self.unfit(&error))?;
        let hello: Value = redis::cmd("HELLO")
            .arg(3)
            .query_async(&mut connection)
            .await
            .map_err(|error| self.unfit(&error))?;
        let said = |name: &str| {
            let members = hello.as_map_iter()?;
            let is_it =
                |key: &Value| matches!(key, Value::BulkString(key) if key == name.as_bytes());
            let (_, value) = members.into_iter().find(|(key, _)| is_it(key))?;
            match value {
                Value::BulkString(text) => Some(String::from_utf8_lossy(text).into_owned()),
                Value::SimpleString(text) => Some(text.clone()),
                _ => None,
            }
        };
        let (version, mode, role) = (said("version"), said("mode"), said("role"));
        let version = version.unwrap_or_default();
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST {
            return Err(Unfit::Version { address, version });
        }
        match (mode.as_deref(), role.as_deref()) {
            (Some("standalone"), Some("master")) => {}
            (Some("standalone"), _) => return Err(Unfit::Replica { address }),
            (mode, _) => {
                return Err(Unfit::Mode { address, mode: mode.unwrap_or_default().to_owned() });
            }
        }
        let loaded = scripts::load().exec_async(&mut connection).await;
        loaded.map_err(|error| self.unfit(&error))
    }

    fn unfit(&self, error: &RedisError) -> Unfit {
        let (address, problem) = (self.to_string(), error.to_string());
        let refused = matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"));
        if refused || error.kind() == redis::ErrorKind::AuthenticationFailed {
            Unfit::Credentials { address, problem }
        } else {
            Unfit::Unreachable { address, problem }
        }
    }
}

/// The address without secrets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => write!(f, "redis://{host}:{port}"),
            ConnectionAddr::TcpTls { host, port, .. } => write!(f, "rediss://{host}:{port}"),
            _ => f.write_str("redis"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// The times of every connection.
pub(super) fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        let with = Credentials { password: Some("hunter2".into()), ..Credentials::default() };
        for (address, shown) in [
            ("127.0.0.1:7000", "redis://127.0.0.1:7000"),
            ("redis://ada:lovelace@example.com:7000/3", "redis://example.com:7000"),
            ("rediss://:lovelace@example.com", "rediss://example.com:6379"),
        ] {
            let endpoint = Endpoint::parse(address, &with).expect(address);
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(format!("{endpoint:?}"), format!("Endpoint({shown})"));
            assert_eq!(endpoint.info.redis_settings().password(), Some("hunter2"));
        }
        assert!(!format!("{with:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_address_or_not_safe_is_refused() {
        let none = Credentials::default();
        let parse = |address| Endpoint::parse(address, &none).map(|_| ()).unwrap_err();
        assert_eq!(parse(""), BadEndpoint::Address);
        assert_eq!(parse("http://127.0.0.1:80"), BadEndpoint::Address);
        assert_eq!(parse("rediss://127.0.0.1:1#insecure"), BadEndpoint::Insecure);
        let tls = Tls { authority: Some(b"nonsense".to_vec()), own: None };
        let with = Credentials { tls: Some(tls), ..Credentials::default() };
        let endpoint = Endpoint::parse("127.0.0.1:1", &with);
        assert_eq!(endpoint.map(|_| ()), Err(BadEndpoint::Certificates));
    }
}
