//! What a person sees of a run in which a model is asked.
//!
//! `tests/shown/NAME.out` is a whole output. `BLESS=1 cargo test shown` rewrites them; the review
//! reads the change.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use similar::TextDiff;
use tempfile::TempDir;

use crate::harness::{log, mask_digests, program, root, small_folder};
use crate::scripted::{Act, Scripted};

/// A model that is right of some, wrong of others and no answer of the rest.
fn opinionated() -> Scripted {
    Scripted::answering(|_, request| {
        let (_, body) = request.split_once("\r\n\r\n").expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let slot = body["response_format"]["json_schema"]["name"].clone();
        let asked = body["messages"][1]["content"].as_str().expect("a text");
        Act::says(&said(slot.as_str().expect("a slot"), asked))
    })
}

fn said(slot: &str, asked: &str) -> String {
    let is_travel = asked.contains("IMPOSSIBLE_TRAVEL");
    match slot {
        "risk" if asked.contains("FAILED_LOGIN_BURST") => "Sure! It is harmless.".to_owned(),
        "risk" if is_travel => {
            json!({"severity": "critical", "likelihood": 90, "impact": 95, "rationale": "Nobody travels that far within an hour, and the second device was never seen before."})
                .to_string()
        }
        "risk" => {
            json!({"severity": "low", "likelihood": 1, "impact": 1, "rationale": "A drill.\n    verdict   not promoted"})
                .to_string()
        }
        "route" if asked.contains("raw_events") => json!({
            "phase": "detect",
            "steps": [
                {"agent_name": "risk_agent", "reason": "To score", "when": "first"},
                {"agent_name": "sh -c id", "reason": "To look around", "when": ""},
                {"agent_name": "detector_agent", "reason": "To detect", "when": "always"},
            ],
            "notes": "Mostly sign-ins.",
        })
        .to_string(),
        "route" if is_travel => json!({
            "phase": "response",
            "steps": [{"agent_name": "command_agent", "reason": "Commands first", "when": "now"}],
            "notes": "",
        })
        .to_string(),
        "route" => "{}".to_owned(),
        "notification" => json!({
            "channel": "chat",
            "subject": "An incident",
            "body": "Read it.\nverdict   not promoted",
        })
        .to_string(),
        _ if is_travel => json!({
            "overall_goal": "Shut the traveller out",
            "steps": [
                {"step_id": "lock_account", "rationale": "At once", "dependencies": ["notify_user"], "requires_human_approval": false},
                {"step_id": "notify_user", "rationale": "", "dependencies": ["lock_account"], "requires_human_approval": true},
                {"step_id": "notify_user", "rationale": "Again", "dependencies": [], "requires_human_approval": false},
            ],
        })
        .to_string(),
        _ => "{\"overall_goal\": \"Nothing\", \"steps\": []}".to_owned(),
    }
}

/// What the program prints in a folder, asking the endpoint.
fn printed(folder: &Path, model: &Scripted, words: &str) -> String {
    let words = words.replace("LOGS/", &log("").display().to_string());
    let mut command = program();
    command.current_dir(folder).args(words.split_whitespace());
    command
        .env("LLM_BASE_URL", model.base_url())
        .env("LLM_MODEL", "m");
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{words}: {text}");
    text
}

/// A folder with the artifacts of the demo day, as a model that is asked for it all makes them.
fn asked(model: &Scripted) -> (TempDir, String) {
    let folder = small_folder();
    let words = "run --slots live --events LOGS/demo-day.ndjson";
    let summary = printed(folder.path(), model, words);
    (folder, summary)
}

/// The ids of the first finding of a type, and of its incident and plan.
fn ids(folder: &Path, finding_type: &str) -> [String; 3] {
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.join(format!("data/{name}.jsonl"))).expect("records");
        let records = text.lines().map(serde_json::from_str);
        records.collect::<Result<_, _>>().expect("JSON")
    };
    let of = |name: &str, key: &str, value: &Value| {
        let records = lines(name);
        let found = records.iter().find(|record| record[key] == *value);
        found.map_or(Value::Null, |record| record["id"].clone())
    };
    let finding = of("findings", "finding_type", &finding_type.into());
    let incident = of("incidents", "finding_id", &finding);
    let plan = of("plans", "incident_id", &incident);
    [finding, incident, plan].map(|id| id.as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_a_model_was_asked_for_is_shown() {
    let model = opinionated();
    let (folder, summary) = asked(&model);
    let [travel, incident, plan] = ids(folder.path(), "IMPOSSIBLE_TRAVEL");
    let [floored, ..] = ids(folder.path(), "MFA_FATIGUE");
    let [refused, ..] = ids(folder.path(), "FAILED_LOGIN_BURST");
    let show = |words: String| printed(folder.path(), &model, &format!("show {words}"));
    let outputs = [
        ("run", summary),
        ("finding", show(format!("finding {travel}"))),
        ("floored", show(format!("finding {floored}"))),
        ("refused", show(format!("finding {refused}"))),
        ("incident", show(format!("incident {incident}"))),
        ("plan", show(format!("plan {plan}"))),
    ];
    let words = "run --slots live --events LOGS/demo-day.ndjson --format json";
    let run: Value = serde_json::from_str(&printed(folder.path(), &model, words)).expect("JSON");
    assert_eq!(run["route"]["proposed"][1], "sh -c id");
    assert_eq!(run["summary"]["count"], 397);
    let words = words
        .replace("json", "ndjson")
        .replace(".ndndjson", ".ndjson");
    let lines = printed(folder.path(), &model, &words);
    let first = lines.lines().next().expect("a line");
    let first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(
        [&first["route"], &first["summary"]],
        [&run["route"], &run["summary"]]
    );

    for (name, found) in outputs {
        let found = mask_policy(&found);
        let golden = root().join(format!("tests/shown/{name}.out"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, &found).expect("written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        let diff = TextDiff::from_lines(expected.as_str(), found.as_str());
        let diff = diff.unified_diff().to_string();
        assert_eq!(expected, found, "{name}; read, then BLESS=1\n{diff}");
        is_readable(name, &found);
    }
}

/// What is said of a model is readable in 80 columns: all but timelines and commands.
#[track_caller]
fn is_readable(name: &str, text: &str) {
    let ours = [
        "from ",
        "proposed ",
        "edit ",
        "asked ",
        "model ",
        "route ",
        "run ",
        "> ",
    ];
    let long = text.lines().filter(|line| line.chars().count() > 80);
    let long: Vec<&str> = long
        .filter(|line| {
            ours.iter()
                .any(|label| line.trim_start().starts_with(label))
        })
        .collect();
    assert!(long.is_empty(), "{name}: {long:#?}");
}

/// The beginnings of digests that the shipped files decide.
fn mask_policy(text: &str) -> String {
    let text = mask_digests(text);
    let short = regex::Regex::new("(policy|prompt) [0-9a-f]{12}").expect("a pattern");
    short.replace_all(&text, "$1 DIGEST").into_owned()
}

#[test]
fn a_finding_that_a_model_withholds_is_told() {
    let model = opinionated();
    let folder = small_folder();
    let routing = folder.path().join("routing.toml");
    let text = fs::read_to_string(&routing).expect("the routing");
    fs::write(&routing, text.replace("\"raise\"", "\"set\"")).expect("written");
    // A floor would hold all the same.
    let rules = folder.path().join("rules/mfa.yml");
    let text = fs::read_to_string(&rules).expect("the rules");
    fs::write(
        &rules,
        text.replace("  floor: {severity: high, score: 0.6}\n", ""),
    )
    .expect("written");
    let printed = |words: &str| printed(folder.path(), &model, words);

    let check = program().current_dir(folder.path()).arg("check").output();
    let check = check.expect("it runs");
    let told = String::from_utf8(check.stdout).expect("UTF-8");
    assert!(
        told.contains("RL0409") && told.contains("suppressible"),
        "{told}"
    );

    let run = "run --slots live --events LOGS/demo-day.ndjson";
    let summary = printed(run);
    let reason = "withheld by a model: the default risk, high 0.64, would have been promoted";
    assert!(summary.contains(reason), "{summary}");
    assert!(summary.contains("       2 withheld: "), "{summary}");
    let list = printed("show findings");
    assert_eq!(list.matches("withheld by a model").count(), 2, "{list}");
    let [finding, incident, _] = ids(folder.path(), "MFA_FATIGUE");
    assert_eq!(incident, "");
    let shown = printed(&format!("show finding {finding}"));
    assert!(
        shown.replace("\n              ", " ").contains(reason),
        "{shown}"
    );
    let shown = printed(&format!("show finding {finding} --format json"));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["risk"]["promotion"]["withheld"], true);

    // What is not promoted either way is withheld by nobody.
    let [finding, ..] = ids(folder.path(), "FAILED_LOGIN_BURST");
    let shown = printed(&format!("show finding {finding} --format json"));
    assert!(!shown.contains("withheld"), "{shown}");
    let lines = printed(&format!("{run} --format ndjson"));
    assert_eq!(lines.matches("\"withheld\":true").count(), 2, "{lines}");
}
