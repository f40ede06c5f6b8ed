//! What the names of constants say about what compares and what fits.

use ar_common::{Space, Variants, WarmStart};

use crate::cli::TrainArgs;

/// Words in the names of constants that shape the loss along a run, so that it is not compared with that of others: schedules,
/// batch sizes, tokenizers.
const SHAPES: [&str; 11] = [
    "BATCH",
    "WARMUP",
    "WARMDOWN",
    "COOLDOWN",
    "SCHEDULE",
    "DECAY_STEPS",
    "FINAL_LR",
    "TOKENIZER",
    "VOCAB",
    "SEQ_LEN",
    "ACCUM",
];
/// Words in the names of constants that shape a model, so that what was trained with another value does not fit.
const SHAPING: [&str; 26] = [
    "DEPTH",
    "LAYER",
    "LAYERS",
    "HEAD",
    "HEADS",
    "DIM",
    "DIMS",
    "WIDTH",
    "EMBD",
    "EMBED",
    "HIDDEN",
    "ASPECT",
    "VOCAB",
    "EXPERTS",
    "CHANNELS",
    "KERNEL",
    "SEQ",
    "CONTEXT",
    "FFN",
    "MLP",
    "EXPANSION",
    "TIE",
    "TIED",
    "RANK",
    "PATTERN",
    "TOKENIZER",
];
/// Last words of names that shape nothing, whatever stands before them.
const SHAPELESS: [&str; 9] = ["LR", "RATE", "DECAY", "DROPOUT", "EPS", "STD", "SCALE", "FRAC", "BETA"];

/// Whether a checkpoint of another value of this constant does not fit.
fn shapes_the_model(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    // Of a constant that two files have, the file stands before the name.
    let words: Vec<&str> = upper.rsplit(':').next().unwrap_or_default().split('_').collect();
    words.iter().any(|word| SHAPING.contains(word)) && !words.last().is_some_and(|w| SHAPELESS.contains(w))
}

/// Which dimensions a checkpoint must agree in; another file in the place of one may be any other model.
pub(super) fn warm_start(train: &TrainArgs, space: &Space, slots: &[Variants]) -> Option<WarmStart> {
    train.warm_start.as_ref()?;
    let names = space.dimensions.iter().map(|dimension| &dimension.name);
    let shape = names.filter(|name| shapes_the_model(name) || slots.iter().any(|s| s.dimension == **name));
    Some(WarmStart { shape: shape.cloned().collect() })
}

/// Whether the loss of a run with another value of this constant is a curve of its own.
pub(super) fn is_its_own(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SHAPES.iter().any(|word| upper.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_fits_what_differs_in_rates_and_not_what_differs_in_size() {
        for name in
            ["DEPTH", "ASPECT_RATIO", "HEAD_DIM", "n_layer", "model.py:N_EMBD", "WINDOW_PATTERN", "SEQ_LEN"]
        {
            assert!(shapes_the_model(name), "{name}");
        }
        for name in [
            "MATRIX_LR",
            "EMBED_LR",
            "HEAD_DROPOUT",
            "TOTAL_BATCH_SIZE",
            "WARMUP_RATIO",
            "layer.py:LR",
            "LAYER_SCALE",
        ] {
            assert!(!shapes_the_model(name), "{name}");
        }
    }
}
