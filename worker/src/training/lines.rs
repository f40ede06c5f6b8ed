//! A stream cut into lines, by line ends and carriage returns. What is longer than anybody looks at is no line.

/// The line that is being read.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Longest line, bytes.
    most: usize,
    line: Vec<u8>,
    /// Whether it is longer.
    over: bool,
}

impl Lines {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), over: false }
    }

    /// Takes the next bytes and gives the lines that end in them.
    pub(crate) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ends = part.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r'));
            let text = part.get(..part.len() - usize::from(ends)).unwrap_or_default();
            let room = self.most.saturating_sub(self.line.len());
            self.over |= text.len() > room;
            self.line.extend_from_slice(text.get(..text.len().min(room)).unwrap_or_default());
            if ends && let Some(whole) = self.end() {
                line(&whole);
            }
        }
    }

    /// Ends the line, as the end of the stream does; `None` if it was too long.
    pub(crate) fn end(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        (!std::mem::take(&mut self.over)).then_some(line)
    }
}
