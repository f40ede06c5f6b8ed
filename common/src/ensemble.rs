//! Ensembles: a few configurations whose predictions are averaged.
//!
//! The members are chosen by the search, their weights by the worker that holds their out-of-fold predictions: counts
//! of greedy selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries of models").

use serde::{Deserialize, Serialize};

use crate::config::{self, Config};

/// Members of an ensemble, at least.
pub const FEWEST: usize = 2;
/// Members of an ensemble, at most.
pub const MOST: usize = 5;

/// A configuration that votes in an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The configuration, canonical for its space.
    pub config: Config,
    /// How often greedy selection took it, which is what its predictions weigh. 0 for all members: to be chosen.
    #[serde(default)]
    pub weight: u32,
}

/// Full evaluations that an experiment costs: one for each member, and one where there is no ensemble.
pub fn cost(members: &[Member]) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX).max(1)
}

/// What an experiment runs, in words: an ensemble if it has members, else what `config` changes.
pub fn describe(config: &Config, members: &[Member], base: &Config) -> String {
    if members.is_empty() {
        return config::describe(config, base);
    }
    let weighed = members.iter().any(|member| member.weight > 0);
    let name = |member: &Member| {
        let name = config::describe(&member.config, base);
        if weighed { format!("{}x {name}", member.weight) } else { name }
    };
    let names: Vec<String> = members.iter().map(name).collect();
    format!("ensemble of {}: {}", members.len(), names.join(", "))
}

/// The members with these weights, without those that weigh nothing. `None` where the weights are not those of these
/// members, or fewer than two weigh anything: that is no ensemble.
pub fn weighed(members: &[Member], weights: &[u32]) -> Option<Vec<Member>> {
    let pairs = members.iter().zip(weights).filter(|(_, weight)| **weight > 0);
    let voting: Vec<Member> = pairs.map(|(m, w)| Member { config: m.config.clone(), weight: *w }).collect();
    (members.len() == weights.len() && voting.len() >= FEWEST).then_some(voting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(model: &str, weight: u32) -> Member {
        Member { config: [("model", model), ("scale", "base")].into_iter().collect(), weight }
    }

    #[test]
    fn it_is_described_by_its_members_and_how_often_each_was_taken() {
        let base = member("base", 0).config;
        let said = |members: &[Member]| describe(&base, members, &base);
        assert_eq!(said(&[]), "base");
        assert_eq!(said(&[member("rf", 0), member("base", 0)]), "ensemble of 2: model=rf, base");
        assert_eq!(said(&[member("rf", 2), member("base", 1)]), "ensemble of 2: 2x model=rf, 1x base");
    }

    #[test]
    fn members_that_weigh_nothing_do_not_vote_and_one_alone_is_no_ensemble() {
        let members = [member("rf", 0), member("svm", 0), member("base", 0)];
        assert_eq!(weighed(&members, &[2, 0, 1]), Some(vec![member("rf", 2), member("base", 1)]));
        assert_eq!(weighed(&members, &[2, 0, 0]), None);
        assert_eq!(weighed(&members, &[2, 1]), None, "not the weights of these");
    }

    #[test]
    fn it_costs_an_evaluation_for_each_member() {
        assert_eq!((cost(&[]), cost(&[member("rf", 1), member("base", 2)])), (1, 2));
    }

    #[test]
    fn a_member_is_journaled_by_these_names() {
        let text = serde_json::to_string(&member("rf", 2)).unwrap();
        assert_eq!(text, r#"{"config":{"model":"rf","scale":"base"},"weight":2}"#);
    }
}
