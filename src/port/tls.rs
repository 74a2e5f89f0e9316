//! Encryption: the certificate, its key, whose clients are trusted, and the replacement of all of
//! that while the server runs.

use crate::edge::access::ClientCertificate;
use anyhow::Context;
use arc_swap::ArcSwap;
use clap::ValueEnum;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
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
    /// Whose clients are trusted, and whether there are others.
    pub clients: Option<ClientAuthorities>,
}

/// Certificates of clients.
#[derive(Clone, Debug)]
pub struct ClientAuthorities {
    /// PEM file with the certificates that theirs are issued by.
    pub file: PathBuf,
    /// Whether a client may show none.
    pub auth: ClientAuth,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// A client may show none, but none that is not trusted
    Optional,
    /// Without one there is no connection
    Required,
}

/// Whom a certificate makes of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientPrincipal {
    /// Nobody: a token says who asks
    None,
    /// The token whose name is the common name of its subject
    CommonName,
}

/// What connections are encrypted with.
pub struct Tls {
    options: TlsOptions,
    provider: Arc<CryptoProvider>,
    /// What new connections are opened with.
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the certificate and its key, and the certificates of clients' authorities.
    ///
    /// # Errors
    /// When a file is missing or does not hold what it should, or the two do not fit together.
    pub fn load(options: TlsOptions) -> anyhow::Result<Self> {
        let provider = Arc::new(default_provider());
        let current = ArcSwap::from_pointee(config(&options, &provider)?);
        Ok(Self { options, provider, current })
    }

    /// Reads the files again, for connections that are yet to come.
    ///
    /// # Errors
    /// As at the start. The former certificates stay in use then.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.current.store(Arc::new(config(&self.options, &self.provider)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn config(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> anyhow::Result<ServerConfig> {
    let versions: &[&SupportedProtocolVersion] = match options.minimum {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let clients: Arc<dyn ClientCertVerifier> = match &options.clients {
        None => Arc::new(NoClientAuth),
        Some(clients) => verifier(clients, provider)?,
    };
    let certificate = SingleCertAndKey::from(read(options, provider)?);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(certificate));
    // gRPC clients propose HTTP/2 only. Those that propose both speak to the HTTP API, which is
    // served best without a second layer of flow control.
    config.alpn_protocols = vec![HTTP1.to_vec(), HTTP2.to_vec()];
    Ok(config)
}

/// What tells good certificates of clients.
fn verifier(
    clients: &ClientAuthorities,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let context = || format!("authorities of clients {}", clients.file.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&clients.file).with_context(context)? {
        roots.add(certificate).with_context(context)?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match clients.auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    builder.build().with_context(context)
}

/// The common name of a certificate's subject, if it has one and no more.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => Some(ClientCertificate(name.as_str().ok()?.into())),
        _ => None,
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
