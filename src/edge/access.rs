//! Who is served.

use std::net::IpAddr;

/// Headers by which a proxy says that it speaks for somebody else.
const FORWARDING_HEADERS: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// True for a request that a program on this machine sent on its own behalf.
pub fn is_this_machine(peer: Option<IpAddr>, has_header: impl Fn(&str) -> bool) -> bool {
    let forwarded = FORWARDING_HEADERS.iter().any(|name| has_header(name));
    !forwarded && peer.is_some_and(|ip| ip.to_canonical().is_loopback())
}
