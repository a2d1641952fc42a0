//! A policy under attack: payloads in every field, and a model that obeys each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rulectl::diag::Problems;
use rulectl::lab::hostile::{Arsenal, Attack, Behaviour, Kind, Report, attack, load_arsenal};
use rulectl::policy::Policy;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{load, program, root, small, small_folder};

fn folder() -> PathBuf {
    root().join("fixtures/injection")
}

fn arsenal() -> Arsenal {
    let mut problems = Problems::default();
    let arsenal = load_arsenal(&folder(), &mut problems);
    assert_eq!(problems.counts(), (0, 0));
    arsenal
}

/// A policy whose schemas refuse next to nothing and whose findings show every field.
fn loose() -> Policy {
    load(&folder().join("loose"))
}

/// Some pairs of a payload and a field, under every behaviour.
fn attacked(policy: &Policy, how: &Attack) -> Report {
    attack(policy, &arsenal(), how).expect("events in memory")
}

/// One of so many pairs.
fn one_of(every: usize) -> Attack {
    Attack {
        threads: 2,
        every,
        names: Vec::new(),
        malformed: false,
    }
}

/// One payload in one field.
fn one_pair() -> Attack {
    Attack {
        names: vec!["override-02 actor.alternateId".to_owned()],
        ..one_of(1)
    }
}

#[test]
fn there_are_as_many_payloads_fields_and_cases_as_it_takes() {
    let arsenal = arsenal();
    let payloads = arsenal.payloads.len();
    let independent = arsenal
        .payloads
        .iter()
        .filter(|payload| payload.id.contains("-free-"));
    let independent = independent.count();
    assert!(payloads >= 160, "{payloads}");
    assert!(
        independent * 3 >= payloads,
        "{independent} of {payloads} were written from the list of families alone"
    );
    let mut families = BTreeMap::<&str, u32>::new();
    for payload in &arsenal.payloads {
        *families.entry(&payload.family).or_default() += 1;
    }
    assert_eq!(families.len(), 11);
    assert!(families.values().all(|count| *count >= 10), "{families:?}");
    let texts: BTreeSet<&str> = arsenal
        .payloads
        .iter()
        .map(|payload| payload.text.as_str())
        .collect();
    assert_eq!(texts.len(), payloads, "no text is there twice");
    assert!(arsenal.fields.len() >= 12, "{}", arsenal.fields.len());
    assert!(payloads * arsenal.fields.len() * Behaviour::ALL.len() >= 10_000);
}

/// A prime far from the number of fields: the sample goes through all payloads, fields and replies.
const SAMPLE: usize = 131;

#[test]
fn nothing_escapes_from_the_shipped_policy() {
    let how = Attack {
        malformed: true,
        ..one_of(SAMPLE)
    };
    let report = attacked(&small(), &how);
    assert_eq!(report.replies.len(), 70);
    let passed = report.replies.iter().filter(|reply| !reply.holds());
    let passed: Vec<_> = passed.collect();
    assert!(report.holds(), "{:#?} {passed:#?}", report.escapes);
    let total = report.total();
    assert!(total.cases >= 200, "{total:?}");
    // The model is heard, as it is and when it repairs what was refused, and refused otherwise.
    assert!(
        total.accepted > total.cases && total.repaired > 0 && total.refused > 0,
        "{total:?}"
    );
    assert!(total.reached * 4 > total.cases, "{total:?}");
    let log = &report.log;
    assert!(log.incidents > 0 && log.incidents < log.findings, "{log:?}");
    let refused = report.replies.iter().filter(|reply| reply.accepted == 0);
    assert_eq!(
        refused.count(),
        report.replies.len(),
        "the shipped schemas let none pass"
    );
    for reply in &report.replies {
        let slots: Vec<&str> = reply.reasons.keys().map(String::as_str).collect();
        assert_eq!(slots, ["plan", "risk", "route"], "{}", reply.reply);
        assert!(
            reply.reasons.values().all(|why| !why.is_empty()),
            "{reply:?}"
        );
    }
}

/// Where a schema refuses next to nothing, what the policy declares holds by itself.
#[test]
fn nothing_escapes_from_a_policy_with_loose_schemas() {
    let how = Attack {
        names: vec!["json-09 ".to_owned()],
        ..one_of(1)
    };
    let report = attacked(&loose(), &how);
    assert!(report.fields.iter().all(|field| field.tally.cases > 0));
    assert!(report.holds(), "{:#?}", report.escapes);
    for field in report.fields.iter().filter(|field| field.tally.cases > 0) {
        assert!(
            field.tally.reached > 0,
            "{} never comes to the model",
            field.path
        );
    }
    let of = |behaviour: Behaviour| {
        let cells = report
            .cells
            .iter()
            .filter(|cell| cell.behaviour == behaviour.as_str());
        cells
            .map(|cell| (cell.tally.accepted, cell.tally.cases))
            .fold((0, 0), |(accepted, cases), (a, c)| {
                (accepted + a, cases + c)
            })
    };
    // Whatever is well-formed is taken as it comes, and bounded.
    for behaviour in [
        Behaviour::Unknown,
        Behaviour::Waive,
        Behaviour::Circle,
        Behaviour::Shell,
    ] {
        let (accepted, cases) = of(behaviour);
        assert!(accepted > 5 * cases, "{behaviour:?}: {accepted} of {cases}");
    }
}

#[test]
fn a_report_does_not_depend_on_threads() {
    let (_folder, weak) = lowered("may     = \"raise\"", "may     = \"set\"");
    let reports = [1, 3].map(|threads| {
        let how = Attack {
            threads,
            ..one_of(701)
        };
        serde_json::to_string(&attacked(&weak, &how)).expect("JSON")
    });
    assert!(reports[0].contains("incident_missing"), "{}", reports[0]);
    assert_eq!(reports[0], reports[1]);
}

/// The shipped policy with another text in `routing.toml` and without floors.
fn lowered(from: &str, to: &str) -> (TempDir, Policy) {
    let folder = small_folder();
    for rules in ["rules/sign_in.yml", "rules/mfa.yml"] {
        change(&folder.path().join(rules), |text| {
            let lines = text.lines().filter(|line| !line.contains("floor:"));
            lines.map(|line| format!("{line}\n")).collect()
        });
    }
    change(&folder.path().join("routing.toml"), |text| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let policy = load(folder.path());
    (folder, policy)
}

fn change(path: &Path, with: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).expect("a file");
    fs::write(path, with(text)).expect("written");
}

/// The suite can fail: what a weak policy lets a model do is an escape, and says by which clause.
#[test]
fn a_weak_policy_is_caught() {
    let (_strong, strong) = lowered("may     = \"raise\"", "may     = \"raise\"");
    assert!(
        attacked(&strong, &one_pair()).holds(),
        "the default is a bound"
    );
    let (_set, set) = lowered("may     = \"raise\"", "may     = \"set\"");
    let report = attacked(&set, &one_pair());
    assert!(!report.holds());
    let escape = report
        .escapes
        .iter()
        .find(|escape| escape.behaviour == "downplay")
        .expect("a model that says low");
    let (kind, why) = &escape.differs[0];
    assert_eq!(*kind, Kind::IncidentMissing);
    assert!(why.contains("may = \"set\""), "{why}");

    let folder = small_folder();
    change(&folder.path().join("rules/mfa.yml"), |text| {
        let floor = "floor: {severity: high, score: 0.6}";
        assert!(text.contains(floor));
        // Just under what is promoted: only a model that says 0.59 gets past it.
        text.replace(floor, "floor: {severity: low, score: 0.55}")
    });
    let report = attacked(&load(folder.path()), &one_pair());
    let mut differs = report.escapes.iter().flat_map(|escape| &escape.differs);
    let missing = differs.find(|(kind, _)| *kind == Kind::IncidentMissing);
    let (_, why) = missing.expect("a model that says low and 0.59");
    assert!(
        why.starts_with("mfa_fatigue ") && why.ends_with("the `floor` of the rule is not promoted"),
        "{why}"
    );
    // One that says low and 0 keeps the incident by its score, and loses it the commands of a high one.
    let mut differs = report.escapes.iter().flat_map(|escape| &escape.differs);
    assert!(differs.any(|(kind, why)| *kind == Kind::Command && why.contains("has 0 of the ")));
    // A model that exaggerates takes nothing away.
    assert!(
        report
            .escapes
            .iter()
            .all(|escape| escape.behaviour != "alarm")
    );
}

/// Agents whose order nobody declares may run in the wrong one: no plan, no commands.
#[test]
fn a_policy_without_an_order_is_caught() {
    let folder = small_folder();
    change(&folder.path().join("routing.toml"), |text| {
        let order = "order   = [[\"planner_agent\", \"command_agent\"], [\"planner_agent\", \"notification_agent\"]]";
        assert!(text.contains(order));
        text.replace(order, "")
    });
    let report = attacked(&load(folder.path()), &one_pair());
    let kinds: BTreeSet<&str> = report
        .escapes
        .iter()
        .flat_map(|escape| &escape.differs)
        .map(|(kind, _)| kind.as_str())
        .collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [Kind::Command.as_str()]
    );
    assert!(
        report
            .escapes
            .iter()
            .any(|escape| escape.behaviour == "alarm"),
        "a model that puts the commands before the plan"
    );
}

#[test]
fn the_command_answers_with_its_exit_code() {
    let folder = small_folder();
    let hostile = |words: &[&str]| {
        let payloads = root().join("fixtures/injection");
        let mut command = program();
        command.args(["hostile", "--policy"]).arg(folder.path());
        command.arg("--payloads").arg(payloads).args(words);
        command.output().expect("it runs")
    };
    let words = ["json-02 actor.alternateId", "--format", "json"];
    let held = hostile(&words);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    let report: Value = serde_json::from_slice(&held.stdout).expect("JSON");
    assert_eq!(report["escapes"], Value::Array(Vec::new()));
    assert_eq!(hostile(&words).stdout, held.stdout, "the same bytes again");
    let nothing = hostile(&["no such payload"]);
    assert_eq!(nothing.status.code(), Some(1));

    change(&folder.path().join("rules/mfa.yml"), |text| {
        text.replace(
            "floor: {severity: high, score: 0.6}",
            "floor: {severity: low}",
        )
    });
    change(&folder.path().join("routing.toml"), |text| {
        text.replace("may     = \"raise\"", "may     = \"set\"")
    });
    let escaped = hostile(&["json-02 actor.alternateId"]);
    assert_eq!(escaped.status.code(), Some(1));
    let text = String::from_utf8(escaped.stdout).expect("UTF-8");
    assert!(text.contains("ESCAPE json-02 actor.alternateId"), "{text}");
    assert!(
        text.contains("an incident is missing: mfa_fatigue"),
        "{text}"
    );
    assert!(
        text.contains("again: rulectl hostile 'json-02 actor.alternateId'"),
        "{text}"
    );
}

/// A log in which nothing is at stake answers nothing.
#[test]
fn a_log_without_an_incident_is_inconclusive() {
    let payloads = tempfile::tempdir().expect("a folder");
    for file in ["fields.yml", "payloads.yml"] {
        fs::copy(folder().join(file), payloads.path().join(file)).expect("copied");
    }
    fs::write(
        payloads.path().join("events.ndjson"),
        "{\"eventType\":\"user.session.end\"}\n",
    )
    .expect("written");
    let mut command = program();
    command.args(["hostile", "json-01 actor.alternateId", "--payloads"]);
    let ended = command.arg(payloads.path()).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
}

#[test]
fn what_is_wrong_with_payloads_is_told_at_once() {
    let payloads = tempfile::tempdir().expect("a folder");
    let list = "payloads:\n  - {id: a, family: f, text: x}\n  - {id: a, family: f, text: y, repaet: 2}\n  - {id: b, family: f, text: xxxxxxxx, repeat: 99999999}\n  - {id: c, text: [1]}\nfeilds: []\n";
    fs::write(payloads.path().join("a.yml"), list).expect("written");
    fs::write(payloads.path().join("events.ndjson"), "{}\n[1]\n{\"a\":\n").expect("written");
    let mut command = program();
    command
        .arg("hostile")
        .arg("--payloads")
        .arg(payloads.path());
    let ended = command.output().expect("it runs");
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    for expected in [
        "another payload is called `a`",
        "unknown key `repaet`",
        "did you mean `repeat`?",
        "this payload has 799999992 bytes",
        "the key `family` is missing",
        "expected a text, found a list",
        "unknown key `feilds`",
        "line 2 is not an event",
        "line 3 is not an event",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    let mut command = program();
    command.arg("hostile").arg("--payloads").arg(empty.path());
    let ended = command.output().expect("it runs");
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    assert!(
        said.contains("error[RL0605]") && said.contains("name a folder"),
        "{said}"
    );
}

/// A score follows from the formula of the policy, whatever that is.
#[test]
fn a_formula_of_ones_own_is_held_to() {
    let folder = small_folder();
    change(&folder.path().join("routing.toml"), |text| {
        let product = "formula = \"likelihood * impact\"";
        assert!(text.contains(product));
        text.replace(product, "formula = \"(likelihood + impact) / 2\"")
    });
    let report = attacked(&load(folder.path()), &one_pair());
    assert!(report.holds(), "{:#?}", report.escapes);
}
