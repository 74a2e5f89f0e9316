//! Encrypted connections: HTTP/1.1, HTTP/2 and gRPC on one port, and a new certificate while the
//! server runs.

use crate::flight::RUNTIME;
use crate::support::client::with_query;
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use arrow::array::RecordBatch;
use arrow_flight::{FlightClient, Ticket};
use futures::TryStreamExt;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, generate_simple_self_signed,
};
use reqwest::{Certificate, Version};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::transport::{Endpoint, Uri};

/// A certificate and its key in files.
pub(crate) struct Identity {
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let mut identity = Self { folder, certificate: CertificateDer::from(Vec::new()) };
        identity.renew();
        identity
    }

    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Puts another certificate in the place of the former.
    fn renew(&mut self) {
        let CertifiedKey { cert, signing_key } = made();
        fs::write(self.certificate_file(), cert.pem()).expect("a file");
        fs::write(self.key_file(), signing_key.serialize_pem()).expect("a file");
        self.certificate = cert.der().clone();
    }

    pub(crate) fn setup(&self) -> Setup {
        let (certificate, key) = (text(&self.certificate_file()), text(&self.key_file()));
        Setup::memory().with(&["--tls-cert", &certificate, "--tls-key", &key])
    }
}

fn made() -> CertifiedKey<KeyPair> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    generate_simple_self_signed(names).expect("a certificate")
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// `127.0.0.1:port`
fn address(server: &Server) -> String {
    server.client.base().trim_start_matches("http://").to_owned()
}

/// An encrypted connection of a client that trusts only this certificate.
async fn connect(
    address: &str,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// Connects as gRPC clients do.
#[derive(Clone)]
struct Http2Only {
    address: String,
    trusted: CertificateDer<'static>,
}

impl Service<Uri> for Http2Only {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = futures::future::BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, trusted } = self.clone();
        Box::pin(
            async move { connect(&address, &trusted, &[&TLS13], &["h2"]).await.map(TokioIo::new) },
        )
    }
}

#[test]
fn all_protocols_on_one_port() {
    let identity = Identity::new();
    let server = identity.setup().start();
    let (address, trusted) = (address(&server), identity.certificate.clone());
    RUNTIME.block_on(async {
        let certificate = Certificate::from_der(&trusted).unwrap();
        let http = reqwest::Client::builder().no_proxy().add_root_certificate(certificate);
        let http1 = http.build().unwrap();
        let write = with_query("/api/v3/write_lp", &[("db", "d")]);
        let url = format!("https://{address}{write}");
        let answer = http1.post(url).body("m,t=a f=1i 1").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (204, Version::HTTP_11));

        let certificate = Certificate::from_der(&trusted).unwrap();
        let http = reqwest::Client::builder().no_proxy().add_root_certificate(certificate);
        let http2 = http.http2_prior_knowledge().build().unwrap();
        let query = with_query("/api/v3/query_sql", &[("db", "d"), ("q", "SELECT f FROM m")]);
        let answer = http2.get(format!("https://{address}{query}")).send().await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(answer.text().await.unwrap(), r#"[{"f":1}]"#);

        let connector = Http2Only { address: address.clone(), trusted: trusted.clone() };
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        let ticket = Ticket::new(r#"{"database":"d","sql_query":"SELECT f FROM m"}"#);
        let stream = FlightClient::new(channel).do_get(ticket).await.unwrap();
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    });
    let url = format!("https://{address}");
    let certificate = text(&identity.certificate_file());
    let shell = Shell { client: None, directory: identity.folder.path() };
    let arguments = ["query", "-H", &url, "--tls-ca", &certificate, "-d", "d", "SELECT t FROM m"];
    let outcome = shell.run(&arguments, b"");
    assert!(outcome.text().contains("| a |"), "{outcome:?}");
}

/// What `openssl req -x509` makes says of itself that it is an authority.
#[test]
fn a_self_signed_authority_is_trusted_as_the_server_that_it_is() {
    let mut identity = Identity::new();
    let key = KeyPair::generate().unwrap();
    let certificate = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap()
    };
    let own = certificate("localhost");
    fs::write(identity.certificate_file(), own.pem()).unwrap();
    fs::write(identity.key_file(), key.serialize_pem()).unwrap();
    identity.certificate = own.der().clone();
    let server = identity.setup().start();
    let address = address(&server).replace("127.0.0.1", "localhost");
    let url = format!("https://{address}");
    let path = text(&identity.certificate_file());
    let shell = Shell { client: None, directory: identity.folder.path() };
    shell.must(&["write", "-H", &url, "--tls-ca", &path, "-d", "d", "m,t=a f=1i 1"]);
    let query = ["query", "-H", &url, "--tls-ca", &path, "-d", "d", "SELECT t FROM m"];
    assert!(shell.must(&query).contains("| a |"));

    // Neither without a word, nor by another name, nor for another certificate of the same key.
    let unknown = ["query", "-H", &url, "-d", "d", "SELECT t FROM m"];
    let untrusted = ["its certificate is not trusted", "--tls-ca FILE"];
    shell.fails(&unknown, 3, &untrusted);
    let by_number = url.replace("localhost", "127.0.0.1");
    let by_number = ["query", "-H", &by_number, "--tls-ca", &path, "-d", "d", "SELECT t FROM m"];
    shell.fails(&by_number, 3, &untrusted);
    fs::write(identity.certificate_file(), certificate("localhost").pem()).unwrap();
    shell.fails(&query, 3, &untrusted);
    let plain = ["query", "-H", &url.replace("https", "http"), "-d", "d", "SELECT t FROM m"];
    shell.fails(&plain, 3, &["broke off", "a server with TLS is reached by https://"]);
}

#[test]
fn what_clients_and_server_agree_on() {
    let identity = Identity::new();
    let server = identity.setup().start();
    let newest = identity.setup().with(&["--tls-minimum-version", "tls-1.3"]).start();
    RUNTIME.block_on(async {
        let trusted = &identity.certificate;
        let agreed = async |protocols: &[&str]| {
            let stream = connect(&address(&server), trusted, &[&TLS12], protocols).await.unwrap();
            stream
                .get_ref()
                .1
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned())
        };
        assert_eq!(agreed(&["h2", "http/1.1"]).await.as_deref(), Some("http/1.1"));
        assert_eq!(agreed(&["h2"]).await.as_deref(), Some("h2"));
        assert_eq!(agreed(&[]).await, None);
        assert!(connect(&address(&newest), trusted, &[&TLS13], &[]).await.is_ok());
        assert!(connect(&address(&newest), trusted, &[&TLS12], &[]).await.is_err());
    });
}

#[test]
fn a_new_certificate_is_taken_on_sighup_if_it_is_good() {
    let mut identity = Identity::new();
    let server = identity.setup().start();
    let address = address(&server);
    let connects = |trusted: &CertificateDer<'static>| {
        RUNTIME.block_on(connect(&address, trusted, &[&TLS13], &[])).is_ok()
    };
    let first = identity.certificate.clone();
    assert!(connects(&first));

    fs::write(identity.key_file(), "nonsense").unwrap();
    server.signal("HUP");
    eventually("the fault is told", || {
        server.log().contains("the former one stays in use").then_some(())
    });
    assert!(connects(&first));

    identity.renew();
    assert!(!connects(&identity.certificate), "nobody asked the server to look");
    server.signal("HUP");
    eventually("the new certificate is in use", || connects(&identity.certificate).then_some(()));
    assert!(!connects(&first));
}

#[test]
fn files_that_are_no_certificate_stop_the_start() {
    let identity = Identity::new();
    let (certificate, key) = (text(&identity.certificate_file()), text(&identity.key_file()));
    let refused = |certificate: &str, key: &str, parts: &[&str]| {
        let setup = Setup::memory().with(&["--tls-cert", certificate, "--tls-key", key]);
        let (status, said) = setup.start_refused();
        assert!(!status.success());
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
    };
    refused("/nowhere.pem", &key, &["TLS certificate /nowhere.pem", "No such file"]);
    refused(&certificate, "/nowhere.pem", &["TLS key /nowhere.pem", "No such file"]);
    refused(&key, &key, &["TLS certificate", "holds no PEM section of the expected kind"]);
    refused(&certificate, &certificate, &["TLS key", "holds no PEM section of the expected kind"]);
    let other = Identity::new();
    refused(&certificate, &text(&other.key_file()), &["TLS certificate", "with key"]);
    let (status, said) = Setup::memory().with(&["--tls-cert", &certificate]).start_refused();
    assert_eq!(status.code(), Some(1), "{said}");
    let both =
        "Serve command failed: tls requires both a cert and a key file to be passed in to work";
    assert!(said.contains(both) && said.contains("--tls-key"), "{said}");
}
