//! What happened in a run, line by line, and its digest.

/// Collects the lines of a run. Two runs of one seed have equal digests.
#[derive(Debug)]
pub struct Trace {
    digest: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that keeps its lines, or only their digest.
    pub fn new(keep: bool) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, lines: keep.then(Vec::new) }
    }

    /// Adds to the digest alone.
    pub fn mix(&mut self, text: &str) {
        for byte in text.bytes() {
            // FNV-1a: it need not be strong, only the same on every machine.
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds a line that does not count for the digest.
    pub fn note(&mut self, text: String) {
        if let Some(lines) = &mut self.lines {
            lines.push(text);
        }
    }

    /// Adds a line.
    pub fn line(&mut self, text: String) {
        self.mix(&text);
        if let Some(lines) = &mut self.lines {
            lines.push(text);
        }
    }

    /// The digest of everything so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines, if they are kept.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
