//! Who is served, and as whom: the one way from what a request brings to its [`Principal`].
//!
//! Until there is a token, programs on this machine are served and nobody else. From the first
//! token on every request has to bring one, wherever it comes from. `--without-auth` serves all.

use super::credentials::Credential;
use super::origins::{Hosts, Origins};
use super::sessions::Sessions;
use super::slowdown::Slowdown;
use super::state::ServerState;
use protocols::access::rights::SystemResource;
use protocols::access::tokens::{OPERATOR, PREFIX, TokenHash};
use protocols::principal::{Principal, Visible};
use protocols::schema::CatalogSnapshot;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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
    /// Pages that may read answers. `None` stands for the usual: all without authentication, else
    /// none.
    pub origins: Option<Origins>,
    /// Pages that have shown a token.
    pub sessions: Sessions,
    /// Connections are encrypted.
    pub is_encrypted: bool,
    /// Makes those wait who try tokens.
    pub slowdown: Slowdown,
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

    fn credential(&self) -> Credential<'_> {
        match self.parameter.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Credential::of_text(text.into()),
            None => Credential::of_header(self.authorization),
        }
    }
}

impl ServerState {
    /// Who sends a request.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn principal(&self, brought: &Brought<'_>) -> Result<Principal, Refusal> {
        if self.access.without_auth {
            return Ok(Principal::Everybody);
        }
        let catalog = self.snapshot.load();
        if !catalog.tokens.are_required() {
            // Libraries that know of tokens send one, whatever it is.
            return self.trust(brought);
        }
        match brought.credential() {
            Credential::Missing => self.of_session(brought, &catalog),
            Credential::Malformed => Err(Refusal::Malformed),
            Credential::Token(text) => {
                let hash = TokenHash::of(catalog.uuid, &text);
                match catalog.tokens.find(&hash, self.clock.now_ns()) {
                    Some(token) => Ok(Principal::Token(Arc::clone(token))),
                    None => Err(Refusal::NotAuthenticated),
                }
            }
        }
    }

    /// Who makes the operator's token. Until there is one, whoever is on this machine may.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn first_principal(&self, brought: &Brought<'_>) -> Result<Principal, Refusal> {
        match self.snapshot.load().tokens.named(OPERATOR) {
            Some(_) => Ok(Principal::Nobody),
            None => self.trust(brought),
        }
    }

    /// Who has begun a session: as long as their token is good.
    fn of_session(
        &self,
        brought: &Brought<'_>,
        catalog: &CatalogSnapshot,
    ) -> Result<Principal, Refusal> {
        let begun_by = brought.session.and_then(|text| self.access.sessions.find(text));
        let token = begun_by.and_then(|begun_by| {
            let token = catalog.tokens.find(&begun_by.secret.hash, self.clock.now_ns());
            token.filter(|token| token.id == begun_by.id)
        });
        match token {
            None => Err(Refusal::NotAuthenticated),
            Some(_) if brought.is_unproven_change => Err(Refusal::Foreign),
            Some(token) => Ok(Principal::Token(Arc::clone(token))),
        }
    }

    /// Lets programs on this machine in for their address, but not what a browser there sends for
    /// pages of other servers.
    fn trust(&self, brought: &Brought<'_>) -> Result<Principal, Refusal> {
        let hosts = &self.access.hosts;
        let is_own = brought.origin.is_none_or(|origin| hosts.has_origin(origin))
            && brought.host.is_none_or(|host| hosts.has(host));
        match brought.is_local() {
            true if is_own => Ok(Principal::Everybody),
            true => Err(Refusal::Foreign),
            false => Err(Refusal::NotAuthenticated),
        }
    }

    /// What `Access-Control-Allow-Origin` says to a page of `origin`.
    pub fn allowed_origin<'a>(&self, origin: Option<&'a str>) -> Option<&'a str> {
        match &self.access.origins {
            Some(origins) => origins.allow(origin),
            None if self.access.without_auth => Some("*"),
            None => None,
        }
    }

    /// What somebody sees of the catalog.
    pub fn visible(&self, principal: &Principal) -> Visible {
        Visible::new(self.snapshot.load(), principal.clone())
    }

    /// A refused request waits for so long: nobody can try tokens fast.
    pub fn delay_of(&self, refusal: Refusal, brought: &Brought<'_>) -> Duration {
        let has_tried = !matches!(brought.credential(), Credential::Missing);
        match (refusal, brought.peer) {
            (Refusal::NotAuthenticated, Some(peer)) if has_tried => {
                self.access.slowdown.failed(peer)
            }
            _ => Duration::ZERO,
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
