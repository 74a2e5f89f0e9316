//! Pages in browsers: which of them may ask, and which may read the answers.
//!
//! A browser sends requests on behalf of any page that somebody looks at, from the machine where
//! they sit. As long as requests of this machine are trusted for their address, pages of others
//! must not send any: neither openly, which the header `Origin` tells, nor by a name of their own
//! that leads to this machine, which `Host` tells.

use std::net::IpAddr;
use url::Host;

/// Names by which this server is rightly called.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// The address that it listens on, unless that is all of them.
    pub bound: Option<IpAddr>,
    /// Further names that the operator listed.
    pub allowed: Vec<String>,
}

impl Hosts {
    /// True for `localhost`, loopback addresses, the bound address and what was listed. `host` may
    /// have a port.
    pub fn has(&self, host: &str) -> bool {
        let Ok(name) = Host::parse(without_port(host)) else { return false };
        let ip = match &name {
            Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(*ip)),
            Host::Domain(_) => None,
        };
        let name = name.to_string();
        name == "localhost"
            || ip.is_some_and(|ip| ip.to_canonical().is_loopback() || self.bound == Some(ip))
            || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
    }

    /// True if a page of this origin belongs to a server that is called so. `null` is none.
    pub fn has_origin(&self, origin: &str) -> bool {
        origin.split_once("://").is_some_and(|(_, host)| self.has(host))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

/// Pages that may read what they are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None of another server.
    #[default]
    None,
    /// Any.
    All,
    /// Those of these origins: scheme, name and port.
    Listed(Vec<String>),
}

impl Origins {
    /// Reads a list of origins; `*` is any.
    ///
    /// # Errors
    /// When one is none; says which.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        if list.is_empty() {
            return Ok(Self::None);
        }
        if list.iter().any(|origin| origin == "*") {
            return Ok(Self::All);
        }
        let origin = |text: &String| {
            let url = url::Url::parse(text).ok().filter(|url| url.has_host());
            let origin = url.map(|url| url.origin().ascii_serialization());
            origin.filter(|origin| origin == text).ok_or_else(|| {
                format!("'{text}' is no origin: it has a scheme, a name and nothing behind it")
            })
        };
        list.iter().map(origin).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// What `Access-Control-Allow-Origin` says to a page of `origin`.
    pub fn allow<'a>(&self, origin: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::All => Some("*"),
            Self::Listed(listed) => origin.filter(|origin| listed.iter().any(|o| o == origin)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_server() {
        let bound = Some("192.0.2.7".parse().expect("an address"));
        let hosts = Hosts { bound, allowed: vec!["db.example.org".to_owned()] };
        for host in [
            "localhost",
            "localhost:8181",
            "LOCALHOST",
            "127.0.0.1:8181",
            "127.1.2.3",
            "[::1]:8181",
            "[::1]",
            "192.0.2.7:1",
            "db.example.org",
            "DB.example.org:443",
        ] {
            assert!(hosts.has(host), "{host}");
            assert!(hosts.has_origin(&format!("http://{host}")), "{host}");
        }
        for host in [
            "example.org",
            "localhost.example.org",
            "192.0.2.8",
            "",
            ":8181",
            "127.0.0.1.example.org",
            "localhost:x",
        ] {
            assert!(!hosts.has(host), "{host}");
        }
        assert!(!hosts.has_origin("null"));
        assert!(!hosts.has_origin("localhost"));
    }

    #[test]
    fn lists_of_origins() {
        let parse = |list: &[&str]| {
            Origins::parse(&list.iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(parse(&[]), Ok(Origins::None));
        assert_eq!(parse(&["*"]), Ok(Origins::All));
        let listed = parse(&["https://a.example", "http://b:3000"]).expect("good");
        assert_eq!(listed.allow(Some("http://b:3000")), Some("http://b:3000"));
        assert_eq!(listed.allow(Some("http://b")), None);
        assert_eq!(listed.allow(None), None);
        for wrong in ["a.example", "https://a.example/", "https://a.example/x", "null"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
