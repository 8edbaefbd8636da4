//! TLS towards Redis, both sides with certificates.

use std::path::{Path, PathBuf};
use std::process::Command;

use sealcast::broker::{BadEndpoint, Credentials, Endpoint, Tls, Topology};

use crate::broker_contract::{Bench, channel, numbered};
use crate::support::process::scratch;
use crate::support::redis::{RedisServer, config};

/// An authority, and certificates of it; made for this test.
struct Certificates(PathBuf);

impl Certificates {
    fn make() -> Certificates {
        let folder = scratch("tls");
        std::fs::create_dir_all(&folder).unwrap();
        let made = Certificates(folder);
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        made.openssl(&format!("req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem"));
        for name in ["server", "client"] {
            let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
            std::fs::write(made.path("extensions"), extensions).unwrap();
            let request = key.replace(" -days 2", "");
            made.openssl(&format!(
                "req {request} -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ));
            made.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 \
                 -extfile extensions -out {name}.pem"
            ));
        }
        made
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .unwrap_or_else(|error| panic!("openssl, which scripts/test installs: {error}"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn own(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((self.read("client.pem"), self.read("client.key")))
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn endpoint(address: &str, tls: Tls) -> Result<Endpoint, BadEndpoint> {
    Endpoint::parse(address, &Credentials { tls: Some(tls), ..Credentials::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_publications_go_by_tls_and_only_with_certificates() {
    let certificates = Certificates::make();
    let path = |name| certificates.path(name);
    let (authority, server, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
    let redis = RedisServer::with_tls(&[
        "--tls-ca-cert-file",
        text(&authority),
        "--tls-cert-file",
        text(&server),
        "--tls-key-file",
        text(&key),
    ])
    .await;
    let tls = Tls { authority: Some(certificates.read("ca.pem")), own: certificates.own() };
    let address = redis.tls_address();
    let config = |tls| config(Topology::Primaries(vec![endpoint(&address, tls).unwrap()]));
    let mut bench = Bench::on(config(tls.clone())).await;
    bench.broker.subscribe(channel("room")).await.unwrap();
    bench.broker.publish(channel("room"), numbered(7)).await.unwrap();
    assert_eq!(bench.rest().await.len(), 1);

    for (tls, missing) in [
        (Tls { authority: None, ..tls.clone() }, "the authority"),
        (Tls { own: None, ..tls }, "the node's own certificate"),
    ] {
        let told = super::start::refusal(config(tls)).await;
        assert!(told.contains("cannot reach Redis at rediss://"), "without {missing}: {told}");
    }
}
