//! Rows for people and for programs.

use serde_json::json;

use crate::claims::{Claims, GivenUp};
use crate::run::{Run, Runs, marks};
use crate::split::{Gains, RULES, SAMPLERS};
use crate::table::{Table, mean};
use crate::timed::{Ends, PLAYERS, ROOMS};

/// Mean and its standard error.
fn summary(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0).max(1.0) / n).sqrt())
}

/// One row per table, strategy and mark.
pub fn regrets(strategies: &[&str], runs: &[Runs], max: usize, as_json: bool) {
    let marks = marks(max);
    let mut tables: Vec<&str> = runs.iter().map(|r| r.table.as_str()).collect();
    tables.dedup();
    for table in &tables {
        let of_table: Vec<&Runs> = runs.iter().filter(|r| r.table == *table).collect();
        let of = |s: usize| of_table.iter().map(move |r| &r.runs[s]);
        for (s, strategy) in strategies.iter().enumerate() {
            for mark in &marks {
                let (mean, error) = summary(&of(s).map(|r| r.regrets[mark]).collect::<Vec<_>>());
                if as_json {
                    let row = json!({"table": table, "strategy": strategy, "n": mark, "regret_mean": mean,
                        "regret_se": error, "seeds": of_table.len()});
                    println!("{row}");
                } else {
                    println!("{table:32} {strategy:14} n={mark:<4} regret {mean:.3} +- {error:.3}");
                }
            }
        }
        if !as_json {
            for (s, strategy) in strategies.iter().enumerate() {
                let near = reached(of(s), |r| r.to_near, max);
                let top = reached(of(s), |r| r.to_top, max);
                println!("{table:32} {strategy:14} to 5 %: {near}; to the best 1 %: {top}");
            }
        }
    }
    if !as_json {
        differences(strategies, runs, &tables, &marks);
    }
}

/// Mean number of experiments to get there, a run that did not counting as `max`, and how many did.
fn reached<'r>(
    runs: impl Iterator<Item = &'r Run>,
    when: impl Fn(&Run) -> Option<usize>,
    max: usize,
) -> String {
    let reached: Vec<Option<usize>> = runs.map(when).collect();
    let experiments: Vec<f64> = reached.iter().map(|n| n.unwrap_or(max) as f64).collect();
    let (mean, error) = summary(&experiments);
    format!("{mean:.1} +- {error:.1} experiments, {} of {}", reached.iter().flatten().count(), reached.len())
}

/// The first strategy against each other one, paired by table and seed; over tables at the end.
fn differences(strategies: &[&str], runs: &[Runs], tables: &[&str], marks: &[usize]) {
    for (s, rival) in strategies.iter().enumerate().skip(1) {
        println!(
            "\n{} less {rival}, paired by seed; ratio of means; * where it is more than one standard error above",
            strategies[0]
        );
        for table in tables.iter().copied().chain(["all"]) {
            let of_table: Vec<&Runs> = runs.iter().filter(|r| table == "all" || r.table == table).collect();
            let mut line = format!("{table:32}");
            for mark in marks {
                let regret = |i: usize| of_table.iter().map(move |r| r.runs[i].regrets[mark]);
                let paired: Vec<f64> = regret(0).zip(regret(s)).map(|(a, b)| a - b).collect();
                let (mean, error) = summary(&paired);
                let ratio = regret(0).sum::<f64>() / regret(s).sum::<f64>();
                let worse = if mean > error { "*" } else { " " };
                line += &format!("  n={mark:<3} {mean:+.3} +- {error:.3}{worse} ({ratio:.2})");
            }
            println!("{line}");
        }
    }
}

/// One row per table, sampler and rule.
pub fn splits(tables: &[Table], jobs: &[(usize, u64)], gains: &[Gains], as_json: bool) {
    for (t, table) in tables.iter().enumerate() {
        for (s, sampler) in SAMPLERS.iter().enumerate() {
            for (r, rule) in RULES.iter().enumerate() {
                let of_table = jobs.iter().zip(gains).filter(|((job, _), _)| *job == t);
                let values: Vec<f64> = of_table.map(|(_, gains)| gains[s][r]).collect();
                let (mean, error) = summary(&values);
                let name = &table.name;
                if as_json {
                    let row = json!({"table": name, "sampler": sampler, "rule": rule, "gain_mean": mean,
                        "gain_se": error, "seeds": values.len()});
                    println!("{row}");
                } else {
                    println!("{name:24} data by {sampler:8} {rule:16} gain {mean:+.2} +- {error:.2} points");
                }
            }
        }
    }
}

/// One row per table, player and room.
pub fn timed(tables: &[Table], jobs: &[(usize, u64)], ends: &[Ends], as_json: bool) {
    for (t, table) in tables.iter().enumerate() {
        let of: Vec<&Ends> =
            jobs.iter().zip(ends).filter(|((job, _), _)| *job == t).map(|(_, e)| e).collect();
        for (p, player) in PLAYERS.iter().enumerate() {
            for (r, room) in ROOMS.iter().enumerate() {
                let (regret, error) = summary(&of.iter().map(|ends| ends[p][r].0).collect::<Vec<_>>());
                let runs = mean(&of.iter().map(|ends| ends[p][r].1).collect::<Vec<_>>());
                let (name, seeds) = (&table.name, of.len());
                if as_json {
                    let row = json!({"table": name, "player": player, "room": room, "regret_mean": regret,
                        "regret_se": error, "runs": runs, "seeds": seeds});
                    println!("{row}");
                    continue;
                }
                println!(
                    "{name:24} {player:12} time of {room:>2} runs: regret {regret:.3} +- {error:.3}, {runs:.1} runs"
                );
            }
        }
    }
}

/// Dimensions and options of a space, and whether an interaction was planted.
type Kind = ((usize, usize), bool);

/// One row for the spaces of a shape without an interaction, one for those with.
pub fn interactions(jobs: &[(Kind, u64)], claims: &[Claims], as_json: bool) {
    let mut kinds: Vec<Kind> = jobs.iter().map(|(kind, _)| *kind).collect();
    kinds.dedup();
    for kind in kinds {
        let ((dimensions, options), planted) = kind;
        let of: Vec<&Claims> =
            jobs.iter().zip(claims).filter(|((k, _), _)| *k == kind).map(|(_, claims)| claims).collect();
        let count = |which: &dyn Fn(&Claims) -> bool| of.iter().filter(|claims| which(claims)).count();
        let false_ones = count(&|c| c.confirmed > usize::from(c.confirms_it));
        let (confirmed, first) = (count(&|c| c.confirms_it), count(&|c| c.ranks_it_first));
        let either = count(&|c| c.confirms_it || c.ranks_it_first);
        if as_json {
            let row = json!({"dimensions": dimensions, "options": options, "planted": planted, "spaces": of.len(), "with_false_ones": false_ones,
                "confirmed": confirmed, "ranked_first": first, "either": either});
            println!("{row}");
            continue;
        }
        let spaces = of.len();
        let (low, high) = interval(false_ones, spaces);
        let with = if planted { "an interaction" } else { "none" };
        print!("{dimensions}x{options} with {with}: {spaces} spaces, ");
        print!("{false_ones} with a false interaction ({low:.1} to {high:.1} %)");
        if planted {
            let (low, high) = interval(either, spaces);
            print!("; the planted one confirmed in {confirmed}, first in {first}, ");
            print!("either in {either} ({low:.1} to {high:.1} %)");
        }
        println!();
    }
}

/// One row per table.
pub fn pruning(tables: &[Table], jobs: &[(usize, u64)], given_up: &[GivenUp], as_json: bool) {
    let row = |name: &str, of: &[&GivenUp]| {
        let ever = of.iter().filter(|g| g.wrong > 0).count();
        let at_the_end = of.iter().filter(|g| g.at_the_end).count();
        let looks: usize = of.iter().map(|g| g.looks).sum();
        let wrong: usize = of.iter().map(|g| g.wrong).sum();
        let pruned = of.iter().map(|g| g.pruned).sum::<usize>() as f64 / of.len().max(1) as f64;
        if as_json {
            let row = json!({"table": name, "seeds": of.len(), "ever": ever, "at_the_end": at_the_end,
                "looks": looks, "wrong_looks": wrong, "pruned_mean": pruned});
            println!("{row}");
            return;
        }
        let (low, high) = interval(ever, of.len());
        println!(
            "{name:24} the best one's family given up at some time in {ever} of {} runs ({low:.1} to {high:.1} %), \
             at the end in {at_the_end}, in {wrong} of {looks} looks; {pruned:.1} given up at the end",
            of.len()
        );
    };
    for (t, table) in tables.iter().enumerate() {
        let of: Vec<&GivenUp> =
            jobs.iter().zip(given_up).filter(|((job, _), _)| *job == t).map(|(_, g)| g).collect();
        row(&table.name, &of);
    }
    row("all", &given_up.iter().collect::<Vec<_>>());
}

/// The 95 % interval of a share, in percent (Wilson 1927).
fn interval(hits: usize, of: usize) -> (f64, f64) {
    let (n, z) = (of.max(1) as f64, 1.959_964_f64);
    let share = hits as f64 / n;
    let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / (1.0 + z * z / n);
    (100.0 * (centre - half).max(0.0), 100.0 * (centre + half).min(1.0))
}
