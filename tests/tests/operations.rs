//! The commands of the page on operations are commands.

use ar_coordinator::cli::Cli;
use ar_tests::run;
use clap::Parser;

#[test]
fn every_command_of_the_operations_page_is_understood() {
    let page = std::fs::read_to_string(run::root().join("docs/operations.md")).unwrap();
    let readme = std::fs::read_to_string(run::root().join("README.md")).unwrap();
    let mut seen = 0;
    // One that goes on in the next line is read as one.
    let (page, readme) = (page.replace("\\\n", " "), readme.replace("\\\n", " "));
    for line in page.lines().chain(readme.lines()).map(str::trim) {
        let plain = line.split("  #").next().unwrap_or(line);
        // A use line has INPUT and the like in capitals, and a table or a sentence has other text around it.
        if !plain.starts_with("ar-coordinator ") || plain.contains("> ") {
            continue;
        }
        let words: Vec<String> = words(plain);
        assert!(Cli::try_parse_from(&words).is_ok(), "{plain}: {:?}", Cli::try_parse_from(&words).err());
        seen += 1;
    }
    assert!(seen >= 12, "{seen} commands");
}

#[test]
fn the_units_of_systemd_start_what_there_is() {
    let folder = run::root().join("deploy/systemd");
    let command = |name: &str| {
        let unit = std::fs::read_to_string(folder.join(name)).unwrap();
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).unwrap();
        words(line)
    };
    let coordinator = Cli::try_parse_from(command("ar-coordinator.service")).unwrap();
    let worker = ar_worker::cli::Args::try_parse_from(command("ar-worker.service")).unwrap();
    let files = [coordinator.config.config, worker.config.config].map(|file| file.unwrap());
    assert_eq!(
        files,
        ["coordinator", "worker"]
            .map(|name| std::path::PathBuf::from(format!("/etc/autoresearch/{name}.toml")))
    );
}

#[test]
fn the_files_of_flags_on_the_operations_page_can_be_used() {
    use clap::CommandFactory;
    let page = std::fs::read_to_string(run::root().join("docs/operations.md")).unwrap();
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for block in blocks {
        let name = block.trim_start_matches("# ").split([':', '\n']).next().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, block).unwrap();
        let file = file.into_os_string();
        let (program, words): (_, Vec<&str>) = match name {
            "worker.toml" => (ar_worker::cli::Args::command(), vec!["ar-worker"]),
            _ => (Cli::command(), vec!["ar-coordinator", "serve"]),
        };
        let words = words.into_iter().map(Into::into).chain(["--config".into(), file]).collect();
        let matches = ar_net::config::read(&program, words).unwrap_or_else(|error| panic!("{name}: {error}"));
        seen.push((name.to_owned(), matches));
    }
    let [(_, coordinator), (_, worker)] = &seen[..] else { panic!("{seen:?}") };
    let serve = coordinator.subcommand_matches("serve").unwrap();
    assert_eq!(serve.get_one::<std::net::SocketAddr>("listen"), Some(&"0.0.0.0:7600".parse().unwrap()));
    assert_eq!(worker.get_many::<(String, String)>("labels").unwrap().len(), 2);
}

/// The words of a command, without the quotes around them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
