//! What options do together: a map of the slots, and the pairs with their status below it.

use std::fmt::Write;

use super::escape::esc;
use super::table::Table;
use crate::results::{ExplanationPart, InteractionPart};
use crate::text::Digits;

/// Pairs that are listed.
const LISTED: usize = 25;

/// The section.
pub(super) fn section(known: &ExplanationPart, metric: &str) -> String {
    let pairs = &known.interactions;
    if pairs.is_empty() {
        return "<p>No pair of options is known together and each alone, so nothing can be said.</p>"
            .to_owned();
    }
    let digits = Digits::of(pairs.iter().flat_map(|p| [p.delta, p.low, p.high]), 3);
    let third = triples(known);
    format!(
        "<p>What two options gain together beyond the sum of what they gain alone, in {} (positive is better). Each cell has \
         the strongest pair of its two slots. Only what was measured again in all four combinations on fresh splits is called \
         confirmed or refuted; everything else is what the model expects.</p>{}{}{third}",
        esc(metric),
        map(pairs, digits),
        list(pairs, digits)
    )
}

/// The few triples, kept apart: nothing of them is ever confirmed.
fn triples(known: &ExplanationPart) -> String {
    let all = &known.triples;
    if all.is_empty() {
        return String::new();
    }
    let digits = Digits::of(all.iter().flat_map(|t| [t.delta, t.low, t.high]), 3);
    let heads = ["three together", ">beyond their pairs", ">90 % interval", ">runs"];
    let mut table =
        Table::new("Triples, as the model expects them; none was measured again", &heads, "pairs");
    for triple in all {
        table.row("");
        let names = [0, 1, 2].map(|i| format!("{}={}", triple.slots[i], triple.options[i]));
        table.head(&names.join(" and "));
        table.number(&digits.signed(triple.delta));
        table.number(&format!("{} to {}", digits.signed(triple.low), digits.signed(triple.high)));
        table.number(&triple.runs.to_string());
    }
    table.finish()
}

/// The strongest pair of every two slots, as a table with shades.
fn map(pairs: &[InteractionPart], digits: Digits) -> String {
    let mut slots: Vec<&str> = Vec::new();
    for slot in pairs.iter().flat_map(|p| &p.slots) {
        if !slots.contains(&slot.as_str()) {
            slots.push(slot);
        }
    }
    let strongest = |a: &str, b: &str| {
        let both = |p: &&InteractionPart| {
            (p.slots[0] == a && p.slots[1] == b) || (p.slots[0] == b && p.slots[1] == a)
        };
        pairs.iter().filter(both).max_by(|p, q| p.delta.abs().total_cmp(&q.delta.abs()))
    };
    let most = pairs.iter().map(|p| p.delta.abs()).fold(0.0, f64::max);
    let numbers: Vec<String> = (1..slots.len()).map(|n| n.to_string()).collect();
    let mut heads = vec!["slot"];
    heads.extend(numbers.iter().map(String::as_str));
    let mut table = Table::new("Strongest pair of every two slots", &heads, "map");
    for (row, slot) in slots.iter().enumerate() {
        table.row("");
        table.head(&format!("{} {slot}", row + 1));
        for column in &slots[..row] {
            match strongest(slot, column) {
                Some(pair) => cell(&mut table, pair, most, digits),
                None => table.markup("none", "·"),
            }
        }
        for _ in row..slots.len() - 1 {
            table.markup("blank", "");
        }
    }
    table.finish()
}

fn cell(table: &mut Table, pair: &InteractionPart, most: f64, digits: Digits) {
    let share = if most > 0.0 { pair.delta.abs() / most } else { 0.0 };
    let side = if pair.delta < 0.0 { "less" } else { "more" };
    let sign = match pair.status.as_str() {
        "confirmed" => "✓",
        "refuted" => "✗",
        _ => "",
    };
    let mut text = String::new();
    let _ = write!(
        text,
        "<span class=\"shade {side}\" style=\"--share:{share:.2}\" title=\"{} and {}, {}\">{}{sign}</span>",
        esc(&pair.options[0]),
        esc(&pair.options[1]),
        esc(&pair.status),
        esc(&digits.signed(pair.delta)),
    );
    table.markup("cell", text);
}

fn list(pairs: &[InteractionPart], digits: Digits) -> String {
    let mut order: Vec<&InteractionPart> = pairs.iter().collect();
    let rank = |status: &str| match status {
        "confirmed" => 0,
        "refuted" => 1,
        _ => 2,
    };
    order.sort_by(|a, b| {
        rank(&a.status).cmp(&rank(&b.status)).then_with(|| b.delta.abs().total_cmp(&a.delta.abs()))
    });
    let more = order.len().saturating_sub(LISTED);
    order.truncate(LISTED);
    let mut table = Table::new(
        "Pairs of options",
        &["pair", ">more together", ">90 % interval", "status", "evidence"],
        "pairs",
    );
    for pair in order {
        table.row("");
        let [a, b] = [0, 1].map(|i| format!("{}={}", pair.slots[i], pair.options[i]));
        table.head(&format!("{a} and {b}"));
        table.number(&digits.signed(pair.delta));
        table.number(&format!("{} to {}", digits.signed(pair.low), digits.signed(pair.high)));
        table.markup("status", format_args!("<span class=\"tag {}\">{0}</span>", esc(&pair.status)));
        table.text(&pair.evidence);
    }
    let more = if more > 0 { format!("<p>{more} more are in results.json.</p>") } else { String::new() };
    format!("{}{more}", table.finish())
}
