//! Where a command's text comes from: the command line, a file or stdin, in this order.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, Result};

/// What stands for stdin and stdout where a file or a text may be given.
pub(super) const STANDARD_STREAM: &str = "-";

/// A source of text that has been opened.
pub(super) struct Input {
    pub(super) reader: Box<dyn Read + Send>,
    /// Its length, if that is known beforehand.
    pub(super) bytes: Option<u64>,
    /// What messages call it; nothing for a stdin that nobody asked for, as it may not be meant.
    pub(super) name: Option<String>,
}

impl Input {
    fn stdin(name: Option<&str>) -> Self {
        let reader = Box::new(std::io::stdin());
        Self { reader, bytes: None, name: name.map(str::to_owned) }
    }
}

/// The text of a file.
pub(super) fn read_file(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Opens the text on the command line, else `file`, else stdin; [`STANDARD_STREAM`] is stdin in both
/// places. Nothing if stdin is a terminal and was not asked for: whoever sits there has forgotten an
/// argument.
pub(super) fn open(text: Option<String>, file: Option<&Path>) -> Result<Option<Input>> {
    if let Some(text) = text {
        if text == STANDARD_STREAM {
            return Ok(Some(Input::stdin(Some("stdin"))));
        }
        let bytes = Some(text.len() as u64);
        let name = Some("the argument".to_owned());
        return Ok(Some(Input { reader: Box::new(std::io::Cursor::new(text)), bytes, name }));
    }
    if let Some(path) = file {
        if path == Path::new(STANDARD_STREAM) {
            return Ok(Some(Input::stdin(Some("stdin"))));
        }
        let name = path.display().to_string();
        let cannot = || format!("cannot read {name}");
        let file = File::open(path).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        anyhow::ensure!(!metadata.is_dir(), "cannot read {name}: it is a directory");
        // A pipe or a device says 0.
        let bytes = metadata.is_file().then_some(metadata.len());
        return Ok(Some(Input { reader: Box::new(file), bytes, name: Some(name) }));
    }
    Ok((!std::io::stdin().is_terminal()).then(|| Input::stdin(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: Option<&str>, file: Option<&Path>) -> (String, Option<u64>) {
        let input = open(text.map(str::to_owned), file).expect("opens").expect("a source");
        let mut content = String::new();
        let mut reader = input.reader;
        reader.read_to_string(&mut content).expect("reads");
        (content, input.bytes)
    }

    #[test]
    fn the_command_line_wins_over_a_file() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("lines");
        std::fs::write(&path, "from the file").expect("writes");
        assert_eq!(content(None, Some(&path)), ("from the file".to_owned(), Some(13)));
        assert_eq!(content(Some("typed"), Some(&path)), ("typed".to_owned(), Some(5)));
        let told = |path: &Path| match open(None, Some(path)) {
            Ok(_) => panic!("opened {}", path.display()),
            Err(error) => format!("{error:#}"),
        };
        let missing = told(&directory.path().join("missing"));
        assert!(missing.contains("missing"), "{missing}");
        let folder = told(directory.path());
        assert!(folder.contains("it is a directory"), "{folder}");
    }

    #[test]
    fn a_dash_is_stdin_by_name() {
        let named = |text: Option<&str>, file: Option<&str>| {
            let input = open(text.map(str::to_owned), file.map(Path::new)).expect("opens");
            input.and_then(|input| input.name)
        };
        assert_eq!(named(Some("-"), None).as_deref(), Some("stdin"));
        assert_eq!(named(None, Some("-")).as_deref(), Some("stdin"));
        assert_eq!(named(Some("m f=1"), Some("-")).as_deref(), Some("the argument"));
    }
}
