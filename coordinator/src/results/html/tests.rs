//! The page is right and harmless, whatever a study comes to.

use ar_common::{Block, Config};

use super::page;
use crate::results::{CostPart, EffectPart, ExperimentPart, ExplanationPart, HoldoutPart, ImportancePart};
use crate::results::{
    InteractionPart, PrunedPart, RankedPart, RemovedPart, Report, Scored, StudyPart, TriplePart, VerdictPart,
};

const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

fn study(metric: &str, direction: &str) -> StudyPart {
    StudyPart {
        id: "0123456789abcdef".into(),
        name: "heart".into(),
        data: "heart.csv".into(),
        rows: Some(270),
        target: "target".into(),
        task: "classification".into(),
        metric: metric.into(),
        direction: direction.into(),
        seed: 0,
        folds: 5,
        holdout: Some(0.2),
        rounds: 4,
        per_round: 15,
        spent: 1.0,
        max_predict_ms: Some(5.0),
        max_memory: None,
        scores: None,
        data_references: vec![],
        state: "finished".into(),
    }
}

fn config(i: usize) -> Config {
    [("build_model", if i == 0 { "base".to_owned() } else { format!("o{i}") })].into_iter().collect()
}

fn label(i: usize) -> String {
    if i == 0 { "base".into() } else { format!("build_model=o{i}") }
}

fn experiment(i: usize, score: Option<f64>, outcome: &str) -> ExperimentPart {
    ExperimentPart {
        id: i as u64 + 1,
        config: config(i),
        members: Vec::new(),
        label: label(i),
        block: Block::FIRST,
        score,
        folds: score.into_iter().collect(),
        outcome: outcome.into(),
        reason: (score.is_none()).then(|| "ValueError: no".into()),
        seconds: score.map(|_| 0.1 + i as f64),
        predict_ms: score.map(|_| 1.0),
        peak_memory: score.map(|_| 1 << 27),
        curve: Vec::new(),
        startup_seconds: None,
        figures: Default::default(),
        device: None,
        feasible: score.map(|_| true),
        mode: "EXPLORE".into(),
        why: "because".into(),
        expected_gain: None,
        round: (i / 15) as u32 + 1,
        attempts: 1,
    }
}

/// A study with these scores, and the ranking that belongs to them.
pub(super) fn report(metric: &str, direction: &str, scores: &[Option<f64>]) -> Report {
    let experiments: Vec<ExperimentPart> = scores
        .iter()
        .enumerate()
        .map(|(i, score)| experiment(i, *score, if score.is_some() { "done" } else { "crashed" }))
        .collect();
    let sign = if direction == "minimize" { -1.0 } else { 1.0 };
    let mut scored: Vec<(usize, f64)> =
        scores.iter().enumerate().filter_map(|(i, s)| Some((i, (*s)?))).collect();
    scored.sort_by(|a, b| (sign * b.1).total_cmp(&(sign * a.1)));
    let ranking = scored.iter().map(|(i, score)| RankedPart {
        config: config(*i),
        label: label(*i),
        score: *score,
        spread: Some(0.01),
        folds: 5,
        mode: "EXPLORE".into(),
        replicated: false,
        cost: CostPart {
            seconds: Some(0.1 + *i as f64),
            predict_ms: Some(1.0),
            peak_memory: Some((100 + *i as u64) << 20),
            feasible: true,
        },
    });
    Report {
        warm: Vec::new(),
        version: Report::VERSION,
        study: study(metric, direction),
        experiments,
        best_per_class: Vec::new(),
        best: scored.first().map(|(i, score)| Scored {
            id: 1,
            config: config(*i),
            label: label(*i),
            score: *score,
        }),
        ranking: ranking.collect(),
        contributions: vec![],
        floor: None,
        explanation: Some(ExplanationPart::default()),
        uncovered: vec![],
        removed: vec![],
        verdict: None,
        holdout: None,
        holdout_reason: Some("the sealed rows have not been opened".into()),
    }
}

fn effect(option: &str, gain: f64) -> EffectPart {
    EffectPart {
        slot: "build_model".into(),
        option: option.into(),
        gain,
        low: gain - 0.01,
        high: gain + 0.01,
        runs: 3,
    }
}

fn pair(a: &str, b: &str, delta: f64, status: &str) -> InteractionPart {
    InteractionPart {
        slots: [a.into(), b.into()],
        options: ["x".into(), "y".into()],
        delta,
        low: delta - 0.01,
        high: delta + 0.01,
        status: status.into(),
        evidence: "2x2 on fresh splits".into(),
    }
}

fn verdict(beats_base: bool) -> VerdictPart {
    VerdictPart {
        beats_base,
        text: "build_model=o1 beats the base by 4.0 points of accuracy (p = 0.026, 35 paired folds)".into(),
        winner: config(1),
        members: Vec::new(),
        decisions: Vec::new(),
        compared: Vec::new(),
        winner_label: label(1),
        candidate: Some(config(1)),
        candidate_label: Some(label(1)),
        difference: Some(0.04),
        low: Some(0.01),
        p_value: Some(0.026),
        level: 0.1,
        pairs: 35,
        candidate_score: Some(0.87),
        base_score: Some(0.83),
    }
}

/// Every text of a report that comes from outside, made evil.
pub(super) fn evil() -> Report {
    let mut report = report(EVIL, "maximize", &[Some(0.8), Some(0.9), None]);
    let bad = || EVIL.to_owned();
    report.study = StudyPart {
        name: bad(),
        data: bad(),
        target: bad(),
        task: bad(),
        state: bad(),
        id: bad(),
        ..report.study
    };
    for experiment in &mut report.experiments {
        (experiment.label, experiment.mode, experiment.why) = (bad(), bad(), bad());
        experiment.reason = Some(bad());
    }
    report.experiments[2].outcome = bad();
    report.ranking.iter_mut().for_each(|ranked| (ranked.label, ranked.mode) = (bad(), bad()));
    report.best.iter_mut().for_each(|best| best.label = bad());
    let mut verdict = verdict(true);
    (verdict.text, verdict.winner_label, verdict.candidate_label) = (bad(), "w".into(), Some(bad()));
    report.verdict = Some(verdict);
    report.holdout_reason = Some(bad());
    report.uncovered = vec![bad()];
    report.removed = vec![RemovedPart { slot: bad(), option: bad(), reason: bad() }];
    let mut interaction = pair(EVIL, "b", 0.1, EVIL);
    (interaction.options, interaction.evidence) = ([bad(), bad()], bad());
    report.explanation = Some(ExplanationPart {
        importance: vec![ImportancePart { slot: bad(), share: 0.5 }],
        effects: vec![EffectPart { slot: bad(), ..effect(EVIL, 0.1) }],
        interactions: vec![interaction],
        triples: vec![TriplePart {
            slots: [bad(), bad(), bad()],
            options: [bad(), bad(), bad()],
            delta: 0.1,
            low: -0.1,
            high: 0.3,
            runs: 2,
        }],
        pruned: vec![PrunedPart { slot: bad(), what: bad(), probability: Some(0.001), evidence: bad() }],
    });
    report
}

/// The names of the elements that a browser would make, and whether the tags that open are those that close.
fn elements(page: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut all = Vec::new();
    let body = page.replace(super::STYLE, "");
    for tag in body.split('<').skip(1) {
        let tag = tag.split_once('>').expect("every tag ends").0;
        assert_eq!(tag.matches('"').count() % 2, 0, "an attribute is open in {tag}");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default().to_owned();
        all.push(name.clone());
        let empty = ["meta", "wbr", "!doctype"].contains(&name.as_str()) || tag.ends_with('/');
        match tag.starts_with('/') {
            true => assert_eq!(open.pop().as_deref(), Some(name.as_str()), "closed in another order"),
            false if !empty => open.push(name),
            false => {}
        }
    }
    assert_eq!(open, Vec::<String>::new(), "left open");
    all
}

/// What holds for every page.
fn check(report: &Report) -> String {
    let page = page(report);
    let made = elements(&page);
    let ours = [
        "!doctype",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "svg",
        "defs",
        "path",
        "header",
        "h1",
        "p",
        "b",
        "nav",
        "ul",
        "li",
        "a",
        "main",
        "section",
        "h2",
        "dl",
        "div",
        "dt",
        "dd",
        "figure",
        "figcaption",
        "line",
        "text",
        "circle",
        "use",
        "desc",
        "table",
        "caption",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "rect",
        "g",
        "span",
        "wbr",
    ];
    assert!(made.iter().all(|name| ours.contains(&name.as_str())), "{made:?}");
    for reach in ["http:", "https:", "//cdn", "url(", "@import", "src=\"", "<link"] {
        assert!(!page.contains(reach), "the page reaches out: {reach}");
    }
    for number in ["NaN", "inf%", "\"inf", "-inf"] {
        assert!(!page.contains(number), "{number}");
    }
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    page
}

#[test]
fn text_from_outside_is_shown_and_does_nothing() {
    let page = check(&evil());
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    // Nothing of it ends an attribute.
    assert!(!page.contains("\"'>") && !page.contains("' onerror"));
}

#[test]
fn a_page_stands_for_any_number_of_experiments_in_either_direction() {
    for n in [0, 1, 2, 8, 60, 500] {
        for (metric, direction) in [("accuracy", "maximize"), ("rmse", "minimize")] {
            let scores: Vec<Option<f64>> =
                (0..n).map(|i| (i % 7 != 3).then(|| 0.5 + 0.3 * f64::from(i * 37 % 101) / 101.0)).collect();
            let mut report = report(metric, direction, &scores);
            let options: Vec<String> = (1..n.max(1)).map(|i| format!("o{i}")).collect();
            let effects = options.iter().zip(0..).map(|(o, i)| effect(o, 0.01 * f64::from(i - 5))).collect();
            report.explanation = Some(ExplanationPart { effects, ..ExplanationPart::default() });
            report.verdict = (n > 1).then(|| verdict(false));
            let page = check(&report);
            let marks = page.matches("class=\"m ").count();
            assert!(marks >= n as usize, "{marks} marks for {n} experiments");
            assert!(n > 60 || page.len() < 300_000, "{} bytes for {n} experiments", page.len());
            assert!(page.matches("<tr").count() < 260, "the tables are bounded");
        }
    }
}

/// The pixel at which the experiment with this number stands.
fn height(page: &str, id: u64) -> f64 {
    let title = page.find(&format!("<title>{id} EXPLORE")).expect("it is there");
    let before = &page[..title];
    let from = before.rfind("y=\"").expect("it has a place") + 3;
    before[from..].split('"').next().and_then(|y| y.parse().ok()).expect("a number")
}

#[test]
fn the_better_of_two_stands_above_whatever_the_direction_and_the_signs() {
    for (direction, best, worst) in [
        ("maximize", -0.2, -0.9),
        ("maximize", 1e-9, -1e-9),
        ("minimize", 1e-12, 3e-12),
        ("minimize", -5.0, 7.0),
    ] {
        let page = check(&report("m", direction, &[Some(worst), Some(best)]));
        assert!(height(&page, 2) < height(&page, 1), "{direction} {best} {worst}");
    }
    let page = check(&report("m", "maximize", &[Some(0.5), Some(0.5), Some(0.5)]));
    assert_eq!(height(&page, 1), height(&page, 3), "ties stand level");
}

#[test]
fn a_hopeless_score_leaves_room_for_the_others() {
    let mut scores: Vec<Option<f64>> = (0..20).map(|i| Some(0.8 + 0.001 * f64::from(i))).collect();
    scores.push(Some(-1e6));
    let page = check(&report("r2", "maximize", &scores));
    assert!(page.contains("far worse than the others"));
    assert!(height(&page, 1) - height(&page, 20) > 50.0);
    check(&report("r2", "maximize", &[Some(f64::MAX), Some(-f64::MAX), Some(0.0)]));
}

#[test]
fn a_study_in_which_all_failed_says_so_with_its_errors() {
    let mut report = report("accuracy", "maximize", &[None; 12]);
    report.study.state = "failed".into();
    report.explanation = None;
    let page = check(&report);
    assert!(page.contains("No experiment succeeded") && page.contains("ValueError: no"));
    assert_eq!(page.matches("m failed").count(), 12 + 1, "each has its mark, and the legend has one");
}

#[test]
fn the_answer_is_told_in_plain_words_and_the_naive_best_by_its_name() {
    let mut report = report("accuracy", "maximize", &[Some(0.83), Some(0.87), Some(0.9)]);
    report.verdict = Some(verdict(true));
    report.holdout = Some(HoldoutPart {
        candidate_score: 0.85,
        base_score: 0.89,
        difference: -0.04,
        low: -0.09,
        high: -0.01,
        level: 0.95,
        rows: 54,
        openings: 1,
    });
    let page = check(&report);
    for part in [
        "One configuration is shown to beat the base",
        "build_model=o1 beats the base by 4.0 points",
        "Sealed rows: there the candidate is worse.",
        "Naive best of cross-validation: accuracy 0.9000",
        "optimistic",
        "◄",
        "predict 1,000 rows in 5 ms at most",
    ] {
        assert!(page.contains(part), "{part}");
    }
    report.verdict = Some(verdict(false));
    assert!(check(&report).contains("Nothing tried is shown to beat the base"));
}

#[test]
fn what_is_handed_over_is_in_the_table_however_far_down() {
    let scores: Vec<Option<f64>> = (0..200).map(|i| Some(0.5 + 0.001 * f64::from(i))).collect();
    let mut report = report("accuracy", "maximize", &scores);
    report.verdict = Some(verdict(true));
    let page = check(&report);
    assert!(page.contains("<tr class=\"winner\"><td class=\"n\">199</td>"));
    assert!(page.contains("<td class=\"n\">200</td><th scope=\"row\"><span>base</span>"));
}

#[test]
fn what_breaks_the_constraints_is_marked_and_is_no_choice_of_the_front() {
    let mut report = report("accuracy", "maximize", &[Some(0.83), Some(0.9)]);
    let page = check(&report);
    assert!(page.contains("2 configurations, 2 of them"), "cheap and good are both on the front");
    report.ranking[0].cost.feasible = false;
    let page = check(&report);
    assert!(page.contains("2 configurations, 1 of them") && page.contains("m refused"));
}

#[test]
fn pairs_stand_in_a_map_with_their_status_below() {
    let mut report = report("accuracy", "maximize", &[Some(0.8)]);
    let interactions =
        vec![pair("scale", "build_model", 0.02, "confirmed"), pair("impute", "scale", -0.01, "unresolved")];
    report.explanation = Some(ExplanationPart { interactions, ..ExplanationPart::default() });
    let page = check(&report);
    assert!(page.contains("shade more") && page.contains("shade less") && page.contains("+0.0200✓"));
    assert!(page.contains("class=\"tag confirmed\""));
}

#[test]
fn the_loss_of_training_runs_is_drawn_where_it_was_told() {
    let mut report = report("val_bpb", "minimize", &[Some(1.0), Some(0.9), None]);
    assert!(!check(&report).contains("Loss while training"));
    for (i, experiment) in report.experiments.iter_mut().enumerate() {
        let points = if i == 2 { 20 } else { 32 };
        experiment.curve = (0..points).map(|n| 5.0 - 0.1 * f64::from(n) + i as f64).collect();
    }
    report.experiments[2].outcome = "stopped early".into();
    report.verdict = Some(VerdictPart { winner: report.experiments[1].config.clone(), ..verdict(true) });
    let page = check(&report);
    let section =
        page.split("<section id=\"curves-of\">").nth(1).unwrap().split("</section>").next().unwrap();
    // All three, and base and winner once more above them.
    assert_eq!(section.matches("<g class=\"l").count(), 5);
    assert_eq!(section.matches("<line x1").count(), 31 * 4 + 19);
    assert!(section.contains("1 of 3 runs were stopped"), "{section}");
}

#[test]
fn the_picture_marks_what_was_kept_and_what_failed_in_either_direction() {
    let scores = [Some(1.0), Some(2.0), None, Some(0.5), Some(0.75), Some(900.0)];
    for (direction, kept) in [("minimize", 2), ("maximize", 3)] {
        let picture = super::svg(&report("val_bpb", direction, &scores));
        elements(&picture);
        assert_eq!(picture.matches("r=\"5.5\"").count(), kept, "{direction}: {picture}");
        assert_eq!(picture.matches("<circle").count(), 5);
        assert_eq!(picture.matches("×<title>3 ").count(), 1, "the third has no score");
        assert_eq!(picture.matches("<path d=\"M").count(), 1);
    }
    let nothing = super::svg(&report("val_bpb", "minimize", &[None]));
    assert!(nothing.contains("no experiment has a score"));
    elements(&nothing);
    let picture = super::svg(&evil());
    let allowed = ["svg", "rect", "text", "line", "circle", "path", "title"];
    assert!(elements(&picture).iter().all(|name| allowed.contains(&name.as_str())), "{picture}");
}
