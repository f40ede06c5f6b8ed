use clap::{CommandFactory, FromArgMatches, Subcommand};

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    Serve(ServeFlags),
    List {
        #[arg(long)]
        json: bool,
        #[arg(long)]
        depth: Option<u32>,
    },
    #[command(hide = true)]
    Helper {
        #[arg(long)]
        slots: Option<u32>,
    },
}

#[derive(Debug, Args)]
struct ServeFlags {
    input: Option<String>,
    // Cargo sets it where tests run, so that there is a variable without one being set.
    #[arg(long, env = "CARGO_PKG_NAME")]
    name: Option<String>,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    slots: Option<u32>,
    #[arg(long, default_value = "medium", value_parser = ["small", "medium"])]
    size: String,
    #[arg(long, requires = "key")]
    cert: Option<String>,
    #[arg(long, requires = "cert")]
    key: Option<String>,
    #[arg(long = "label", value_delimiter = ',')]
    labels: Vec<String>,
    #[arg(long)]
    insecure: bool,
}

/// What a file and words come to.
fn parsed(file: &str, words: &str) -> Result<Commands, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, file).unwrap();
    let words = words.replace("FILE", path.to_str().unwrap());
    let words = std::iter::once("program").chain(words.split_whitespace()).map(OsString::from);
    let matches = read(&Program::command(), words.collect())?;
    let program = Program::from_arg_matches(&matches).unwrap();
    assert_eq!(program.config.config.as_deref(), Some(path.as_path()));
    Ok(program.command)
}

fn served(file: &str, words: &str) -> ServeFlags {
    match parsed(file, words) {
        Ok(Commands::Serve(flags)) => flags,
        other => panic!("{other:?}"),
    }
}

fn refused(file: &str) -> String {
    let error = parsed(file, "serve --config FILE").unwrap_err().to_string();
    let (before, after) = error.split_once('/').unwrap();
    format!("{before}{}", after.rsplit('/').next().unwrap())
}

#[test]
fn a_flag_weighs_more_than_a_variable_and_that_more_than_the_file() {
    let file = "slots = 4\nname = \"file\"\nlabel = [\"a\", \"b\"]\ninsecure = true\n";
    let flags = served(file, "serve --config FILE");
    assert_eq!(flags.slots, Some(4));
    assert_eq!(flags.name.as_deref(), Some(env!("CARGO_PKG_NAME")), "the variable");
    assert_eq!(flags.labels, ["a", "b"]);
    assert!(flags.insecure && flags.size == "medium");
    let flags = served(file, "--config FILE serve --slots 5 --name flag --label c here");
    assert_eq!(flags.slots, Some(5));
    assert_eq!(flags.name.as_deref(), Some("flag"));
    assert_eq!(flags.labels, ["c"], "a list is replaced, and not added to");
    assert_eq!(flags.input.as_deref(), Some("here"));
}

#[test]
fn what_is_said_to_one_command_weighs_more_than_what_is_said_to_all() {
    let file = "slots = 4\ndepth = 2\n[serve]\nslots = 5\n[list]\njson = true\n";
    assert_eq!(served(file, "serve --config=FILE").slots, Some(5));
    let Commands::List { json, depth } = parsed(file, "list --config FILE").unwrap() else { panic!() };
    assert!(json && depth == Some(2));
}

#[test]
fn flags_that_go_together_may_come_from_both() {
    assert_eq!(served("key = \"k\"", "serve --config FILE --cert c").cert.as_deref(), Some("c"));
    let alone = parsed("key = \"k\"", "serve --config FILE").unwrap_err();
    assert!(
        matches!(&alone, ConfigError::CommandLine(e) if e.kind() == ErrorKind::MissingRequiredArgument),
        "{alone}"
    );
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_near_name() {
    assert_eq!(refused("slots = 1\nslot = 2"), "unknown key `slot` in c.toml, line 2; did you mean `slots`?");
    assert_eq!(
        refused("[serve]\nin-secure = true"),
        "unknown key `in-secure` in c.toml, line 2; did you mean `insecure`?"
    );
    assert_eq!(refused("[serv]\nslots = 1"), "unknown key `serv` in c.toml, line 1; did you mean `serve`?");
    assert!(refused("helper = 1").contains("keys are the names of flags"), "what is hidden is no key");
    assert!(refused("config = \"x\"").starts_with("unknown key `config`"));
}

#[test]
fn a_value_that_does_not_fit_is_told_with_its_line() {
    assert_eq!(refused("\nslots = 99"), "`slots` in c.toml, line 2: 99 is not in 1..=64");
    assert_eq!(refused("slots = true"), "`slots` in c.toml, line 1: it takes N, and not true or false");
    assert_eq!(refused("slots = [1, 2]"), "`slots` in c.toml, line 1: it takes N, and not a list");
    assert_eq!(
        refused("insecure = \"yes\""),
        "`insecure` in c.toml, line 1: it is true or false, and not a text"
    );
    assert_eq!(refused("size = \"large\""), "`size` in c.toml, line 1: it must be one of: small, medium");
    assert!(
        refused("slots = 1\nname = \n").starts_with("c.toml, line 2: "),
        "{}",
        refused("slots = 1\nname = \n")
    );
}

#[test]
fn mistakes_on_the_command_line_are_told_as_without_a_file() {
    let error = parsed("slots = 1", "serve --config FILE --slot 3").unwrap_err();
    assert!(
        matches!(&error, ConfigError::CommandLine(e) if e.kind() == ErrorKind::UnknownArgument),
        "{error}"
    );
    let words = ["program", "serve", "--config", "/nowhere/c.toml"].map(OsString::from);
    let error = read(&Program::command(), words.into()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /nowhere/c.toml of --config: "), "{error}");
}

#[test]
fn a_command_that_the_program_itself_starts_reads_no_file() {
    let Commands::Helper { slots } = parsed("nonsense = 1", "helper --config FILE").unwrap() else {
        panic!()
    };
    assert_eq!(slots, None);
}

#[test]
fn a_variable_that_is_nearly_one_of_ours_is_told() {
    let command = Command::new("program").subcommand(
        Command::new("serve")
            .arg(Arg::new("c").long("coordinator").env("AR_COORDINATOR").action(ArgAction::Set)),
    );
    let names = ["AR_COORDINATR", "AR_COORDINATOR", "AR_LOG", "AR_OTHER", "COORDINATR"].map(String::from);
    assert_eq!(
        unknown_variables(&command, names.into_iter()),
        ["nothing reads the variable AR_COORDINATR; did you mean AR_COORDINATOR?"]
    );
}
