//! A model joined to the pipeline: what it says reaches what it may, in the order of the findings,
//! whatever the order in which it answers.

use std::sync::{Condvar, Mutex};

use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use rulectl::pipeline::{Filling, Outcome};
use rulectl::slots::Provenance;
use serde_json::json;

use crate::harness::{Received, log, program, run_filled, small, small_folder};
use crate::scripted::{Act, Scripted};

/// Answers as a function says; the first call waits until so many others were answered.
struct Stub {
    answer: fn(&Request) -> Result<String, Failure>,
    concurrency: usize,
    others_first: usize,
    /// Calls that began, and those of them that ended.
    calls: Mutex<(usize, usize)>,
    ended: Condvar,
}

impl Stub {
    fn new(answer: fn(&Request) -> Result<String, Failure>) -> Self {
        Self {
            answer,
            concurrency: 1,
            others_first: 0,
            calls: Mutex::default(),
            ended: Condvar::new(),
        }
    }
}

impl Model for Stub {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let mut calls = self.calls.lock().expect("no panic");
        calls.0 += 1;
        // The first is for the route of the run; the next one is a finding's.
        if calls.0 == 2 {
            calls = self
                .ended
                .wait_while(calls, |calls| calls.1 < 1 + self.others_first)
                .expect("no panic");
        }
        calls.1 += 1;
        drop(calls);
        self.ended.notify_all();
        (self.answer)(request).map(|text| Reply {
            text,
            finish: Finish::Stop,
            model: "stub".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

/// What a model says that finds everything grave, and wants one agent and one step.
fn grave(request: &Request) -> Result<String, Failure> {
    let reply = match request.slot.as_str() {
        "risk" => json!({
            "severity": "critical", "likelihood": 90, "impact": 100,
            "rationale": request.context["finding"]["description"],
        }),
        "route" => json!({
            "phase": "ingest",
            "steps": [{"agent_name": "command_agent", "reason": "r", "when": "always"}],
            "notes": "",
        }),
        "plan" => json!({
            "overall_goal": "g",
            "steps": [{
                "step_id": "notify_user", "rationale": "ask them",
                "dependencies": [], "requires_human_approval": false,
            }],
        }),
        "notification" => json!({"channel": "chat", "subject": "s", "body": "b"}),
        other => panic!("no slot `{other}`"),
    };
    Ok(reply.to_string())
}

fn demo_day(model: Option<&dyn Model>) -> Received {
    let filling = Filling {
        model,
        summary: None,
    };
    run_filled(&small(), &filling, "demo-day.ndjson")
}

fn steps(outcome: &Outcome) -> Vec<&str> {
    let response = outcome.response.as_ref().expect("an incident");
    let plan = response.plan.as_ref().expect("a plan");
    plan.steps
        .iter()
        .map(|step| step.step_id.as_str())
        .collect()
}

#[test]
fn what_a_model_says_reaches_risk_route_and_plan_within_their_bounds() {
    let default = demo_day(None);
    let filled = demo_day(Some(&Stub::new(grave)));
    assert_eq!(default.outcomes.len(), filled.outcomes.len());
    for (default, filled) in default.outcomes.iter().zip(&filled.outcomes) {
        assert_eq!(default.finding, filled.finding);
        assert_eq!(filled.risk.severity.as_str(), "critical");
        assert!((filled.risk.score - 0.9).abs() < 1e-9);
        assert_eq!(filled.risk.rationale, filled.finding.description);
        assert_eq!(filled.risk.provenance["score"], Provenance::Model);
        let response = filled.response.as_ref().expect("critical is promoted");
        let agents = response.route.steps.iter().map(|step| &step.agent_name);
        let agents: Vec<&String> = agents.collect();
        assert_eq!(
            agents,
            ["planner_agent", "command_agent", "notification_agent"]
        );
        assert_eq!(response.route.provenance, Some(Provenance::Model));
        let steps = steps(filled);
        assert!(steps.contains(&"notify_user") && steps.contains(&"collect_auth_logs"));
        let slots: Vec<&str> = filled
            .asked
            .iter()
            .map(|asked| asked.slot.as_str())
            .collect();
        assert_eq!(slots, ["risk", "route", "plan", "notification"]);
    }
}

#[test]
fn what_no_model_answers_takes_its_default_and_says_why() {
    let down = Stub::new(|_| {
        Err(Failure::BudgetSpent {
            limit: 0,
            of: "calls",
        })
    });
    let (default, refused) = (demo_day(None), demo_day(Some(&down)));
    for (default, refused) in default.outcomes.iter().zip(&refused.outcomes) {
        assert_eq!(default.risk.score.to_bits(), refused.risk.score.to_bits());
        assert_eq!(default.promotion, refused.promotion);
        assert_eq!(refused.risk.provenance["severity"], Provenance::Refused);
        assert!(
            refused
                .risk
                .rationale
                .contains("the budget of the run is spent")
        );
        if let (Some(default), Some(refused)) = (&default.response, &refused.response) {
            assert_eq!(default.route.steps, refused.route.steps);
            assert_eq!(refused.route.provenance, Some(Provenance::Refused));
            assert_eq!(default.commands, refused.commands);
        }
    }
}

#[test]
fn outcomes_come_in_their_order_whichever_answer_comes_first() {
    let one = demo_day(Some(&Stub::new(grave)));
    for (concurrency, others_first) in [(2, 1), (2, 6), (8, 15)] {
        let model = Stub {
            concurrency,
            others_first,
            ..Stub::new(grave)
        };
        let many = demo_day(Some(&model));
        assert_eq!(one.outcomes, many.outcomes, "{concurrency} at once");
    }
}

fn is_of_priya(request: &Request) -> bool {
    let description = &request.context["incident"]["description"];
    description
        .as_str()
        .is_some_and(|text| text.contains("priya"))
}

/// A fault of the program ends the run with an error, and leaves nobody waiting.
#[test]
fn a_run_ends_also_where_the_program_fails() {
    let failing = Stub {
        concurrency: 3,
        ..Stub::new(|request| match request.slot.as_str() {
            "plan" if is_of_priya(request) => panic!("a fault of the program"),
            _ => grave(request),
        })
    };
    let filling = Filling {
        model: Some(&failing),
        summary: None,
    };
    let run = || run_filled(&small(), &filling, "demo-day.ndjson");
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let said = failed.expect_err("it cannot be followed");
    let said = said.downcast_ref::<String>().expect("a text");
    assert!(said.contains("a finding could not be followed"), "{said}");
}

#[test]
fn a_model_is_asked_where_that_is_said_and_its_answers_are_in_the_audit() {
    let server = Scripted::answering(|_, request| {
        let reply = if request.contains("likelihood") {
            r#"{"severity": "low", "likelihood": 1, "impact": 1, "rationale": "nothing"}"#
        } else {
            "no JSON"
        };
        Act::says(reply)
    });
    let folder = small_folder();
    let run = |arguments: &[&str]| {
        let mut command = program();
        command
            .current_dir(folder.path())
            .env("LLM_BASE_URL", server.base_url())
            .env("LLM_MODEL", "scripted-1")
            .args(["run", "--events"])
            .arg(log("demo-day.ndjson"))
            .args(arguments);
        command.assert().success()
    };
    run(&[]);
    assert_eq!(server.seen().len(), 0, "variables alone ask nobody");
    run(&["--slots", "live", "--format", "ndjson"]);
    // The route of the run, and of each incident its route, plan and draft: each is repaired once.
    let incidents = 4;
    let risks = server.seen().len() - 2 - 2 * 3 * incidents;
    let risked = std::fs::read_to_string(folder.path().join("data/risks.jsonl"));
    let risked = risked.expect("artifacts");
    assert_eq!(risks, risked.lines().count());
    assert!(risked.lines().all(|risk| risk.contains("\"floored\"")));
    let audit = folder.path().join("data/audit");
    let slots: Vec<_> = rulectl::audit::read(&audit)
        .expect("an audit")
        .map(|record| record.expect("a record"))
        .filter(|record| record.kind == "slot")
        .collect();
    assert_eq!(slots.len(), 1 + risks + 3 * incidents);
    let refused = slots
        .iter()
        .filter(|slot| slot.body.get("refused").is_some());
    assert_eq!(refused.count(), 1 + 3 * incidents);
}

#[test]
fn where_a_model_is_to_be_asked_and_none_is_configured_nothing_runs() {
    let folder = small_folder();
    let mut command = program();
    command
        .current_dir(folder.path())
        .args(["run", "--slots", "live", "--events"])
        .arg(log("demo-day.ndjson"));
    let output = command.assert().code(3);
    let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(said.contains("set `LLM_BASE_URL`"), "{said}");
    assert!(!folder.path().join("data/run.json").exists());
}

const FINDING: [&str; 15] = [
    "finding.count",
    "finding.description",
    "finding.finding_type",
    "finding.first_seen",
    "finding.group",
    "finding.hits",
    "finding.last_seen",
    "finding.level",
    "finding.metadata",
    "finding.reasons",
    "finding.rule_name",
    "finding.rule_title",
    "finding.tags",
    "finding.user_id",
    "rule.description",
];
const INCIDENT: [&str; 12] = [
    "incident.created_at",
    "incident.description",
    "incident.id",
    "incident.metadata",
    "incident.risk_score",
    "incident.severity",
    "incident.title",
    "plan.mandatory",
    "plan.steps",
    "risk.rationale",
    "risk.score",
    "risk.severity",
];
const GOAL: [&str; 1] = ["plan.overall_goal"];
const ROUTE: [&str; 3] = ["agents", "guardrails", "route.context"];

/// The shipped policy, whose prompt of a slot lists these fields and shows none of them.
fn listing(slot: &str, fields: &[&str]) -> tempfile::TempDir {
    let folder = small_folder();
    let path = folder.path().join(format!("prompts/{slot}.md"));
    let text = std::fs::read_to_string(&path).expect("a prompt");
    let (head, rest) = text.split_once("context:").expect("a context");
    let schema = rest.split_once("\nschema:").expect("a schema").1;
    let front = schema.split_once("\n---").expect("a text").0;
    let listed = fields.join(", ");
    let prompt = format!("{head}context: [{listed}]\nschema:{front}\n---\nAnswer.\n");
    std::fs::write(path, prompt).expect("written");
    folder
}

/// What a prompt may list has a value wherever the slot is asked about an incident, and the rest is
/// an error.
#[test]
fn a_slot_has_the_fields_that_its_prompt_may_list() {
    let all: Vec<&str> = [&FINDING[..], &INCIDENT, &GOAL, &ROUTE].concat();
    let cases: [(&str, Vec<&str>); 4] = [
        ("risk", FINDING.to_vec()),
        ("plan", [&FINDING[..], &INCIDENT].concat()),
        ("route", [&FINDING[..], &INCIDENT, &ROUTE].concat()),
        ("notification", [&FINDING[..], &INCIDENT, &GOAL].concat()),
    ];
    for (slot, given) in cases {
        let folder = listing(slot, &given);
        let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
        let asked = Listening(seen.clone());
        let filling = Filling {
            model: Some(&asked),
            summary: None,
        };
        run_filled(
            &crate::harness::load(folder.path()),
            &filling,
            "demo-day.ndjson",
        );
        let seen = seen.lock().expect("no panic");
        let contexts = seen.iter().filter(|request| request.slot == slot);
        let contexts = contexts.filter(|request| request.context["finding"]["count"].is_u64());
        let mut count = 0;
        for request in contexts {
            count += 1;
            for name in &given {
                let pointer = format!("/{}", name.replace('.', "/"));
                let value = request.context.pointer(&pointer);
                assert!(value.is_some_and(|value| !value.is_null()), "{slot} {name}");
            }
        }
        assert!(count >= 4, "{slot} was asked {count} times");
        for name in all.iter().filter(|name| !given.contains(name)) {
            let folder = listing(slot, &[*name]);
            let loaded = rulectl::policy::load(folder.path());
            let told = rulectl::render::problems_as_text(&loaded.problems, false);
            let expected = format!("the slot `{slot}` never has a value for `{name}`");
            assert!(told.contains(&expected), "{told}");
        }
    }
}

/// Answers with what is grave, and remembers what it was asked.
struct Listening(std::sync::Arc<Mutex<Vec<Request>>>);

impl Model for Listening {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        self.0.lock().expect("no panic").push(request.clone());
        let known = Request {
            context: json!({"finding": {"description": "seen"}}),
            ..request.clone()
        };
        Ok(Reply {
            text: grave(&known)?,
            finish: Finish::Stop,
            model: "stub".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }
}
