//! The stream below the WebSocket: TCP, and TLS where the feature `tls` is on.

#[cfg(feature = "tls")]
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
#[cfg(feature = "tls")]
use tokio_rustls::rustls;

use crate::options::Address;
use crate::{Config, Connection, Error};

/// Any stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects and upgrades.
pub(crate) async fn open(config: Config) -> Result<Connection<Box<dyn Stream>>, Error> {
    let options = config.options();
    let stream = timeout(options.timeout, reach(&config, options.address()?))
        .await
        .map_err(|_| Error::Timeout)??;
    Connection::upgrade(stream, &options).await
}

async fn reach(config: &Config, address: Address<'_>) -> Result<Box<dyn Stream>, Error> {
    let stream = TcpStream::connect((address.host, address.port)).await?;
    stream.set_nodelay(true)?;
    if address.secure { secure(config, stream, address.host).await } else { Ok(Box::new(stream)) }
}

#[cfg(feature = "tls")]
async fn secure(config: &Config, stream: TcpStream, host: &str) -> Result<Box<dyn Stream>, Error> {
    let name = host.to_owned().try_into().map_err(|_| Error::invalid("not a name for TLS"))?;
    let settings = config.tls.clone().map_or_else(usual_settings, Ok)?;
    let connector = tokio_rustls::TlsConnector::from(settings);
    Ok(Box::new(connector.connect(name, stream).await?))
}

#[cfg(not(feature = "tls"))]
async fn secure(
    _config: &Config,
    _stream: TcpStream,
    _host: &str,
) -> Result<Box<dyn Stream>, Error> {
    Err(Error::invalid("wss:// needs the feature `tls` of the crate sealcast-client"))
}

/// TLS with the certificate authorities that browsers trust, made once.
#[cfg(feature = "tls")]
fn usual_settings() -> Result<Arc<rustls::ClientConfig>, Error> {
    static SETTINGS: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(settings) = SETTINGS.get() {
        return Ok(Arc::clone(settings));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let settings = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::invalid("no protocol versions of TLS"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(SETTINGS.get_or_init(|| Arc::new(settings))))
}
