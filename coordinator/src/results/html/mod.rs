//! `report.html`: a study on one page that needs nothing but a browser. No script, no network: the page forbids both
//! to itself. Every text that is not written here goes through [`escape::esc`].

mod answer;
mod axis;
mod curves;
mod escape;
mod history;
mod pairs;
mod picture;
mod plot;
mod ranking;
mod table;
mod teaching;
mod warm;

use std::fmt::Write;

use escape::esc;
pub(super) use picture::{png, svg};

use super::{ExplanationPart, Report};

const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) fn page(report: &Report) -> String {
    let nothing = ExplanationPart::default();
    let known = report.explanation.as_ref().unwrap_or(&nothing);
    let metric = &report.study.metric;
    let mut sections = vec![
        ("verdict", "Verdict", answer::section(report)),
        ("history-of", "History", history::section(report)),
        ("importance", "What matters", teaching::importance(known)),
        ("effects", "What options do", teaching::effects(known, metric)),
        ("pairs", "What options do together", pairs::section(known, metric)),
        ("ranking", "Ranking", ranking::table(report)),
        ("fronts", "Score against cost", ranking::fronts(report)),
        ("pruned", "What was given up", teaching::pruned(report)),
        ("uncovered", "What was not seen", teaching::uncovered(report)),
        ("reading", "How to read this", answer::how_to_read(report)),
    ];
    if let Some(curves) = curves::section(report) {
        sections.insert(2, ("curves-of", "Loss while training", curves));
    }
    if let Some(warm) = warm::section(report) {
        let after = sections.iter().position(|(id, ..)| *id == "fronts").unwrap_or(sections.len());
        sections.insert(after, ("warm-of", "Trained on from a checkpoint", warm));
    }
    let mut text = head(report);
    text.push_str("<nav aria-label=\"Sections\"><ul>");
    for (id, name, _) in &sections {
        let _ = write!(text, "<li><a href=\"#{id}\">{name}</a></li>");
    }
    text.push_str("</ul></nav><main>");
    for (id, name, body) in &sections {
        let name = if *id == "verdict" { answer::headline(report) } else { (*name).to_owned() };
        let _ = writeln!(text, "<section id=\"{id}\"><h2>{}</h2>{body}</section>", esc(&name));
    }
    text + "</main></body></html>\n"
}

fn head(report: &Report) -> String {
    let study = &report.study;
    let better = if report.minimizes() { "lower" } else { "higher" };
    let rows = study.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{name}: {metric} of {target}</title><style>{STYLE}</style></head><body>{shapes}\n\
         <header><h1>{name}</h1><p>{task} of <b>{target}</b> in {data}{rows}; {metric}, {better} is better; {used} \
         experiments; {state}</p></header>",
        name = esc(&study.name),
        metric = esc(&study.metric),
        target = esc(&study.target),
        task = esc(&study.task),
        data = esc(&study.data),
        shapes = plot::shapes(),
        used = study.used(),
        state = esc(if study.state == "running" { "not finished" } else { &study.state }),
    )
}

#[cfg(test)]
mod tests;
