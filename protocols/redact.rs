//! URLs in texts that people see: without who asks, and without the password.

/// The text with `user:password@` left out of all URLs in it.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown += before;
        shown += "://";
        // A password may hold any character but these, if it is written as URLs demand.
        let end =
            after.find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace());
        let authority = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        rest = after.get(user..).unwrap_or_default();
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_are_left_out() {
        for (text, shown) in [
            ("https://h:1/p", "https://h:1/p"),
            ("https://me:se@cret@h:1/p?q=a@b", "https://h:1/p?q=a@b"),
            ("from http://token@a to 'http://u:p@b'!", "from http://a to 'http://b'!"),
            ("me@example.org, a://b", "me@example.org, a://b"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }
}
