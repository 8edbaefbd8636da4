//! `wss://`, with a certificate that only these tests trust.

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap()
}

fn acceptor() -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn trusting() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn a_trusted_server_is_spoken_to() {
    let (peer, mut config) = Peer::new().await;
    config.url = config.url.replace("ws://", "wss://");
    config.tls = Some(trusting());
    let (client, _events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let serve = async {
        let (stream, _) = peer.0.accept().await.unwrap();
        let stream = acceptor().accept(stream).await.unwrap();
        let mut server = Server::new(stream).await;
        server.accept(b"").await;
        let id = id(&server.hear().await);
        server.say(&format!(r#"{{"id":{id},"connect":{CONNECTED}}}"#)).await;
        let id = super::id(&server.hear().await);
        server.say(&format!(r#"{{"id":{id},"publish":{{}}}}"#)).await;
    };
    let (published, ()) = tokio::join!(client.publish("x", b"1"), serve);
    published.unwrap();
}

#[tokio::test]
async fn another_server_is_not() {
    let (peer, mut config) = Peer::new().await;
    config.url = config.url.replace("ws://", "wss://");
    let (client, mut events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let (stream, _) = peer.0.accept().await.unwrap();
    assert!(acceptor().accept(stream).await.is_err());
    assert!(matches!(next(&mut events).await, Some(Event::Connecting(_))));
    match next(&mut events).await {
        Some(Event::Error(Failure::Transport(text))) => {
            assert!(text.contains("certificate"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
