//! Variables for this program that are not in its environment as it reads them: those of the
//! `.env` file, kept beside the project that uses it, and those under another release's name. One
//! that is set to nothing, as compose files do, is one that is not set.
//!
//! The lines are read here and not by a library: a bad one is reported with its number, the others
//! count, and that takes some sixty lines.
//!
//! The environment of a running process cannot be changed safely, so the variables take effect
//! by starting this program once more with them set.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Another release's name of a variable, and the name here.
type Spelling = (&'static str, &'static str);

/// Names under which later and earlier releases know a variable.
const SPELLINGS: [Spelling; 19] = [
    ("INFLUXDB3_NODE_ID", "INFLUXDB3_NODE_IDENTIFIER_PREFIX"),
    ("INFLUXDB3_NODE_ID_FROM_ENV", "INFLUXDB3_NODE_IDENTIFIER_FROM_ENV"),
    ("INFLUXDB3_DATA_DIR", "INFLUXDB3_DB_DIR"),
    ("INFLUXDB3_WITHOUT_AUTH", "INFLUXDB3_START_WITHOUT_AUTH"),
    ("INFLUXDB3_DISABLE_TELEMETRY_UPLOAD", "INFLUXDB3_TELEMETRY_DISABLE_UPLOAD"),
    ("INFLUXDB3_TCP_LISTINER_FILE_PATH", "INFLUXDB3_TCP_LISTENER_FILE_PATH"),
    ("INFLUXDB3_NUM_THREADS", "INFLUXDB3_NUM_IO_THREADS"),
    ("INFLUXDB3_DATAFUSION_NUM_THREADS", "INFLUXDB3_NUM_DATAFUSION_THREADS"),
    ("LOG_FILTER", "INFLUXDB3_LOG_FILTER"),
    ("INFLUXDB3_SNAPSHOTTED_WAL_FILES_TO_KEEP", "INFLUXDB3_NUM_WAL_FILES_TO_KEEP"),
    ("OBJECT_STORE_CONNECTION_LIMIT", "INFLUXDB3_OBJECT_STORE_CONNECTION_LIMIT"),
    ("OBJECT_STORE_HTTP2_ONLY", "INFLUXDB3_OBJECT_STORE_HTTP2_ONLY"),
    ("OBJECT_STORE_HTTP2_MAX_FRAME_SIZE", "INFLUXDB3_OBJECT_STORE_HTTP2_MAX_FRAME_SIZE"),
    ("OBJECT_STORE_REQUEST_TIMEOUT", "INFLUXDB3_OBJECT_STORE_REQUEST_TIMEOUT"),
    ("OBJECT_STORE_MAX_RETRIES", "INFLUXDB3_OBJECT_STORE_MAX_RETRIES"),
    ("OBJECT_STORE_RETRY_TIMEOUT", "INFLUXDB3_OBJECT_STORE_RETRY_TIMEOUT"),
    ("OBJECT_STORE_CACHE_ENDPOINT", "INFLUXDB3_OBJECT_STORE_CACHE_ENDPOINT"),
    ("OBJECT_STORE_TLS_ALLOW_INSECURE", "INFLUXDB3_OBJECT_STORE_TLS_ALLOW_INSECURE"),
    ("OBJECT_STORE_TLS_CA", "INFLUXDB3_OBJECT_STORE_TLS_CA"),
];

/// How the names of this program's variables begin.
const PREFIXES: [&str; 8] = [
    "INFLUXDB3_",
    "AWS_",
    "AZURE_",
    "GOOGLE_",
    "LOG_FILTER",
    "OBJECT_STORE_",
    "TOKIO_CONSOLE_",
    "VIRTUAL_ENV",
];

/// Whether a spelling is going away, as all are that do not begin like the others.
fn is_deprecated(other: &str) -> bool {
    let numbered = ["INFLUXDB3_NUM_THREADS", "INFLUXDB3_DATAFUSION_NUM_THREADS"];
    numbered.contains(&other) || !other.starts_with("INFLUXDB3_")
}

/// Looks for `.env` in the working directory and its parents and applies the first one found.
/// Variables that are set already win. Returns if there is nothing to apply.
pub(super) fn load() {
    let (variables, bad_lines) = find().map(|text| parse(&text)).unwrap_or_default();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let (missing, respelt) = missing(variables, set);
    let empty = empty(std::env::vars_os());
    if missing.is_empty() && empty.is_empty() {
        return;
    }
    // Reported by the first of the two processes only.
    for number in bad_lines {
        eprintln!("WARN: line {number} of .env is not KEY=VALUE and is ignored");
    }
    for (other, name) in respelt.into_iter().filter(|(other, _)| is_deprecated(other)) {
        eprintln!("WARN: Use of deprecated environment variable {other}: replace with {name}");
    }
    restart_with(&missing, &empty);
}

/// The variables of this program that are set to nothing.
fn empty(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<OsString> {
    let is_ours = |name: &OsString| {
        name.to_str().is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    };
    let empty = variables.filter(|(name, value)| value.is_empty() && is_ours(name));
    empty.map(|(name, _)| name).collect()
}

/// What has to be added to the environment, of which `get` knows the rest, and the spellings that
/// led to it.
fn missing(
    from_file: Vec<(String, String)>,
    get: impl Fn(&str) -> Option<OsString>,
) -> (Vec<(String, OsString)>, Vec<Spelling>) {
    let mut respelt = Vec::new();
    let mut missing: Vec<(String, OsString)> = from_file
        .into_iter()
        .filter(|(name, value)| !value.is_empty() && get(name).is_none())
        .map(|(name, value)| (name, value.into()))
        .collect();
    for (other, name) in SPELLINGS {
        let find = |name| {
            let added = || missing.iter().find(|(added, _)| added == name).map(|(_, v)| v.clone());
            get(name).or_else(added)
        };
        if find(name).is_none()
            && let Some(value) = find(other)
        {
            missing.push((name.to_owned(), value));
            respelt.push((other, name));
        }
    }
    (missing, respelt)
}

fn find() -> Option<String> {
    let directory = std::env::current_dir().ok()?;
    let path = directory.ancestors().map(|parent| parent.join(".env")).find(|path| path.is_file());
    let path: &Path = path.as_deref()?;
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("WARN: cannot read {}: {error}", path.display());
            None
        }
    }
}

/// Replaces this process by the same program with `variables` added to the environment and those
/// named `empty` left out. Nothing is to be changed then, so this cannot happen twice. Returns only
/// if the program cannot be started.
fn restart_with(variables: &[(String, OsString)], empty: &[OsString]) {
    let Ok(program) = std::env::current_exe() else {
        eprintln!("WARN: cannot change the environment: the path of this program is unknown");
        return;
    };
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    empty.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        let error = command.exec();
        eprintln!("WARN: cannot change the environment: {error}");
    }
    #[cfg(not(unix))]
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => eprintln!("WARN: cannot change the environment: {error}"),
    }
}

/// The variables of `text` (the first of several with one name counts) and the numbers of the
/// lines that are none.
fn parse(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut bad_lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Some((name, _)) if variables.iter().any(|(known, _)| *known == name) => {}
            Some(variable) => variables.push(variable),
            None => bad_lines.push(index + 1),
        }
    }
    (variables, bad_lines)
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if !named || value.contains('\0') {
        return None;
    }
    Some((name.to_owned(), unquote(value.trim())?))
}

/// Single quotes keep everything, double quotes know `\n`, `\"`, `\\` and `\$`, a bare value ends
/// at ` #`.
fn unquote(value: &str) -> Option<String> {
    if let Some(inner) = value.strip_prefix('\'') {
        let (inner, after) = inner.split_once('\'')?;
        return is_comment(after).then(|| inner.to_owned());
    }
    let Some(inner) = value.strip_prefix('"') else {
        let end = value.find(" #").unwrap_or(value.len());
        return Some(value[..end].trim_end().to_owned());
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return is_comment(chars.as_str()).then_some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                escaped @ ('"' | '\\' | '$') => text.push(escaped),
                other => text.extend(['\\', other]),
            },
            c => text.push(c),
        }
    }
    None
}

/// Whether nothing but blanks and a comment follows a closing quote.
fn is_comment(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_variables() {
        let text = "# comment\n\nA=1\nexport B = two words # why\nC='x # \\n'\n\
                    D=\"say \\\"hi\\\"\\nagain\" # note\nE=\nF=a=b#c\nA=second\r\n";
        let (variables, bad_lines) = parse(text);
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            variables,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "x # \\n"),
                ("D", "say \"hi\"\nagain"),
                ("E", ""),
                ("F", "a=b#c"),
            ]
        );
        assert!(bad_lines.is_empty());
    }

    #[test]
    fn other_spellings_count_where_the_variable_itself_is_not_set() {
        let check = |file: &[(&str, &str)], set: &[(&str, &str)], expected: &[(&str, &str)]| {
            let file = file.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let get = |name: &str| {
                set.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value))
            };
            let (found, _) = missing(file, get);
            let found: Vec<_> =
                found.iter().map(|(n, v)| (n.as_str(), v.to_str().expect("text"))).collect();
            assert_eq!(found, expected);
        };
        let (other, name) = ("INFLUXDB3_NODE_ID", "INFLUXDB3_NODE_IDENTIFIER_PREFIX");
        check(&[], &[], &[]);
        check(&[], &[(other, "a")], &[(name, "a")]);
        check(&[], &[(other, "a"), (name, "b")], &[]);
        check(&[(name, "c")], &[(other, "a")], &[(name, "c")]);
        check(&[(other, "c")], &[], &[(other, "c"), (name, "c")]);
        check(&[("X", "1"), ("Y", "2")], &[("X", "0")], &[("Y", "2")]);
        check(&[("X", "")], &[], &[]);
    }

    #[test]
    fn what_is_set_to_nothing_is_left_out() {
        let variables = [
            ("INFLUXDB3_BUCKET", ""),
            ("INFLUXDB3_OBJECT_STORE", "file"),
            ("AWS_ENDPOINT", ""),
            ("HOME", ""),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(empty(variables.into_iter()), ["INFLUXDB3_BUCKET", "AWS_ENDPOINT"]);
    }

    #[test]
    fn all_variables_of_the_command_line_begin_so() {
        fn check(command: &clap::Command, found: &mut usize) {
            for name in command.get_arguments().filter_map(|arg| arg.get_env()) {
                let name = name.to_str().expect("text");
                assert!(PREFIXES.iter().any(|prefix| name.starts_with(prefix)), "{name}");
                *found += 1;
            }
            command.get_subcommands().for_each(|command| check(command, found));
        }
        let mut found = 0;
        check(&<crate::cli::Cli as clap::CommandFactory>::command(), &mut found);
        assert!(found > 100, "{found} variables");
    }

    #[test]
    fn what_is_no_variable_is_named_by_line() {
        let (variables, bad_lines) = parse("A=1\nnonsense\n=x\n1A=x\nB=\"open\nC='x' y\nD=\0\n");
        assert_eq!(variables.len(), 1);
        assert_eq!(bad_lines, [2, 3, 4, 5, 6, 7]);
    }
}
