//! The configurations in order, and those that nothing beats on two counts at once.

use ar_search::pareto;

use super::axis::Axis;
use super::plot::{Mark, Plot, legend};
use super::table::Table;
use crate::results::{RankedPart, Report};
use crate::text::{Digits, cut, number};

/// Configurations in the table.
const LISTED: usize = 60;
/// Of the front, in its table.
const FRONT: usize = 30;

/// The table of configurations.
pub(super) fn table(report: &Report) -> String {
    let ranking = &report.ranking;
    if ranking.is_empty() {
        return "<p>No configuration has a score.</p>".to_owned();
    }
    let digits = Digits::of(ranking.iter().map(|r| r.score), 4);
    let metric = format!(">{}", report.study.metric);
    let heads = [
        ">place",
        "what differs from the base",
        &metric,
        ">spread",
        ">folds",
        "replicated",
        ">seconds",
        ">predict ms",
        ">memory MiB",
        "feasible",
    ];
    let mut table = Table::new("Ranking", &heads, "ranking");
    // An ensemble stands in no ranking.
    let single = report.verdict.as_ref().filter(|verdict| verdict.members.is_empty());
    let winner = single.map(|verdict| &verdict.winner);
    let is_kept = |ranked: &RankedPart| winner == Some(&ranked.config);
    // The base and what is handed over stand in it, wherever they are.
    let is_shown =
        |place: usize, ranked: &RankedPart| place <= LISTED || ranked.label == "base" || is_kept(ranked);
    for (place, ranked) in (1..).zip(ranking).filter(|(place, ranked)| is_shown(*place, ranked)) {
        let kept = is_kept(ranked);
        table.row(if kept { "winner" } else { "" });
        table.number(&place.to_string());
        let mark = if kept { " ◄ handed over" } else { "" };
        table.head(&format!("{}{mark}", ranked.label));
        table.number(&digits.show(ranked.score));
        table.number(&ranked.spread.map(|spread| format!("± {}", digits.show(spread))).unwrap_or_default());
        table.number(&ranked.folds.to_string());
        table.text(if ranked.replicated { "yes" } else { "" });
        table.number(&ranked.cost.seconds.map(|s| number(s, 3)).unwrap_or_default());
        table.number(&ranked.cost.predict_ms.map(|ms| number(ms, 3)).unwrap_or_default());
        table.number(&ranked.cost.peak_memory.map(|bytes| number(mib(bytes), 3)).unwrap_or_default());
        table.text(if ranked.cost.feasible { "yes" } else { "no" });
    }
    let more = match ranking.len().saturating_sub(LISTED) {
        0 => String::new(),
        n => format!("<p>{n} more are in results.json.</p>"),
    };
    format!(
        "<p>Mean over all folds seen. The top of a ranking is flattering: it is there partly by luck, the more so the fewer \
         folds it has seen. Seconds are those of one cross-validation, predict ms those of predicting 1,000 rows.</p>{}{more}",
        table.finish()
    )
}

/// Two things that cost, each against the score.
pub(super) fn fronts(report: &Report) -> String {
    let seconds = Cost {
        id: "seconds",
        name: "Score against seconds of one cross-validation",
        head: "seconds",
        unit: "s",
        of: |ranked| ranked.cost.seconds,
    };
    let memory = Cost {
        id: "memory",
        name: "Score against peak memory",
        head: "memory MiB",
        unit: "",
        of: |ranked| ranked.cost.peak_memory.map(mib),
    };
    [seconds, memory].map(|cost| cost.front(report)).concat()
}

/// Something of which less is better.
struct Cost {
    id: &'static str,
    name: &'static str,
    head: &'static str,
    unit: &'static str,
    of: fn(&RankedPart) -> Option<f64>,
}

impl Cost {
    fn front(&self, report: &Report) -> String {
        let known: Vec<(&RankedPart, f64)> =
            report.ranking.iter().filter_map(|r| Some((r, (self.of)(r)?))).collect();
        if known.is_empty() {
            return format!("<p>{}: not measured.</p>", self.name);
        }
        let sign = if report.minimizes() { -1.0 } else { 1.0 };
        // What may not be handed over is no choice.
        let choices: Vec<&(&RankedPart, f64)> = known.iter().filter(|(r, _)| r.cost.feasible).collect();
        let points: Vec<[f64; 2]> = choices.iter().map(|(r, cost)| [sign * r.score, -cost]).collect();
        let mut front: Vec<(&RankedPart, f64)> =
            pareto::front(&points).into_iter().map(|i| *choices[i]).collect();
        front.sort_by(|a, b| a.1.total_cmp(&b.1).then((sign * b.0.score).total_cmp(&(sign * a.0.score))));
        format!(
            "<figure><figcaption>{}; up is better, left is cheaper</figcaption>{}</figure>{}",
            self.name,
            self.plot(report, &known, &front),
            self.table(report, &front)
        )
    }

    fn plot(&self, report: &Report, known: &[(&RankedPart, f64)], front: &[(&RankedPart, f64)]) -> String {
        let description = format!(
            "{} configurations, {} of them with nothing better on both counts",
            known.len(),
            front.len()
        );
        let scores: Vec<f64> = known.iter().map(|(r, _)| r.score).collect();
        let (rows, columns) =
            (Axis::linear(&scores, 7), Axis::of_amounts(&known.iter().map(|k| k.1).collect::<Vec<_>>(), 5));
        let mut plot = Plot::new(self.id, self.name, &description, 220.0, 6.0);
        plot.rows(&rows, report.minimizes());
        plot.columns(&columns, self.unit);
        let up = |score: f64| if report.minimizes() { 1.0 - rows.place(score) } else { rows.place(score) };
        let steps: Vec<(f64, f64)> =
            front.iter().map(|(r, cost)| (columns.place(*cost), plot.y(up(r.score)))).collect();
        plot.steps(&steps, 1.0);
        let is_front = |ranked: &RankedPart| front.iter().any(|(f, _)| std::ptr::eq(*f, ranked));
        // Those of the front last, so that they lie on top.
        for pass in [false, true] {
            for (ranked, cost) in known.iter().filter(|(r, _)| is_front(r) == pass) {
                let mark = match (pass, ranked.cost.feasible) {
                    (true, _) => Mark::Front,
                    (_, false) => Mark::Refused,
                    _ => Mark::Done,
                };
                let name = format!(
                    "{}: {}, {} {}",
                    cut(&ranked.label, 120),
                    number(ranked.score, 4),
                    number(*cost, 3),
                    self.head
                );
                plot.mark(mark, columns.place(*cost), plot.y(up(ranked.score)), &name);
            }
        }
        let mut words = vec![(Mark::Front, "nothing is better and cheaper"), (Mark::Done, "others")];
        if known.iter().any(|(r, _)| !r.cost.feasible) {
            words.push((Mark::Refused, "breaks the constraints"));
        }
        plot.finish() + &legend(&words)
    }

    fn table(&self, report: &Report, front: &[(&RankedPart, f64)]) -> String {
        if front.is_empty() {
            return "<p>Nothing keeps to the constraints.</p>".to_owned();
        }
        let digits = Digits::of(front.iter().map(|(r, _)| r.score), 4);
        let heads =
            [&format!(">{}", self.head), &format!(">{}", report.study.metric), "what differs from the base"];
        let mut table = Table::new("Nothing is both better and cheaper than these", &heads, "");
        for (ranked, cost) in front.iter().take(FRONT) {
            table.row("");
            table.number(&number(*cost, 3));
            table.number(&digits.show(ranked.score));
            table.head(&ranked.label);
        }
        table.finish()
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
