use ar_common::{Scale, Space};

use super::{TRAIN, all_of_train, flags, names, one, python, rust, searched};
use crate::{KnobFlag, Knobbed, knobs, unsearched};

fn table(knobs: &[Knobbed]) -> Vec<(&str, &str)> {
    knobs.iter().map(|knob| (knob.constant.name.as_str(), knob.why.as_str())).collect()
}

fn why(source: &str) -> String {
    let knobs = searched(&[one(source)], &[]);
    knobs.first().map_or_else(|| "left out".to_owned(), |knob| knob.why.clone())
}

fn refused(source: &str, flag: &str) -> String {
    knobs(&python(source), &flags(&[flag]), &[]).unwrap_err().to_string()
}

#[test]
fn the_table_of_a_training_script() {
    let constants = python(TRAIN);
    let found = searched(&constants, &[]);
    let wanted = [
        ("ASPECT_RATIO", "powers of two, 16 to 256"),
        ("HEAD_DIM", "powers of two, 32 to 512"),
        ("TOTAL_BATCH_SIZE", "powers of two, 131072 to 2097152"),
        ("EMBEDDING_LR", "log, 0.075 to 4.8"),
        ("UNEMBEDDING_LR", "log, 0.0005 to 0.032"),
        ("MATRIX_LR", "log, 0.005 to 0.32"),
        ("SCALAR_LR", "log, 0.0625 to 4"),
        ("WEIGHT_DECAY", "log, 0.025 to 1.6"),
        ("WARMUP_RATIO", "linear, 0 to 0.5"),
        ("WARMDOWN_RATIO", "linear, 0 to 1"),
        ("FINAL_LR_FRAC", "linear, 0 to 0.5"),
        ("DEPTH", "whole numbers, 4 to 16"),
        ("DEVICE_BATCH_SIZE", "powers of two, 32 to 512"),
    ];
    assert_eq!(table(&found), wanted);
    assert_eq!(names(&found[2]), ["base", "131072", "262144", "1048576", "2097152"]);
    assert_eq!(found[2].dimension.options[0].value, Some(524_288.0));
    let rest = unsearched(&constants, &[], &[]);
    let rest: Vec<(&str, &str)> = rest.iter().map(|u| (u.name.as_str(), u.why.as_str())).collect();
    assert_eq!(rest[0], ("WINDOW_PATTERN", "it is a text, and no choices are listed"));
    assert_eq!(rest[1], ("ADAM_BETAS", "it is a tuple, and no choices are listed"));
    assert!(rest[2].0 == "SEED" && rest[2].1.contains("seed") && rest.len() == 3);
}

#[test]
fn the_dimensions_are_a_valid_space() {
    let dimensions = all_of_train().into_iter().map(|knob| knob.dimension).collect();
    Space { dimensions, ..Space::default() }.validate().unwrap();
    let script = "A_ACT = 'x' # choices: gelu, y\nB_ACT = 'x' # 'gelu' | 'y'\nC = True\nD = False\n";
    let dimensions = searched(&python(script), &[]).into_iter().map(|knob| knob.dimension).collect();
    let space = Space { dimensions, ..Space::default() };
    space.validate().unwrap();
    assert_eq!(space.combinations(), 36);
}

#[test]
fn ranges_follow_from_the_name_and_the_value() {
    for (source, wanted) in [
        ("DEPTH = 1", "whole numbers, 1 to 3"),
        ("DEPTH = 2", "whole numbers, 1 to 4"),
        ("DEPTH = 3", "whole numbers, 1 to 6"),
        ("DEPTH = 5", "whole numbers, 2 to 10"),
        ("STEPS = 16", "powers of two, 4 to 64"),
        ("STEPS = 100", "whole numbers, 50 to 200"),
        ("BATCH_SIZE = 100", "powers of two, 32 to 256"),
        ("BATCH_SIZE = 1", "powers of two, 1 to 4"),
        ("WARMUP_STEPS = 0", "left out"),
        ("LAST_LAYER = -1", "left out"),
        ("HUGE = 2**60", "left out"),
        ("DROPOUT = 0.1", "linear, 0 to 0.4"),
        ("DROPOUT_RATE = 0.5", "linear, 0 to 1"),
        ("MLP_RATIO = 4.0", "log, 1 to 16"),
        ("LR = 0.0", "left out"),
        ("LR = -0.1", "left out"),
        ("WD_RATIO = -0.1", "left out"),
        ("ADAM_EPS = 1e-8", "log, 0.00000000125 to 0.00000008"),
        ("BETA2 = 0.95", "linear, 0.8 to 0.9875"),
        ("BETA = 0.6", "linear, 0.5 to 0.9"),
        ("EMA_DECAY = 0.999", "linear, 0.996 to 0.99975"),
        ("LR_DECAY = 0.9", "linear, 0.6 to 0.975"),
        ("WEIGHT_DECAY = 0.9", "log, 0.1125 to 7.2"),
        ("INIT_STD = 0.02", "log, 0.0025 to 0.16"),
        ("LAMBDA = 0.3", "linear, 0 to 1"),
        ("SOFTCAP = 15.0", "log, 3.75 to 60"),
        ("LR = 1e308", "left out"),
        ("LR = 5e-324", "left out"),
        ("USE_BIAS = False", "False or True"),
        ("ACT = 'relu2' # 'relu2' | 'gelu'", "relu2 or gelu"),
        ("ACT = 'relu2' # choices: gelu, silu", "relu2 or gelu, silu"),
        ("ACT = 'relu2' # choices: relu2", "left out"),
        ("ACT = 'relu2' # choices: base, gelu", "left out"),
        ("NOTHING = None", "left out"),
        ("DEVICE = 'cuda' # 'cuda' | 'cpu'", "left out"),
        ("VOCAB_SIZE = 8192", "left out"),
        ("VERBOSE = True", "left out"),
    ] {
        assert_eq!(why(source), wanted, "{source}");
    }
    let deep = searched(&python("DEPTH = 3"), &[]);
    assert_eq!(names(&deep[0]), ["base", "1", "2", "4", "5", "6"]);
    assert_eq!(names(&searched(&python("FLAG = True"), &[])[0]), ["base", "False"]);
    assert_eq!(names(&searched(&rust("const FLAG: bool = false;"), &[])[0]), ["base", "true"]);
}

#[test]
fn what_is_asked_for_is_searched_as_asked() {
    let asked = |source: &str, flag: &str| searched(&python(source), &[flag]).remove(0);
    let depth = asked(TRAIN, "DEPTH=2..8");
    assert_eq!((depth.why.as_str(), names(&depth).len()), ("powers of two, 16 to 256", 5));
    let find = |flag: &str, name: &str| {
        searched(&python(TRAIN), &[flag]).into_iter().find(|knob| knob.constant.name == name).unwrap()
    };
    let depth = find("DEPTH=2..8", "DEPTH");
    assert_eq!(names(&depth), ["base", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(find("MATRIX_LR=0.01..0.1", "MATRIX_LR").why, "log, 0.01 to 0.1");
    assert_eq!(find("MATRIX_LR=0.01..0.1:linear", "MATRIX_LR").why, "linear, 0.01 to 0.1");
    assert_eq!(find("MATRIX_LR=0..0.1", "MATRIX_LR").why, "linear, 0 to 0.1");
    assert_eq!(find("HEAD_DIM=60..300", "HEAD_DIM").why, "powers of two, 64 to 256");
    assert_eq!(find("HEAD_DIM=60..70:int", "HEAD_DIM").dimension.options.len(), 12);
    assert_eq!(find("HEAD_DIM=60..300:log", "HEAD_DIM").why, "whole numbers, log, 60 to 300");
    let sizes = find("HEAD_DIM=64|128|256|64|96", "HEAD_DIM");
    assert_eq!((names(&sizes), sizes.dimension.scale), (vec!["base", "64", "256", "96"], Some(Scale::Log)));
    assert_eq!(sizes.why, "128 or 64, 256, 96");
    let zero = find("WARMUP_RATIO=0|1/8|1", "WARMUP_RATIO");
    assert_eq!((names(&zero), zero.dimension.scale), (vec!["base", "0.125", "1"], Some(Scale::Linear)));
    let pattern = find("WINDOW_PATTERN=SSSL|\"L\"", "WINDOW_PATTERN");
    assert_eq!((pattern.why.as_str(), pattern.dimension.scale), ("SSSL or L", None));
    let betas = find("ADAM_BETAS=(0.80,0.95)|(0.9,0.95)", "ADAM_BETAS");
    assert_eq!(names(&betas), ["base", "(0.9,0.95)"]);
    assert_eq!(asked("VOCAB_SIZE = 8192", "VOCAB_SIZE").why, "powers of two, 2048 to 32768");
    assert_eq!(asked("DEVICE = 'cuda'", "DEVICE=cpu").why, "cuda or cpu");
    assert_eq!(asked("WARMUP = 0", "WARMUP=0..100").dimension.options.len(), 65);
    assert_eq!(asked("FLAG = True", "FLAG=True|False").why, "True or False");
    let left_out = ["DEPTH".to_owned(), "SEED".to_owned()];
    let rest = knobs(&python(TRAIN), &[], &left_out).unwrap();
    assert!(rest.len() == 12 && rest.iter().all(|knob| knob.constant.name != "DEPTH"));
    let why = unsearched(&python(TRAIN), &[], &left_out).into_iter().find(|u| u.name == "DEPTH").unwrap().why;
    assert_eq!(why, "left out as asked");
}

#[test]
fn seeds_budgets_and_evaluation_are_refused_even_when_asked_for() {
    for (source, flag, reason) in [
        ("SEED = 42", "SEED=1..5", "seed"),
        ("SEED = 42", "SEED", "seed"),
        ("DATA_SEED = 42", "DATA_SEED=1|2", "seed"),
        ("TIME_BUDGET = 300", "TIME_BUDGET=300|600", "budget"),
        ("MAX_SECONDS = 300", "MAX_SECONDS=300..600", "budget"),
        ("EVAL_TOKENS = 300", "EVAL_TOKENS=300..600", "evaluation"),
        ("VAL_FRAC = 0.1", "VAL_FRAC=0.1..0.2", "evaluation"),
    ] {
        let error = refused(source, flag);
        assert!(
            error.starts_with(&format!("`{flag}` cannot be searched")) && error.contains(reason),
            "{error}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    for (source, flag, reason) in [
        ("DEPTH = 8", "DEPHT=2..8", "did you mean `DEPTH`?"),
        ("DEPTH = 8", "WIDTH", "choose one of `DEPTH`"),
        ("DEPTH = 8", "DEPTH=2.5..8", "not whole numbers"),
        ("DEPTH = 8", "DEPTH=0..8:log", "above zero"),
        ("DEPTH = 8", "DEPTH=8", "no other value"),
        ("DEPTH = 8", "DEPTH=8.5|9.5", "`8.5` is not a whole number"),
        ("DEPTH = 8", "DEPTH=B|8", "`B` is not a whole number"),
        ("DEPTH = 7", "DEPTH=1e300..2e300", "not whole numbers"),
        ("DEPTH = 0", "DEPTH", "0 has no scale"),
        ("BATCH = 64", "BATCH=33..60", "add `:int`"),
        ("ACT = 'a'", "ACT=1..2", "a text on no scale"),
        ("ACT = 'a'", "ACT", "no choices are listed"),
        ("ACT = 'a'", "ACT=base", "stands for the present value"),
        ("BETAS = (1, 2)", "BETAS=(1,2,3)", "`(1,2,3)` is not a tuple"),
        ("BETAS = (1, 2)", "BETAS=1", "`1` is not a tuple"),
        ("FLAG = True", "FLAG=yes", "`yes` is not a truth value"),
        ("NOTHING = None", "NOTHING=1", "of what kind"),
        ("HUGE = 2**60", "HUGE=1..5", "on no scale"),
        ("LR = 0.1", "LR=1; import os|2", "`1; import os` is not a number"),
    ] {
        let error = refused(source, flag);
        assert!(error.contains(reason), "{flag}: {error}");
    }
    let twice = knobs(&python(TRAIN), &flags(&["DEPTH=2..8", "DEPTH"]), &[]).unwrap_err().to_string();
    assert!(twice.contains("as `DEPTH=2..8` and as `DEPTH`"), "{twice}");
    let both = knobs(&python(TRAIN), &flags(&["DEPTH"]), &["DEPTH".to_owned()]).unwrap_err().to_string();
    assert!(both.contains("to be left out"), "{both}");
    let unknown = knobs(&python(TRAIN), &[] as &[KnobFlag], &["DEPHT".to_owned()]).unwrap_err().to_string();
    assert!(unknown.contains("did you mean `DEPTH`?"), "{unknown}");
}
