//! All experiments of a store, by number: cheap to copy, so that whoever needs the state as it was takes a copy of it and
//! holds nobody up.

use std::sync::Arc;

use ar_common::{ExperimentId, StudyId};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::state::Experiment;

/// Experiments that are copied together when one of them changes while somebody holds a copy.
const CHUNK: usize = 64;

/// Experiments by their numbers, from 1 without gaps, but for those that were taken out.
///
/// A copy shares everything with its origin; what changes afterwards, changes in one of them, a chunk at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Experiments {
    chunks: Vec<Arc<Vec<Option<Experiment>>>>,
    /// Numbers that were given.
    given: u64,
    /// How many are here.
    here: usize,
}

impl Experiments {
    /// The one with this number, if it is here.
    pub fn get(&self, id: ExperimentId) -> Option<&Experiment> {
        let (chunk, place) = position(id)?;
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: ExperimentId) -> Option<&mut Experiment> {
        let (chunk, place) = position(id)?;
        Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(place)?.as_mut()
    }

    /// Adds one under the number that is next, whatever it says of itself.
    pub(crate) fn push(&mut self, experiment: Experiment) {
        // A chunk that is full may have been emptied since.
        if self.given.is_multiple_of(CHUNK as u64) {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(last) = self.chunks.last_mut() {
            Arc::make_mut(last).push(Some(experiment));
        }
        self.given += 1;
        self.here += 1;
    }

    /// Takes one out; its number is not given again.
    pub(crate) fn take(&mut self, id: ExperimentId) -> Option<Experiment> {
        let (chunk, place) = position(id)?;
        let chunk = Arc::make_mut(self.chunks.get_mut(chunk)?);
        let taken = chunk.get_mut(place)?.take()?;
        self.here -= 1;
        if chunk.len() == CHUNK && chunk.iter().all(Option::is_none) {
            // What is left is a few words for as many numbers.
            *chunk = vec![None; 0];
        }
        Some(taken)
    }

    /// Puts one back that was taken out, under its number.
    pub(crate) fn put_back(&mut self, experiment: Experiment) {
        let Some((chunk, place)) = position(experiment.id).filter(|_| experiment.id.0 <= self.given) else {
            return;
        };
        let Some(chunk) = self.chunks.get_mut(chunk).map(Arc::make_mut) else { return };
        if chunk.len() <= place {
            chunk.resize(CHUNK, None);
        }
        if chunk[place].replace(experiment).is_none() {
            self.here += 1;
        }
    }

    /// All that are here, by their numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Experiment> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).flatten()
    }

    /// How many are here.
    pub fn len(&self) -> usize {
        self.here
    }

    /// Whether none is here.
    pub fn is_empty(&self) -> bool {
        self.here == 0
    }

    /// How many numbers were given.
    pub fn given(&self) -> u64 {
        self.given
    }
}

fn position(id: ExperimentId) -> Option<(usize, usize)> {
    let index = usize::try_from(id.0).ok()?.checked_sub(1)?;
    Some((index / CHUNK, index % CHUNK))
}

impl<'a> IntoIterator for &'a Experiments {
    type Item = &'a Experiment;
    type IntoIter = Box<dyn Iterator<Item = &'a Experiment> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// As it is written: how many numbers were given, and what is here.
#[derive(Serialize, Deserialize)]
struct Written<E> {
    given: u64,
    here: Vec<E>,
}

impl Serialize for Experiments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { given: self.given, here: self.iter().collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Experiments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { given, here } = Written::<Experiment>::deserialize(deserializer)?;
        let mut all = Self::default();
        let mut last: Option<StudyId> = None;
        for mut experiment in here {
            // Neighbours are mostly of one study, and share its name again.
            match &last {
                Some(study) if *study == experiment.study => experiment.study = study.clone(),
                _ => last = Some(experiment.study.clone()),
            }
            let id = experiment.id.0;
            if id <= all.given || id > given {
                return Err(D::Error::custom(format!("experiment {id} is out of order, of {given}")));
            }
            all.skip_to(id - 1);
            all.push(experiment);
        }
        all.skip_to(given);
        Ok(all)
    }
}

impl Experiments {
    /// Gives numbers up to this one to experiments that are not here.
    fn skip_to(&mut self, given: u64) {
        while self.given < given {
            let place = self.given % CHUNK as u64;
            let count = (CHUNK as u64 - place).min(given - self.given);
            if place == 0 {
                self.chunks.push(Arc::default());
            }
            if let Some(last) = self.chunks.last_mut().filter(|_| count < CHUNK as u64) {
                let chunk = Arc::make_mut(last);
                chunk.resize(chunk.len() + count as usize, None);
            }
            self.given += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ar_common::{Attempt, Block, Config, Mode};
    use proptest::prelude::*;

    use super::*;
    use crate::state::Status;

    fn experiment(id: u64) -> Experiment {
        Experiment {
            id: ExperimentId(id),
            study: "s".into(),
            config: Config::default(),
            block: Block::FIRST,
            mode: Mode::Explore,
            round: 1,
            reason: "".into(),
            attempt: Attempt(1),
            newest_lease: None,
            losses_running: 0,
            status: Status::Queued,
            members: [].into(),
            race: None,
            expected_gain: None,
        }
    }

    fn agree(all: &Experiments, model: &BTreeMap<u64, u32>, given: u64) {
        let here: Vec<(u64, u32)> = all.iter().map(|e| (e.id.0, e.round)).collect();
        assert_eq!(here, model.iter().map(|(id, round)| (*id, *round)).collect::<Vec<_>>());
        assert_eq!((all.len(), all.given()), (model.len(), given));
        for id in 0..given + 2 {
            assert_eq!(all.get(ExperimentId(id)).map(|e| e.round), model.get(&id).copied());
        }
    }

    proptest! {
        #[test]
        fn they_are_a_map_and_a_copy_stays_as_it_was(steps in prop::collection::vec((0u8..8, 0u64..300), 1..400)) {
            let (mut all, mut model, mut given) = (Experiments::default(), BTreeMap::new(), 0);
            let mut copy = (all.clone(), model.clone(), given);
            for (what, n) in steps {
                let id = n % (given + 1);
                match what {
                    0..=3 => {
                        given += 1;
                        all.push(experiment(given));
                        model.insert(given, 1);
                    }
                    4 => {
                        let found = all.get_mut(ExperimentId(id)).map(|e| e.round += 1).is_some();
                        assert_eq!(found, model.get_mut(&id).map(|round| *round += 1).is_some());
                    }
                    5 => assert_eq!(all.take(ExperimentId(id)).is_some(), model.remove(&id).is_some()),
                    6 => {
                        all.put_back(experiment(id));
                        if id > 0 {
                            model.insert(id, 1);
                        }
                    }
                    _ => copy = (all.clone(), model.clone(), given),
                }
            }
            agree(&all, &model, given);
            agree(&copy.0, &copy.1, copy.2);
            let bytes = rmp_serde::to_vec_named(&all).unwrap();
            let again: Experiments = rmp_serde::from_slice(&bytes).unwrap();
            agree(&again, &model, given);
        }

        #[test]
        fn numbers_of_those_that_left_take_no_room(count in 1u64..1_000) {
            let mut all = Experiments::default();
            (1..=count).for_each(|id| all.push(experiment(id)));
            (1..=count).for_each(|id| drop(all.take(ExperimentId(id))));
            let room: usize = all.chunks.iter().map(|chunk| chunk.len()).sum();
            prop_assert!(room < CHUNK, "{room} places are left");
            prop_assert_eq!(all.given(), count);
        }
    }

    /// A store has hundreds of thousands of them; `load --only restart` measures what they take with all that they hold.
    #[test]
    fn an_experiment_is_small_and_shares_the_name_of_its_study() {
        assert!(size_of::<Experiment>() <= 344, "{} bytes", size_of::<Experiment>());
        let mut all = Experiments::default();
        (1..=3).for_each(|id| all.push(experiment(id)));
        let again: Experiments = rmp_serde::from_slice(&rmp_serde::to_vec_named(&all).unwrap()).unwrap();
        let names: Vec<_> = again.iter().map(|experiment| experiment.study.0.as_ptr()).collect();
        assert!(names.iter().all(|name| *name == names[0]), "each has a text of its own");
    }
}
