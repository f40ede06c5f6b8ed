//! Regret when a study's time is up: what it is worth to know what a run takes.

use ar_common::{Outcome, Sampler};

use crate::strategies::{Ours, Random, Strategy};
use crate::table::{Table, mean};

/// The study's time, in runs of average length.
pub const ROOMS: [f64; 3] = [10.0, 20.0, 40.0];
/// Experiments that the budget would allow: time ends sooner.
const EXPERIMENTS: usize = 120;

/// Who is compared: the search that is told of the time limit, the same one that is not, and random draws.
pub const PLAYERS: [&str; 3] = ["ours", "ours, blind", "random"];

/// One seed: for each player and room, the regret of the best seen and how many runs ended in time.
pub type Ends = [[(f64, f64); ROOMS.len()]; PLAYERS.len()];

/// Plays one table with one seed.
pub fn ends(table: &Table, seed: u64) -> Result<Ends, String> {
    let all: Vec<f64> = table.seconds.values().copied().filter(|s| s.is_finite() && *s > 0.0).collect();
    if all.is_empty() {
        return Err(format!("{}: no combination has its seconds", table.name));
    }
    let mut ends = Ends::default();
    for (player, ends) in PLAYERS.iter().zip(&mut ends) {
        for (room, end) in ROOMS.iter().zip(ends) {
            *end = play(table, player, seed, room * mean(&all))?;
        }
    }
    Ok(ends)
}

/// Runs one after the other until `room` seconds are over; what is running then is lost.
fn play(table: &Table, player: &str, seed: u64, room: f64) -> Result<(f64, f64), String> {
    let mut ours = Ours::new(&table.space, Sampler::Gp, seed, EXPERIMENTS);
    ours.seconds = (player == "ours").then_some(room);
    let mut random = Random::new(&table.space, seed);
    let (mut spent, mut runs, mut best) = (0.0, 0, None::<f64>);
    while runs < EXPERIMENTS {
        let asked = if player == "random" { random.ask()? } else { ours.ask()? };
        let Some(config) = asked else {
            break;
        };
        let seconds = table.seconds.get(&config).copied().unwrap_or_default();
        spent += seconds;
        if spent > room {
            break;
        }
        runs += 1;
        let folds = table.folds(&config);
        if player != "random" {
            ours.tell(&config, folds)?;
            if let Some(Outcome::Done(measures)) = ours.history.last_mut().and_then(|o| o.outcome.as_mut()) {
                measures.seconds = seconds;
            }
        }
        best = table.truth(&config).into_iter().chain(best).reduce(f64::max);
    }
    Ok((table.regret(best), f64::from(runs as u32)))
}
