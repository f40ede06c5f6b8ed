//! What a training script prints: its summary block and its metric, read as the output passes.
//!
//! The block is the one of Karpathy's autoresearch: a line `---`, then lines `key: value`. A line of JSON with the metric
//! counts as a block, too. Where neither comes, one line `metric: value` will do. What is printed twice decides nothing.

use std::collections::BTreeMap;

use regex::Regex;

use super::lines::Lines;

/// Longest line that is looked at, bytes; what is longer is no summary.
const LINE: usize = 16 << 10;
/// Figures kept of a block, at most.
const FIGURES: usize = 64;
/// Longest name of a figure, characters.
const NAME: usize = 64;

/// Reads a stream for a summary.
#[derive(Debug)]
pub(crate) struct Reader {
    metric: String,
    regex: Option<Regex>,
    lines: Lines,
    /// Blocks begun so far.
    blocks: u32,
    /// The metric as printed in blocks.
    scores: Vec<String>,
    /// As printed elsewhere.
    loose: Vec<String>,
    /// The last one that the regular expression found.
    matched: Option<String>,
    figures: BTreeMap<String, f64>,
    /// The script said that it failed.
    failed: bool,
}

/// What was printed, once the stream has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// The metric.
    pub(crate) score: f64,
    /// Everything else that was a number.
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Reader {
    pub(crate) fn new(metric: &str, regex: Option<Regex>) -> Self {
        Self {
            metric: metric.to_owned(),
            regex,
            lines: Lines::new(LINE),
            blocks: 0,
            scores: Vec::new(),
            loose: Vec::new(),
            matched: None,
            figures: BTreeMap::new(),
            failed: false,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(LINE));
        lines.push(bytes, |line| self.read(String::from_utf8_lossy(line).trim()));
        self.lines = lines;
    }

    /// Whether the metric of a block, or what the regular expression asks for, has passed.
    pub(crate) fn has_score(&self) -> bool {
        !self.scores.is_empty()
    }

    fn read(&mut self, line: &str) {
        if let Some(found) = self.regex.as_ref().and_then(|regex| regex.captures(line)) {
            let group = found.get(1).or_else(|| found.get(0));
            self.matched = group.map(|group| group.as_str().to_owned());
        }
        if line == "FAIL" {
            self.failed = true;
        } else if line == "---" {
            self.blocks += 1;
        } else if let Some(object) = line.strip_prefix('{').and_then(|_| json(line)) {
            if let Some(score) = object.get(&self.metric) {
                self.scores.push(printed(score));
                let others = object.iter().filter(|(name, _)| **name != self.metric);
                let figures: Vec<(String, f64)> =
                    others.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
                figures.into_iter().for_each(|(name, value)| self.figure(&name, value));
            }
        } else if let Some((name, value)) = line.split_once([':', '=']) {
            self.named(name.trim(), value.trim());
        }
    }

    fn named(&mut self, name: &str, value: &str) {
        if name == self.metric {
            let kept = value.chars().take(NAME).collect();
            if self.blocks > 0 { self.scores.push(kept) } else { self.loose.push(kept) }
        } else if self.blocks > 0
            && let Ok(value) = value.parse()
        {
            self.figure(name, value);
        }
    }

    fn figure(&mut self, name: &str, value: f64) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./%".contains(c);
        let fits = !name.is_empty() && name.chars().count() <= NAME && name.chars().all(plain);
        if fits && value.is_finite() && (self.figures.len() < FIGURES || self.figures.contains_key(name)) {
            self.figures.insert(name.to_owned(), value);
        }
    }

    /// What was printed, or why that is no score.
    pub(crate) fn finish(mut self) -> Result<Summary, String> {
        if let Some(last) = self.lines.end() {
            self.read(String::from_utf8_lossy(&last).trim());
        }
        let metric = &self.metric;
        if self.failed {
            return Err("the script printed FAIL".to_owned());
        }
        let texts = match (&self.matched, self.scores.is_empty()) {
            (Some(matched), _) => std::slice::from_ref(matched),
            (None, false) => &self.scores,
            (None, true) => &self.loose,
        };
        let [text] = texts else {
            return Err(match texts.len() {
                0 if self.regex.is_some() => "nothing that was printed matches --metric-regex".to_owned(),
                0 => format!(
                    "no line `{metric}: NUMBER` was printed; name what is with --metric or --metric-regex"
                ),
                n => format!("{metric} was printed {n} times; which one counts is not to be guessed"),
            });
        };
        // What Rust takes for a number and Python prints differ in `nan` and `inf` alone, which are none.
        let score: f64 = text
            .parse()
            .map_err(|_| format!("{metric} is `{}`, not a number", crate::output::one_line(text)))?;
        if !score.is_finite() {
            return Err(format!("{metric} is {score}, not a number that can be compared"));
        }
        Ok(Summary { score, figures: self.figures })
    }
}

fn json(line: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(line).ok()
}

fn printed(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "---\nval_bpb:          0.997900\ntraining_seconds: 300.1\npeak_vram_mb:     45060.2\n\
                         num_steps:        953\ndepth:            8\n";

    fn read(text: &[u8]) -> Result<Summary, String> {
        let mut whole = Reader::new("val_bpb", None);
        whole.push(text);
        let mut bytewise = Reader::new("val_bpb", None);
        text.chunks(1).for_each(|byte| bytewise.push(byte));
        let (whole, bytewise) = (whole.finish(), bytewise.finish());
        assert_eq!(whole, bytewise, "how the stream is cut changes nothing");
        whole
    }

    #[test]
    fn the_block_is_read_with_its_figures() {
        let noise = "step 00001 (0.3%) | loss: 5.1\rstep 00002 (0.6%) | loss: 4.9\r\n";
        let summary = read(format!("{noise}{BLOCK}").as_bytes()).unwrap();
        assert_eq!(summary.score, 0.9979);
        assert_eq!((summary.figures["training_seconds"], summary.figures["num_steps"]), (300.1, 953.0));
        assert_eq!(summary.figures.len(), 4);
        let crlf = read(BLOCK.replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(crlf, summary, "line ends do not matter, nor progress before the block");
        let mut ugly = b"caf\xe9 \xff\n".to_vec();
        ugly.extend(BLOCK.as_bytes());
        ugly.extend([b'x'; 100_000]);
        assert_eq!(read(&ugly).unwrap(), summary, "nor bytes that are no text, nor an endless last line");
    }

    #[test]
    fn a_line_of_json_or_one_loose_line_will_do() {
        let summary = read(b"{\"val_bpb\": 1.25, \"depth\": 4, \"who\": \"me\"}\n").unwrap();
        assert_eq!((summary.score, summary.figures["depth"]), (1.25, 4.0));
        assert_eq!(read(b"val_bpb: 2.5").unwrap().score, 2.5, "without a line end");
        assert_eq!(
            read(b"val_bpb: 9\nval_bpb: 8\n---\nval_bpb: 2.5\n").unwrap().score,
            2.5,
            "the block counts"
        );
    }

    #[test]
    fn what_is_no_score_has_a_reason() {
        let why = |text: &str| read(text.as_bytes()).unwrap_err();
        assert!(why("loss: 1\n").contains("no line `val_bpb: NUMBER`"));
        assert!(why("---\nval_bpb: nan\n").contains("is NaN"));
        assert!(why("---\nval_bpb: inf\n").contains("is inf"));
        assert!(why("---\nval_bpb: great\n").contains("`great`, not a number"));
        assert!(why("---\nval_bpb: 1\n---\nval_bpb: 2\n").contains("printed 2 times"));
        assert!(why("val_bpb: 1\nval_bpb: 2\n").contains("printed 2 times"));
        assert!(why(&format!("FAIL\n{BLOCK}")).contains("FAIL"));
        assert!(why("{\"val_bpb\": null}").contains("`null`"));
        assert!(why("").contains("no line"));
    }

    #[test]
    fn a_regular_expression_takes_the_last_that_it_finds() {
        let regex = Regex::new(r"final loss (\S+)").unwrap();
        let mut reader = Reader::new("loss", Some(regex.clone()));
        reader.push(b"final loss 2.0\nfinal loss 1.5\n");
        assert_eq!(reader.finish().unwrap().score, 1.5);
        let reader = Reader::new("loss", Some(regex));
        assert!(reader.finish().unwrap_err().contains("--metric-regex"));
    }
}
