//! What `--tls-ca` makes trusted: servers whose certificate was issued by one of the given ones,
//! and servers that show one of the given ones itself.
//!
//! The second is what a certificate made with `openssl req -x509` comes to. It says that it is an
//! authority, and the library's own rule is that an authority is no server.

use anyhow::{Context, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;

/// Certificates of a file: DER if its name ends in `.der`, else PEM.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read --tls-ca {}", path.display()))?;
    let certificates = if path.extension().is_some_and(|extension| extension == "der") {
        vec![CertificateDer::from(bytes)]
    } else {
        CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("--tls-ca {} is not valid PEM", path.display()))?
    };
    anyhow::ensure!(!certificates.is_empty(), "no certificate in --tls-ca {}", path.display());
    Ok(certificates)
}

/// A certificate that this client shows, and its key.
pub(super) struct Own {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Both as they are in their files.
    pem: Vec<u8>,
}

/// Reads a certificate to show, and its key.
pub(super) fn read_own(certificate: &Path, key: &Path) -> Result<Own> {
    let in_certificate = || format!("--tls-client-cert {}", certificate.display());
    let in_key = || format!("--tls-client-key {}", key.display());
    let mut pem = std::fs::read(certificate).with_context(in_certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.with_context(in_certificate)?;
    anyhow::ensure!(!chain.is_empty(), "no certificate in {}", in_certificate());
    let of_key = std::fs::read(key).with_context(in_key)?;
    let key = PrivateKeyDer::from_pem_slice(&of_key).with_context(in_key)?;
    pem.push(b'\n');
    pem.extend(of_key);
    Ok(Own { chain, key, pem })
}

impl Own {
    /// The same as the library of HTTP takes it.
    pub(super) fn identity(&self) -> Result<reqwest::Identity> {
        let identity = reqwest::Identity::from_pem(&self.pem);
        identity.context("--tls-client-cert cannot be used with --tls-client-key")
    }
}

/// How to connect to servers that these certificates vouch for, and to no others.
pub(super) fn config(
    given: Vec<CertificateDer<'static>>,
    own: Option<Own>,
) -> Result<ClientConfig> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in &given {
        roots.add(certificate.clone()).context("a certificate of --tls-ca cannot be used")?;
    }
    let issued =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = GivenOrIssued { given, issued: issued.build()? };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match own {
        None => config.with_no_client_auth(),
        Some(Own { chain, key, .. }) => config
            .with_client_auth_cert(chain, key)
            .context("--tls-client-cert cannot be used with --tls-client-key")?,
    })
}

/// Accepts what the given certificates issued, and themselves.
#[derive(Debug)]
struct GivenOrIssued {
    given: Vec<CertificateDer<'static>>,
    issued: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for GivenOrIssued {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.issued.verify_server_cert(shown, intermediates, name, ocsp_response, now);
        match verified {
            // That an authority must not be a server is one of the objections without a name of
            // its own. It comes after that of a wrong date, and before that of a wrong name.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.given.contains(shown) =>
            {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls12_signature(message, shown, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls13_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use std::time::Duration;

    /// A certificate of its own authority for `localhost`, good until 2040.
    fn made() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_very_certificate_is_trusted_while_it_is_good_and_for_its_name() {
        let (given, other) = (made(), made());
        let mut roots = RootCertStore::empty();
        roots.add(given.clone()).unwrap();
        let provider = Arc::new(default_provider());
        let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let issued = issued.build().unwrap();
        let verifier = GivenOrIssued { given: vec![given.clone()], issued };
        let check = |shown: &CertificateDer<'_>, name: &'static str, year: u64| {
            let name = ServerName::try_from(name).unwrap();
            let now = Duration::from_secs((year - 1970) * 31_557_600);
            let now = UnixTime::since_unix_epoch(now);
            verifier.verify_server_cert(shown, &[], &name, &[], now).map(drop)
        };
        assert_eq!(check(&given, "localhost", 2030), Ok(()));
        let refused = |found: Result<(), Error>| match found {
            Err(Error::InvalidCertificate(why)) => why,
            other => panic!("{other:?}"),
        };
        let wrong_name = refused(check(&given, "example.org", 2030));
        assert!(
            matches!(wrong_name, CertificateError::NotValidForNameContext { .. }),
            "{wrong_name:?}"
        );
        let too_late = refused(check(&given, "localhost", 2050));
        assert!(matches!(too_late, CertificateError::ExpiredContext { .. }), "{too_late:?}");
        assert!(check(&other, "localhost", 2030).is_err(), "another of the same name");
    }

    #[test]
    fn files_without_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_certificates(&path).unwrap_err().to_string()
        };
        assert!(told("nothing").contains("no certificate in --tls-ca"));
        assert!(told("-----BEGIN CERTIFICATE-----\n!\n").contains("is not valid PEM"));
        let missing = read_certificates(Path::new("/nowhere.pem")).unwrap_err().to_string();
        assert!(missing.contains("cannot read --tls-ca /nowhere.pem"), "{missing}");
    }
}
