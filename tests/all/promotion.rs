//! How a score follows and what is promoted, where `routing.toml` says it in Rhai.

use std::fs;

use rulectl::policy::Policy;

use crate::harness::{Received, load, log, program, run_inputs, small_folder};
use rulectl::okta::Mapping;
use rulectl::source::Input;

/// The shipped policy with other lines in `routing.toml`.
fn policy(changes: &[(&str, &str)]) -> Policy {
    let folder = small_folder();
    let file = folder.path().join("routing.toml");
    let mut text = fs::read_to_string(&file).expect("a file");
    for (line, other) in changes {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, other, 1);
    }
    fs::write(&file, text).expect("written");
    load(folder.path())
}

fn run(policy: &Policy) -> Received {
    let inputs = vec![Input::File(log("demo-day.ndjson"))];
    run_inputs(policy, inputs, Mapping::Okta, 1)
}

/// The same, in Rust.
type Score = fn(f64, f64) -> f64;

const FORMULA: &str = "formula = \"likelihood * impact\"";
const THRESHOLD: &str = "threshold  = 0.6\nseverities = [\"high\", \"critical\"]";

#[test]
fn a_declared_formula_gives_the_score() {
    #[rustfmt::skip]
    let cases: [(&str, Score); 4] = [
        ("impact * likelihood", |likelihood, impact| likelihood * impact),
        ("if likelihood > impact { likelihood } else { impact }", f64::max),
        ("(likelihood + impact) / 2", |likelihood, impact| (likelihood + impact) / 2.0),
        ("1 - (1 - likelihood) * (1 - impact)", |likelihood, impact| 1.0 - (1.0 - likelihood) * (1.0 - impact)),
    ];
    for (formula, expected) in cases {
        let policy = policy(&[(FORMULA, &format!("formula = \"{formula}\""))]);
        let received = run(&policy);
        assert!(!received.outcomes.is_empty());
        for outcome in received.outcomes {
            let risk = outcome.risk;
            let expected = expected(risk.likelihood, risk.impact);
            assert!((risk.score - expected).abs() < 1e-4, "{formula}: {risk:?}");
        }
    }
}

#[test]
fn what_when_says_promotes_and_is_told() {
    let promoted = |when: &str| {
        let policy = policy(&[(THRESHOLD, &format!("when = '{when}'"))]);
        let received = run(&policy);
        let promoted = received.outcomes.iter().filter(|o| o.promotion.promoted);
        let reasons = received.outcomes.iter().map(|outcome| {
            let last = outcome.promotion.reasons.last();
            last.expect("a reason").clone()
        });
        (promoted.count(), reasons.collect::<Vec<_>>())
    };
    let fatigue = r#"finding_type == "MFA_FATIGUE" && score >= 0.4"#;
    #[rustfmt::skip]
    let cases = [
        ("false", 0, "does not hold"),
        ("true", 6, "holds"),
        (fatigue, 2, "does not hold"),
        (r#""attack.t1621" in tags"#, 2, "does not hold"),
        (r#"severity == "high" && hits + count > 0 && level != """#, 4, "does not hold"),
        ("10 / (6 - count) == 100", 0, "does not hold"),
    ];
    for (when, expected, reason) in cases {
        let (count, reasons) = promoted(when);
        let is_told = reasons.iter().any(|told| told.ends_with(reason));
        assert!(is_told, "{when}: {reasons:?}");
        let failed = reasons.iter().filter(|told| told.contains("fails"));
        assert_eq!(count, expected + failed.count(), "{when}: {reasons:?}");
    }
    // Where an expression fails the finding is promoted, and the reason says why.
    let (_, reasons) = promoted("10 / (6 - count) == 100");
    let failed = reasons.iter().find(|told| told.contains("fails"));
    let failed = failed.expect("a burst of six");
    assert!(failed.contains("then it holds"), "{failed}");
}

#[test]
fn what_is_no_formula_and_no_condition_is_refused_with_its_place() {
    #[rustfmt::skip]
    let cases = [
        (FORMULA, "formula = \"likelihood + impact\"", "RL0405", "it is 1.05"),
        (FORMULA, "formula = \"likelihood / impact\"", "RL0405", "where likelihood is 0 and impact 0"),
        (FORMULA, "formula = \"likelyhood\"", "RL0405", "there is no variable `likelyhood`"),
        (FORMULA, "formula = \"\"", "RL0405", "cannot be read"),
        (FORMULA, "formula = \"let x = 1; x\"", "RL0405", "cannot be read"),
        (FORMULA, "formula = \"\\\"high\\\"\"", "RL0405", "it is a text and no number"),
        (FORMULA, "formula = \"loop { }\"", "RL0405", ""),
        (THRESHOLD, "when = \"score\"", "RL0320", "it is a number and not true or false"),
        (THRESHOLD, "when = \"score = 1\"", "RL0320", "cannot be read"),
        (THRESHOLD, "when = \"eval(\\\"1\\\")\"", "RL0320", "cannot be read"),
        (THRESHOLD, "when = \"user == 1\"", "RL0320", "there is no variable `user`"),
        (THRESHOLD, "when = \"(1..1000000000).len() > 3\"", "RL0320", ""),
    ];
    for (line, other, code, said) in cases {
        let folder = small_folder();
        let file = folder.path().join("routing.toml");
        let text = fs::read_to_string(&file).expect("a file");
        fs::write(&file, text.replacen(line, other, 1)).expect("written");
        let mut command = program();
        command.current_dir(folder.path()).arg("check");
        let output = command.assert().code(2);
        let output = output.get_output();
        let told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let told = told.join("");
        assert!(
            told.contains(code) && told.contains(said),
            "{other}:\n{told}"
        );
        assert!(told.contains("routing.toml:"), "{other}:\n{told}");
    }
}
