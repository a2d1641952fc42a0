//! Routes that a model proposes: what it is shown, and what the guardrails make of it.

use std::fs;
use std::sync::Mutex;

use rulectl::detect::Severity;
use rulectl::geo::Databases;
use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use rulectl::okta::Mapping;
use rulectl::pipeline::{self, Beginning, Filling, Outcome, Rejected, Settings, Sink};
use rulectl::policy::Policy;
use rulectl::route::{Context, Facts, Proposal, Route};
use rulectl::slots::Provenance;
use rulectl::source::Input;
use serde_json::{Value, json};

use crate::harness::{load, log, program, small, small_folder};
use crate::scripted::{Act, Scripted};

/// A proposal by the names of its agents.
fn proposal(agents: &str) -> Proposal {
    let steps = agents
        .split_whitespace()
        .map(|agent| json!({"agent_name": agent, "reason": "r", "when": "w"}));
    let reply = json!({"phase": "whatever", "steps": steps.collect::<Vec<_>>(), "notes": "n"});
    Proposal::read(&reply).expect("a proposal")
}

fn decided(policy: &Policy, context: Context, severity: Option<Severity>, agents: &str) -> Route {
    let facts = Facts { severity };
    let proposal = proposal(agents);
    let routing = &policy.routing;
    routing.bounded(context, None, facts, &proposal, Provenance::Model)
}

/// The agents in order, and the edits.
fn shown(route: &Route) -> (String, String) {
    let steps = route.steps.iter().map(|step| step.agent_name.as_str());
    let edits = route.edits.iter().map(|edit| {
        let clause = edit.clause.replace("route.", "").replace("raw_events.", "");
        let clause = clause.replace("incident.", "");
        format!("{} {} {clause}", edit.action.as_str(), edit.agent)
    });
    let steps: Vec<&str> = steps.collect();
    let edits: Vec<String> = edits.collect();
    (steps.join(" "), edits.join("; "))
}

#[test]
fn the_guardrails_of_the_shipped_policy_hold_whatever_is_proposed() {
    use Context::{Incident, RawEvents};
    let policy = small();
    let (low, high) = (Some(Severity::Low), Some(Severity::High));
    let (medium, critical) = (Some(Severity::Medium), Some(Severity::Critical));
    #[rustfmt::skip]
    let cases = [
        // For raw events the detector first, risk after it, everything else dropped.
        (RawEvents, None, "detector_agent risk_agent", "detector_agent risk_agent", ""),
        (RawEvents, None, "", "detector_agent risk_agent", "added detector_agent require[0]; added risk_agent require[1]"),
        (RawEvents, None, "risk_agent", "detector_agent risk_agent", "added detector_agent require[0]; moved risk_agent order[0]"),
        (RawEvents, None, "detector_agent", "detector_agent risk_agent", "added risk_agent require[1]"),
        (RawEvents, None, "risk_agent detector_agent", "detector_agent risk_agent", "moved risk_agent order[0]"),
        (RawEvents, None, "planner_agent command_agent", "detector_agent risk_agent", "dropped planner_agent allow; dropped command_agent allow; added detector_agent require[0]; added risk_agent require[1]"),
        (RawEvents, None, "detector_agent detector_agent risk_agent shell", "detector_agent risk_agent", "dropped detector_agent each agent runs once; dropped shell allow"),
        (RawEvents, None, "Detector_Agent detector_agent\u{200b} risk_agent detector_agent", "detector_agent risk_agent", "dropped Detector_Agent allow; dropped detector_agent\u{200b} allow; moved risk_agent order[0]"),
        (RawEvents, None, "Detector_Agent detector_agent", "detector_agent risk_agent", "dropped Detector_Agent allow; added risk_agent require[1]"),
        // For an incident the planner, and the command agent where it is high or critical.
        (Incident, low, "planner_agent", "planner_agent", ""),
        (Incident, medium, "planner_agent", "planner_agent", ""),
        (Incident, high, "planner_agent", "planner_agent command_agent notification_agent", "added command_agent require_when[0]; added notification_agent require_when[0]"),
        (Incident, critical, "planner_agent", "planner_agent command_agent notification_agent", "added command_agent require_when[0]; added notification_agent require_when[0]"),
        (Incident, low, "planner_agent command_agent", "planner_agent command_agent", ""),
        (Incident, critical, "planner_agent command_agent", "planner_agent command_agent notification_agent", "added notification_agent require_when[0]"),
        (Incident, low, "", "planner_agent", "added planner_agent require[0]"),
        (Incident, critical, "", "planner_agent command_agent notification_agent", "added planner_agent require[0]; added command_agent require_when[0]; added notification_agent require_when[0]"),
        (Incident, low, "command_agent", "planner_agent command_agent", "added planner_agent require[0]; moved command_agent order[0]"),
        (Incident, high, "command_agent planner_agent", "planner_agent command_agent notification_agent", "added notification_agent require_when[0]; moved command_agent order[0]"),
        (Incident, high, "detector_agent risk_agent exfiltrate", "planner_agent command_agent notification_agent", "dropped detector_agent allow; dropped risk_agent allow; dropped exfiltrate allow; added planner_agent require[0]; added command_agent require_when[0]; added notification_agent require_when[0]"),
    ];
    for (context, severity, proposed, steps, edits) in cases {
        let route = decided(&policy, context, severity, proposed);
        let phase = "forced whatever phase".to_owned();
        let edits = [edits, &phase].join("; ");
        let edits = edits.trim_start_matches("; ").to_owned();
        assert_eq!(
            shown(&route),
            (steps.to_owned(), edits),
            "{context:?} {proposed}"
        );
        let phases = [("raw_events", "ingest"), ("incident", "response")];
        assert!(phases.contains(&(context.as_str(), route.phase.as_str())));
        // What runs, proposed again, is left as it is.
        let again = decided(&policy, context, severity, steps);
        assert_eq!(
            shown(&again),
            (steps.to_owned(), phase),
            "{context:?} {proposed}"
        );
        // Whoever proposes nothing gets what the guardrails alone produce.
        let alone = policy
            .routing
            .decide(context, None, Facts { severity }, &[]);
        let required = alone.steps.iter().map(|step| &step.agent_name);
        let run: Vec<&String> = route.steps.iter().map(|step| &step.agent_name).collect();
        assert!(
            required.clone().all(|agent| run.contains(&agent)),
            "{proposed}"
        );
    }
}

#[test]
fn guardrails_that_an_engineer_declares_hold_too() {
    let folder = small_folder();
    let path = folder.path().join("routing.toml");
    let text = fs::read_to_string(&path).expect("the routing");
    let text = text
        .replace(
            "allow   = [\"planner_agent\", \"command_agent\", \"notification_agent\"]\nrequire = [\"planner_agent\"]",
            "allow   = [\"planner_agent\", \"command_agent\", \"notification_agent\", \"second_look\"]\nrequire = [\"planner_agent\"]",
        )
        .replace(
            "[promotion]",
            "[[route.incident.require_when]]\nseverity = [\"medium\"]\nagents   = [\"second_look\"]\n\n[promotion]",
        )
        .replace(
            "order   = [[\"planner_agent\", \"command_agent\"], [\"planner_agent\", \"notification_agent\"]]",
            "order   = [[\"planner_agent\", \"command_agent\"], [\"command_agent\", \"second_look\"]]",
        )
        + "\n[agents.second_look]\ndescription = \"Plans once more\"\nruns = \"slot:plan\"\n";
    fs::write(&path, text).expect("written");
    let policy = load(folder.path());
    let (low, medium) = (Some(Severity::Low), Some(Severity::Medium));
    #[rustfmt::skip]
    let cases = [
        (low, "planner_agent", "planner_agent", ""),
        (low, "second_look planner_agent", "second_look planner_agent", ""),
        (medium, "planner_agent", "planner_agent second_look", "added second_look require_when[1]; "),
        (medium, "second_look command_agent", "planner_agent command_agent second_look", "added planner_agent require[0]; moved second_look order[1]; moved command_agent order[0]; "),
        (medium, "risk_agent", "planner_agent second_look", "dropped risk_agent allow; added planner_agent require[0]; added second_look require_when[1]; "),
    ];
    for (severity, proposed, steps, edits) in cases {
        let route = decided(&policy, Context::Incident, severity, proposed);
        let edits = format!("{edits}forced whatever phase");
        assert_eq!(shown(&route), (steps.to_owned(), edits), "{proposed}");
    }
}

/// Proposes nothing, and remembers what it was asked.
#[derive(Default)]
struct Attentive(Mutex<Vec<Request>>);

impl Model for Attentive {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        self.0.lock().expect("no panic").push(request.clone());
        Ok(Reply {
            text: json!({"phase": "p", "steps": [], "notes": ""}).to_string(),
            finish: Finish::Stop,
            model: "attentive".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }

    fn concurrency(&self) -> usize {
        3
    }
}

impl Attentive {
    /// What the slot `route` was shown, in the order of the incidents, that of the run first.
    fn routes(&self) -> Vec<Value> {
        let asked = self.0.lock().expect("no panic");
        let mut routes: Vec<Value> = asked
            .iter()
            .filter(|request| request.slot == "route")
            .map(|request| request.context.clone())
            .collect();
        routes.sort_by_key(|shown| (shown["events"]["count"].is_null(), shown.to_string()));
        routes
    }
}

#[derive(Default)]
struct Kept(Option<Beginning>, Vec<Outcome>);

impl Sink for Kept {
    fn begin(&mut self, beginning: &Beginning) -> std::io::Result<()> {
        self.0 = Some(beginning.clone());
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> std::io::Result<()> {
        self.1.push(outcome.clone());
        Ok(())
    }

    fn reject(&mut self, _: &Rejected) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_is_summed_up_before_it_is_routed_and_an_incident_by_its_facts() {
    let policy = small();
    let run = |threads: usize| {
        let settings = Settings {
            mapping: Mapping::Okta,
            since: None,
            until: None,
            strict: false,
            threads,
            databases: Databases::NONE,
            evidence: None,
        };
        let (model, mut kept) = (Attentive::default(), Kept::default());
        let filling = Filling {
            model: Some(&model),
            summary: None,
        };
        let inputs = vec![Input::File(log("demo-day.ndjson"))];
        pipeline::run(&policy, &filling, inputs, &settings, &mut kept, &|_| {})
            .expect("a sink in memory");
        (model.routes(), kept)
    };
    let (routes, kept) = run(1);
    let of_run = &routes[0];
    assert_eq!(of_run["events"]["count"], 397);
    assert_eq!(of_run["events"]["first_seen"], "2026-03-02T00:12:21.185Z");
    assert_eq!(of_run["events"]["last_seen"], "2026-03-02T23:00:24.181Z");
    let types = of_run["events"]["event_types"].as_array().expect("types");
    let frequent = types
        .windows(2)
        .all(|pair| pair[0]["count"].as_u64() >= pair[1]["count"].as_u64());
    assert!(frequent && types.len() > 10, "{types:?}");
    assert_eq!(of_run["incident"]["severity"], Value::Null);
    assert_eq!(of_run["agents"][0]["name"], "command_agent");
    assert_eq!(of_run["agents"][0]["critical"], false);
    assert_eq!(of_run["agents"][0]["input"], "plan");

    let of_incidents = &routes[1..];
    assert_eq!(of_incidents.len(), 4);
    for shown in of_incidents {
        assert_eq!(shown["incident"]["severity"], "high");
        assert_eq!(shown["events"]["count"], Value::Null);
        let of_type = shown["finding"]["finding_type"].as_str().expect("a type");
        assert!(["IMPOSSIBLE_TRAVEL", "MFA_FATIGUE"].contains(&of_type));
    }
    let summary = kept
        .0
        .as_ref()
        .and_then(|beginning| beginning.summary.clone());
    assert_eq!(summary.expect("a summary").count, 397);
    for threads in [2, 5] {
        let (again, kept_again) = run(threads);
        assert_eq!(again, routes, "{threads}");
        assert_eq!(kept_again.0, kept.0, "{threads}");
        assert_eq!(kept_again.1, kept.1, "{threads}");
    }
}

#[test]
fn a_run_that_asks_nobody_reads_nothing_ahead() {
    let policy = small();
    let mut kept = Kept::default();
    let filling = Filling::default();
    let beginning = pipeline::begin(&policy, &filling);
    assert_eq!((beginning.summary, beginning.asked), (None, None));
    let settings = Settings {
        mapping: Mapping::Okta,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: Databases::NONE,
        evidence: None,
    };
    // The route stands before the first byte is read: an input that is not there is told after it.
    let inputs = vec![Input::File("no/such/file".into())];
    let (_, failed) = pipeline::run(&policy, &filling, inputs, &settings, &mut kept, &|_| {})
        .expect("a sink in memory");
    assert_eq!(failed.len(), 1);
    assert_eq!(kept.0, Some(pipeline::begin(&policy, &filling)));
}

#[test]
fn the_audit_keeps_what_the_route_of_a_run_was_decided_from() {
    let model = Scripted::new([Act::says(
        "{\"phase\": \"p\", \"steps\": [], \"notes\": \"\"}",
    )]);
    let recorded = |words: &str| -> Value {
        let folder = small_folder();
        let mut command = program();
        command
            .current_dir(folder.path())
            .args(["run", "--slots", "live", "--events"])
            .arg(log("demo-day.ndjson"))
            .args(words.split_whitespace())
            .env("LLM_BASE_URL", model.base_url())
            .env("LLM_MODEL", "m");
        command.assert().success();
        let mut export = program();
        export
            .current_dir(folder.path())
            .args(["audit", "export", "--to", "ndjson"]);
        let output = export.output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let mut records = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let route = records.find(|record| record["kind"] == "route");
        route.expect("the route of the run")["body"].clone()
    };
    let read = recorded("");
    assert_eq!(read["summary"]["count"], 397);
    assert_eq!(read["route"]["provenance"], "model");
    // Nothing has come yet where it comes as it happens.
    let live = recorded("--follow");
    assert_eq!(
        live["summary"],
        json!({"count": 0, "first_seen": null, "last_seen": null, "event_types": []})
    );
}
