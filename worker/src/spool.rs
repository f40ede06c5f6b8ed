//! Results that wait for their answer, each durable before it is offered, unless the disk is full and stays so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ar_common::frames::LeaseRef;
use ar_common::{Digest, Outcome};
use ar_net::durable;
use ar_worker_core::SpoolEntry;
use serde::{Deserialize, Serialize};

/// A folder with one file per result.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    lease: LeaseRef,
    outcome: Outcome,
    digest: Digest,
}

impl Spool {
    /// Opens the spool and reads what an earlier start left. A file that cannot be read as a result is
    /// set aside under another name, not removed: its experiment runs again.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<SpoolEntry>)> {
        durable::private_folder(folder)?;
        let mut entries = Vec::new();
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice::<Kept>(&fs::read(&path)?) {
                Ok(Kept { lease, outcome, digest }) => entries.push(SpoolEntry { lease, outcome, digest }),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a spooled result cannot be read; set aside");
                    fs::rename(&path, path.with_extension("unreadable"))?;
                }
            }
        }
        Ok((Self { folder: folder.to_owned() }, entries))
    }

    fn path(&self, lease: &LeaseRef) -> PathBuf {
        let LeaseRef { experiment, lease } = lease;
        self.folder.join(format!("{experiment}-{:016x}-{}.json", lease.incarnation, lease.seq))
    }

    /// Makes a result durable.
    pub(crate) fn keep(&self, entry: &SpoolEntry) -> io::Result<()> {
        let SpoolEntry { lease, outcome, digest } = entry.clone();
        let bytes = serde_json::to_vec(&Kept { lease, outcome, digest })?;
        durable::write(&self.path(&entry.lease), &bytes)
    }

    /// Forgets an answered result.
    pub(crate) fn forget(&self, lease: &LeaseRef) -> io::Result<()> {
        match fs::remove_file(self.path(lease)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use ar_common::frames::outcome_digest;
    use ar_common::{ExperimentId, LeaseSeq, Seq};

    use super::*;

    #[test]
    fn a_result_is_there_after_a_restart_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (spool, found) = Spool::open(folder.path()).unwrap();
        assert!(found.is_empty());
        let lease =
            LeaseRef { experiment: ExperimentId(2), lease: LeaseSeq { incarnation: u64::MAX, seq: Seq(5) } };
        let outcome = Outcome::Crashed { reason: "x".into() };
        let digest = outcome_digest(&outcome);
        let entry = SpoolEntry { lease, outcome, digest };
        spool.keep(&entry).unwrap();
        fs::write(folder.path().join("torn.json"), b"{").unwrap();
        assert_eq!(Spool::open(folder.path()).unwrap().1, vec![entry]);
        assert!(folder.path().join("torn.unreadable").exists());
        spool.forget(&lease).unwrap();
        assert!(Spool::open(folder.path()).unwrap().1.is_empty());
    }
    /// What a torn disk or another version left is set aside, and stops no start.
    #[test]
    fn whatever_is_in_a_file_the_spool_opens() {
        use rand::{RngExt, SeedableRng};
        let folder = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(folder.path()).unwrap();
        let lease = LeaseRef { experiment: ExperimentId(2), lease: LeaseSeq { incarnation: 3, seq: Seq(5) } };
        let outcome = Outcome::StoppedEarly { folds: vec![0.5], seconds: 0.1, rule: Default::default() };
        let entry = SpoolEntry { lease, digest: outcome_digest(&outcome), outcome };
        spool.keep(&entry).unwrap();
        let path = spool.path(&lease);
        let valid = fs::read(&path).unwrap();
        let mut draws = rand::rngs::StdRng::seed_from_u64(1);
        let mut aside = 0;
        for _ in 0..1_000 {
            let mut bytes = valid.clone();
            for _ in 0..draws.random_range(0..4) {
                let at = draws.random_range(0..bytes.len());
                bytes[at] = draws.random();
            }
            if draws.random() {
                bytes.truncate(draws.random_range(0..bytes.len()));
            }
            fs::write(&path, &bytes).unwrap();
            let found = Spool::open(folder.path()).unwrap().1;
            assert_eq!(path.exists(), !found.is_empty(), "it is read, or set aside");
            assert!(bytes != valid || found == [entry.clone()]);
            aside += usize::from(found.is_empty());
        }
        assert!((1..1_000).contains(&aside), "{aside}");
        // Deeper than any stack.
        fs::write(&path, vec![b'['; 1 << 20]).unwrap();
        assert!(Spool::open(folder.path()).unwrap().1.is_empty());
    }
}
