//! Data that runs read where it lies: whether it is what the study was submitted with, before and after each run.
//!
//! The fingerprint is taken once per start. From then on names, sizes and times are looked at, and the content again only where
//! they have changed.

use std::path::{Path, PathBuf};

use ar_common::{DataRef, Digest};
use ar_net::{DataError, data};

/// Why a study's data cannot be used on this worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataFault {
    #[error(
        "the data `{name}` cannot be used on this worker: {source}; put it there and run the same command again"
    )]
    Unusable { name: String, source: DataError },
    #[error(
        "the data `{name}` at {} on this worker is not what the study was submitted with; restore it and run the same command \
         again, or submit a study of what is there now",
        path.display()
    )]
    Other { name: String, path: PathBuf },
    #[error("the study names the data `{0}` in a way that would leave the run's folder; submit it again")]
    Name(String),
}

/// Data that were found to be what they should be.
#[derive(Debug)]
pub(crate) struct Watched {
    reference: DataRef,
    /// Names, sizes and times, as they were before the content was looked at.
    stamp: Digest,
}

impl Watched {
    /// Looks at the data.
    pub(super) fn check(reference: &DataRef) -> Result<Self, DataFault> {
        let (path, name) = (Path::new(&reference.path), &reference.name);
        if reference.check_name().is_err() || !path.is_absolute() {
            return Err(DataFault::Name(name.clone()));
        }
        let unusable = |source| DataFault::Unusable { name: name.clone(), source };
        let stamp = data::stamp(path).map_err(unusable)?;
        if data::fingerprint(path).map_err(unusable)? != reference.fingerprint {
            return Err(DataFault::Other { name: name.clone(), path: path.to_owned() });
        }
        Ok(Self { reference: reference.clone(), stamp })
    }

    /// Whether the data are no longer what they were. What has another time and the same content has not changed; of what is
    /// too large to be hashed whole the time alone says so.
    pub(super) fn changed(&self) -> Result<(), DataFault> {
        let path = Path::new(&self.reference.path);
        let unusable = |source| DataFault::Unusable { name: self.reference.name.clone(), source };
        if data::stamp(path).map_err(unusable)? == self.stamp {
            return Ok(());
        }
        if self.reference.fingerprint.sampled {
            return Err(DataFault::Other { name: self.reference.name.clone(), path: path.to_owned() });
        }
        Self::check(&self.reference).map(drop)
    }

    /// What is referred to.
    pub(super) fn reference(&self) -> &DataRef {
        &self.reference
    }
}

/// The first of them that is no longer what it was.
pub(super) fn changed(all: &[Watched]) -> Option<(&DataRef, DataFault)> {
    all.iter().find_map(|watched| Some((watched.reference(), watched.changed().err()?)))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn reference(path: &Path) -> DataRef {
        let fingerprint = data::fingerprint(path).unwrap();
        DataRef { name: "corpus".into(), path: path.to_str().unwrap().into(), fingerprint }
    }

    fn touch(path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn what_is_touched_has_not_changed_unless_it_is_too_large_to_be_sure() {
        let home = tempfile::tempdir().unwrap();
        let (small, large) = (home.path().join("small"), home.path().join("large"));
        fs::write(&small, "tokens").unwrap();
        File::create(&large).unwrap().set_len(65 << 20).unwrap();
        let watch = |path| Watched::check(&reference(path)).unwrap();
        let (small_one, large_one) = (watch(&small), watch(&large));
        assert!(small_one.changed().is_ok() && large_one.changed().is_ok());
        touch(&small);
        touch(&large);
        assert!(small_one.changed().is_ok());
        assert!(matches!(large_one.changed(), Err(DataFault::Other { .. })));
        fs::write(&small, "tokenS").unwrap();
        assert!(matches!(small_one.changed(), Err(DataFault::Other { .. })));
    }

    #[test]
    fn what_is_missing_other_or_named_badly_is_one_line_with_its_path() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("corpus");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), "tokens").unwrap();
        let reference = reference(&path);
        fs::write(path.join("b"), "").unwrap();
        let said = Watched::check(&reference).unwrap_err().to_string();
        assert!(said.contains("is not what the study was submitted with"), "{said}");
        fs::remove_dir_all(&path).unwrap();
        let said = Watched::check(&reference).unwrap_err().to_string();
        assert!(
            said.contains(&format!("nothing at {}", path.display())) && said.lines().count() == 1,
            "{said}"
        );
        for name in ["../corpus", "/corpus"] {
            let bad = DataRef { name: name.into(), ..reference.clone() };
            assert!(matches!(Watched::check(&bad), Err(DataFault::Name(_))));
        }
    }
}
