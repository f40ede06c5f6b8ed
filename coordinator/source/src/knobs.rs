//! Constants and flags to dimensions of a search space.

use ar_common::space::BASE;
use ar_common::{Dimension, Knob, Scale, SpaceError};

use crate::choices::{self, ChoiceError};
use crate::constants::Constant;
use crate::flags::{EXAMPLES, KnobFlag, Wanted};
use crate::literal::{EXACT, Literal};
use crate::names::{Role, near};
use crate::ranges::{self, Numbers};

/// A constant that is searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobbed {
    /// The constant.
    pub constant: Constant,
    /// The dimension of its values: `base` is the present one.
    pub dimension: Dimension,
    /// Which values those are, in a line: `log, 0.005 to 0.32`.
    pub why: String,
}

/// A constant that is not searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsearched {
    /// Its name.
    pub name: String,
    /// The line on which it stands, from 1.
    pub line: u32,
    /// Why not, in a line.
    pub why: String,
}

/// Why constants cannot be searched as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KnobError {
    /// No such constant.
    #[error(
        "there is no constant `{name}` that is assigned once, at the top level, to a plain value; {hint}"
    )]
    Unknown {
        /// As asked.
        name: String,
        /// Near names, or all.
        hint: String,
    },
    /// Asked for twice.
    #[error("`{name}` is asked for twice, as `{first}` and as `{second}`; keep one of them")]
    Twice {
        /// The constant.
        name: String,
        /// A flag.
        first: String,
        /// Another.
        second: String,
    },
    /// Asked for, and to be left out.
    #[error("`{flag}` is asked for, and `{name}` is to be left out; keep one of them")]
    Contradiction {
        /// The constant.
        name: String,
        /// The flag that asks for it.
        flag: String,
    },
    /// A constant whose change makes scores worthless.
    #[error("`{flag}` cannot be searched: {why}; leave the flag out")]
    Refused {
        /// The flag that asks for it.
        flag: String,
        /// Why it is never searched.
        why: String,
    },
    /// No values, and none that suggest themselves.
    #[error("`{flag}` needs values to try, as {why}; write e.g. {EXAMPLES}")]
    NoValues {
        /// The flag.
        flag: String,
        /// Why none suggest themselves.
        why: String,
    },
    /// Values that do not fit the constant.
    #[error("`{flag}` does not fit `{name} = {present}`: {why}; write e.g. {EXAMPLES}")]
    Misfit {
        /// The flag.
        flag: String,
        /// The constant.
        name: String,
        /// Its value as written.
        present: String,
        /// What does not fit.
        why: String,
    },
    /// A range that is none, or does not fit its scale.
    #[error("`{flag}`: {source}")]
    Space {
        /// The flag.
        flag: String,
        /// What is wrong with the range.
        source: SpaceError,
    },
}

/// The constants to search, in the order of the script: those that suggest themselves, and those that are `asked` for,
/// as asked; without those named in `left_out`. Never without being asked for: places, devices, logging, versions, what
/// belongs to the data, and what has neither a scale nor listed choices.
///
/// # Errors
/// A name that is not among `constants`; seeds, budgets and what belongs to the evaluation, even if asked for; values
/// that do not fit the constant; a name that is asked for twice or also left out.
pub fn knobs(
    constants: &[Constant],
    asked: &[KnobFlag],
    left_out: &[String],
) -> Result<Vec<Knobbed>, KnobError> {
    check_names(constants, asked, left_out)?;
    let mut knobs = Vec::new();
    for constant in constants {
        let (dimension, why) = match asked.iter().find(|flag| flag.name == constant.name) {
            Some(flag) => as_asked(constant, flag)?,
            None if left_out.contains(&constant.name) => continue,
            None => match unasked(constant) {
                Ok(knob) => knob,
                Err(_) => continue,
            },
        };
        knobs.push(Knobbed { constant: constant.clone(), dimension, why });
    }
    Ok(knobs)
}

/// The constants that [`knobs`] passes over, and why, for the same arguments.
pub fn unsearched(constants: &[Constant], asked: &[KnobFlag], left_out: &[String]) -> Vec<Unsearched> {
    let why = |constant: &Constant| {
        if asked.iter().any(|flag| flag.name == constant.name) {
            None
        } else if left_out.contains(&constant.name) {
            Some("left out as asked".to_owned())
        } else {
            unasked(constant).err()
        }
    };
    let passed_over = |constant: &Constant| {
        why(constant).map(|why| Unsearched { name: constant.name.clone(), line: constant.line, why })
    };
    constants.iter().filter_map(passed_over).collect()
}

fn check_names(constants: &[Constant], asked: &[KnobFlag], left_out: &[String]) -> Result<(), KnobError> {
    let known: Vec<&str> = constants.iter().map(|constant| constant.name.as_str()).collect();
    for name in asked.iter().map(|flag| &flag.name).chain(left_out) {
        if !known.contains(&name.as_str()) {
            return Err(KnobError::Unknown { name: name.clone(), hint: near(name, &known) });
        }
    }
    for (i, flag) in asked.iter().enumerate() {
        let name = || flag.name.clone();
        if let Some(first) = asked.iter().take(i).find(|first| first.name == flag.name) {
            return Err(KnobError::Twice {
                name: name(),
                first: first.to_string(),
                second: flag.to_string(),
            });
        }
        if left_out.contains(&flag.name) {
            return Err(KnobError::Contradiction { name: name(), flag: flag.to_string() });
        }
    }
    Ok(())
}

fn role(constant: &Constant) -> Option<Role> {
    Role::of(&constant.name, matches!(constant.value, Literal::Text(_)))
}

/// What suggests itself for a constant that nobody asks for; otherwise why it is not searched.
fn unasked(constant: &Constant) -> Result<(Dimension, String), String> {
    match role(constant) {
        Some(role) => Err(role.why().to_owned()),
        None => by_default(constant),
    }
}

fn by_default(constant: &Constant) -> Result<(Dimension, String), String> {
    match &constant.value {
        Literal::Bool(present) => Ok(choices::of_bool(constant, *present)),
        Literal::Text(_) => {
            let listed = constant.comment.as_deref().and_then(choices::in_comment);
            let listed = listed.ok_or("it is a text, and no choices are listed")?;
            choices::listed(constant, &listed).map_err(|error| match error {
                ChoiceError::Base => {
                    format!("a choice is called `{BASE}`, which stands for the present value")
                }
                _ => "no other choice than the present one is listed".to_owned(),
            })
        }
        Literal::Tuple(_) => Err("it is a tuple, and no choices are listed".to_owned()),
        value => {
            let numbers = ranges::by_default(&constant.name, value)?;
            let dimension = numbers.dimension(&constant.name);
            let dimension = dimension.map_err(|_| "no range of numbers lies around it".to_owned())?;
            if dimension.options.len() < 2 {
                return Err("no other number lies around it".to_owned());
            }
            Ok((dimension, numbers.why()))
        }
    }
}

fn as_asked(constant: &Constant, flag: &KnobFlag) -> Result<(Dimension, String), KnobError> {
    if let Some(role) = role(constant).filter(|role| role.is_refused()) {
        return Err(KnobError::Refused { flag: flag.to_string(), why: role.why().to_owned() });
    }
    match &flag.wanted {
        Wanted::Default => {
            by_default(constant).map_err(|why| KnobError::NoValues { flag: flag.to_string(), why })
        }
        Wanted::Choices(list) => choices::listed(constant, list).map_err(|error| {
            let why = match error {
                ChoiceError::Kind(choice) => {
                    format!("`{choice}` is not {}, as the present value is", constant.value.kind())
                }
                ChoiceError::OnlyPresent => "no other value than the present one is listed".to_owned(),
                ChoiceError::Base => format!("`{BASE}` stands for the present value and names no other"),
                ChoiceError::NoKind => "nothing says of what kind its values are".to_owned(),
            };
            misfit(constant, flag, why)
        }),
        Wanted::Range { low, high, scale, integer } => {
            let numbers = range(constant, flag, (*low, *high), *scale, *integer)?;
            let dimension = numbers.dimension(&constant.name);
            let dimension =
                dimension.map_err(|source| KnobError::Space { flag: flag.to_string(), source })?;
            if dimension.options.len() < 2 {
                let why = match numbers {
                    Numbers::Powers { .. } => {
                        "no other power of two lies in the range, add `:int` for every number"
                    }
                    Numbers::Knob(_) => "no other value than the present one lies in the range",
                };
                return Err(misfit(constant, flag, why.to_owned()));
            }
            Ok((dimension, numbers.why()))
        }
    }
}

fn misfit(constant: &Constant, flag: &KnobFlag, why: String) -> KnobError {
    KnobError::Misfit {
        flag: flag.to_string(),
        name: constant.name.clone(),
        present: constant.text.clone(),
        why,
    }
}

/// The numbers of a range that is given.
fn range(
    constant: &Constant,
    flag: &KnobFlag,
    (low, high): (f64, f64),
    scale: Option<Scale>,
    integer: bool,
) -> Result<Numbers, KnobError> {
    let is_whole = matches!(constant.value, Literal::Int(_));
    let Some(default) = constant.value.number() else {
        let kind = constant.value.kind();
        return Err(misfit(
            constant,
            flag,
            format!("the present value is {kind} on no scale, so list choices"),
        ));
    };
    let integer = is_whole || integer;
    if integer && [low, high].iter().any(|end| end.fract() != 0.0 || end.abs() > EXACT) {
        return Err(misfit(constant, flag, "the ends of the range are not whole numbers".to_owned()));
    }
    let by_powers = is_whole && scale.is_none() && ranges::goes_by_powers(&constant.name, default);
    if by_powers && !matches!(flag.wanted, Wanted::Range { integer: true, .. }) {
        return Ok(Numbers::Powers { low, high, default });
    }
    let scale = scale.unwrap_or_else(|| ranges::scale(&constant.name, &constant.value, low));
    Ok(Numbers::Knob(Knob { low, high, default, scale, integer }))
}
