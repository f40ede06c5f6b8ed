//! What a run starts from, and what it leaves for others.

use ar_common::frames::Grant;
use ar_common::{Artifact, CHECKPOINT, Metric, Outcome};
use ar_net::BlobError;
use ar_net::transfer::BLOB_LIMIT;

use super::attempt::Surroundings;
use super::folder::Unmade;
use super::variables;

/// Puts the checkpoint that a run goes on from into its folder, if it does.
pub(super) async fn bring(grant: &Grant, surroundings: &Surroundings) -> Result<(), Unmade> {
    let Some(digest) = grant.checkpoint.as_ref().and_then(|order| order.from) else {
        return Ok(());
    };
    let lost = |why: String| Unmade::Elsewhere(format!("the checkpoint did not arrive: {why}"));
    // It may have lain here for days, and can be had again once.
    for again in [true, false] {
        let needed = surroundings.source.fetch(digest).await.map_err(|error| lost(error.to_string()))?;
        let (blobs, to) = (surroundings.blobs.clone(), surroundings.folder.join(variables::CHECKPOINT_IN));
        let laid = tokio::task::spawn_blocking(move || {
            let laid = blobs.check(&digest).and_then(|()| blobs.lay_out(&digest, &to));
            drop(needed);
            laid
        });
        match laid.await.map_err(|error| lost(error.to_string()))? {
            Err(BlobError::Damaged { digest, .. }) if again => {
                surroundings.source.discard(digest).map_err(|error| lost(error.to_string()))?;
            }
            laid => {
                crate::cache::tidy(&surroundings.source.cache);
                return laid.map_err(|error| lost(error.to_string()));
            }
        }
    }
    Ok(())
}

/// The outcome with the checkpoint that the run left, where that is wanted. One that is missing or cannot be kept is none: the
/// score stands.
pub(super) async fn keep(grant: &Grant, surroundings: &Surroundings, outcome: Outcome) -> Outcome {
    let (Outcome::Done(mut measures), Some(order)) = (outcome.clone(), &grant.checkpoint) else {
        return outcome;
    };
    if !is_wanted(&surroundings.project.job.metric, measures.score, order.better_than) {
        return outcome;
    }
    let (blobs, path) = (surroundings.blobs.clone(), surroundings.folder.join(variables::CHECKPOINT));
    let left = tokio::task::spawn_blocking(move || match std::fs::symlink_metadata(&path) {
        // A link may lead anywhere.
        Ok(meta) if !meta.is_file() => Err(format!("{} is no file", variables::CHECKPOINT)),
        Ok(meta) if meta.len() > BLOB_LIMIT => Err(format!(
            "its checkpoint has {} GiB; at most {} are handed on",
            meta.len() >> 30,
            BLOB_LIMIT >> 30
        )),
        Ok(_) => blobs.put_file(&path).map(|(digest, _)| Some(digest)).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    });
    match left.await.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(Some(digest)) => {
            let checkpoint = Artifact { name: CHECKPOINT.to_owned(), digest };
            measures.artifacts = [&measures.artifacts[..], &[checkpoint]].concat().into();
        }
        Ok(None) => tracing::info!("a run left nothing at $CHECKPOINT_OUT that another could start from"),
        Err(why) => tracing::warn!(why, "a checkpoint is not kept"),
    }
    Outcome::Done(measures)
}

fn is_wanted(metric: &Metric, score: Option<f64>, better_than: Option<f64>) -> bool {
    score.is_some_and(|score| better_than.is_none_or(|best| metric.gain(score, best) > 0.0))
}

#[cfg(test)]
mod tests {
    use ar_common::Direction;

    use super::*;

    #[test]
    fn only_what_is_better_is_kept() {
        let metric = Metric { name: "val_bpb".into(), direction: Direction::Minimize, low: None, high: None };
        assert!(is_wanted(&metric, Some(2.0), None));
        assert!(is_wanted(&metric, Some(2.0), Some(2.1)));
        assert!(!is_wanted(&metric, Some(2.1), Some(2.1)));
        assert!(!is_wanted(&metric, None, None));
    }
}
