//! What the page on operations says to do is done, as it stands there: every line of its blocks, and every row of its table of exit
//! codes.

mod operations_live {
    pub(crate) mod checks;
    pub(crate) mod codes;
    pub(crate) mod page;
    pub(crate) mod setting;
}

use ar_tests::alone::alone;
use ar_tests::boxes::Said;
use ar_tests::python;
use ar_tests::units::systemctl;
use nix::sys::signal::Signal;

use operations_live::checks::Checks;
use operations_live::codes;
use operations_live::page::{self, Step, What};
use operations_live::setting::Setting;

#[test]
fn every_command_of_the_page_works_on_boxes_named_as_there() {
    let fetched = || {
        python::of_studies();
        python::with_s3();
    };
    alone("every_command_of_the_page_works_on_boxes_named_as_there", fetched, || {
        let mut setting = Setting::make();
        let mut checks = Checks::all();
        for step in page::steps() {
            eprintln!("{:6.1} s {:?}: {:?}", setting.began.elapsed().as_secs_f64(), step.boxes, step.what);
            take(&mut setting, &step, &mut checks);
        }
        checks.are_done();
    });
}

fn take(setting: &mut Setting, step: &Step, checks: &mut Checks) {
    match &step.what {
        What::File { name, text } => {
            for place in &step.boxes {
                std::fs::write(setting.boxes.at(place).home.join(name), text).unwrap();
            }
        }
        What::CtrlC => step.boxes.iter().for_each(|place| ctrl_c(setting, place)),
        What::Command(command) => run(setting, step, command, checks),
    }
}

/// Ends what was started last in the foreground of a terminal of this box.
fn ctrl_c(setting: &mut Setting, place: &str) {
    let on = setting.boxes.at(place);
    let program = on.latest().unwrap_or_else(|| panic!("nothing runs on {place}"));
    let code = on.end(&program, Signal::SIGINT);
    // etcd ends itself by the signal that it got.
    assert!(code == 0 || program == "etcd", "{place}: {program} ended with {code}");
}

fn run(setting: &mut Setting, step: &Step, command: &str, checks: &mut Checks) {
    setting.before(&step.section);
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    let said = if matches!(words[..], ["ar-coordinator", "serve", ..] | ["ar-worker" | "etcd", ..]) {
        serve(setting, step, words[0], command)
    } else {
        let each = step.boxes.iter().map(|place| {
            let on = setting.boxes.at(place);
            if words[0] != "systemctl" {
                return on.run(command);
            }
            systemctl(on, &words[1..]);
            Said::default()
        });
        each.last().expect("it is for a box")
    };
    checks.after(step, command, setting, &said);
}

/// Starts a program that runs until it is ended, and waits until it does its work; of several coordinators, until one leads.
fn serve(setting: &mut Setting, step: &Step, program: &str, command: &str) -> Said {
    for place in &step.boxes {
        setting.boxes.at(place).start_job(program, &format!("exec {command}"));
    }
    if program == "ar-coordinator" {
        let out = setting.boxes.until_any(&step.boxes, program, "serving   ");
        return Said { out, ..Said::default() };
    }
    let works = if program == "etcd" { "ready to serve client requests" } else { "joined" };
    step.boxes.iter().for_each(|place| setting.boxes.at(place).until(program, works));
    Said::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exit_code_of_the_table_comes_and_is_cured() {
    let rows = page::exit_codes();
    assert_eq!(rows.len(), 7, "{rows:?}");
    // At once: one of them waits for most of its time.
    let runtime = tokio::runtime::Handle::current();
    let cases: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let (runtime, code) = (runtime.clone(), row[0].clone());
            (row, tokio::task::spawn_blocking(move || runtime.block_on(codes::case(&code))))
        })
        .collect();
    for (row, case) in cases {
        let [code, programs, _, cure] = &row[..] else { panic!("{row:?}") };
        let shown = case.await.unwrap_or_else(|error| panic!("exit code {code}: {error}"));
        assert_eq!(shown, Some(programs.as_str()), "exit code {code}");
        assert!(code == "0" || !cure.is_empty(), "{row:?}");
    }
}
