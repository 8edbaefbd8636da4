//! Where a Redis is and how to speak with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo as _, ProtocolVersion, RedisError, TlsCertificates,
};

/// A connection is made within this time or not at all.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take before the connection is given up. Longer than a
/// call's own deadline, because a connection that is kept keeps the order.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Unanswered bytes end a connection after this.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Its host.
    pub(super) fn host(&self) -> String {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
            _ => String::new(),
        }
    }

    /// What tells it from others.
    pub(super) fn identity(&self) -> String {
        format!("{self}/{}", self.info.redis_settings().db())
    }

    /// Speaks in the same way with another one.
    pub(super) fn at(&self, host: &str, port: u16) -> Endpoint {
        let (host, info) = (host.to_owned(), ConnectionInfo::clone(&self.info));
        let address = match info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                let (insecure, tls_params) = (*insecure, tls_params.clone());
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Endpoint { info: Arc::new(info.set_addr(address)) }
    }

    /// A connection to it.
    ///
    /// # Errors
    /// If there is none in time.
    pub(super) async fn connect(
        &self,
        settings: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        Client::open(self.info())?.get_multiplexed_async_connection_with_config(settings).await
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
