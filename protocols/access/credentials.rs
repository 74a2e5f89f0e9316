//! What a request brings to say who sends it.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;

/// What is said where there should be the scheme and the credentials.
pub const MALFORMED: &str = r#"{"error": "Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic"}"#;

/// The drivers in Go leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// There is none. Many libraries cannot leave the header out and send it with nothing in it.
    Missing,
    /// Something that is none.
    Malformed,
    /// This.
    Token(Cow<'a, str>),
}

impl<'a> Credential<'a> {
    /// The token in the value of an `Authorization` header: `Bearer T`, `Token T`, or `Basic` with
    /// the token as the password; the user is of no importance.
    pub fn of_header(value: Option<&'a [u8]>) -> Self {
        let Some(value) = value else { return Self::Missing };
        let Ok(value) = std::str::from_utf8(value) else { return Self::Malformed };
        let value = value.trim();
        let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
        let credentials = credentials.trim_start();
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        match scheme {
            "" => Self::Missing,
            _ if is("bearer") || is("token") => Self::of_text(Cow::Borrowed(credentials)),
            _ if is("basic") => Self::of_pair(credentials),
            _ => Self::Malformed,
        }
    }

    /// A token by itself.
    pub fn of_text(text: Cow<'a, str>) -> Self {
        // Those of the server have letters, digits and marks only, and are not looked through again.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.is_empty() {
            true => Self::Missing,
            false if !is_plain && text.contains(char::is_whitespace) => Self::Malformed,
            false => Self::Token(text),
        }
    }

    fn of_pair(encoded: &str) -> Self {
        if encoded.is_empty() {
            return Self::Missing;
        }
        let pair = BASE64.decode(encoded).ok().and_then(|pair| String::from_utf8(pair).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((_, password)) if !password.contains(':') => {
                Self::of_text(Cow::Owned(password.to_owned()))
            }
            _ => Self::Malformed,
        }
    }
}

/// Name of the cookie of a session.
pub const COOKIE: &str = "influxdb3_session";

/// The text of the session in the values of `Cookie`.
pub fn session_of_cookies<'a>(mut cookies: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    cookies.find_map(|cookies| {
        cookies.split(';').find_map(|cookie| {
            cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=').filter(|text| !text.is_empty())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[test]
    fn forms_of_a_token() {
        let check = |value: &str, expected: Credential<'_>| {
            assert_eq!(Credential::of_header(Some(value.as_bytes())), expected, "{value:?}");
        };
        let token = |text: &'static str| Credential::Token(Cow::Borrowed(text));
        assert_eq!(Credential::of_header(None), Credential::Missing);
        for value in ["Bearer T", "Token T", "bearer T", "TOKEN  T", " Bearer T ", "Basic OlQ="] {
            check(value, token("T"));
        }
        check("Basic dXNlcjp0b2tlbg==", token("token"));
        check("Basic dXNlcjp0b2tlbg", token("token"));
        for value in ["", " ", "Bearer", "Bearer ", "Token", "Basic", "Basic ", "Basic Og=="] {
            check(value, Credential::Missing);
        }
        // No base64, no colon, two colons, no UTF-8.
        for value in ["Basic !", "Basic YQ==", "Basic YTpiOmM=", "Basic OoA="] {
            check(value, Credential::Malformed);
        }
        for value in ["Foo x", "T", "Bearer a b", "Digest T", "Bearer\tT"] {
            check(value, Credential::Malformed);
        }
        assert_eq!(Credential::of_header(Some(b"Bearer \xff")), Credential::Malformed);
    }

    #[test]
    fn cookies_of_many_kinds() {
        let find = |cookies: &'static [&'static str]| session_of_cookies(cookies.iter().copied());
        assert_eq!(find(&["a=b; influxdb3_session=T; c=d"]), Some("T"));
        assert_eq!(find(&["a=b", "influxdb3_session=T"]), Some("T"));
        for none in
            [&["influxdb3_session="][..], &["xinfluxdb3_session=T"], &["influxdb3_sessions=T"], &[]]
        {
            assert_eq!(find(none), None, "{none:?}");
        }
    }

    proptest! {
        /// Whatever comes, something is said of it, and a token has no blanks in it.
        #[test]
        fn any_bytes_are_taken(
            scheme in select(vec!["", "Basic ", "Bearer ", "token "]),
            value in vec(any::<u8>(), 0..64),
        ) {
            let whole = [scheme.as_bytes(), &value].concat();
            if let Credential::Token(text) = Credential::of_header(Some(&whole)) {
                prop_assert!(!text.is_empty() && !text.contains(char::is_whitespace));
            }
        }

        /// What a client sends as Basic is what it sends as Bearer.
        #[test]
        fn a_token_is_the_same_in_every_form(
            user in "[^:\\x00-\\x1f]{0,16}",
            token in "[!-9;-~]{1,64}",
        ) {
            let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}"));
            for value in [format!("Basic {basic}"), format!("Bearer {token}"), format!("Token {token}")] {
                let found = Credential::of_header(Some(value.as_bytes()));
                prop_assert_eq!(found, Credential::Token(Cow::Borrowed(&token)), "{}", value);
            }
        }

        #[test]
        fn any_cookies_are_taken(values in vec("[ -~]{0,40}", 0..4), text in "[!-:<-~]{1,40}") {
            let found = session_of_cookies(values.iter().map(String::as_str));
            prop_assert!(found.is_none_or(|text| !text.is_empty()));
            let own = format!("a=b; {COOKIE}={text}; c=d");
            prop_assert_eq!(session_of_cookies([own.as_str()].into_iter()), Some(text.as_str()));
        }
    }
}
