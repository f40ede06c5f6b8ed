//! `list`: the studies of a folder.

use std::path::{Path, PathBuf};

use crate::results::{self, FindError, Report};
use crate::summary::{columns, figure};

/// One line per study, or JSON.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(out: &Path, json: bool) -> Result<String, FindError> {
    let found = results::all(out)
        .map_err(|error| FindError::Unreadable { path: out.to_owned(), why: error.to_string() })?;
    if json {
        let entry = |(folder, report): &(PathBuf, Result<Report, FindError>)| match report {
            Ok(report) => {
                serde_json::json!({"folder": folder, "study": report.study, "best": report.best, "verdict": report.verdict})
            }
            Err(error) => serde_json::json!({"folder": folder, "error": error.to_string()}),
        };
        let list: Vec<serde_json::Value> = found.iter().map(entry).collect();
        return Ok(format!("{:#}", serde_json::Value::Array(list)));
    }
    if found.is_empty() {
        return Err(FindError::Empty(out.to_owned()));
    }
    let mut rows = vec![["study", "task", "experiments", "best seen", "verdict"].map(str::to_owned).to_vec()];
    let mut unreadable = Vec::new();
    for (folder, report) in &found {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match report {
            Ok(report) => rows.push(row(name, report)),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    let mut lines = columns(&rows);
    lines.extend(unreadable);
    Ok(lines.iter().map(|line| crate::text::plain(line)).collect::<Vec<_>>().join("\n"))
}

fn row(name: String, report: &Report) -> Vec<String> {
    let study = &report.study;
    let best = report
        .best
        .as_ref()
        .map(|best| format!("{} {}", study.metric, figure(best.score)))
        .unwrap_or_default();
    let verdict = match (&report.verdict, study.state.as_str()) {
        (Some(verdict), "finished") if verdict.beats_base => {
            format!("beats the base: {}", verdict.winner_label)
        }
        (Some(_), "finished") => "nothing is shown to beat the base".to_owned(),
        (_, "failed") => "no experiment succeeded".to_owned(),
        _ => "not finished; the same command goes on".to_owned(),
    };
    vec![name, format!("{} of {}", study.task, study.target), study.used(), best, verdict]
}
