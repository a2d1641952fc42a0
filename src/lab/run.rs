//! One case through the spine, compared with what it expects.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ask::{Decided, Deciding, Wanted as Asked};
use crate::detect::{Probe, Severity};
use crate::diag::Problems;
use crate::geo::Databases;
use crate::lab::compare::{Mismatch, compare};
use crate::lab::explain::{Explanation, explain_mismatches};
use crate::lab::observed::{Observed, observe};
use crate::lab::suite::{Case, Events, Wanted};
use crate::llm::Model;
use crate::okta::Mapping;
use crate::pipeline::{self, Beginning, Filling, Outcome, Rejected, Settings, Sink};
use crate::policy::Policy;
use crate::route::Route;
use crate::slots::ASK;
use crate::source::Input;

/// What came of a case.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// The line on which it begins.
    pub line: usize,
    /// What did not come out as expected; nothing for a case that passed.
    pub mismatches: Vec<Mismatch>,
    /// Why rules did not find what was expected, or found what was not.
    pub explained: Vec<Explanation>,
    /// What was reached on the way.
    pub reached: Reached,
}

/// What a case reached of the policy.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The rules that gave findings.
    pub found: BTreeSet<Uuid>,
    /// The agents that a route had.
    pub agents: BTreeSet<String>,
    /// The steps of plans.
    pub steps: BTreeSet<String>,
    /// The severities of risks.
    pub severities: BTreeSet<Severity>,
    /// The severities of incidents.
    pub incidents: BTreeSet<Severity>,
    /// The types of the findings that got a plan.
    pub planned: BTreeSet<String>,
    /// What the events satisfied.
    pub observed: Observed,
}

/// What cases are run with.
pub struct Rig<'p> {
    policy: &'p Policy,
    probe: Probe,
    databases: &'p Databases,
    /// The texts of the policy, where failures are explained.
    texts: Option<&'p Problems>,
    /// Who is asked what a question is about, where no form is certain.
    model: Option<&'p dyn Model>,
}

impl<'p> Rig<'p> {
    /// A policy, with databases for what events lack.
    #[must_use]
    pub fn new(policy: &'p Policy, databases: &'p Databases) -> Self {
        Self {
            policy,
            probe: Probe::new(policy.rules.values(), &policy.detector),
            databases,
            texts: None,
            model: None,
        }
    }

    /// The same, in which a model is asked about questions where no form is certain.
    #[must_use]
    pub fn asking(self, model: Option<&'p dyn Model>) -> Self {
        Self { model, ..self }
    }

    /// The same, which explains what does not come out as expected with the texts of the policy.
    #[must_use]
    pub fn explaining(self, texts: &'p Problems) -> Self {
        Self {
            texts: Some(texts),
            ..self
        }
    }
}

impl CaseResult {
    /// Whether all came out as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Runs cases on so many threads; what came of them is in their order.
#[must_use]
pub fn run_cases(rig: &Rig<'_>, cases: &[&Case], threads: usize) -> Vec<CaseResult> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(at) else { break };
            let result = run_case(rig, case);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.insert(at, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(cases.len()) {
            scope.spawn(work);
        }
        work();
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_values().collect()
}

/// Runs a case.
#[must_use]
pub fn run_case(rig: &Rig<'_>, case: &Case) -> CaseResult {
    let policy = rig.policy;
    let (input, mapping) = match &case.events {
        Events::Question(question) => return ask(rig, case, question),
        Events::File(path, mapping) => (Input::File(path.clone()), *mapping),
        Events::Inline(lines) => {
            let bytes = lines.as_bytes().into();
            (
                Input::Memory {
                    name: "events".to_owned(),
                    bytes,
                },
                Mapping::Okta,
            )
        }
    };
    let settings = Settings {
        mapping,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: rig.databases.clone(),
        evidence: None,
    };
    let mut sink = Memory::default();
    let mut mismatches = Vec::new();
    let filling = Filling::default();
    let observed = observe(&rig.probe, input.clone(), &settings).unwrap_or_else(|error| {
        mismatches.push(Mismatch::Broken(error));
        Observed::default()
    });
    let inputs = vec![input.clone()];
    match pipeline::run(policy, &filling, inputs, &settings, &mut sink, &|_| {}) {
        Ok((counts, failed)) => {
            let inputs = failed.iter().map(ToString::to_string);
            // A rule that is quiet because its script failed is not quiet as it should be.
            let scripts = counts.scripts.iter().map(|failed| {
                let (function, rule) = (&failed.function, &failed.rule);
                format!("{function} failed for {rule}, first: {}", failed.first)
            });
            mismatches.extend(inputs.chain(scripts).map(Mismatch::Broken));
        }
        Err(error) => mismatches.push(Mismatch::Broken(error.to_string())),
    }
    if let Some(first) = &sink.first_reject {
        let reason = format!(
            "{} of its records are no events, the first is {first}",
            sink.rejected
        );
        mismatches.push(Mismatch::Broken(reason));
    }
    let received = sink.received;
    let looks_at_drafts = case.expect.iter().any(|expected| expected.kind == "drafts");
    if !looks_at_drafts {
        mismatches.extend(received.failed().map(Mismatch::Broken));
    }
    for expectation in &case.expect {
        let records = match expectation.kind {
            "matches" => observed.records(policy, true),
            "near_misses" => observed.records(policy, false),
            kind => received.records(kind),
        };
        mismatches.extend(compare(expectation, &records));
    }
    let texts = rig.texts.filter(|_| !mismatches.is_empty());
    let explained =
        texts.map(|texts| explain_mismatches((policy, texts), &mismatches, &input, &settings));
    CaseResult {
        name: case.name.clone(),
        line: case.line,
        explained: explained.unwrap_or_default(),
        mismatches,
        reached: received.reached(sink.agents, observed),
    }
}

/// What a question asks for, without asking the tenant.
fn ask(rig: &Rig<'_>, case: &Case, question: &str) -> CaseResult {
    let policy = rig.policy;
    let deciding = Deciding {
        catalogue: &policy.tools,
        only: &[],
        after: &[],
        settings: policy.ask,
        granted: None,
        model: policy.prompts.get(ASK).zip(rig.model),
    };
    let decided = deciding.decide(question);
    let record = told(&decided);
    let expected = case.expect.iter().filter_map(|expected| {
        let (wanted, may_refuse) = match &expected.wanted {
            Wanted::Records(wanted) => (wanted.first()?, false),
            Wanted::OrRefused(wanted) => (wanted, true),
            Wanted::Count(_) | Wanted::OfRule(..) => return None,
        };
        let is_refused = record.get("is_refused").is_some();
        let is_met = match wanted.get("code") {
            // Refused, for whatever reason.
            None if wanted.get("is_refused").is_some() => is_refused,
            _ => *wanted == record || (may_refuse && is_refused),
        };
        (!is_met).then(|| Mismatch::Missing {
            kind: expected.kind,
            expected: wanted.clone(),
            nearest: Some(record.clone()),
        })
    });
    CaseResult {
        name: case.name.clone(),
        line: case.line,
        mismatches: expected.collect(),
        explained: Vec::new(),
        reached: Reached::default(),
    }
}

/// What a suite expects of a question.
#[must_use]
pub fn told(decided: &Decided) -> Value {
    let refused = decided.outcome.as_ref().err();
    match (&decided.wanted, refused) {
        (_, Some(refused)) => json!({"is_refused": true, "code": refused.code}),
        (Some(Asked::Call { tool, params, .. }), None) => {
            json!({"tool": tool, "params": params})
        }
        (Some(Asked::Plan { steps }), None) => json!({"steps": steps}),
        (None, None) => json!({"is_refused": true}),
    }
}

/// Keeps the outcomes of a run.
#[derive(Default)]
struct Memory {
    received: Received,
    agents: BTreeSet<String>,
    rejected: u64,
    first_reject: Option<String>,
}

#[derive(Default)]
struct Received {
    outcomes: Vec<Outcome>,
}

impl Sink for Memory {
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        let steps = beginning.route.steps.iter();
        self.agents
            .extend(steps.map(|step| step.agent_name.clone()));
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.received.outcomes.push(outcome.clone());
        Ok(())
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        self.rejected += 1;
        self.first_reject.get_or_insert_with(|| {
            format!("{}:{}: {}", rejected.input, rejected.line, rejected.reason)
        });
        Ok(())
    }
}

impl Received {
    /// What was reached, with the agents of the run's own route.
    fn reached(&self, mut agents: BTreeSet<String>, observed: Observed) -> Reached {
        let responses = || self.outcomes.iter().flat_map(|outcome| &outcome.response);
        let routed = responses().flat_map(|response| &response.route.steps);
        agents.extend(routed.map(|step| step.agent_name.clone()));
        let plans = responses().flat_map(|response| &response.plan);
        let steps = plans.flat_map(|plan| &plan.steps);
        let is_planned = |outcome: &&Outcome| {
            let response = outcome.response.as_ref();
            response.is_some_and(|response| response.plan.is_some())
        };
        let planned = self.outcomes.iter().filter(is_planned);
        let incidents = responses().map(|response| response.incident.severity);
        Reached {
            severities: self
                .outcomes
                .iter()
                .map(|outcome| outcome.risk.severity)
                .collect(),
            incidents: incidents.collect(),
            planned: planned
                .map(|outcome| outcome.finding.finding_type.clone())
                .collect(),
            found: self
                .outcomes
                .iter()
                .map(|outcome| outcome.finding.rule)
                .collect(),
            agents,
            steps: steps.map(|step| step.step_id.clone()).collect(),
            observed,
        }
    }

    /// The agents that failed, and why.
    fn failed(&self) -> impl Iterator<Item = String> {
        let responses = self.outcomes.iter().flat_map(|outcome| &outcome.response);
        let drafts = responses.flat_map(|response| &response.drafts);
        drafts.filter_map(|draft| {
            let failed = draft.failed.as_ref()?;
            Some(format!("{} failed: {}", draft.agent_name, failed.reason))
        })
    }

    /// The records of one kind as JSON.
    fn records(&self, kind: &str) -> Vec<Value> {
        let json = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
        let responses = || {
            self.outcomes
                .iter()
                .filter_map(|outcome| outcome.response.as_ref())
        };
        match kind {
            "findings" => self.outcomes.iter().map(finding).collect(),
            "incidents" => responses()
                .map(|response| json(serde_json::to_value(&response.incident)))
                .collect(),
            "routes" => responses().map(|response| route(&response.route)).collect(),
            "plans" => responses()
                .filter_map(|response| response.plan.as_ref())
                .map(plan)
                .collect(),
            "commands" => responses()
                .flat_map(|response| &response.commands)
                .map(|command| json(serde_json::to_value(command)))
                .collect(),
            "drafts" => responses()
                .flat_map(|response| &response.drafts)
                .map(|draft| json(serde_json::to_value(draft)))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A finding with its severity, score and verdict; `rule` is the name where the rule has one.
fn finding(outcome: &Outcome) -> Value {
    let mut record = serde_json::to_value(&outcome.finding).unwrap_or_default();
    if let Value::Object(map) = &mut record {
        if let Some(name) = &outcome.finding.rule_name {
            map.insert("rule".to_owned(), name.clone().into());
        }
        map.insert("severity".to_owned(), outcome.risk.severity.as_str().into());
        map.insert("score".to_owned(), outcome.risk.score.into());
        map.insert("promoted".to_owned(), outcome.promotion.promoted.into());
    }
    record
}

/// The route of an incident with the names of its agents alone.
fn route(route: &Route) -> Value {
    let agents: Vec<&str> = route
        .steps
        .iter()
        .map(|step| step.agent_name.as_str())
        .collect();
    let edits = route.edits.iter();
    let edits: Vec<Value> = edits
        .map(|edit| serde_json::json!({"action": edit.action, "agent": edit.agent}))
        .collect();
    serde_json::json!({"phase": route.phase, "agents": agents, "edits": edits, "notes": route.notes})
}

/// A plan with the names of its steps alone: what a case compares.
fn plan(plan: &crate::plan::Plan) -> Value {
    let steps: Vec<&str> = plan
        .steps
        .iter()
        .map(|step| step.step_id.as_str())
        .collect();
    serde_json::json!({"overall_goal": plan.overall_goal, "steps": steps, "notes": plan.notes})
}
