//! Encryption: the certificate, its key, and their replacement while the server runs.

use anyhow::Context;
use arc_swap::ArcSwap;
use clap::ValueEnum;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What a client calls HTTP/2 when it proposes protocols.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    /// TLS 1.2 or 1.3
    #[value(name = "tls-1.2")]
    V1_2,
    /// TLS 1.3 only
    #[value(name = "tls-1.3")]
    V1_3,
}

/// Where the certificate and its key are, and how they are used.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// PEM file with the certificate and those that lead to a known one.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// The oldest version of TLS.
    pub minimum: TlsVersion,
}

/// What connections are encrypted with.
pub struct Tls {
    options: TlsOptions,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// The certificate that new connections are given.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// When a file is missing or does not hold what it should, or the two do not fit together.
    pub fn load(options: TlsOptions) -> anyhow::Result<Self> {
        let provider = Arc::new(default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&options, &provider)?)));
        let versions: &[&SupportedProtocolVersion] = match options.minimum {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        // gRPC clients propose HTTP/2 only. Those that propose both speak to the HTTP API, which
        // is served best without a second layer of flow control.
        config.alpn_protocols = vec![HTTP1.to_vec(), HTTP2.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { options, provider, current, acceptor })
    }

    /// Reads the files again, for connections that are yet to come.
    ///
    /// # Errors
    /// As at the start. The former certificate stays in use then.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.current.0.store(Arc::new(read(&self.options, &self.provider)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

fn read(options: &TlsOptions, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let chain = certificates(&options.certificate)
        .with_context(|| format!("TLS certificate {}", options.certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&options.key)
        .map_err(|error| anyhow::anyhow!("{}", explain(&error)))
        .with_context(|| format!("TLS key {}", options.key.display()))?;
    CertifiedKey::from_der(chain, key, provider).with_context(|| {
        let (certificate, key) = (options.certificate.display(), options.key.display());
        format!("TLS certificate {certificate} with key {key}")
    })
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow::anyhow!("{}", explain(&error)))?;
    anyhow::ensure!(!chain.is_empty(), "the file holds no PEM section of the expected kind");
    Ok(chain)
}

/// A fault of a PEM file in words.
fn explain(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "the file holds no PEM section of the expected kind".to_owned(),
        error => format!("the file is not valid PEM: {error}"),
    }
}
