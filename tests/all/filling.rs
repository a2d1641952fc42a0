//! Runs that ask a model: what it fills, what is told of it, and what is left when it dies.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{log, program, small_folder};
use crate::scripted::{Act, Scripted, completion};

/// The slot that a request is about.
fn slot(request: &str) -> String {
    let (_, body) = request.split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let name = &body["response_format"]["json_schema"]["name"];
    name.as_str().expect("a schema").to_owned()
}

/// What a model could say for a slot.
fn reply(slot: &str) -> Value {
    match slot {
        "risk" => json!({"severity": "high", "likelihood": 90, "impact": 90, "rationale": "seen"}),
        "route" => json!({
            "phase": "response",
            "steps": [{"agent_name": "planner_agent", "reason": "asked", "when": "now"}],
            "notes": "",
        }),
        "notification" => json!({"channel": "chat", "subject": "s", "body": "b"}),
        "plan" => json!({
            "overall_goal": "Find out",
            "steps": [{
                "step_id": "notify_user", "rationale": "they know",
                "dependencies": [], "requires_human_approval": false,
            }],
        }),
        other => panic!("no slot `{other}`"),
    }
}

fn fills(request: &str) -> Act {
    Act::says(&reply(&slot(request)).to_string())
}

/// What came of a run.
struct Ran {
    code: Option<i32>,
    out: String,
    said: String,
}

impl Ran {
    fn slots(folder: &Path) -> Value {
        let text = fs::read_to_string(folder.join("data/run.json")).expect("a run");
        let run: Value = serde_json::from_str(&text).expect("JSON");
        run["slots"].clone()
    }
}

/// Runs the shipped policy over the demo day; with an endpoint, that fills its slots.
fn run(folder: &Path, base_url: Option<&str>, words: &[&str]) -> Ran {
    let mut program = program();
    program.current_dir(folder).arg("run").arg("--events");
    program.arg(log("demo-day.ndjson")).args(words);
    for name in ["LLM_BASE_URL", "LLM_MODEL", "LLM_API_KEY"] {
        program.env_remove(name);
    }
    if let Some(base_url) = base_url {
        let llm = ["--slots", "live", "--llm-model", "m", "--llm-base-url"];
        program.args(llm).arg(base_url);
    }
    let output = program.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("a text");
    Ran {
        code: output.status.code(),
        out: text(output.stdout),
        said: text(output.stderr),
    }
}

fn records(folder: &Path, artifact: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(format!("data/{artifact}.jsonl"))).expect("a run");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The ids of what was promoted, and that the audit holds.
fn promoted(folder: &Path) -> Vec<Value> {
    let mut verify = program();
    verify.current_dir(folder).args(["audit", "verify"]);
    verify.assert().code(0);
    let incidents = records(folder, "incidents").into_iter();
    incidents.map(|incident| incident["id"].clone()).collect()
}

/// How many fills of risks are whose: each value of `provenance.severity`.
fn severities(folder: &Path) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for risk in records(folder, "risks") {
        let whose = risk["provenance"]["severity"].as_str().expect("a text");
        *count.entry(whose.to_owned()).or_default() += 1;
    }
    count
}

#[test]
fn a_run_that_a_model_fills_says_so() {
    let server = Scripted::answering(|_, request| fills(request));
    let folder = small_folder();
    let ran = run(folder.path(), Some(&server.base_url()), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(!ran.said.contains("slots"), "{}", ran.said);
    let expected = "
Slots filled: 25 of 25

  notification 6 of 6
  plan     6 of 6
  risk     6 of 6
  route    7 of 7
";
    assert!(ran.out.contains(expected), "{}", ran.out);
    let filled = |count| {
        let none = ["floored", "refused", "failed", "over_budget"].map(|key| (key, json!(0)));
        let all = [("asked", json!(count)), ("filled", json!(count))];
        all.into_iter().chain(none).collect::<BTreeMap<_, _>>()
    };
    let expected = json!({"notification": filled(6), "plan": filled(6), "risk": filled(6), "route": filled(7)});
    assert_eq!(Ran::slots(folder.path()), expected);
    assert_eq!(severities(folder.path()), [("model".to_owned(), 6)].into());
    promoted(folder.path());
}

#[test]
fn a_run_without_a_model_says_nothing_of_slots() {
    let folder = small_folder();
    let ran = run(folder.path(), None, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(!ran.out.contains("Slots") && !ran.said.contains("slots"));
    assert_eq!(Ran::slots(folder.path()), Value::Null);
}

/// The model answers seven times, and then nobody listens where it was. The run ends, what was
/// filled stays filled, the rest has its defaults, and all that a clean run promotes is promoted.
#[test]
fn a_model_that_dies_half_way_costs_no_finding() {
    let clean = small_folder();
    run(clean.path(), None, &[]);
    let server = Scripted::until(7, |_, request| fills(request));
    let folder = small_folder();
    let begun = Instant::now();
    let ran = run(
        folder.path(),
        Some(&server.base_url()),
        &["--llm-concurrency", "1"],
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "{}", ran.said);
    assert_eq!(ran.code, Some(2), "{}", ran.said);
    let slots = Ran::slots(folder.path());
    let sum = |key: &str| {
        let counts = slots.as_object().expect("slots").values();
        counts
            .map(|fills| fills[key].as_u64().expect("a count"))
            .sum::<u64>()
    };
    assert_eq!((sum("filled"), sum("refused")), (7, 0), "{slots}");
    assert_eq!(sum("failed"), sum("asked") - 7, "{slots}");
    let heading = format!(
        "error: slots filled: 7 of {}; {} failed; the others took their defaults\n",
        sum("asked"),
        sum("failed")
    );
    assert!(ran.said.contains(&heading), "{}", ran.said);
    let why = format!("first: the model at `127.0.0.1:{}` ", server.port);
    assert!(ran.said.contains(&why), "{}", ran.said);
    let whose = severities(folder.path());
    assert_eq!(whose.keys().collect::<Vec<_>>(), ["model", "refused"]);
    let before = promoted(clean.path());
    let after = promoted(folder.path());
    assert!(before.iter().all(|id| after.contains(id)), "{after:?}");
    // What came of the findings behind it is what comes of them without a model.
    let of = |folder: &Path| records(folder, "risks").pop().expect("a risk");
    let (with, without) = (of(folder.path()), of(clean.path()));
    for field in ["finding_id", "severity", "likelihood", "impact", "score"] {
        assert_eq!(with[field], without[field], "{field}");
    }
    let rationale = with["rationale"].as_str().expect("a text");
    assert!(
        rationale.contains("the model at `127.0.0.1:"),
        "{rationale}"
    );
}

/// Nothing that it says is accepted: that is no failure of a service.
#[test]
fn replies_that_are_refused_are_told_and_no_failure() {
    let server = Scripted::new([Act::says("{}")]);
    let folder = small_folder();
    let ran = run(folder.path(), Some(&server.base_url()), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let heading = "warning: slots filled: 0 of 19; 19 refused; the others took their defaults\n";
    assert!(ran.said.contains(heading), "{}", ran.said);
    let line = "\n  risk     0 of 6, 6 refused, first: ";
    assert!(ran.said.contains(line), "{}", ran.said);
    assert_eq!(
        severities(folder.path()),
        [("refused".to_owned(), 6)].into()
    );
}

/// A budget that is spent is what the engineer asked for, and is told.
#[test]
fn a_budget_that_is_spent_is_told_and_no_failure() {
    let server = Scripted::answering(|_, request| fills(request));
    let folder = small_folder();
    let words = ["--llm-budget-calls", "3", "--llm-concurrency", "1"];
    let ran = run(folder.path(), Some(&server.base_url()), &words);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let heading = "warning: slots filled: 3 of 19; 16 over the budget; the others";
    assert!(ran.said.contains(heading), "{}", ran.said);
    assert!(
        ran.said
            .contains("first: the budget of the run is spent: 3 calls")
    );
    assert_eq!(server.seen().len(), 3);
}

/// Replies under the bound are counted as floored.
#[test]
fn what_is_floored_is_counted() {
    let server = Scripted::answering(|_, request| match slot(request).as_str() {
        "risk" => {
            Act::says(r#"{"severity":"low","likelihood":1,"impact":1,"rationale":"all is well"}"#)
        }
        _ => fills(request),
    });
    let folder = small_folder();
    let ran = run(folder.path(), Some(&server.base_url()), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(
        ran.out.contains("  risk     6 of 6, 6 floored\n"),
        "{}",
        ran.out
    );
    assert_eq!(Ran::slots(folder.path())["risk"]["floored"], 6);
}

/// Of live input too: however slow the model is and however many are asked at once, what is told
/// is told in the order and as whole as without one.
#[test]
fn a_slow_model_loses_and_reorders_nothing_of_live_input() {
    let words = ["--follow", "--format", "ndjson", "--llm-concurrency", "4"];
    let told = |out: &str| {
        let lines = out
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let outcomes = lines.filter(|line: &Value| !line["finding"].is_null());
        outcomes
            .map(|line| line["finding"].clone())
            .collect::<Vec<_>>()
    };
    let clean = small_folder();
    let without = run(clean.path(), None, &words);
    // The first of each four is the slowest.
    let server = Scripted::answering(|turn, request| {
        let pause = Duration::from_millis([160, 80, 40, 20][turn % 4]);
        let reply = reply(&slot(request)).to_string();
        Act::Late(pause, completion(&reply).to_string())
    });
    let folder = small_folder();
    let with = run(folder.path(), Some(&server.base_url()), &words);
    assert_eq!(with.code, Some(0), "{}", with.said);
    assert!(told(&without.out).len() > 6, "findings open and close");
    assert_eq!(told(&with.out), told(&without.out));
    assert_eq!(
        records(folder.path(), "findings"),
        records(clean.path(), "findings")
    );
    promoted(folder.path());
}

/// A run that asks a model is killed when it has kept some of what was said: whatever the audit
/// names is there.
#[test]
fn a_run_that_is_killed_while_it_asks_names_no_body_that_is_not_kept() {
    let server = Scripted::answering(|_, request| {
        let reply = reply(&slot(request)).to_string();
        Act::Late(Duration::from_millis(10), completion(&reply).to_string())
    });
    for pause in [0, 20, 60, 200] {
        let folder = small_folder();
        let mut child = std::process::Command::new(program().get_program())
            .current_dir(folder.path())
            .args(["run", "--follow", "--format", "ndjson", "--events"])
            .arg(log("demo-day.ndjson"))
            .args(["--slots", "live", "--llm-model", "m", "--llm-base-url"])
            .arg(server.base_url())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("it runs");
        let end = Instant::now() + Duration::from_secs(20);
        let before = server.seen().len();
        while server.seen().len() < before + 4 {
            assert!(Instant::now() < end, "it asks");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().expect("killed");
        child.wait().expect("it ended");
        let mut verify = program();
        verify.current_dir(folder.path()).args(["audit", "verify"]);
        verify.assert().code(0);
    }
}

/// State knows of what was found; so it is not kept before what came of that is. Here nothing
/// comes: the model does not answer.
#[test]
fn no_state_is_kept_ahead_of_what_a_model_is_still_asked() {
    let server = Scripted::answering(|_, request| match slot(request).as_str() {
        "risk" => Act::Hang,
        _ => fills(request),
    });
    let folder = small_folder();
    let state = folder.path().join("state");
    let mut child = std::process::Command::new(program().get_program())
        .current_dir(folder.path())
        .args(["run", "--follow", "--state", "state", "--events"])
        .arg(log("demo-day.ndjson"))
        .args(["--slots", "live", "--llm-model", "m", "--llm-base-url"])
        .arg(server.base_url())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let end = Instant::now() + Duration::from_secs(20);
    while server.seen().len() < 3 {
        assert!(Instant::now() < end, "it asks for risks");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The input is at its end long since.
    std::thread::sleep(Duration::from_millis(500));
    assert!(!state.exists(), "kept before a risk was known");
    child.kill().expect("killed");
    child.wait().expect("it ended");
    assert!(!state.exists());
}

/// A log in two runs with state, and a model that is slow: what is told is what one run tells.
#[test]
fn two_runs_with_state_and_a_slow_model_tell_what_one_run_tells() {
    let server = Scripted::answering(|turn, request| {
        let pause = Duration::from_millis([90, 10, 50][turn % 3]);
        let reply = reply(&slot(request)).to_string();
        Act::Late(pause, completion(&reply).to_string())
    });
    let text = fs::read_to_string(log("demo-day.ndjson")).expect("a log");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let run = |events: &[&str], folder: &Path| {
        let mut program = program();
        program
            .current_dir(folder)
            .args(["run", "--follow", "--state", "state", "--format", "ndjson"])
            .args(["--events", "-", "--slots", "live", "--llm-model", "m"])
            .args(["--llm-base-url", &server.base_url()])
            .write_stdin(events.concat());
        let output = program.output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8(output.stdout).expect("a text");
        let told = told
            .lines()
            .map(|line| -> Value { serde_json::from_str(line).expect("JSON") });
        let outcomes = told.filter(|line| !line["finding"].is_null());
        outcomes
            .map(|line| (line["finding"].clone(), line["risk"].clone()))
            .collect::<Vec<_>>()
    };
    let (whole, parts) = (small_folder(), small_folder());
    let expected = run(&lines, whole.path());
    // Behind the fifth failed sign-in of a burst that goes on.
    let middle = lines
        .iter()
        .rposition(|line| line.contains("2026-03-02T17:25:00"))
        .expect("a burst");
    let mut told = run(&lines[..middle], parts.path());
    assert!(
        !told.is_empty() && told.len() < expected.len(),
        "cut between findings"
    );
    told.extend(run(&lines[middle..], parts.path()));
    assert_eq!(told, expected);
}
