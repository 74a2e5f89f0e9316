//! Rules for the names of databases, and how the v1 API forms one from `db` and `rp`.

/// Longest database name, in bytes.
pub const DATABASE_NAME_BYTES_MAX: usize = 511;

/// Checks a name that a write or an administration request gives to a database: ASCII letters,
/// digits, `_` and `-`, a letter or digit first, and at most one `/`, which separates the name of
/// a v1 retention policy.
///
/// # Errors
/// The text for the client.
pub fn check_database_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next().ok_or("db name cannot be empty")?;
    if !first.is_ascii() {
        return Err(invalid_character());
    }
    if !first.is_ascii_alphanumeric() {
        return Err("db name did not start with a number or letter".to_owned());
    }
    if name.len() > DATABASE_NAME_BYTES_MAX {
        return Err(format!("db name too long: max {DATABASE_NAME_BYTES_MAX}"));
    }
    let mut policy_begun = false;
    for c in chars {
        match c {
            '/' if policy_begun => return Err(invalid_policy()),
            '/' => policy_begun = true,
            c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => {}
            _ => return Err(invalid_character()),
        }
    }
    if name.ends_with('/') { Err(invalid_policy()) } else { Ok(()) }
}

fn invalid_character() -> String {
    "invalid character in database or rp name: must be ASCII, containing only letters, numbers, \
     underscores, or hyphens"
        .to_owned()
}

fn invalid_policy() -> String {
    "db name with invalid retention policy, if providing a retention policy name, must be of form \
     '<db_name>/<rp_name>'"
        .to_owned()
}

/// The database that the v1 parameters `db` and `rp` mean: `db` itself for the default retention
/// policy, however it is spelled, else `db/rp` with the policy in lower case.
pub fn v1_database(db: &str, rp: Option<&str>) -> String {
    let rp = rp.unwrap_or_default().to_lowercase();
    match rp.as_str() {
        "" | "''" | "autogen" | "default" => db.to_owned(),
        _ => format!("{db}/{rp}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names() {
        let check = |name: &str, expected: &str| {
            let text = check_database_name(name).err().unwrap_or_default();
            assert!(
                text.starts_with(expected) && text.is_empty() == expected.is_empty(),
                "{name:?}: {text}"
            );
        };
        for name in ["foo", "9x", "a-b_c", "foo/bar", "1/-", "A", &"x".repeat(511)] {
            check(name, "");
        }
        check("", "db name cannot be empty");
        for name in ["_internal", "-a", "/a", " a", "\n"] {
            check(name, "db name did not start with a number or letter");
        }
        for name in ["a b", "a.b", "a\u{e9}", "\u{e9}a", "a\0", "a/b c"] {
            check(name, "invalid character in database or rp name: must be ASCII");
        }
        for name in ["a/", "a//", "a/b/c", "a/b/", "a//b"] {
            check(name, "db name with invalid retention policy, if providing");
        }
        check(&"x".repeat(512), "db name too long: max 511");
    }

    #[test]
    fn the_default_policy_is_the_database_itself() {
        for rp in [None, Some(""), Some("''"), Some("autogen"), Some("DEFAULT")] {
            assert_eq!(v1_database("foo", rp), "foo", "{rp:?}");
        }
        assert_eq!(v1_database("foo", Some("One_Week")), "foo/one_week");
    }
}
