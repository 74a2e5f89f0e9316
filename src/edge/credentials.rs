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
        match scheme.to_ascii_lowercase().as_str() {
            "" => Self::Missing,
            "bearer" | "token" => Self::of_text(Cow::Borrowed(credentials)),
            "basic" => Self::of_pair(credentials),
            _ => Self::Malformed,
        }
    }

    /// A token by itself.
    pub fn of_text(text: Cow<'a, str>) -> Self {
        match text.is_empty() {
            true => Self::Missing,
            false if text.contains(char::is_whitespace) => Self::Malformed,
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

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Whatever comes, something is said of it.
    #[test]
    fn any_bytes_are_taken() {
        let mut seed = 7_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        for length in (0..64).cycle().take(20_000) {
            let mut value: Vec<u8> = (0..length).map(|_| next()).collect();
            for scheme in [&b""[..], b"Basic ", b"Bearer ", b"token "] {
                let whole = [scheme, &value].concat();
                let _any = Credential::of_header(Some(&whole));
            }
            value.iter_mut().for_each(|byte| *byte = 32 + *byte % 95);
            let _any = Credential::of_header(Some(&[b"Basic ", value.as_slice()].concat()));
        }
    }
}
