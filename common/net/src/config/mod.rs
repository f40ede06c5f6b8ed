//! Flags, the environment and a file, in that order of weight, read with clap's own definition of a program: a new flag is a new
//! key of the file without a word here.
//!
//! What the file says is put before the flags that were given, where neither a flag nor a variable says it. So clap checks and
//! completes all of them alike.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::near::nearest;

/// What begins the names of variables.
const PREFIX: &str = "AR_";
/// How many letters of a variable may be wrong, missing or swapped, so that another one was probably meant.
const SLIPS: usize = 2;
/// Variables that are read without a flag, by either program.
const BESIDE: [&str; 2] = ["AR_LOG", "AR_WORKSPACE"];

/// The flag that names the file.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// File with more flags, TOML: their names without dashes, e.g. `token-file = "worker.token"`; flags and variables weigh more
    #[arg(long, global = true, env = "AR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Why flags, environment and file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// What clap says of the command line; also its help and its version.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// The file cannot be read.
    #[error("cannot read {path} of --config: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path}, line {line}: {why}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser said.
        why: String,
    },
    /// A key is no flag.
    #[error("unknown key `{key}` in {path}, line {line}; {hint}")]
    Unknown {
        /// Which.
        key: String,
        /// In which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What may have been meant.
        hint: String,
    },
    /// A value does not fit its flag.
    #[error("`{key}` in {path}, line {line}: {why}")]
    Value {
        /// Which.
        key: String,
        /// In which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The program's command line with its environment and its file. Ends the process, with code 2, where one of them is wrong.
pub fn parse<P: Parser>() -> P {
    let mut command = P::command();
    let matches = read(&command, std::env::args_os().collect());
    let is_hidden = matches.as_ref().is_ok_and(|matches| hidden(&command, matches));
    if !is_hidden {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for warning in unknown_variables(&command, names) {
            tell(&format!("warning: {warning}"));
        }
    }
    let parsed = matches
        .and_then(|matches| Ok(P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?));
    match parsed {
        Ok(parsed) => parsed,
        Err(ConfigError::CommandLine(error)) => error.exit(),
        Err(error) => {
            tell(&format!("error: {error}"));
            std::process::exit(2);
        }
    }
}

/// One line on standard error, without what steers a terminal.
fn tell(text: &str) {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), format!("{plain}\n").as_bytes());
}

/// What `arguments` say, and beneath them the environment, and beneath it the file that one of these names.
///
/// # Errors
/// When one of them cannot be used.
pub fn read(command: &Command, arguments: Vec<OsString>) -> Result<ArgMatches, ConfigError> {
    let strict = command.clone().try_get_matches_from(&arguments);
    let given = match &strict {
        // The file may have it.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            &command.clone().ignore_errors(true).try_get_matches_from(&arguments)?
        }
        Err(_) => return Ok(strict?),
        Ok(given) => given,
    };
    let (inner, name) = match given.subcommand() {
        Some((name, inner)) => (inner, Some(name)),
        None => (given, None),
    };
    let path = inner.try_get_one::<PathBuf>("config").ok().flatten();
    let Some(path) = path.filter(|_| !hidden(command, given)) else {
        return Ok(strict?);
    };
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.clone(), source })?;
    let file = Document { path, text: &text, command, name };
    let added = file.arguments(inner)?;
    let mut arguments = arguments;
    let at = if name.is_some() { after_command(command, &arguments) } else { 1 };
    let rest = arguments.split_off(at.min(arguments.len()));
    arguments.extend(added);
    arguments.extend(rest);
    Ok(command.clone().try_get_matches_from(arguments)?)
}

/// Whether a command was asked for that only this program itself starts, with all its flags.
fn hidden(command: &Command, matches: &ArgMatches) -> bool {
    let asked = matches.subcommand_name().and_then(|name| command.find_subcommand(name));
    asked.is_some_and(Command::is_hide_set)
}

/// Where the flags of the command begin that was asked for.
fn after_command(command: &Command, arguments: &[OsString]) -> usize {
    let takes_value = |word: &str| {
        let mut flags = command.get_opts().filter(|arg| arg.get_action().takes_values());
        flags.any(|arg| arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long)))
    };
    let mut at = 1;
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()) {
        if !word.starts_with('-') {
            break;
        }
        at += if takes_value(word) { 2 } else { 1 };
    }
    at + 1
}

/// What may be set in a file.
fn settable(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let not = ["help", "version", "config"];
    let flags = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    flags.filter(move |(long, _)| !not.contains(long))
}

/// A file that was read.
struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    command: &'a Command,
    /// The command that was asked for, if the program has several.
    name: Option<&'a str>,
}

type Entry<'t, 'i> = (&'t str, usize, &'t Spanned<DeValue<'i>>);

impl Document<'_> {
    /// What it says to the command that was asked for, as flags.
    fn arguments(&self, given: &ArgMatches) -> Result<Vec<OsString>, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|error| ConfigError::Syntax {
            path: self.path.to_owned(),
            line: self.line(error.span().map_or(0, |span| span.start)),
            why: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        let asked = self.name.and_then(|name| self.command.find_subcommand(name)).unwrap_or(self.command);
        let visible = || self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let everywhere = || std::iter::once(self.command).chain(visible()).flat_map(settable);
        // What is said to one command weighs more than what is said to all.
        let (mut said, mut own) = (Vec::<Entry<'_, '_>>::new(), Vec::<Entry<'_, '_>>::new());
        for (key, value) in table.get_ref() {
            let (key, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            match (value.get_ref(), visible().find(|command| command.get_name() == key)) {
                (DeValue::Table(inner), Some(command)) => {
                    for (inner_key, value) in inner {
                        let entry = (inner_key.get_ref().as_ref(), self.line(inner_key.span().start), value);
                        self.known(entry, &mut settable(command).map(|(long, _)| long))?;
                        if self.name == Some(key) {
                            own.push(entry);
                        }
                    }
                }
                _ => {
                    let tables = visible().map(Command::get_name);
                    let entry = (key, line, value);
                    self.known(entry, &mut everywhere().map(|(long, _)| long).chain(tables))?;
                    said.push(entry);
                }
            }
        }
        said.retain(|(key, ..)| !own.iter().any(|(other, ..)| key == other));
        let mut arguments = Vec::new();
        for (key, line, value) in said.into_iter().chain(own) {
            let Some((_, arg)) = settable(asked).find(|(long, _)| *long == key) else {
                continue;
            };
            let wrong =
                |why| ConfigError::Value { key: key.to_owned(), path: self.path.to_owned(), line, why };
            let flags = flags(key, arg, value.get_ref()).map_err(wrong)?;
            self.check(arg, &flags).map_err(wrong)?;
            let source = given.value_source(arg.get_id().as_str());
            if !matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
                arguments.extend(flags);
            }
        }
        Ok(arguments)
    }

    fn known(
        &self,
        (key, line, _): Entry<'_, '_>,
        known: &mut dyn Iterator<Item = &str>,
    ) -> Result<(), ConfigError> {
        let known: Vec<&str> = known.collect();
        if known.contains(&key) {
            return Ok(());
        }
        let hint = match nearest(key, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "keys are the names of flags without dashes, see --help".to_owned(),
        };
        Err(ConfigError::Unknown { key: key.to_owned(), path: self.path.to_owned(), line, hint })
    }

    /// What clap says of a value alone.
    fn check(&self, arg: &Arg, flags: &[OsString]) -> Result<(), String> {
        let words = std::iter::once("program".into()).chain(self.name.map(OsString::from));
        let words = words.chain(flags.iter().cloned());
        let Err(error) = self.command.clone().try_get_matches_from(words) else {
            return Ok(());
        };
        match error.kind() {
            ErrorKind::ValueValidation => {
                let source = std::error::Error::source(&error);
                Err(source.map_or_else(|| "it cannot be used".to_owned(), ToString::to_string))
            }
            ErrorKind::InvalidValue => {
                let names: Vec<String> =
                    arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
                let hint = if names.is_empty() { "it is empty".to_owned() } else { names.join(", ") };
                Err(format!("it must be one of: {hint}"))
            }
            // That other flags are missing is no fault of this one.
            _ => Ok(()),
        }
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().matches('\n').count() + 1
    }
}

/// A value as flags.
fn flags(long: &str, arg: &Arg, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let shape = arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
    if !arg.get_action().takes_values() {
        return match value {
            DeValue::Boolean(true) => Ok(vec![format!("--{long}").into()]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            other => Err(format!("it is true or false, and not {}", a(other))),
        };
    }
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(format!("--{long}={text}").into()),
        DeValue::Integer(number) => Ok(format!("--{long}={number}").into()),
        DeValue::Float(number) => Ok(format!("--{long}={number}").into()),
        other => Err(format!("it takes {shape}, and not {}", a(other))),
    };
    match value {
        DeValue::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
            values.iter().map(|value| one(value.get_ref())).collect()
        }
        value => Ok(vec![one(value)?]),
    }
}

/// The kind of a value, in a sentence.
fn a(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// One line on each of these variables that looks like one of ours with a slip of the pen. Others may use the prefix, too, and the
/// two programs have variables of their own that look alike in part.
pub fn unknown_variables(command: &Command, names: impl Iterator<Item = String>) -> Vec<String> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let known = commands.flat_map(|command| command.get_arguments().filter_map(Arg::get_env));
    let known: Vec<&str> = known.filter_map(|name| name.to_str()).chain(BESIDE).collect();
    let unknown = names.filter(|name| name.starts_with(PREFIX) && !known.contains(&name.as_str()));
    let near = |name: String| {
        let slips = |other: &str| strsim::damerau_levenshtein(&name, other);
        // Two letters of five are another word: `AR_SLOTS` is no slip of `AR_BLOBS`.
        let most = SLIPS.min((name.len() - PREFIX.len()) / 4);
        let near = known.iter().min_by_key(|other| slips(other)).filter(|other| slips(other) <= most)?;
        Some(format!("nothing reads the variable {name}; did you mean {near}?"))
    };
    unknown.filter_map(near).collect()
}

#[cfg(test)]
mod tests;
