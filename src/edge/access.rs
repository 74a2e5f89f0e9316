//! How requests are let in, and what they bring.

use super::origins::{Hosts, Origins};
use super::sessions::Sessions;
use super::slowdown::Slowdown;
use protocols::access::credentials::Credential;
use protocols::access::rights::SystemResource;
use protocols::access::tokens::PREFIX;
use std::net::IpAddr;
use std::sync::Arc;

/// Headers by which a proxy says that it speaks for somebody else.
pub const FORWARDING_HEADERS: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// How requests are let in.
#[derive(Debug, Default)]
pub struct Access {
    /// Serve everybody.
    pub without_auth: bool,
    /// What needs no token.
    pub exempt: Vec<SystemResource>,
    /// Names by which this server is called.
    pub hosts: Hosts,
    /// Pages of other servers that may ask and read answers.
    pub origins: Origins,
    /// Whoever shows a certificate and no token is the token of its common name.
    pub certificates_name_tokens: bool,
    /// Pages that have shown a token.
    pub sessions: Sessions,
    /// Connections are encrypted.
    pub is_encrypted: bool,
    /// Makes those wait who try tokens.
    pub slowdown: Slowdown,
}

/// The common name of the certificate that a client has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub Arc<str>);

/// True if a browser says that a page of another site sends a request, and not by leading its user
/// here. `header` knows the values of headers.
pub fn is_cross_site<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> bool {
    header("sec-fetch-site") == Some("cross-site") && header("sec-fetch-mode") != Some("navigate")
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It brings no token, or one that is unknown or has expired.
    NotAuthenticated,
    /// It brings something that is no token.
    Malformed,
    /// A page of somebody else's sent it, or it calls this server by a name that is not its own.
    Foreign,
}

/// What a request brings.
#[derive(Clone, Debug, Default)]
pub struct Brought<'a> {
    /// The other end of its connection.
    pub peer: Option<IpAddr>,
    /// A proxy says that it speaks for somebody else.
    pub is_forwarded: bool,
    /// The value of `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The page that sent it, as a browser tells.
    pub origin: Option<&'a str>,
    /// What it calls this server.
    pub host: Option<&'a str>,
    /// A page of another server has a browser send it, as the browser tells.
    pub is_cross_site: bool,
    /// The common name of the certificate that its connection was opened with.
    pub certificate: Option<Arc<str>>,
    /// The text of a session.
    pub session: Option<&'a str>,
    /// It may change something, and does not prove that a page of this server sent it.
    pub is_unproven_change: bool,
    /// A token among its parameters, which counts before the header.
    pub parameter: Option<String>,
}

impl Brought<'_> {
    /// True for a request that a program on this machine sent on its own behalf.
    pub fn is_local(&self) -> bool {
        !self.is_forwarded && self.peer.is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// True if it names a page of the very server that it is sent to.
    pub(super) fn is_of_own_page(&self) -> bool {
        let page = self.origin.and_then(|origin| origin.split_once("://"));
        page.zip(self.host).is_some_and(|((_, page), host)| page.eq_ignore_ascii_case(host))
    }

    pub(super) fn credential(&self) -> Credential<'_> {
        match self.parameter.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Credential::of_text(text.into()),
            None => Credential::of_header(self.authorization),
        }
    }
}

/// The text of a new token: 512 random bits.
///
/// # Errors
/// When the system has no randomness.
pub fn new_token() -> Result<String, getrandom::Error> {
    use base64::Engine;
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)))
}
