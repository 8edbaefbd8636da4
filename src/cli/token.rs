//! `sealcast gen-token`, `gen-sub-token` and `check-token`.

mod check;
mod generate;

use std::path::PathBuf;

use super::exit::EXIT_DATA;
use super::{Failure, input};
use crate::auth::{KeyOptions, Secret, TokenConfig, Trust, TrustedIssuer, Verifier};

pub(super) use check::{Options as Check, run as check};
pub(super) use generate::{Connection, Subscription, connection, subscription};

/// Whose keys.
#[derive(clap::Args)]
#[group(skip)]
struct Keys {
    /// The node's configuration file, whose keys and rules count.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "SEALCAST_CONFIG",
        required_unless_present = "secret_file"
    )]
    config: Option<PathBuf>,
    /// A file with an HMAC secret, in the place of a configuration.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The algorithm of that secret: HS256, HS384 or HS512.
    #[arg(long, value_name = "NAME", requires = "secret_file")]
    algorithm: Option<String>,
    /// The issuer, `iss`, that goes with that secret.
    #[arg(long, value_name = "NAME", requires = "secret_file", requires = "audience")]
    issuer: Option<String>,
    /// The audience, `aud`, that goes with that secret.
    #[arg(long, value_name = "NAME", requires = "secret_file")]
    audience: Option<String>,
}

impl Keys {
    /// The verifier of a node that has these keys.
    fn verifier(&self) -> Result<Verifier, Failure> {
        let Some(path) = &self.secret_file else {
            let config = self.config.as_deref().map(input::config).transpose()?;
            let problem = "no key is configured in client.token";
            return config
                .and_then(|config| config.verifier)
                .ok_or_else(|| Failure::new(super::EXIT_CONFIG, problem));
        };
        let secret = input::secret(path)?;
        let config = TokenConfig {
            connection: Trust {
                issuers: vec![TrustedIssuer {
                    place: path.display().to_string(),
                    issuer: self.issuer.clone(),
                    audience: self.audience.clone(),
                    keys: KeyOptions {
                        hmac_secret_key: Some(Secret::new(secret.to_string())),
                        hmac_algorithm: self.algorithm.clone(),
                        ..KeyOptions::default()
                    },
                }],
                ..Trust::default()
            },
            ..TokenConfig::default()
        };
        Verifier::new(&config).map_err(|faults| Failure {
            code: EXIT_DATA,
            lines: faults
                .iter()
                .map(|fault| format!("{}: {}", path.display(), fault.problem))
                .collect(),
        })
    }
}
