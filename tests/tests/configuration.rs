//! Flags, variables and files of both programs: which weighs more, what is refused, and that a file may say all that flags may.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command as Program, Output, Stdio};

use ar_coordinator::cli::Cli;
use ar_net::config;
use ar_tests::run;
use clap::parser::ValueSource;
use clap::{Arg, Command, CommandFactory};

/// Values, one of which each flag takes.
const VALUES: [&str; 14] = [
    "12",
    "0.5",
    "90s",
    "2GiB",
    "127.0.0.1:0",
    "http://h:1",
    "a=b",
    "none",
    "gp",
    "best",
    "maximize",
    "sklearn",
    "text",
    "full",
];

fn settable(command: &Command) -> Vec<&Arg> {
    let not = ["help", "version", "config"];
    command.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| !not.contains(&long))).collect()
}

/// The words that call a command, with what it must have beside flags.
fn call(program: &Command, command: Option<&Command>, file: &Path) -> Vec<OsString> {
    let mut words = vec![OsString::from("program")];
    let asked = command.unwrap_or(program);
    words.extend(command.map(|command| OsString::from(command.get_name())));
    words.extend(["--config".into(), file.into()]);
    words.extend(asked.get_positionals().filter(|arg| arg.is_required_set()).map(|_| "word".into()));
    words
}

/// A value that a flag takes.
fn value(program: &Command, command: Option<&Command>, arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return "true".to_owned();
    }
    let long = arg.get_long().unwrap();
    let takes = |value: &String| {
        let words = std::iter::once("program").chain(command.map(Command::get_name)).map(OsString::from);
        let words = words.chain([format!("--{long}={value}").into()]);
        let parsed = program.clone().try_get_matches_from(words);
        // That others are missing is no fault of the value.
        parsed.err().is_none_or(|error| error.kind() == clap::error::ErrorKind::MissingRequiredArgument)
    };
    let named = arg.get_possible_values().into_iter().map(|value| value.get_name().to_owned());
    let value = named.chain(VALUES.map(str::to_owned)).find(takes);
    format!("\"{}\"", value.unwrap_or_else(|| panic!("this test knows no value for --{long}")))
}

/// Sets every flag of a command in a file, and looks whether each came through.
fn every_flag(program: &Command, command: Option<&Command>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    let flags = settable(command.unwrap_or(program));
    let lines =
        flags.iter().map(|arg| format!("{} = {}\n", arg.get_long().unwrap(), value(program, command, arg)));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let matches =
        config::read(program, call(program, command, &file)).unwrap_or_else(|error| panic!("{error}"));
    let inner = matches.subcommand().map_or(&matches, |(_, inner)| inner);
    for arg in &flags {
        let source = inner.value_source(arg.get_id().as_str());
        assert_eq!(
            source,
            Some(ValueSource::CommandLine),
            "{:?} of {:?}",
            arg.get_long(),
            command.map(Command::get_name)
        );
    }
    flags.len()
}

#[test]
fn every_flag_of_both_programs_can_be_set_in_a_file() {
    let coordinator = Cli::command();
    let visible = coordinator.get_subcommands().filter(|command| !command.is_hide_set());
    let flags: usize = visible.map(|command| every_flag(&coordinator, Some(command))).sum();
    assert!(flags > 100, "{flags}");
    assert!(every_flag(&ar_worker::cli::Args::command(), None) > 10);
}

/// The variables of a command.
fn variables(command: &Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned)).collect()
}

#[test]
fn every_flag_that_says_where_and_as_whom_can_be_a_variable_named_like_it() {
    let coordinator = Cli::command();
    let serve = coordinator.find_subcommand("serve").unwrap();
    let worker = ar_worker::cli::Args::command();
    for arg in settable(serve).into_iter().chain(settable(&worker)) {
        let name = format!("AR_{}", arg.get_long().unwrap().to_ascii_uppercase().replace('-', "_"));
        let env = arg.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(env == name || env == format!("{name}S"), "--{}: `{env}`", arg.get_long().unwrap());
    }
    // What is meant for one program is not called a mistake by the other one on the same machine.
    let all: BTreeSet<String> =
        coordinator.get_subcommands().flat_map(variables).chain(variables(&worker)).collect();
    for program in [&coordinator, &worker] {
        assert_eq!(config::unknown_variables(program, all.iter().cloned()), Vec::<String>::new());
    }
}

/// What a program said, with a file and variables.
fn said(program: &str, words: &[&str], file: &str, variables: &[(&str, &str)]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), file).unwrap();
    let mut command = Program::new(run::binary().with_file_name(program));
    command.args(words).args(["--config", "c.toml"]).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = run::stderr(&output);
    (output, said)
}

#[test]
fn a_mistake_in_a_file_is_one_line_and_exit_code_2() {
    let mistakes = [
        (
            "tokenfile = \"t\"\n",
            "error: unknown key `tokenfile` in c.toml, line 1; did you mean `token-file`?\n",
        ),
        (
            "\nca = 3\ncoordinator = false\n",
            "error: `coordinator` in c.toml, line 3: it takes URL, and not true or false\n",
        ),
        ("ca = \n", "error: c.toml, line 1: "),
    ];
    for (file, expected) in mistakes {
        for (program, words) in [("ar-worker", &[][..]), ("ar-coordinator", &["status"])] {
            let (output, text) = said(program, words, file, &[]);
            assert_eq!(output.status.code(), Some(2), "{program}: {text}");
            assert!(text.starts_with(expected) && text.lines().count() == 1, "{program}: {text}");
        }
    }
    let (output, text) = said("ar-worker", &[], "slots = 0\n", &[]);
    assert_eq!(
        (output.status.code(), text.as_str()),
        (Some(2), "error: `slots` in c.toml, line 1: 0 is not in 1..=4096\n")
    );
}

#[test]
fn a_flag_weighs_more_than_a_variable_and_a_variable_more_than_the_file() {
    let file = "token-file = \"of-file\"\n";
    let variable = ("AR_TOKEN_FILE", "of-variable");
    for (program, words) in [("ar-worker", &[][..]), ("ar-coordinator", &["status"])] {
        let tried = |words: &[&str], variables: &[(&str, &str)]| said(program, words, file, variables).1;
        assert!(tried(words, &[]).contains("of-file"), "{}", tried(words, &[]));
        assert!(tried(words, &[variable]).contains("of-variable"), "{}", tried(words, &[variable]));
        let flags = [words, &["--token-file", "of-flag"]].concat();
        assert!(tried(&flags, &[variable]).contains("of-flag"), "{}", tried(&flags, &[variable]));
    }
}

#[test]
fn a_variable_that_is_nearly_one_is_told_and_stops_nothing() {
    let (output, text) =
        said("ar-coordinator", &["list", "--out", "."], "", &[("AR_COORDINATR", "http://h:1")]);
    let (warning, rest) = text.split_once('\n').unwrap();
    assert_eq!(warning, "warning: nothing reads the variable AR_COORDINATR; did you mean AR_COORDINATOR?");
    assert!(rest.starts_with("error: there are no results in "), "{rest}");
    assert_eq!(output.status.code(), Some(2));
}
