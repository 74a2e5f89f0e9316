//! Where a command's text comes from: the command line, a file or stdin, in this order.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, Result};

/// A source of text that has been opened.
pub(super) struct Input {
    pub(super) reader: Box<dyn Read + Send>,
    /// Its length, if that is known beforehand.
    pub(super) bytes: Option<u64>,
}

/// Opens the text on the command line, else `file`, else stdin. Nothing if stdin is a terminal:
/// whoever sits there has forgotten an argument.
pub(super) fn open(text: Option<String>, file: Option<&Path>) -> Result<Option<Input>> {
    if let Some(text) = text {
        let bytes = Some(text.len() as u64);
        return Ok(Some(Input { reader: Box::new(std::io::Cursor::new(text)), bytes }));
    }
    if let Some(path) = file {
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        // A pipe or a device says 0.
        let bytes = metadata.is_file().then_some(metadata.len());
        return Ok(Some(Input { reader: Box::new(file), bytes }));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(None);
    }
    Ok(Some(Input { reader: Box::new(stdin), bytes: None }))
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
        let missing = directory.path().join("missing");
        let Err(error) = open(None, Some(&missing)) else { panic!("opened a missing file") };
        assert!(format!("{error:#}").contains("missing"), "{error:#}");
    }
}
