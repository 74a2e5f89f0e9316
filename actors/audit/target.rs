//! Where the lines of the audit log go.

use super::file::{LogFile, RotatedFile};
use std::io::{self, Write};

/// What is told, and where.
#[derive(Clone, Debug, Default)]
pub struct AuditOptions {
    /// Where lines go.
    pub target: AuditTarget,
    /// Statements are told too.
    pub queries: bool,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditTarget {
    /// Nowhere: the system table has the newest entries.
    #[default]
    None,
    /// To standard output.
    Stdout,
    /// To a file.
    File(RotatedFile),
}

impl AuditTarget {
    /// Makes sure that lines can be written.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::None | Self::Stdout => Ok(()),
            Self::File(file) => LogFile::open(file.clone()).map(drop),
        }
    }
}

/// What is open for lines.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout,
    File(LogFile),
}

impl Sink {
    /// `None` where lines go nowhere.
    pub(super) fn open(target: &AuditTarget) -> io::Result<Option<Self>> {
        match target {
            AuditTarget::None => Ok(None),
            AuditTarget::Stdout => Ok(Some(Self::Stdout)),
            AuditTarget::File(file) => LogFile::open(file.clone()).map(Self::File).map(Some),
        }
    }

    /// Writes whole lines; returns once they are on stable storage.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File(file) => file.append(lines),
        }
    }
}
