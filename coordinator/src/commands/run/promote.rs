//! `promote`: what a training study kept runs again beside its base, with more time.

use super::{Conditions, RunError, carry_out};
use crate::cli::PromoteArgs;
use crate::commands::output::complain;
use crate::commands::place::Place;
use crate::exit::Exit;
use crate::intake;
use crate::results;

/// Runs the command.
pub(in crate::commands) async fn promote(args: PromoteArgs) -> Exit {
    match execute(&args).await {
        Ok(exit) => exit,
        Err(error) => {
            complain(&error.to_string());
            error.exit()
        }
    }
}

async fn execute(args: &PromoteArgs) -> Result<Exit, RunError> {
    let report = results::read(&results::find(&args.out, &args.study)?)?;
    let place = Place::open(&args.out, None)?;
    let intake = {
        // The lock goes with it: the study is run by whoever opens the store next.
        let mut journal = place.journal()?;
        let state = journal.replay()?;
        let id = ar_common::StudyId(report.study.id.as_str().into());
        let study = state.studies.get(&id).ok_or_else(|| RunError::NotInStore(args.study.clone()))?;
        let verdict = study.verdict.as_ref().ok_or_else(|| RunError::NotEnded(args.study.clone()))?;
        let more = (args.times, args.budget);
        intake::promoted((&study.spec, &study.tree), &verdict.winner, more, place.blobs.folder())?
    };
    let conditions = Conditions {
        out: &args.out,
        json: args.json,
        slots: args.slots,
        gpus: args.gpus_per_experiment,
        python: args.python.as_deref(),
        keep_failed: false,
        repository: None,
    };
    carry_out(&conditions, &intake).await
}
