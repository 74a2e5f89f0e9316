//! Headers that say who sends a request, and permissions: no bytes make the readers panic, a token
//! is the same however it is sent, and a permission is the same after it was written and read again.
//!
//! `deploy/fuzz 600 headers` (ten minutes).

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::access::credentials::{COOKIE, Credential, session_of_cookies};
use protocols::access::rights::Permission;
use protocols::trace_id::TraceId;

fuzz_target!(|bytes: &[u8]| {
    if let Credential::Token(token) = Credential::of_header(Some(bytes)) {
        assert!(!token.is_empty() && !token.contains(char::is_whitespace));
        let again = format!("Bearer {token}");
        assert_eq!(Credential::of_header(Some(again.as_bytes())), Credential::Token(token));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(session) = session_of_cookies([text].into_iter()) {
        assert!(!session.is_empty() && text.contains(&format!("{COOKIE}={session}")));
    }
    if let Some(trace) = TraceId::from_headers(|_| Some(text)) {
        assert!((1..=32).contains(&trace.as_str().len()));
    }
    if let Ok(Permission::Databases(names, rights)) = Permission::parse(text) {
        let rights: Vec<&str> = rights.iter().map(|right| right.name()).collect();
        let again = format!("db:{}:{}", names.join(","), rights.join(","));
        let expected = rights.iter().filter_map(|right| {
            protocols::access::rights::Right::ALL.into_iter().find(|known| known.name() == *right)
        });
        let expected = Permission::Databases(names, expected.collect());
        assert_eq!(Permission::parse(&again), Ok(expected));
    }
});
