//! One process per store.
//!
//! The truth is the operating system's lock on `store.lock`, which ends with its process however
//! that ends. What the file says is for the person who is refused.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::JournalError;
use super::files;

const NAME: &str = "store.lock";
/// Command lines can be long; a message should not be.
const SHOWN: usize = 200;

/// The exclusive right to a store, until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of the store in `dir`, which exists.
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        let mut file = files::private()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| JournalError::io("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(JournalError::io("lock", &path, error)),
        }
        sign(&mut file).map_err(|e| JournalError::io("write", &path, e))?;
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    let started = humantime::format_rfc3339_seconds(SystemTime::now());
    let text = format!("pid {}\ncommand {}\nstarted {started}\n", std::process::id(), command_line());
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

/// The command line as typed, but for the folder of the program.
fn command_line() -> String {
    let mut args = std::env::args_os();
    let program = args.next().map(PathBuf::from).unwrap_or_default();
    let mut words = vec![program.file_name().unwrap_or_default().to_string_lossy().into_owned()];
    words.extend(args.map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

/// Who holds the lock, by what it wrote; it may not have come to that yet.
fn holder(file: &mut File) -> String {
    let mut bytes = Vec::new();
    if file.take(4096).read_to_end(&mut bytes).is_err() {
        return "another process".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    match (field("pid "), field("command ")) {
        (Some(pid), Some(command)) => format!("process {pid} ({command})"),
        _ => "another process".to_owned(),
    }
}
