//! Who is served, and as whom: the one way from what a request brings to its [`Principal`].
//!
//! Until there is a token, programs on this machine are served and nobody else. From the first
//! token on every request has to bring one, wherever it comes from. `--without-auth` serves all.

use super::access::{Brought, Refusal};
use super::origins::Origins;
use super::state::ServerState;
use protocols::access::credentials::Credential;
use protocols::access::recent::RecentTokens;
use protocols::access::rights::SystemResource;
use protocols::access::tokens::OPERATOR;
use protocols::catalog::CatalogSnapshot;
use protocols::principal::{Action, Denied, Principal, Visible};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// Clients keep their connections, and a connection stays on its thread.
    static RECENT: RefCell<RecentTokens> = RefCell::default();
}

impl ServerState {
    /// Who sends a request.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn principal(&self, brought: &Brought<'_>) -> Result<Principal, Refusal> {
        if self.access.without_auth {
            return self.unless_foreign(brought);
        }
        let catalog = self.snapshot.peek();
        if !catalog.tokens.are_required() {
            // Libraries that know of tokens send one, whatever it is.
            return self.trust(brought);
        }
        match brought.credential() {
            Credential::Missing => match self.of_certificate(brought, &catalog) {
                Some(found) => found,
                None => self.of_session(brought, &catalog),
            },
            Credential::Malformed => Err(Refusal::Malformed),
            Credential::Token(text) => {
                let (tokens, now_ns) = (&catalog.tokens, self.clock.now_ns());
                let found = RECENT
                    .with_borrow_mut(|recent| recent.find(tokens, catalog.uuid, &text, now_ns));
                found.map(Principal::Token).ok_or(Refusal::NotAuthenticated)
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

    /// Whoever connects, but for pages of other servers in their browsers. A page whose name leads
    /// here is told from a browser's user only where the names of this server are listed.
    fn unless_foreign(&self, brought: &Brought<'_>) -> Result<Principal, Refusal> {
        let hosts = &self.access.hosts;
        let is_misnamed = !hosts.allowed.is_empty() && brought.host.is_some_and(|h| !hosts.has(h));
        match is_misnamed || self.is_of_foreign_page(brought) {
            true => Err(Refusal::Foreign),
            false => Ok(Principal::Everybody),
        }
    }

    /// True if a browser sends it for a page of another server that nobody has allowed.
    fn is_of_foreign_page(&self, brought: &Brought<'_>) -> bool {
        match brought.origin {
            Some(origin) => {
                !brought.is_of_own_page() && self.access.origins.allow(Some(origin)).is_none()
            }
            None => brought.is_cross_site && self.access.origins != Origins::All,
        }
    }

    /// Who has shown a certificate: as long as there is a token of its name. A browser shows it
    /// whichever page it asks for, so that must be one of this server. The operator's token has to
    /// be brought.
    fn of_certificate(
        &self,
        brought: &Brought<'_>,
        catalog: &CatalogSnapshot,
    ) -> Option<Result<Principal, Refusal>> {
        let name = brought.certificate.as_deref()?;
        let is_named = self.access.certificates_name_tokens && name != OPERATOR;
        let token = catalog.tokens.named(name).filter(|_| is_named)?;
        if !token.is_valid_at(self.clock.now_ns()) {
            return Some(Err(Refusal::NotAuthenticated));
        }
        // That any page may read answers is no leave to speak for whoever has a certificate.
        let is_any = self.access.origins == Origins::All
            && (brought.is_cross_site || (brought.origin.is_some() && !brought.is_of_own_page()));
        Some(match is_any || self.is_of_foreign_page(brought) {
            true => Err(Refusal::Foreign),
            false => Ok(Principal::Token(Arc::clone(token))),
        })
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
            && brought.host.is_none_or(|host| hosts.has(host))
            && !(brought.is_cross_site && brought.origin.is_none());
        match brought.is_local() {
            true if is_own => Ok(Principal::Everybody),
            true => Err(Refusal::Foreign),
            false => Err(Refusal::NotAuthenticated),
        }
    }

    /// What `Access-Control-Allow-Origin` says to a page of `origin`.
    pub fn allowed_origin<'a>(&self, origin: Option<&'a str>) -> Option<&'a str> {
        self.access.origins.allow(origin)
    }

    /// True while a request of `principal` to look at `what` would be let in as it was, for answers
    /// that have no end.
    pub fn still_lets_in(&self, principal: &Principal, what: SystemResource) -> bool {
        let catalog = self.snapshot.load();
        match principal {
            Principal::Nobody => self.access.exempt.contains(&what),
            Principal::Server => true,
            Principal::Everybody => self.access.without_auth || !catalog.tokens.are_required(),
            Principal::Token(token) => catalog.tokens.still_has(token, self.clock.now_ns()),
        }
    }

    /// Decides whether somebody may do what names no database.
    ///
    /// # Errors
    /// As [`Principal::authorize`].
    pub fn authorize(&self, principal: &Principal, action: Action<'_>) -> Result<(), Denied> {
        principal.authorize(action, &self.snapshot.peek())
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
