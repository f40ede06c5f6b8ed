use proptest::prelude::*;

use super::{TRAIN, all_of_train, flags, names, python, rust, searched};
use crate::{Constant, Knobbed, Language, Literal, constants, knobs, replacement, rewrite};

/// The text of every option but `base`.
fn texts(knob: &Knobbed) -> Vec<String> {
    knob.dimension.options.iter().skip(1).map(|option| replacement(&knob.constant, option)).collect()
}

fn written(constants: &[Constant], flag: &str) -> Vec<String> {
    texts(&searched(constants, &[flag])[0])
}

#[test]
fn an_option_becomes_valid_source() {
    let python = |source: &str, flag: &str| written(&python(source), flag);
    assert_eq!(python("LR = 0.5", "LR=1|2e-3|1e22"), ["1.0", "0.002", "10000000000000000000000.0"]);
    assert_eq!(python("LR = 0.5", "LR=1..3:int"), ["1.0", "2.0", "3.0"]);
    assert_eq!(python("N = 2**4", "N=8|2**5"), ["8", "32"]);
    assert_eq!(python("N = 8", "N=-1..1"), ["-1", "0", "1"]);
    assert_eq!(python("F = False", "F"), ["True"]);
    assert_eq!(python("B = (0.8, 0.95)", "B=(0.9, .95)"), ["(0.9, .95)"]);
    assert_eq!(python("A = 'x'", "A=it's|\"b\\|c"), ["'it\\'s'", "'\"b\\\\'", "'c'"]);
    assert_eq!(python("A = \"x\"", "A=it's"), ["\"it's\""]);
    assert_eq!(python("A = '''x'''", "A=y"), ["'''y'''"]);
    assert_eq!(python("A = ''", "A=y"), ["'y'"]);
    assert_eq!(python("A = r'x'", "A=y|\\d"), ["r'y'", "'\\\\d'"]);
    let rust = |source: &str, flag: &str| written(&rust(source), flag);
    assert_eq!(rust("const N: u32 = 8_u32;", "N=16"), ["16_u32"]);
    assert_eq!(rust("const N: i8 = 0x1f;", "N=16"), ["16"]);
    assert_eq!(rust("const R: f32 = 0.5f32;", "R=1|0.25"), ["1.0f32", "0.25f32"]);
    assert_eq!(rust("const F: bool = true;", "F"), ["false"]);
    assert_eq!(rust("const A: &str = \"x\";", "A=it's|\"b"), ["\"it's\"", "\"\\\"b\""]);
    assert_eq!(rust("const A: &str = r##\"x\"##;", "A=y|a\"b"), ["r##\"y\"##", "\"a\\\"b\""]);
    assert_eq!(rust("const B: [f64; 2] = [0.8, 0.9];", "B=[0.7, 0.9]"), ["[0.7, 0.9]"]);
}

/// What the option is to mean.
fn meaning(constant: &Constant, name: &str) -> Literal {
    match constant.value {
        Literal::Int(_) => Literal::Int(name.parse().unwrap()),
        Literal::Float(_) => Literal::Float(name.parse().unwrap()),
        Literal::Text(_) => Literal::Text(name.to_owned()),
        Literal::Bool(_) => Literal::Bool(name.eq_ignore_ascii_case("true")),
        _ => Literal::Tuple(
            name.trim_matches(['(', ')'])
                .split(',')
                .map(|part| Literal::Float(part.trim().parse().unwrap()))
                .collect(),
        ),
    }
}

/// Puts every option of every knob into `source`, one at a time, and looks at what is found then.
fn check_every_option(language: Language, source: &str, knobs: &[Knobbed]) {
    let before = constants(language, source).unwrap();
    for knob in knobs {
        let span = &knob.constant.span;
        for option in &knob.dimension.options {
            let text = replacement(&knob.constant, option);
            let rewritten = rewrite(source, &[(span.clone(), text.clone())]).unwrap();
            assert_eq!(rewritten[..span.start], source[..span.start]);
            assert_eq!(rewritten[span.start + text.len()..], source[span.end..]);
            let wanted = before.iter().map(|constant| {
                let mut wanted = constant.clone();
                if wanted.name == knob.constant.name {
                    wanted.span.end = span.start + text.len();
                    wanted.text.clone_from(&text);
                    if option.name != "base" {
                        wanted.value = meaning(constant, &option.name);
                    }
                } else if wanted.span.start > span.start {
                    let moved = |at: usize| at - span.len() + text.len();
                    wanted.span = moved(wanted.span.start)..moved(wanted.span.end);
                }
                wanted
            });
            assert_eq!(constants(language, &rewritten).unwrap(), wanted.collect::<Vec<_>>());
            if option.name == "base" {
                assert_eq!(rewritten, source);
            } else if let Some(value) = option.value {
                assert_eq!(option.name.parse(), Ok(value));
            }
        }
    }
}

#[test]
fn every_option_can_be_written_and_changes_nothing_else() {
    let knobs = all_of_train();
    assert_eq!(knobs.len(), 15);
    check_every_option(Language::Python, TRAIN, &knobs);
}

#[test]
fn line_ends_and_the_mark_at_the_beginning_stay() {
    let source = format!("\u{feff}{}", TRAIN.replace('\n', "\r\n"));
    let found = python(&source);
    let lines: Vec<u32> = found.iter().map(|constant| constant.line).collect();
    assert_eq!(lines, python(TRAIN).iter().map(|constant| constant.line).collect::<Vec<_>>());
    check_every_option(Language::Python, &source, &searched(&found, &["WINDOW_PATTERN=L|SL"]));
}

#[test]
fn every_option_of_a_rust_file_can_be_written() {
    let source = "const DEPTH: usize = 8usize; // é\nconst LR: f32 = 0.04_f32;\r\nconst ACT: &str = r\"x\"; // choices: y, z\n\
        pub const BIAS: bool = true;\nconst BATCH: u32 = 1 << 6;\nfn main() {}\n";
    let found = rust(source);
    let knobs = searched(&found, &["ACT=y|a\"b|c\\d"]);
    assert_eq!((found.len(), knobs.len(), names(&knobs[2]).len()), (5, 5, 4));
    check_every_option(Language::Rust, source, &knobs);
}

proptest! {
    #[test]
    fn any_number_stays_one_of_its_kind(whole in any::<i64>(), broken in any::<f64>(), name in "[A-Z]{1,3}|LR|DROPOUT|BETA1|BATCH") {
        let mut source = format!("{name}_ = {whole}\n");
        if broken.is_finite() {
            source.push_str(&format!("{name} = {broken:?}\n"));
        }
        let found = constants(Language::Python, &source).unwrap();
        prop_assert!(!found.is_empty() || whole == i64::MIN);
        check_every_option(Language::Python, &source, &searched(&found, &[]));
    }

    #[test]
    fn any_text_can_be_chosen(choice in "[^|\\p{Cc}]{1,8}", open in prop::sample::select(vec!["'", "\"", "'''", "r\"", "u'"])) {
        let close = open.trim_start_matches(['r', 'u']);
        let source = format!("ACT = {open}x{close}  # é\n");
        let found = python(&source);
        let flag = format!("ACT='{choice}'");
        if let Ok(knobs) = knobs(&found, &flags(&[&flag]), &[]) {
            prop_assert_eq!(names(&knobs[0])[1], choice.as_str());
            check_every_option(Language::Python, &source, &knobs);
        }
    }
}
