//! Why a server cannot be reached, in the words of who asked.

use std::error::Error;
use std::io;

use anyhow::Chain;
use protocols::redact::without_credentials;
use rustls::{AlertDescription, Error as TlsError};
use url::Url;

use super::failure::Failure;

/// What `error`, met on the way to `base`, means for the user.
pub(super) fn unreachable(base: &Url, error: &reqwest::Error) -> Failure {
    let server = without_credentials(base.as_str().trim_end_matches('/'));
    if let Some(tls) = find_tls(error) {
        return Failure::no_server(format!("no connection to {server}: {}", tls_words(tls)));
    }
    let cause = root_cause(error);
    if error.is_connect() {
        return Failure::no_server(format!(
            "no server answers at {server} ({cause}): is it running? start it with `influxdb3 \
             serve`"
        ));
    }
    let is_other_protocol = Chain::new(error)
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(|error| error.is_parse() || error.is_incomplete_message());
    let hint = match base.scheme() {
        "http" if is_other_protocol => "; a server with TLS is reached by https://",
        _ => "",
    };
    Failure::no_server(format!("the connection to {server} broke off ({cause}){hint}"))
}

fn root_cause(error: &reqwest::Error) -> String {
    Chain::new(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The library of TLS wraps its errors in those of input and output, which are no link of the chain.
fn find_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let wrapped = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let wrapped = || wrapped().and_then(|inner| find_tls(inner));
    let source = || error.source().and_then(find_tls);
    error.downcast_ref().or_else(wrapped).or_else(source)
}

fn tls_words(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(why) => {
            format!("its certificate is not trusted ({why}); --tls-ca FILE names one to trust")
        }
        TlsError::InvalidMessage(_) => {
            "it does not speak TLS; a server without a certificate is reached by http://".to_owned()
        }
        TlsError::AlertReceived(AlertDescription::ProtocolVersion) => {
            "it demands another version of TLS".to_owned()
        }
        other => other.to_string(),
    }
}
