//! Source text as named parts: finds the constants of a training script and rewrites them.
//!
//! *Architecture Invariant:* text in, values out. No I/O, no clock, no randomness, and no text makes it panic: what a
//! user or a proposer wrote may be broken anywhere.
//!
//! A script goes: text to constants (`constants.rs`, with `literal.rs` for what a value means), constants and flags
//! to dimensions (`knobs.rs`; `names.rs` says what is never searched, `ranges.rs` how far a number goes, `choices.rs`
//! what stands for a word), a chosen option to text (`replacement.rs`), and text into the script (`rewrite.rs`).

mod choices;
mod constants;
mod flags;
mod knobs;
mod language;
mod literal;
mod names;
mod ranges;
mod replacement;
mod rewrite;
#[cfg(test)]
mod tests;

pub use constants::{Constant, MAX_BYTES, SourceError, constants};
pub use flags::{FlagError, KnobFlag, Wanted};
pub use knobs::{KnobError, Knobbed, Unsearched, knobs, unsearched};
pub use language::Language;
pub use literal::Literal;
pub use replacement::replacement;
pub use rewrite::{RewriteError, rewrite};
