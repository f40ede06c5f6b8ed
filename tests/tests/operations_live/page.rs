//! The page on operations as steps: what stands in its blocks, with where that is to be done.

use ar_tests::run;

/// Something that the page says to do.
#[derive(Debug)]
pub(crate) struct Step {
    /// The heading that it stands under.
    pub(crate) section: String,
    /// The boxes that it is for.
    pub(crate) boxes: Vec<String>,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// A file is to have this text.
    File { name: String, text: String },
    /// A command, which may have several lines.
    Command(String),
    /// Ctrl-C ends what runs in the foreground.
    CtrlC,
}

/// A row of a table, cell by cell.
pub(crate) type Row = Vec<String>;

fn text() -> String {
    std::fs::read_to_string(run::root().join("docs/operations.md")).unwrap()
}

/// All steps, in their order.
pub(crate) fn steps() -> Vec<Step> {
    let (text, mut section, mut steps) = (text(), String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.to_owned();
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "sh" if block[0] == "#!/bin/sh" => steps.push(file(&section, &block, block[1])),
            "sh" => commands(&section, &block, &mut steps),
            "toml" => steps.push(file(&section, &block, block[0])),
            other => panic!("a block of `{other}` is neither run nor written: {block:?}"),
        }
    }
    steps
}

/// A file says in a comment what it is called and where it is: `# NAME: on BOX`, and what else there is to say.
fn file(section: &str, block: &[&str], comment: &str) -> Step {
    let (name, place) = comment.strip_prefix("# ").and_then(|comment| comment.split_once(": ")).unwrap();
    let boxes = place.strip_prefix("on ").and_then(|place| place.split(';').next()).expect("it is on a box");
    let what = What::File { name: name.to_owned(), text: block.join("\n") };
    Step { section: section.to_owned(), boxes: vec![boxes.to_owned()], what }
}

/// Commands follow on comments that say where they are run: `# on BOX, BOX and BOX`, and what else there is to say.
fn commands(section: &str, block: &[&str], steps: &mut Vec<Step>) {
    let mut boxes = Vec::new();
    let mut command = String::new();
    for line in block {
        let mut step = |what| {
            assert!(!boxes.is_empty(), "nothing says where this is run: {line}");
            steps.push(Step { section: section.to_owned(), boxes: boxes.clone(), what });
        };
        match line.strip_prefix("# ") {
            Some(comment) if comment.starts_with("Ctrl-C ") => step(What::CtrlC),
            Some(comment) => {
                let place = comment.strip_prefix("on ").unwrap_or_else(|| panic!("it says no box: {line}"));
                let place = place.trim_end_matches(", as root").replace(" and ", ", ");
                boxes = place.split(", ").map(str::to_owned).collect();
            }
            None => {
                command += line;
                if is_complete(&command) {
                    step(What::Command(std::mem::take(&mut command)));
                } else {
                    command.push('\n');
                }
            }
        }
    }
    assert!(command.is_empty(), "it has no end: {command}");
}

fn is_complete(command: &str) -> bool {
    let read = std::process::Command::new("sh").args(["-n", "-c", command]).output().unwrap();
    read.status.success() && !command.ends_with('\\')
}

/// The rows of the table of exit codes.
pub(crate) fn exit_codes() -> Vec<Row> {
    let text = text();
    let section = text.split("## Exit codes").nth(1).expect("the page has exit codes");
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}
