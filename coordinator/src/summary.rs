//! What a study found, in words and tables for people.

use std::collections::BTreeMap;
use std::path::Path;

use ar_common::StudyId;

use crate::results::{self, ClassPart, ContributionPart, HoldoutPart, Report, WarmPart};

/// Configurations shown of the ranking.
const TOP: usize = 10;
/// Options shown per slot.
const OPTIONS: usize = 4;
/// Families and encodings named that no experiment covered.
const UNCOVERED: usize = 6;
/// Kinds of errors shown.
const ERRORS: usize = 3;

/// The summary. `folder` is where the results are, `out` what `--out` was.
pub fn text(report: &Report, folder: &Path, out: &Path, width: usize) -> String {
    let mut lines = Vec::new();
    lines.extend(ranking(report));
    lines.extend(warm(report));
    lines.extend(classes(report));
    lines.extend(contributions(report));
    lines.extend(failures(report, width));
    lines.extend(answer(report, width));
    lines.extend(places(report, folder, out));
    // Names and paths are the user's; each line is one line.
    lines.iter().map(|line| crate::text::plain(line)).collect::<Vec<_>>().join("\n")
}

/// The commonest reasons for which experiments have no score, most frequent first.
pub fn commonest_errors(report: &Report, most: usize) -> Vec<(usize, String)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for experiment in &report.experiments {
        let failed =
            !matches!(experiment.outcome.as_str(), "done" | "duplicate" | "cancelled" | "stopped early");
        if let Some(reason) = experiment.reason.as_deref().filter(|_| failed) {
            let reason = one_line(reason);
            *counts.entry(format!("{}: {reason}", experiment.outcome)).or_default() += 1;
        }
    }
    let mut ranked: Vec<(usize, String)> =
        counts.into_iter().map(|(reason, count)| (count, reason)).collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranked.truncate(most);
    ranked
}

/// Text without line ends and without what steers a terminal.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+,:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A score as people read it: four digits after the point, fewer where the number is large.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 1e4 => 0,
        large if large >= 100.0 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// A difference as people read it, with its sign.
fn signed(value: f64) -> String {
    let plus = if value < 0.0 { "" } else { "+" };
    format!("{plus}{}", figure(value))
}

/// Rows as lines whose cells stand below each other. The first row is the head.
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let pad = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
    let line = |row: &Vec<String>| {
        row.iter().zip(&widths).map(pad).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn ranking(report: &Report) -> Vec<String> {
    if report.ranking.is_empty() {
        return vec!["ranking   no experiment has a score".to_owned()];
    }
    let metric = &report.study.metric;
    let mut rows = vec![
        [
            "",
            metric,
            if report.study.is_training() { "runs" } else { "folds" },
            "mode",
            "what differs from the base",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for (place, ranked) in (1..).zip(report.ranking.iter().take(TOP)) {
        let spread = ranked.spread.map(|spread| format!(" ± {}", figure(spread))).unwrap_or_default();
        rows.push(vec![
            format!("{place:>2}."),
            format!("{}{spread}", figure(ranked.score)),
            ranked.folds.to_string(),
            ranked.mode.clone(),
            format!(
                "{}{}",
                ranked.label,
                if ranked.cost.feasible { "" } else { "  (breaks the constraints)" }
            ),
        ]);
    }
    let shown: Vec<&str> = report.ranking.iter().take(TOP).map(|ranked| ranked.label.as_str()).collect();
    if !shown.contains(&"base")
        && let Some((place, base)) = (1..).zip(&report.ranking).find(|(_, ranked)| ranked.label == "base")
    {
        let spread = base.spread.map(|spread| format!(" ± {}", figure(spread))).unwrap_or_default();
        rows.push(vec![
            format!("{place:>2}."),
            format!("{}{spread}", figure(base.score)),
            base.folds.to_string(),
            base.mode.clone(),
            "base".to_owned(),
        ]);
    }
    let mean = match report.study.is_training() {
        true => "mean over all runs",
        false => "mean over all folds seen ± spread of the folds",
    };
    let mut lines = vec![format!("ranking   {mean}; the top of a ranking is flattering")];
    lines.extend(columns(&rows).into_iter().map(|line| format!("  {line}")));
    if let Some(floor) = &report.floor {
        lines.push(format!("  floor: a model that learns nothing has {metric} {}", figure(floor.score)));
    }
    lines
}

/// The best runs that went on from a checkpoint, where there are any.
fn warm(report: &Report) -> Vec<String> {
    if report.warm.is_empty() {
        return Vec::new();
    }
    let row = |run: &WarmPart| {
        let trained = format!("{:.0} s", run.seconds_trained);
        vec![format!("  #{} from #{}", run.id, run.from), figure(run.score), trained, run.label.clone()]
    };
    let rows: Vec<Vec<String>> = report.warm.iter().take(OPTIONS).map(row).collect();
    let mut lines = vec![
        "warm      runs that went on from a checkpoint; they trained longer in all, so they do not compare with the ranking:"
            .to_owned(),
    ];
    lines.extend(columns(&rows));
    lines
}

/// The best of each class of device, where there is more than one.
fn classes(report: &Report) -> Vec<String> {
    if report.best_per_class.is_empty() {
        return Vec::new();
    }
    let row = |part: &ClassPart| {
        let (score, label) = match &part.best {
            Some(best) => (figure(best.score), best.label.clone()),
            None => ("-".to_owned(), "nothing on the study's own seed".to_owned()),
        };
        vec![format!("  {}", part.class), score, format!("{} runs", part.runs), label]
    };
    let rows: Vec<Vec<String>> = report.best_per_class.iter().map(row).collect();
    let mut lines = vec![
        "classes   the runs were on different devices, whose scores do not compare; the best of each:"
            .to_owned(),
    ];
    lines.extend(columns(&rows));
    lines
}

fn contributions(report: &Report) -> Vec<String> {
    let mut slots: Vec<(&str, Vec<&ContributionPart>)> = Vec::new();
    for part in &report.contributions {
        match slots.iter_mut().find(|(slot, _)| *slot == part.slot) {
            Some((_, parts)) => parts.push(part),
            None => slots.push((&part.slot, vec![part])),
        }
    }
    if slots.is_empty() {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (slot, mut parts) in slots {
        parts.sort_by(|a, b| b.mean.total_cmp(&a.mean));
        let more = parts.len().saturating_sub(OPTIONS);
        let mut shown: Vec<String> =
            parts.iter().take(OPTIONS).map(|part| format!("{} {}", part.option, signed(part.mean))).collect();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        rows.push(vec![format!("  {slot}"), shown.join(", ")]);
    }
    let mut lines =
        vec!["slots     what the best options contributed against the slot's base (+ is better)".to_owned()];
    lines.extend(columns(&rows));
    lines
}

fn failures(report: &Report, width: usize) -> Vec<String> {
    let errors = commonest_errors(report, ERRORS);
    let failed: usize = commonest_errors(report, usize::MAX).iter().map(|(count, _)| count).sum();
    let duplicates = report.experiments.iter().filter(|e| e.outcome == "duplicate").count();
    let mut lines = Vec::new();
    if failed > 0 {
        lines.push(format!("failed    {failed} experiments have no score:"));
        lines.extend(errors.into_iter().map(|(count, reason)| format!("  {count} x {reason}")));
    }
    if duplicates > 0 {
        lines.push(format!("twins     {duplicates} turned out to be the same as another and were refunded"));
    }
    let (early, saved) = report.stopped_early();
    if early > 0 {
        let were = if early == 1 { "was" } else { "were" };
        lines.push(format!(
            "early     {early} {were} stopped, behind the best on each of the first folds; {saved:.1} evaluations were saved"
        ));
    }
    if !report.uncovered.is_empty() {
        let more = report.uncovered.len().saturating_sub(UNCOVERED);
        let shown: Vec<&str> = report.uncovered.iter().take(UNCOVERED).map(String::as_str).collect();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        lines.extend(wrapped("not tried ", &format!("{}{more}", shown.join(", ")), width));
    }
    lines
}

fn answer(report: &Report, width: usize) -> Vec<String> {
    let Some(verdict) = &report.verdict else {
        let best = report
            .best
            .as_ref()
            .map(|best| format!("; best seen so far: {} ({})", best.label, figure(best.score)));
        let state = match report.study.state.as_str() {
            "failed" if !report.ranking.is_empty() => "nothing that has a score keeps to the constraints",
            "failed" => "no experiment succeeded",
            _ => "not finished",
        };
        return vec![format!("verdict   {state}{}", best.unwrap_or_default())];
    };
    let mut lines = wrapped("verdict   ", &verdict.text, width);
    if !verdict.beats_base && verdict.winner_label == "base" {
        lines.extend(wrapped("          ", "The base is kept: it is what best/ holds.", width));
    }
    match &report.holdout {
        Some(holdout) => lines.extend(wrapped("sealed    ", &sealed(holdout, report), width)),
        None if report.study.holdout.is_some() => {
            let why = report.holdout_reason.as_deref().unwrap_or("the sealed rows have no score");
            lines.extend(wrapped("sealed    ", &one_line(why), width));
        }
        None if report.study.is_training() => lines.extend(wrapped(
            "scores    ",
            match report.study.scores.as_deref() {
                Some("verified") => "verified: measured by another process on what each run left",
                _ => "self-reported: what the script itself printed, and nobody measured again",
            },
            width,
        )),
        None => lines.extend(wrapped(
            "sealed    ",
            "no rows were kept aside, so every score above was seen by the search; --holdout 0.2 seals a fifth",
            width,
        )),
    }
    lines
}

/// What the sealed rows say, in a sentence.
pub(crate) fn sealed(holdout: &HoldoutPart, report: &Report) -> String {
    let unseen = if holdout.openings > 1 {
        format!("; they have been opened {} times, so they are no longer unseen", holdout.openings)
    } else {
        String::new()
    };
    let candidate = report.verdict.as_ref().and_then(|verdict| verdict.candidate_label.clone());
    format!(
        "on {} rows that the search never saw: {} {} for {}, {} for the base; difference {}, {:.0} % interval {} to {} (+ is better){unseen}",
        holdout.rows,
        report.study.metric,
        figure(holdout.candidate_score),
        candidate.unwrap_or_else(|| "the base".to_owned()),
        figure(holdout.base_score),
        signed(holdout.difference),
        holdout.level * 100.0,
        signed(holdout.low),
        signed(holdout.high),
    )
}

fn places(report: &Report, folder: &Path, out: &Path) -> Vec<String> {
    let mut lines = vec![format!("results   {}", folder.display())];
    let page = folder.join("report.html");
    if page.is_file() {
        lines.push(format!("report    {}", page.display()));
    }
    let kept = out.join(results::FAILED);
    let of_study = format!("{}-", StudyId(report.study.id.as_str().into()).short());
    let failed = std::fs::read_dir(&kept).into_iter().flatten().flatten();
    let failed = failed.filter(|entry| entry.file_name().to_string_lossy().starts_with(&of_study)).count();
    if failed > 0 {
        let runs = if failed == 1 { "run" } else { "runs" };
        lines.push(format!(
            "kept      {failed} failed {runs} in {}, as {of_study}EXPERIMENT-ATTEMPT",
            kept.display()
        ));
    }
    if folder.join("best").join("model.joblib").is_file() {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let out = if out == Path::new("autoresearch") {
            String::new()
        } else {
            format!(" --out {}", quoted(&out.display().to_string()))
        };
        lines.push(format!("predict   ar-coordinator predict {} NEW.csv{out}", quoted(&name)));
        lines.push(format!(
            "          python {} {}",
            quoted(&folder.join("best/pipeline.py").display().to_string()),
            quoted(&report.study.data)
        ));
    }
    lines
}

/// A paragraph of at most `width` columns, its first line led by `head`, the others indented.
fn wrapped(head: &str, text: &str, width: usize) -> Vec<String> {
    let indent = head.chars().count();
    let room = width.saturating_sub(indent).max(30);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines
            .last()
            .is_some_and(|line| line.is_empty() || line.chars().count() + 1 + word.chars().count() <= room);
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let lead = |(n, line): (usize, String)| {
        if n == 0 { format!("{head}{line}") } else { format!("{:indent$}{line}", "") }
    };
    lines.into_iter().enumerate().map(lead).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_in_blanks() {
        let rows = [["a", "long cell", ""], ["bbb", "c", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), ["a    long cell", "bbb  c          d"]);
    }

    #[test]
    fn figures_have_the_digits_that_say_something() {
        assert_eq!(
            [0.83333, 25.5, 1234.567, 31798.054].map(figure),
            ["0.8333", "25.5000", "1234.57", "31798"]
        );
        assert_eq!([0.01, -0.5].map(signed), ["+0.0100", "-0.5000"]);
    }

    #[test]
    fn paragraphs_are_wrapped_below_their_head() {
        let lines = wrapped("verdict   ", "one two three four five six seven eight nine ten", 40);
        assert_eq!(lines[0], "verdict   one two three four five six");
        assert!(lines[1].starts_with("          seven"));
    }
}
