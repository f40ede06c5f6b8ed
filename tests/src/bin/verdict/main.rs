//! Whether what is handed over is better than the base on rows that no search has seen:
//! `cargo run --release -p ar-tests --bin verdict -- [--json] [--seeds N] [--folder DIR] [TABLE...]`.
//!
//! Three in ten rows of each table are put aside before anything is done with it. The program runs on the others with its
//! defaults; three rules then say what of that study is handed over: *ours* is what the program did hand over, *best seen*
//! the highest score of cross-validation, *posterior mean* the candidate of the verdict without its test. Their gains over
//! the base on the outer rows are told in points: hundredths of accuracy, or of r2 where the target is a number.

mod error;
mod process;
mod score;
mod split;
mod study;
mod summary;
mod tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use ar_tests::figures::Figures;
use ar_worker::environment::{self, Request};
use clap::Parser;
use serde_json::{Value, json};

use error::BenchError;
use study::{Outcome, Rule};
use summary::{FLOOR, Gains, KEPT, Row};
use tables::Table;

/// Judges what the program hands over on rows that it never saw.
#[derive(Debug, Parser)]
#[command(name = "verdict")]
struct Args {
    /// Print one JSON object per figure
    #[arg(long)]
    json: bool,
    /// Seeds of each table; each draws its own outer rows
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Folder with further tables: CSV files whose last column is the target
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Tables to judge [default: all there are]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let figures = Figures::new(args.json);
    match bench(&args, &figures).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            figures.note(&error.to_string());
            ExitCode::from(2)
        }
    }
}

/// Returns whether every study has figures.
async fn bench(args: &Args, figures: &Figures) -> Result<bool, BenchError> {
    let python = python(figures).await?;
    let scratch = scratch()?;
    let tables = tables::find(&python, scratch.path(), args.folder.as_deref(), &args.tables)?;
    let (mut rows, mut complete) = (Vec::new(), true);
    for table in &tables {
        let mut outcomes = Vec::new();
        for seed in 0..args.seeds {
            let started = Instant::now();
            match judge(table, seed, &python) {
                Ok(outcome) => {
                    figures.note(&progress(table, seed, &outcome, started.elapsed().as_secs_f64()));
                    outcomes.push(outcome);
                }
                Err(error) => {
                    complete = false;
                    figures.note(&format!("{}, seed {seed}: {error}", table.name));
                }
            }
        }
        rows.extend(Row::of(&table.name, &outcomes));
    }
    rows.iter().for_each(|row| tell_row(figures, row));
    tell_overall(figures, &rows);
    Ok(complete)
}

/// The interpreter of the program's own environment.
async fn python(figures: &Figures) -> Result<PathBuf, BenchError> {
    let cache = environment::default_cache().unwrap_or_else(std::env::temp_dir);
    let request = Request { lock: ar_runner::REQUIREMENTS, complete: true, cache: &cache, python: None };
    // The program is asked for the same and finds it there.
    Ok(environment::ensure(&request, |step| figures.note(&step)).await?.python)
}

fn judge(table: &Table, seed: u64, python: &Path) -> Result<Outcome, BenchError> {
    study::judge(table, seed, python, scratch()?.path())
}

/// A folder that goes when its study has ended.
fn scratch() -> Result<tempfile::TempDir, BenchError> {
    tempfile::tempdir().map_err(error::file(&std::env::temp_dir()))
}

fn progress(table: &Table, seed: u64, outcome: &Outcome, seconds: f64) -> String {
    let gains: Vec<String> =
        outcome.gains.iter().map(|(rule, gain)| format!("{} {:+.2}", rule.name(), gain.points)).collect();
    format!(
        "{}, seed {seed}: {}; base {:.4} on {} outer rows; gains in points: {} ({seconds:.0} s)",
        table.name,
        if outcome.beats_base { "beats the base" } else { "the base is kept" },
        outcome.base,
        outcome.outer_rows,
        gains.join(", "),
    )
}

/// A figure with the fields of every bench and more of its own.
fn figure(name: &str, value: f64, goal: &str, more: &Value) -> Value {
    let mut object = json!({"figure": name, "value": value, "unit": "points", "goal": goal, "peers": {}});
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    object
}

/// A standard error for people; nothing where one seed or one table gives none.
fn plus_minus(error: f64) -> String {
    if error.is_finite() { format!(" +- {error:.2}") } else { String::new() }
}

fn tell_row(figures: &Figures, row: &Row) {
    let mut cells = format!(
        "{:<16} base {:.4}, beaten in {} of {}, {:>4} outer rows",
        row.table, row.base, row.beats_base, row.seeds, row.outer_rows
    );
    let mut objects = Vec::new();
    for (rule, estimate) in &row.rules {
        let name = rule.name();
        cells += &format!(
            "   {name} {:+.2}{} (rows: {:.2})",
            estimate.mean,
            plus_minus(estimate.seed_error),
            estimate.row_error
        );
        let goal = if *rule == Rule::Ours { format!(">= {FLOOR}") } else { String::new() };
        let mut object = figure(
            &format!("{}: gain of {name} on outer rows", row.table),
            estimate.mean,
            &goal,
            &json!({
                "table": row.table, "rule": name, "gain_mean": estimate.mean, "gain_se": estimate.seed_error,
                "gain_se_rows": estimate.row_error, "seeds": row.seeds, "outer_rows": row.outer_rows,
                "base_score": row.base, "beats_base": row.beats_base,
            }),
        );
        if *rule == Rule::Ours {
            let others = Rule::ALL.into_iter().filter(|other| other != rule);
            object["peers"] = others.map(|other| (other.name(), row.gain(other))).collect();
        }
        objects.push(object);
    }
    figures.tell_row(&cells, &objects);
}

fn tell_overall(figures: &Figures, rows: &[Row]) {
    for rule in Rule::ALL {
        let Some(overall) = summary::overall(rows, rule) else { return };
        let name = rule.name();
        let (worst, lowest) = &overall.worst;
        let line = format!(
            "over {} tables   {name:<16} {:+.2}{}   worst {lowest:+.2} on {worst}   below {FLOOR} on {}",
            rows.len(),
            overall.mean,
            plus_minus(overall.error),
            overall.below
        );
        let more =
            json!({"rule": name, "gain_mean": overall.mean, "gain_se": overall.error, "tables": rows.len()});
        let goal = if rule == Rule::Ours { format!(">= {FLOOR}") } else { String::new() };
        let mut below = figure(
            &format!("tables on which {name} is below {FLOOR} points"),
            overall.below as f64,
            if rule == Rule::Ours { "<= 0" } else { "" },
            &json!({"rule": name, "tables": rows.len()}),
        );
        below["unit"] = json!("tables");
        let objects = [
            figure(&format!("gain of {name} over {} tables", rows.len()), overall.mean, "", &more),
            figure(&format!("lowest gain of {name}"), *lowest, &goal, &json!({"rule": name, "table": worst})),
            below,
        ];
        figures.tell_row(&line, &objects);
    }
    for other in [Rule::BestSeen, Rule::PosteriorMean] {
        let (difference, spread) = summary::ahead(rows, other);
        let name = format!("gain of ours less that of {}, over {} tables", other.name(), rows.len());
        let line = format!("{name}   {difference:+.2}{}", plus_minus(spread));
        figures.tell_row(&line, &[figure(&name, difference, "", &json!({"gain_se": spread}))]);
    }
    tell_kept(figures, rows, Gains::Real, "gains above 1 point");
    tell_kept(figures, rows, Gains::Clear, "gains above 1 point and twice their error by rows");
}

fn tell_kept(figures: &Figures, rows: &[Row], gains: Gains, which: &str) {
    let Some(kept) = summary::kept(rows, gains) else {
        figures.note(&format!("no rule has {which} on any table: nothing was there to be kept"));
        return;
    };
    let (least, share) = &kept.least;
    let name = format!("share of the best rule's {which} that ours keeps");
    let line = format!(
        "{name} ({} tables)   {:.2}   least {share:.2} on {least}   goal >= {KEPT}",
        kept.tables, kept.share
    );
    let more = json!({"tables": kept.tables, "least": share, "least_table": least});
    let mut object = figure(&name, kept.share, &format!(">= {KEPT}"), &more);
    object["unit"] = json!("share");
    figures.tell_row(&line, &[object]);
}
