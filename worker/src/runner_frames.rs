//! Frames between the worker and the Python side: a 4-byte big-endian length, then one MessagePack map.
//! `worker/runner/README.md` is their contract.

use std::io::{self, Read};

use ar_common::frames::Unavailable;
use ar_common::{Block, Config, Member};
use serde::{Deserialize, Serialize};

/// Longest frame that is read, bytes; what is longer comes from a child that went wild.
pub(crate) const FRAME_LIMIT: usize = 1 << 20;
/// Most maps and arrays within each other in one. None has more than a few; what is deeper would overflow the stack, and a
/// child is a stranger's code.
const DEPTH: usize = 64;

/// To the fork server.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum ToServer<'a> {
    Run {
        id: u64,
        config: &'a Config,
        block: BlockFrame<'a>,
        memory_bytes: Option<u64>,
        out: Option<String>,
        #[serde(skip_serializing_if = "<[Member]>::is_empty")]
        members: &'a [Member],
    },
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum BlockFrame<'a> {
    Cv { repeat: u32 },
    Sealed { reference: &'a Config },
    Refit,
}

impl<'a> BlockFrame<'a> {
    pub(crate) fn new(block: Block, reference: &'a Config) -> Self {
        match block {
            // A table has no checkpoints.
            Block::Cv { .. } | Block::Warm { .. } => Self::Cv { repeat: block.repeat().unwrap_or(0) },
            Block::Sealed => Self::Sealed { reference },
            Block::Refit => Self::Refit,
        }
    }
}

/// From the fork server.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum FromServer {
    Ready(Ready),
    Failed {
        message: String,
    },
    Started {
        id: u64,
        pid: i32,
    },
    Exited {
        id: u64,
        code: Option<i32>,
        signal: Option<i32>,
        #[serde(default)]
        peak_rss_bytes: u64,
    },
}

/// What the server says once it has imported and loaded.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    pub(crate) rows: u64,
    pub(crate) train_rows: u64,
    pub(crate) sealed_rows: u64,
    pub(crate) import_seconds: f64,
    pub(crate) load_seconds: f64,
    pub(crate) unavailable: Vec<Unavailable>,
}

/// From a child.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum FromChild {
    Matrix {
        hash: String,
    },
    Fold {
        fold: u32,
        score: Number,
        seconds: Number,
    },
    Result(ResultFrame),
    Error {
        kind: ErrorKind,
        message: String,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorKind {
    Crashed,
    NoMetric,
    OutOfMemory,
}

/// The last frame of an attempt that ran to its end; which fields are there depends on its block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResultFrame {
    pub(crate) score: Option<Number>,
    pub(crate) folds: Vec<Number>,
    pub(crate) seconds: f64,
    pub(crate) predict_seconds: Option<f64>,
    pub(crate) reference_score: Option<f64>,
    pub(crate) difference: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) level: Option<f64>,
    pub(crate) rows: Option<u64>,
    pub(crate) files: Vec<String>,
    /// Of an ensemble: what each member weighs.
    pub(crate) weights: Vec<u32>,
}

/// What stands where a score should: a number, or something else, which is read as "not a number" so
/// that it ends as an outcome with a reason.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(from = "Said")]
pub(crate) struct Number(pub(crate) f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Number(f64),
    Other(serde::de::IgnoredAny),
}

impl From<Said> for Number {
    fn from(said: Said) -> Self {
        match said {
            Said::Number(number) => Self(number),
            Said::Other(_) => Self(f64::NAN),
        }
    }
}

/// A frame as bytes.
pub(crate) fn encode(frame: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = rmp_serde::to_vec_named(frame).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Reads the next frame; `None` at the end of the stream.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_LIMIT {
        return Err(io::Error::other(format!("a frame of {length} bytes, at most {FRAME_LIMIT} are read")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// What a body says.
fn decode<T: for<'de> Deserialize<'de>>(body: &[u8]) -> io::Result<T> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(DEPTH);
    T::deserialize(&mut deserializer).map_err(io::Error::other)
}

/// Collects frames from bytes as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Adds bytes and takes out the frames that are whole now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<FromChild>> {
        self.buffer.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some((head, rest)) = self.buffer.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > FRAME_LIMIT {
                return Err(io::Error::other(format!(
                    "a frame of {length} bytes, at most {FRAME_LIMIT} are read"
                )));
            }
            let Some(body) = rest.get(..length) else { break };
            frames.push(decode(body)?);
            self.buffer.drain(..4 + length);
        }
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Matrix {
        op: &'static str,
        hash: &'static str,
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let mut bytes = encode(&Matrix { op: "matrix", hash: "ab" }).unwrap();
        bytes.extend(encode(&Matrix { op: "later_version", hash: "x" }).unwrap());
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for byte in &bytes {
            found.extend(frames.push(&[*byte]).unwrap());
        }
        assert!(matches!(found.as_slice(), [FromChild::Matrix { .. }, FromChild::Unknown]));
        let whole: Option<FromChild> = read(&mut bytes.as_slice()).unwrap();
        assert!(matches!(whole, Some(FromChild::Matrix { hash }) if hash == "ab"));
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        assert!(Frames::default().push(&u32::MAX.to_be_bytes()).is_err());
        assert!(read::<FromServer>(&mut u32::MAX.to_be_bytes().as_slice()).is_err());
    }

    /// Everything that a child and the server say.
    fn said() -> Vec<Vec<u8>> {
        let ready = json!({"op": "ready", "rows": 5, "train_rows": 4, "sealed_rows": 1, "import_seconds": 0.5,
            "load_seconds": 0.1, "unavailable": [{"dimension": "m", "option": "o", "reason": "r"}]});
        let result = json!({"op": "result", "score": 0.5, "folds": [0.5, "?"], "seconds": 1.5, "difference": 0.1,
            "rows": 5, "files": ["model.bin"], "weights": [1, 2]});
        [
            ready,
            result,
            json!({"op": "failed", "message": "no"}),
            json!({"op": "started", "id": 1, "pid": 2}),
            json!({"op": "exited", "id": 1, "code": null, "signal": 9}),
            json!({"op": "matrix", "hash": "ab"}),
            json!({"op": "fold", "fold": 1, "score": 0.5, "seconds": 0.1}),
            json!({"op": "error", "kind": "crashed", "message": "no"}),
        ]
        .iter()
        .map(|frame| encode(frame).unwrap())
        .collect()
    }

    fn is_read(bytes: &[u8]) -> bool {
        let server: io::Result<Option<FromServer>> = read(&mut &*bytes);
        let child = Frames::default().push(bytes);
        server.is_ok_and(|frame| frame.is_some()) || child.is_ok_and(|frames| !frames.is_empty())
    }

    /// A child is a stranger's code. Whatever it writes is a frame or an error, at no more cost than its length.
    #[test]
    fn whatever_a_child_writes_is_a_frame_or_an_error() {
        assert!(said().iter().all(|frame| is_read(frame)));
        let mut draws = rand::rngs::StdRng::seed_from_u64(1);
        for _ in 0..5_000 {
            let mut all = said();
            let frame = &mut all[draws.random_range(0..8)];
            for _ in 0..draws.random_range(1..6) {
                let at = draws.random_range(0..frame.len());
                frame[at] = draws.random();
            }
            frame.truncate(draws.random_range(0..=frame.len()));
            is_read(frame);
        }
        // A map, an array, a text and bytes of 4 billion; and arrays within arrays, deeper than any stack.
        let frame = |body: &[u8]| [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
        for start in [0xdf, 0xdd, 0xdb, 0xc6] {
            assert!(!is_read(&frame(&[start, 0xff, 0xff, 0xff, 0xff, 0x01])));
        }
        for nested in [0x91, 0x81] {
            assert!(!is_read(&frame(&vec![nested; FRAME_LIMIT])));
        }
    }
}
