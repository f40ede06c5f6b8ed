//! What the name of a constant says: what is never searched, and what a number is for.

/// What a constant is for, if that speaks against searching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Seed,
    Budget,
    Evaluation,
    Place,
    Logging,
    Format,
    Identifier,
}

impl Role {
    /// The role that `name` tells, by its words between underscores. `is_text`: its value is a text.
    pub(crate) fn of(name: &str, is_text: bool) -> Option<Self> {
        let words: Vec<&str> = name.split('_').collect();
        let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
        let (last, before) = match words.as_slice() {
            [.., before, last] => (*last, *before),
            [last] => (*last, ""),
            [] => return None,
        };
        let ends = |list: &[&str]| list.contains(&last);
        // VALUE is no evaluation and LOGIT no log: these words are compared whole.
        if any(&["SEED", "SEEDS"]) {
            Some(Self::Seed)
        } else if ends(&["BUDGET"]) || any(&["TIMEOUT"]) || name == "MAX_SECONDS" {
            Some(Self::Budget)
        } else if any(&["VAL", "VALID", "VALIDATION"]) || words.iter().any(|word| word.starts_with("EVAL")) {
            Some(Self::Evaluation)
        } else if ends(&["DEVICE"]) && before != "PER"
            || is_text && ends(&["PATH", "DIR", "FILE", "FOLDER", "URL", "URI"])
        {
            Some(Self::Place)
        } else if any(&["LOG", "LOGS", "LOGGING", "VERBOSE", "DEBUG"]) || name.starts_with("PRINT") {
            Some(Self::Logging)
        } else if ends(&["VERSION", "DTYPE"]) || ["VOCAB_SIZE", "MAX_SEQ_LEN"].contains(&name) {
            Some(Self::Format)
        } else if ends(&["ID", "INDEX", "RANK", "PORT"]) {
            Some(Self::Identifier)
        } else {
            None
        }
    }

    /// Whether it is refused even to who asks for it: scores would no longer compare.
    pub(crate) fn is_refused(self) -> bool {
        matches!(self, Self::Seed | Self::Budget | Self::Evaluation)
    }

    /// Why it is not searched.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Seed => "it is a seed, and the best seed is luck that does not come again",
            Self::Budget => "it is a budget, and scores of different budgets do not compare",
            Self::Evaluation => {
                "it belongs to the evaluation, and scores of different evaluations do not compare"
            }
            Self::Place => "it says where something is",
            Self::Logging => "it says what is shown",
            Self::Format => "it belongs to the data or the machine",
            Self::Identifier => "it names something and counts nothing",
        }
    }
}

/// What a number is for, as far as its name and value tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// A share of a whole.
    Share,
    /// The weight of the past in a running mean, near one.
    Memory,
    /// A rate: factors matter.
    Rate,
    /// None of these.
    Other,
}

impl Quantity {
    pub(crate) fn of(name: &str, value: f64) -> Self {
        let words: Vec<&str> = name.split('_').collect();
        let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
        let ends = |list: &[&str]| words.last().is_some_and(|word| list.contains(word));
        // The decay of a weight is a rate; any other near one is a factor per step.
        let is_memory = any(&["MOMENTUM", "EMA", "GAMMA"])
            || words.iter().any(|word| word.starts_with("BETA"))
            || any(&["DECAY"]) && !any(&["WEIGHT"]);
        if ends(&["RATIO", "FRAC", "FRACTION"]) || any(&["DROPOUT"]) {
            Self::Share
        } else if is_memory && value > 0.5 && value < 1.0 {
            Self::Memory
        } else if any(&["LR", "RATE", "DECAY", "EPS", "EPSILON"]) {
            Self::Rate
        } else {
            Self::Other
        }
    }
}

/// Whether `name` counts what goes through the machine at once, where powers of two fit.
pub(crate) fn is_batch(name: &str) -> bool {
    name.contains("BATCH") || name.contains("TOKENS")
}

/// What to say about a name that is not among `known`: near ones, else what there is.
pub(crate) fn near(name: &str, known: &[&str]) -> String {
    let upper = name.to_ascii_uppercase();
    let mut ranked: Vec<(f64, &str)> = known
        .iter()
        .map(|&known| (strsim::jaro_winkler(&upper, &known.to_ascii_uppercase()), known))
        .collect();
    ranked.retain(|&(likeness, _)| likeness >= 0.8);
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !ranked.is_empty() {
        let near: Vec<String> = ranked.iter().take(3).map(|(_, known)| format!("`{known}`")).collect();
        return format!("did you mean {}?", near.join(" or "));
    }
    if known.is_empty() {
        return "the script has none; write the value as `NAME = 8`, not indented".to_owned();
    }
    let shown: Vec<String> = known.iter().take(12).map(|known| format!("`{known}`")).collect();
    let more = known.len().saturating_sub(12);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("choose one of {}{rest}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_never_searched() {
        let role = |name| Role::of(name, true);
        for (name, wanted) in [
            ("SEED", Role::Seed),
            ("DATA_SEED", Role::Seed),
            ("TIME_BUDGET", Role::Budget),
            ("MAX_SECONDS", Role::Budget),
            ("TIMEOUT", Role::Budget),
            ("EVAL_TOKENS", Role::Evaluation),
            ("NUM_EVAL_STEPS", Role::Evaluation),
            ("EVALS", Role::Evaluation),
            ("VAL_SHARDS", Role::Evaluation),
            ("DATA_PATH", Role::Place),
            ("DEVICE", Role::Place),
            ("LOG_EVERY", Role::Logging),
            ("PRINT_EVERY", Role::Logging),
            ("VERSION", Role::Format),
            ("VOCAB_SIZE", Role::Format),
            ("DTYPE", Role::Format),
            ("EOS_ID", Role::Identifier),
        ] {
            assert_eq!(role(name), Some(wanted), "{name}");
        }
        for name in
            ["DEVICE_BATCH_SIZE", "BATCH_PER_DEVICE", "SEEDLING", "VALUE_LR", "LOGIT_CAP", "PATH_LENGTH"]
        {
            assert_eq!(role(name), None, "{name}");
        }
        assert_eq!(Role::of("DROP_PATH", false), None);
    }

    #[test]
    fn a_name_that_is_not_there_gets_near_ones() {
        assert_eq!(near("DEPHT", &["DEPTH", "SEED"]), "did you mean `DEPTH`?");
        assert_eq!(near("depth", &["DEPTH", "SEED"]), "did you mean `DEPTH`?");
        assert_eq!(near("WIDTH", &["A", "B"]), "choose one of `A`, `B`");
        assert!(near("WIDTH", &["A"; 20]).ends_with(" and 8 more"));
        assert!(near("WIDTH", &[]).contains("has none"));
    }
}
