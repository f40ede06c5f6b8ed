//! What a researcher asks of the search: configurations to try first, and what not to try.

use ar_common::space::BASE;
use ar_common::{Choice, Config, Dimension, Pin, Space};
use ar_source::{KnobFlag, Knobbed, Unsearched, Wanted};

use super::IntakeError;

/// Takes `--forbid` into the space: an option alone is taken out, two of them are not tried together.
///
/// # Errors
/// With one line that names what is there, if a text names what is not.
pub(super) fn forbid(space: &mut Space, asked: &[String]) -> Result<(), IntakeError> {
    for text in asked {
        let wrong = |why: String| IntakeError::Flag(format!("--forbid {text}: {why}"));
        let choices = choices(space, text).map_err(wrong)?;
        if let Some(choice) = choices.iter().find(|choice| choice.option == BASE) {
            let why =
                format!("base of `{}` is the untouched one, which every comparison needs", choice.dimension);
            return Err(wrong(why));
        }
        match &choices[..] {
            [one] => {
                let dimension = space.dimensions.iter_mut().find(|d| d.name == one.dimension);
                dimension.into_iter().for_each(|d| d.options.retain(|option| option.name != one.option));
            }
            [one, other] => space.forbidden.push([one.clone(), other.clone()]),
            _ => {
                return Err(wrong(
                    "give one SLOT=OPTION to leave out, or two not to try together".to_owned(),
                ));
            }
        }
        space.validate().map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

/// Reads `--pin`: constants with one value each.
///
/// # Errors
/// With one line, if a text is of another form.
pub(super) fn pins(asked: &[String]) -> Result<Vec<KnobFlag>, IntakeError> {
    let read = |text: &String| {
        let flag = KnobFlag::parse(text).map_err(|error| IntakeError::Flag(format!("--pin {error}")))?;
        match &flag.wanted {
            Wanted::Choices(choices) if choices.len() == 1 => Ok(flag),
            _ => Err(IntakeError::Flag(format!("--pin {text}: give one value, e.g. DEPTH=12"))),
        }
    };
    asked.iter().map(read).collect()
}

/// Takes what `--pin` names out of what is searched.
///
/// # Errors
/// With one line, if a constant already has that value.
pub(super) fn pin(
    knobs: &mut Vec<(String, Knobbed)>,
    unsearched: &mut Vec<(String, Unsearched)>,
    asked: &[String],
) -> Result<Vec<Pin>, IntakeError> {
    let mut pins = Vec::new();
    for flag in self::pins(asked)? {
        let Some(place) = knobs.iter().position(|(_, knob)| knob.constant.name == flag.name) else {
            return Err(IntakeError::Flag(format!("--pin {}: it is named twice", flag.name)));
        };
        let (file, knob) = knobs.remove(place);
        let option = knob.dimension.options.iter().find(|option| option.name != BASE);
        let option = option.ok_or_else(|| {
            IntakeError::Flag(format!("--pin {}: it has that value; leave it out with --no-knob", flag.name))
        })?;
        let why = format!("pinned to {}", option.name);
        let constant = &knob.constant;
        let (start, end) = (constant.span.start, constant.span.end);
        pins.push(Pin {
            name: constant.name.clone(),
            file: file.clone(),
            start,
            end,
            text: ar_source::replacement(constant, option),
        });
        unsearched.push((file, Unsearched { name: constant.name.clone(), line: constant.line, why }));
    }
    if knobs.is_empty() && !pins.is_empty() {
        return Err(IntakeError::Flag("--pin leaves no constant to search".to_owned()));
    }
    Ok(pins)
}

/// Reads `--enqueue`: whole configurations, with the base in every dimension that is not named.
///
/// # Errors
/// With one line that names what is there, if a text names what is not, or what cannot be tried.
pub(super) fn enqueue(space: &Space, asked: &[String]) -> Result<Vec<Config>, IntakeError> {
    let read = |text: &String| {
        let wrong = |why: String| IntakeError::Flag(format!("--enqueue {text}: {why}"));
        let choices = choices(space, text).map_err(wrong)?;
        let asked = choices.iter().fold(space.base(), |config, c| config.with(&c.dimension, &c.option));
        let config = space.canonical(&asked).ok_or_else(|| wrong("it is no configuration".to_owned()))?;
        if let Some((name, _)) = asked.iter().find(|(name, option)| config.get(name) != Some(*option)) {
            return Err(wrong(format!(
                "`{name}` has no effect beside the others; leave it out, or change what it needs"
            )));
        }
        if space.forbids(&config) {
            return Err(wrong("the study forbids two of these together".to_owned()));
        }
        Ok(config)
    };
    asked.iter().map(read).collect()
}

/// `SLOT=OPTION`, several of them with commas or blanks between, as the program itself writes them.
fn choices(space: &Space, text: &str) -> Result<Vec<Choice>, String> {
    let choices: Vec<Choice> =
        parts(text).into_iter().map(|part| choice(space, part)).collect::<Result<_, _>>()?;
    for (i, choice) in choices.iter().enumerate() {
        if choices[..i].iter().any(|before| before.dimension == choice.dimension) {
            return Err(format!("`{}` is named twice", choice.dimension));
        }
    }
    if choices.is_empty() { Err("give SLOT=OPTION".to_owned()) } else { Ok(choices) }
}

/// A text cut where a name and `=` follow a comma or a blank: an option may have commas and blanks of its own, as a tuple has.
fn parts(text: &str) -> Vec<&str> {
    let between = |c: char| c == ',' || c == ' ';
    let named = |rest: &str| {
        let name = rest.split('=').next().unwrap_or_default();
        rest.len() > name.len()
            && !name.is_empty()
            && !name.contains(|c: char| between(c) || "()[]'\"".contains(c))
    };
    let starts = text.match_indices(between).map(|(at, _)| at + 1).filter(|at| named(&text[*at..]));
    let mut cuts: Vec<usize> = std::iter::once(0).chain(starts).collect();
    cuts.push(text.len());
    let parts = cuts.windows(2).map(|cut| text[cut[0]..cut[1]].trim_matches(between));
    parts.filter(|part| !part.is_empty()).collect()
}

fn choice(space: &Space, text: &str) -> Result<Choice, String> {
    let (slot, option) = text.split_once('=').ok_or_else(|| format!("`{text}` is not SLOT=OPTION"))?;
    let dimension = space.dimension(slot).ok_or_else(|| {
        let names: Vec<&str> = space.dimensions.iter().map(|d| d.name.as_str()).collect();
        format!("there is no `{slot}`; there are: {}", names.join(", "))
    })?;
    let option = match dimension.option(option) {
        Some(option) => option.name.clone(),
        None => level(dimension, option)?,
    };
    Ok(Choice { dimension: slot.to_owned(), option })
}

/// The level of a knob next to a number on its scale.
fn level(dimension: &Dimension, text: &str) -> Result<String, String> {
    let levels = || dimension.options.iter().filter_map(|o| Some((o.name.as_str(), o.value?)));
    let Some(scale) = dimension.scale else {
        let names: Vec<&str> = dimension.options.iter().map(|o| o.name.as_str()).collect();
        return Err(format!("`{}` has no option `{text}`; there are: {}", dimension.name, names.join(", ")));
    };
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    // What it is now may lie outside the range that is searched.
    if let Some((name, _)) = levels().find(|(_, level)| *level == value) {
        return Ok(name.to_owned());
    }
    let range = levels().filter(|(name, _)| *name != BASE).map(|(_, level)| level);
    let (low, high) = range.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if !(low..=high).contains(&value) {
        return Err(format!("`{}` is searched from {low} to {high}", dimension.name));
    }
    let away = |level: f64| (scale.place(level) - scale.place(value)).abs();
    let nearest = levels().min_by(|a, b| away(a.1).total_cmp(&away(b.1)));
    nearest.map(|(name, _)| name.to_owned()).ok_or_else(|| format!("`{}` has no numbers", dimension.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ar_common::{Knob, OptionSpec, Scale};

    fn space() -> Space {
        let slot = |name: &str, options: &[&str]| {
            let option = |option: &&str| OptionSpec {
                name: (*option).into(),
                family: format!("{name}/{option}"),
                ..OptionSpec::default()
            };
            Dimension {
                name: name.into(),
                options: options.iter().map(option).collect(),
                ..Dimension::default()
            }
        };
        let knob = Knob { low: 0.001, high: 1.0, default: 0.05, scale: Scale::Log, integer: false };
        let dimensions = vec![
            slot("model", &["base", "xgb", "tree"]),
            slot("scale", &["base", "robust"]),
            slot("BETAS", &["base", "(0.9, 0.99)"]),
            Dimension::knob("LR", knob).unwrap(),
        ];
        let space = Space { dimensions, ..Space::default() };
        space.validate().unwrap();
        space
    }

    fn enqueued(text: &str) -> Result<Config, String> {
        let all = enqueue(&space(), &[text.to_owned()]).map_err(|error| error.to_string());
        all.map(|mut all| all.remove(0))
    }

    #[test]
    fn a_configuration_is_read_as_the_program_writes_it() {
        let base = space().base();
        assert_eq!(enqueued("model=xgb scale=robust"), Ok(base.with("model", "xgb").with("scale", "robust")));
        assert_eq!(enqueued("scale=robust,"), Ok(base.with("scale", "robust")));
        let betas = base.with("BETAS", "(0.9, 0.99)");
        assert_eq!(enqueued("BETAS=(0.9, 0.99),model=xgb"), Ok(betas.with("model", "xgb")));
        // A number becomes the level next to it; what it is now is the base.
        let near = enqueued("LR=0.02").unwrap();
        let level: f64 = near.get("LR").unwrap().parse().unwrap();
        assert!((level / 0.02).ln().abs() < 0.06, "{level}");
        assert_eq!(enqueued("LR=0.05"), Ok(base));
    }

    #[test]
    fn what_cannot_be_tried_is_told_in_a_line() {
        for (text, expected) in [
            ("model", "`model` is not SLOT=OPTION"),
            ("colour=red", "there is no `colour`; there are: model, scale, BETAS, LR"),
            ("model=svm", "`model` has no option `svm`; there are: base, xgb, tree"),
            ("model=xgb model=tree", "`model` is named twice"),
            ("LR=fast", "`fast` is no number"),
            ("LR=7", "`LR` is searched from 0.001 to 1"),
            ("LR=nan", "`LR` is searched from 0.001 to 1"),
            (" ", "give SLOT=OPTION"),
        ] {
            let said = enqueued(text).unwrap_err();
            assert!(said.ends_with(expected) && said.starts_with("--enqueue "), "{text}: {said}");
        }
        let mut space = space();
        forbid(&mut space, &["model=xgb,scale=robust".to_owned()]).unwrap();
        let said = enqueue(&space, &["scale=robust model=xgb".to_owned()]).unwrap_err().to_string();
        assert!(said.contains("forbids"), "{said}");
        assert!(enqueue(&space, &["model=xgb".to_owned()]).is_ok());
    }

    #[test]
    fn one_option_is_taken_out_two_are_kept_apart_and_the_base_stays() {
        let mut made = space();
        forbid(&mut made, &["model=tree".to_owned()]).unwrap();
        let names: Vec<&str> = made.dimensions[0].options.iter().map(|o| o.name.as_str()).collect();
        assert_eq!((names, made.forbidden.len()), (vec!["base", "xgb"], 0));
        for (text, expected) in [
            ("model=base", "untouched"),
            ("LR=0.05", "untouched"),
            ("model=svm", "has no option"),
            ("model=xgb,scale=robust,LR=0.1", "one SLOT=OPTION"),
        ] {
            let said = forbid(&mut space(), &[text.to_owned()]).unwrap_err().to_string();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
