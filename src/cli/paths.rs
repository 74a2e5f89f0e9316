//! Paths as arguments. A shell replaces a leading `~` in `--file ~/x`, but neither in `--file=~/x`
//! nor in a variable that a unit file, a compose file or `.env` sets.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

/// Reads a path, with `~` at its start for the home directory.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| expand(path, std::env::home_dir()))
}

fn expand(path: PathBuf, home: Option<PathBuf>) -> Result<PathBuf, String> {
    let Some(first) = path.iter().next().map(|part| part.to_string_lossy().into_owned()) else {
        return Ok(path);
    };
    if !first.starts_with('~') {
        return Ok(path);
    }
    if first != "~" {
        return Err(format!("{first} is not replaced by that user's home: give the whole path"));
    }
    let home = home.filter(|home| !home.as_os_str().is_empty());
    let home = home.ok_or("the home directory for ~ is not known: is HOME set?")?;
    let rest: &Path = path.strip_prefix(&first).unwrap_or(&path);
    Ok(if rest.as_os_str().is_empty() { home } else { home.join(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_at_the_start_is_the_home_directory() {
        let expanded = |text: &str| expand(text.into(), Some("/home/me".into()));
        for (text, path) in [
            ("~", "/home/me"),
            ("~/", "/home/me"),
            ("~/data/x", "/home/me/data/x"),
            ("data/~", "data/~"),
            ("./~", "./~"),
            ("/~", "/~"),
            ("a~", "a~"),
            ("-", "-"),
        ] {
            assert_eq!(expanded(text), Ok(path.into()), "{text}");
        }
        let other = expanded("~other/x").unwrap_err();
        assert!(other.contains("~other is not replaced"), "{other}");
        for home in [None, Some(PathBuf::new())] {
            assert!(expand("~/x".into(), home).unwrap_err().contains("HOME"));
        }
    }
}
