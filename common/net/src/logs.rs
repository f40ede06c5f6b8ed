//! Logs: to standard error or a file, as text or JSON, filtered by `AR_LOG` (e.g. `AR_LOG=ar_worker=debug`).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The form of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line of text for each event; control characters of what it quotes are escaped.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

/// Sends logs to `file`, appended, or to standard error. Called once per process.
///
/// # Errors
/// When the file cannot be opened.
pub fn start(format: LogFormat, file: Option<&Path>, default: &str) -> io::Result<()> {
    let filter = EnvFilter::try_from_env("AR_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let sink = match file {
        Some(path) => Sink::File(Arc::new(File::options().create(true).append(true).open(path)?)),
        None => Sink::Error,
    };
    // On a full disk the log has gaps; what is told to people stays one line.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(true)
        .with_ansi(false)
        .log_internal_errors(file.is_none());
    // A second call, as in tests that share a process, changes nothing.
    let _ = match format {
        LogFormat::Text => lines.with_writer(Lines { sink, escape: true }).try_init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_writer(Lines { sink, escape: false }).try_init()
        }
    };
    Ok(())
}

/// Where lines go.
#[derive(Debug, Clone)]
enum Sink {
    File(Arc<File>),
    Error,
}

/// Makes the writer of one event's line.
#[derive(Debug, Clone)]
struct Lines {
    sink: Sink,
    escape: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// An event comes whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let escaped;
        let line = if self.escape {
            escaped = one_line(&String::from_utf8_lossy(event));
            escaped.as_bytes()
        } else {
            event
        };
        match &self.sink {
            Sink::File(file) => (&**file).write_all(line)?,
            Sink::Error => io::stderr().lock().write_all(line)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event as one line: what it quotes may come from anywhere, and must not steer a terminal or look like another event.
fn one_line(event: &str) -> String {
    let body = event.strip_suffix('\n').unwrap_or(event);
    let mut line = String::with_capacity(body.len() + 1);
    for c in body.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_quotes() {
        assert_eq!(one_line("INFO a=b\n"), "INFO a=b\n");
        assert_eq!(
            one_line("INFO why=x\nERROR forged\u{1b}[31m\u{9b}\t\r\n"),
            "INFO why=x\\nERROR forged\\u{1b}[31m\\u{9b}\\t\\r\n"
        );
    }
}
