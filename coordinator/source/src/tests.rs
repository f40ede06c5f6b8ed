//! What crosses the files of this crate: a whole script to a table of knobs, and every option back into the script.

mod find;
mod search;
mod write;

use crate::{Constant, KnobFlag, Knobbed, Language, constants, knobs};

/// The constants and the shape of a real training script, shortened between them.
const TRAIN: &str = include_str!("tests/train.py");

fn python(source: &str) -> Vec<Constant> {
    constants(Language::Python, source).unwrap()
}

fn rust(source: &str) -> Vec<Constant> {
    constants(Language::Rust, source).unwrap()
}

/// The only constant of a script of one line.
fn one(source: &str) -> Constant {
    let [constant] = <[Constant; 1]>::try_from(python(source)).unwrap();
    constant
}

fn flags(flags: &[&str]) -> Vec<KnobFlag> {
    flags.iter().map(|flag| KnobFlag::parse(flag).unwrap()).collect()
}

fn searched(constants: &[Constant], asked: &[&str]) -> Vec<Knobbed> {
    knobs(constants, &flags(asked), &[]).unwrap()
}

/// Everything that can be searched in [`TRAIN`].
fn all_of_train() -> Vec<Knobbed> {
    let asked =
        ["WINDOW_PATTERN=L|SL|it's \"\\new\"", "ADAM_BETAS=(0.8,0.95)|(0.9, 0.95)|(.9, 1e-1)", "DEPTH=2..12"];
    searched(&python(TRAIN), &asked)
}

fn names(knob: &Knobbed) -> Vec<&str> {
    knob.dimension.options.iter().map(|option| option.name.as_str()).collect()
}
