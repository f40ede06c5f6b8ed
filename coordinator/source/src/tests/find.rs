use proptest::prelude::*;

use super::{TRAIN, one, python, rust};
use crate::{Language, Literal, MAX_BYTES, SourceError, constants};

fn found(source: &str) -> Vec<(String, Literal)> {
    python(source).into_iter().map(|constant| (constant.name, constant.value)).collect()
}

#[test]
fn the_constants_of_a_training_script_are_found() {
    let constants = python(TRAIN);
    let shown: Vec<(&str, &str)> = constants.iter().map(|c| (c.name.as_str(), c.text.as_str())).collect();
    let wanted = [
        ("ASPECT_RATIO", "64"),
        ("HEAD_DIM", "128"),
        ("WINDOW_PATTERN", "\"SSSL\""),
        ("TOTAL_BATCH_SIZE", "2**19"),
        ("EMBEDDING_LR", "0.6"),
        ("UNEMBEDDING_LR", "0.004"),
        ("MATRIX_LR", "0.04"),
        ("SCALAR_LR", "0.5"),
        ("WEIGHT_DECAY", "0.2"),
        ("ADAM_BETAS", "(0.8, 0.95)"),
        ("WARMUP_RATIO", "0.0"),
        ("WARMDOWN_RATIO", "0.5"),
        ("FINAL_LR_FRAC", "0.0"),
        ("DEPTH", "8"),
        ("DEVICE_BATCH_SIZE", "128"),
        ("SEED", "42"),
    ];
    assert_eq!(shown, wanted);
    for constant in &constants {
        assert_eq!(TRAIN[constant.span.clone()], constant.text);
        let line = TRAIN.lines().nth(constant.line as usize - 1).unwrap();
        assert!(line.starts_with(&format!("{} = {}", constant.name, constant.text)), "{line}");
        let comment = line.split_once('#').map(|(_, comment)| comment.trim());
        assert_eq!(constant.comment.as_deref(), comment);
    }
    assert_eq!(constants[3].value, Literal::Int(524_288));
    assert_eq!(constants[9].value, Literal::Tuple(vec![Literal::Float(0.8), Literal::Float(0.95)]));
}

#[test]
fn values_are_calculated_as_python_does() {
    let (int, float) = (Literal::Int, Literal::Float);
    for (text, wanted) in [
        ("64 * 1024", int(65_536)),
        ("1_000", int(1000)),
        ("0x10 + 0b11 + 0o7", int(26)),
        ("-7 // 2", int(-4)),
        ("7 // -2", int(-4)),
        ("-7 // -2", int(3)),
        ("8 // 2", int(4)),
        ("1 << 10", int(1024)),
        ("2 ** 3 ** 2", int(512)),
        ("-2 ** 2", int(-4)),
        ("-0.5", float(-0.5)),
        ("+3", int(3)),
        ("1e-3", float(1e-3)),
        ("3 / 2", float(1.5)),
        ("2 ** -1", float(0.5)),
        ("1.0 // 0.1", float(9.0)),
        ("-1.5 // 1", float(-2.0)),
        ("2 * (1 + 0.5)", float(3.0)),
        ("True", Literal::Bool(true)),
        ("None", Literal::None),
        ("'a\\n\\'b\\''", Literal::Text("a\n'b'".into())),
        ("r'\\d'", Literal::Text("\\d".into())),
        ("\"\"\"a \"b\" c\"\"\"", Literal::Text("a \"b\" c".into())),
        ("''", Literal::Text(String::new())),
        ("1, 'b'", Literal::Tuple(vec![int(1), Literal::Text("b".into())])),
        ("(  # one\n  1,\n)", Literal::Tuple(vec![int(1)])),
    ] {
        let constant = one(&format!("A = {text}\n"));
        assert_eq!(constant.value, wanted, "{text}");
        assert_eq!(constant.text, text);
    }
}

#[test]
fn what_cannot_be_read_off_is_no_constant() {
    for text in [
        "float('1')",
        "B",
        "[1]",
        "{}",
        "f'{B}'",
        "b'x'",
        "'a' 'b'",
        "'\\x41'",
        "1j",
        "1.5J",
        "1e400",
        "2**64",
        "1 / 0",
        "1 // 0",
        "1 % 2",
        "0 ** -1",
        "(-8) ** 0.5",
        "9223372036854775808",
        "9223372036854775807 + 1",
        "-9223372036854775807 - 2",
        "(-9223372036854775807 - 1) // -1",
        "1 << 63",
        "2**32 * 2**32",
        "2**62 + 2**62",
        "-(-2**63)",
        "1 << -1",
        "True + 1",
        "not True",
        "1 if B else 2",
        "(1, B)",
        "-'a'",
        "1 @ 2",
        "0x8000000000000000",
    ] {
        assert_eq!(
            found(&format!("A = {text}\nLAST = 1\n")),
            [("LAST".to_owned(), Literal::Int(1))],
            "{text}"
        );
    }
    let deep = format!("A = {}1{}\nLAST = 1\n", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(found(&deep), [("LAST".to_owned(), Literal::Int(1))]);
}

#[test]
fn only_what_is_bound_once_at_the_top_level_counts() {
    let source = "\
A: int = 1
B: float
B = 2
if True:
    C = 3
    D = 4
D = 5
def f(E=1):
    F = 6
    global G
    G = 7
F = 8
G = 9
H = I = 10
H = 11
J, K = 12, 13
J = 14
L = 15
L += 1
for M in range(3): pass
M = 16
(N := 17)
N = 18
from x import O, p as Q
O = 19
Q = 20
R = 21; S = 22  # both
with x as T: pass
T = 23
U = 24
del U, V
W[0] = X.y = 1
W = 25
class Y:
    Z = 0
    AA = 0
AA = 26
lower = Mixed = 27
_A = 28
AB = 29
print(lambda: (AB := 3), AB, [AB], AB == AB)
AC = 30
def AC(): pass
import AD.b
AD = 31
";
    let names: Vec<String> = python(source).into_iter().map(|constant| constant.name).collect();
    assert_eq!(names, ["A", "B", "F", "R", "S", "W", "AA", "AB"]);
    let comments: Vec<Option<String>> = python(source).into_iter().map(|constant| constant.comment).collect();
    assert_eq!(comments[2..5], [None, Some("both".to_owned()), Some("both".to_owned())]);
}

#[test]
fn constants_of_rust_are_found() {
    let source = "\
//! A trainer.
pub const DEPTH: usize = 8; // layers
const LR: f64 = -1.5e-3_f64; /* a rate */
pub(crate) const BATCH: u32 = 64 * 1_024u32;
const ONE: f32 = 1f32;
#[allow(dead_code)]
const FLAG: bool = true;
const NAME: &str = r#\"a \"b\"\"#;
const BYTES: &[u8] = b\"x\";
const BETAS: [f64; 2] = [0.8, 0.95];
const SAME: [f64; 2] = [0.8; 2];
const PAIR: (u8, bool) = (1, false);
const HALF: usize = 7 / 2;
const MIXED: f64 = 1.0 + 1;
#[cfg(a)]
const TWICE: u8 = 1;
#[cfg(not(a))]
const TWICE: u8 = 2;
static STATIC: u8 = 1;
fn main() { const INNER: u8 = 1; const DEPTH: u8 = 1; }
mod inner { pub const INNER: u8 = 1; }
const LAST: i32 = 0xf1;
";
    let constants = rust(source);
    let found: Vec<(&str, &Literal)> = constants.iter().map(|c| (c.name.as_str(), &c.value)).collect();
    let floats = Literal::Tuple(vec![Literal::Float(0.8), Literal::Float(0.95)]);
    let pair = Literal::Tuple(vec![Literal::Int(1), Literal::Bool(false)]);
    let wanted = [
        ("DEPTH", &Literal::Int(8)),
        ("LR", &Literal::Float(-1.5e-3)),
        ("BATCH", &Literal::Int(65_536)),
        ("ONE", &Literal::Float(1.0)),
        ("FLAG", &Literal::Bool(true)),
        ("NAME", &Literal::Text("a \"b\"".into())),
        ("BETAS", &floats),
        ("PAIR", &pair),
        ("HALF", &Literal::Int(3)),
        ("LAST", &Literal::Int(241)),
    ];
    assert_eq!(found, wanted);
    assert_eq!(constants[0].comment.as_deref(), Some("layers"));
    assert_eq!((constants[1].comment.as_deref(), constants[1].line), (Some("a rate"), 3));
}

#[test]
fn line_ends_marks_and_letters_of_all_kinds_are_understood() {
    let source = "\u{feff}A = 1\t# größer\r\nB = 'é'\r\n\tC = 3\r\nD =\t4 # 漢字\r\n";
    let constants = python(source);
    let found: Vec<(&str, &str, u32)> =
        constants.iter().map(|c| (c.name.as_str(), &source[c.span.clone()], c.line)).collect();
    assert_eq!(found, [("A", "1", 1), ("B", "'é'", 2), ("D", "4", 4)]);
    assert_eq!(constants[0].comment.as_deref(), Some("größer"));
    assert_eq!(constants[2].comment.as_deref(), Some("漢字"));
    assert_eq!(found_names("# only a comment"), [""; 0]);
    assert_eq!(found_names(""), [""; 0]);
}

fn found_names(source: &str) -> Vec<String> {
    found(source).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_broken_script_gives_what_stands_outside_or_the_line() {
    let broken = |source: &str| constants(Language::Python, source).unwrap_err();
    assert_eq!(found_names("A = 1\ndef f(:\n    B = 2\nC = 3\n")[0], "A");
    assert!(!found_names("A = 1\ndef f(:\n    B = 2\n").contains(&"B".to_owned()));
    assert_eq!(broken("import os\nx = 1\ny = = 2\n"), SourceError::Syntax { line: 3 });
    assert_eq!(broken("import os\n\nA = (1, 2\n"), SourceError::Syntax { line: 3 });
    assert!(matches!(broken("%PDF-1.7 \u{0}\u{1}"), SourceError::Syntax { line: 1 }));
    let large = format!("A = 1\n{}", "#".repeat(MAX_BYTES));
    assert_eq!(broken(&large), SourceError::TooLarge { bytes: MAX_BYTES + 6 });
    assert_eq!(found_names(&large[..MAX_BYTES]), ["A"]);
    let fails = constants(Language::Rust, "fn main() {\n    let x = ;\n}\n");
    assert_eq!(fails.unwrap_err(), SourceError::Syntax { line: 2 });
}

#[test]
fn text_that_confuses_the_parser_comes_to_an_end() {
    for piece in [
        "(", "[", "a if ", "f(x, *", "not ", "'", "\"\"\"", "lambda: ", "if x:\n ", "{", "<", "A = ", "\\",
        "f'{",
    ] {
        for language in [Language::Python, Language::Rust] {
            let _ = constants(language, &piece.repeat(20_000 / piece.len()));
        }
    }
    assert_eq!(constants(Language::Rust, &"A = ".repeat(200_000)), Err(SourceError::Tangled));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(source in prop_oneof![".{0,80}", "(?s).{0,80}", "[A-Z =\\-+*/().0-9e'\"#\\\\\r\n\t:,fr]{0,60}"]) {
        for language in [Language::Python, Language::Rust] {
            for constant in constants(language, &source).unwrap_or_default() {
                prop_assert_eq!(&source[constant.span.clone()], &constant.text);
            }
        }
    }

    #[test]
    fn a_damaged_script_is_read_as_far_as_it_goes(
        cuts in prop::collection::vec((0.0..1.0_f64, 0_usize..30, "(?s).{0,4}|[()'\"\n\\\\:=]"), 1..5)
    ) {
        let mut source = TRAIN.to_owned();
        for (place, length, text) in cuts {
            let inside = |at: &usize| source.is_char_boundary(*at);
            let start = (0..=(source.len() as f64 * place) as usize).rev().find(inside).unwrap();
            let end = (start..=(start + length).min(source.len())).rev().find(inside).unwrap();
            source.replace_range(start..end, &text);
        }
        for language in [Language::Python, Language::Rust] {
            for constant in constants(language, &source).unwrap_or_default() {
                prop_assert_eq!(&source[constant.span.clone()], &constant.text);
                prop_assert!(constant.line as usize <= source.matches('\n').count() + 1);
            }
        }
    }
}
