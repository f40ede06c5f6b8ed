//! Training runs that went on from a checkpoint.

use super::table::Table;
use crate::results::Report;
use crate::text::{Digits, number};

/// Runs in the table.
const LISTED: usize = 30;

/// The section; nothing where there are none.
pub(super) fn section(report: &Report) -> Option<String> {
    if report.warm.is_empty() {
        return None;
    }
    let digits = Digits::of(report.warm.iter().map(|run| run.score), 4);
    let metric = format!(">{}", report.study.metric);
    let heads = [">place", "experiment", "goes on from", "what differs from the base", &metric, ">trained s"];
    let mut table = Table::new("Runs that went on from a checkpoint", &heads, "warm");
    for (place, run) in (1..).zip(report.warm.iter().take(LISTED)) {
        table.row("");
        table.number(&format!("{place}"));
        table.text(&format!("#{}", run.id));
        table.text(&format!("#{}", run.from));
        table.head(&run.label);
        table.number(&digits.show(run.score));
        table.number(&number(run.seconds_trained, 3));
    }
    Some(format!(
        "<p>These runs started from what another one had trained, so their models were trained for longer in all than those of the \
         ranking, by as many seconds as stand here. They compare with none of those: nothing was learnt from them, and no \
         decision rests on them. The best model is in the folder <code>warm</code>.</p>{}",
        table.finish()
    ))
}
