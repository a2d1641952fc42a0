//! What a change of a policy does to what an audit records: findings as they are recorded, with what the
//! model proposed then.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use anstream::adapter::strip_str;
use proptest::prelude::*;
use rulectl::audit::{Audit, Options};
use rulectl::detect::Severity;
use rulectl::event::Time;
use rulectl::lab::diff::audits::{
    Agent, Audits, AuditsError, Carrying, Fates, OfAudit, Promoted, Range, Routed, Treated, audits,
    survey,
};
use rulectl::lab::diff::effect::{About as DoubtAbout, Cause, Delta, How};
use rulectl::lab::diff::{Side, folder};
use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use rulectl::okta::Mapping;
use rulectl::pipeline::{self, Beginning, Counts, Filling, Outcome, Rejected, Settings, Sink};
use rulectl::record::{Asks, Begun, Recorder};
use rulectl::render::{Actors, Diffed, markdown};
use rulectl::route::{Context, Facts, ProposedStep};
use rulectl::source::{Input, InputRead};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{lay_over, lines, log, memory, program, root, sign_in, small_folder};

/// A model that answers each slot in one way.
struct Scripted<'s> {
    answers: &'s (dyn Fn(&Request) -> Result<String, Failure> + Send + Sync),
}

impl Model for Scripted<'_> {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        (self.answers)(request).map(|text| Reply {
            text,
            finish: Finish::Stop,
            model: "scripted".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About {
            model: "scripted".to_owned(),
            ..About::default()
        }
    }
}

/// What the scripted model proposes for the route of an incident.
const PROPOSED: [&str; 4] = [
    "command_agent",
    "planner_agent",
    "command_agent",
    "nobody_agent",
];

/// A reply that holds, for each slot.
pub fn fair(request: &Request) -> Result<String, Failure> {
    let step = |name: &&str| json!({"agent_name": name, "reason": "", "when": ""});
    let reply = match request.slot.as_str() {
        "risk" => {
            json!({"severity": "low", "likelihood": 10, "impact": 10, "rationale": "quiet"})
        }
        "route" if request.context["route"]["context"] == "incident" => {
            let steps: Vec<Value> = PROPOSED.iter().map(step).collect();
            json!({"phase": "response", "steps": steps, "notes": ""})
        }
        "route" => json!({"phase": "ingest", "steps": [], "notes": ""}),
        "plan" => json!({"overall_goal": "find out", "steps": [{
            "step_id": "collect_auth_logs",
            "rationale": "all rests on them",
            "dependencies": [],
            "requires_human_approval": false,
        }]}),
        _ => json!({"channel": "chat", "subject": "s", "body": "b"}),
    };
    Ok(reply.to_string())
}

/// Records what is decided.
struct Recording<'a> {
    recorder: RefCell<Recorder<'a>>,
}

impl Sink for Recording<'_> {
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        self.recorder.get_mut().route(beginning)
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.recorder.get_mut().outcome(outcome)
    }

    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, counts: &Counts, inputs: &[InputRead]) -> io::Result<()> {
        let read = self.recorder.get_mut().read(counts, inputs);
        read.map_err(io::Error::other)
    }
}

/// Adds a run over the demo day to the audit of a folder.
fn record(audit: &Path, side: &Side, answers: Option<Answers<'_>>) {
    let input = Input::File(log("demo-day.ndjson"));
    record_of(audit, side, input, answers);
}

/// Adds a run over an input to the audit of a folder.
fn record_of(audit: &Path, side: &Side, input: Input, answers: Option<Answers<'_>>) {
    let (log_of, _) = Audit::open(audit, Options::live(None)).expect("a log");
    let mut recorder = Recorder::new(Some(&log_of));
    let settings = Settings {
        mapping: Mapping::Okta,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: rulectl::geo::Databases::NONE,
        evidence: None,
    };
    let model = answers.map(|answers| Scripted { answers });
    let mut begun = Begun::new(side.policy.digest, 1, vec!["day".to_owned()], &settings);
    begun.slots = model.as_ref().map(|model| Asks {
        mode: "live".to_owned(),
        model: model.about(),
    });
    recorder.begin(&begun).expect("recorded");
    let mut sink = Recording {
        recorder: RefCell::new(recorder),
    };
    let filling = Filling {
        model: model.as_ref().map(|model| model as &dyn Model),
        summary: None,
    };
    let inputs = vec![input];
    let (counts, _) = pipeline::run(
        &side.policy,
        &filling,
        inputs,
        &settings,
        &mut sink,
        &|_| {},
    )
    .expect("it runs");
    let ended = rulectl::record::Ended {
        counts,
        failed: Vec::new(),
        closed: true,
    };
    sink.recorder.into_inner().end(&ended).expect("recorded");
    log_of.close().expect("closed");
}

pub type Answers<'a> = &'a (dyn Fn(&Request) -> Result<String, Failure> + Send + Sync);

/// An audit of one run of the shipped policy over the demo day.
pub fn recorded(answers: Option<Answers<'_>>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    record(folder.path(), &shipped(&[]), answers);
    folder
}

/// The shipped policy, with texts of files replaced.
pub fn shipped(edits: &[(&str, &str, &str)]) -> Side {
    let folder_of = small_folder();
    for (file, from, to) in edits {
        let path = folder_of.path().join(file);
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.contains(from), "no {from} in {file}");
        fs::write(path, text.replacen(from, to, 1)).expect("written");
    }
    let found = folder("side", folder_of.path());
    let problems = rulectl::render::problems_as_text(&found.loaded.problems, false);
    found.side().unwrap_or_else(|| panic!("{problems}"))
}

pub fn diff(base: &Side, head: &Side, audit: &TempDir) -> Audits {
    in_range(base, head, audit, Range::default())
}

fn in_range(base: &Side, head: &Side, audit: &TempDir, range: Range) -> Audits {
    let survey = survey(audit.path(), None).expect("an audit");
    audits(base, head, audit.path(), &survey, range).expect("it is followed")
}

fn doubts(audits: &Audits) -> Vec<(OfAudit, bool)> {
    let doubts = audits.effect.doubts.iter();
    let of_audit = doubts.filter_map(|doubt| match &doubt.about {
        DoubtAbout::Audit(about) => Some((about.clone(), doubt.decisive)),
        _ => None,
    });
    of_audit.collect()
}

/// How many are added, removed and changed.
fn signs(delta: &Delta) -> (u64, u64, u64) {
    let counts = &delta.counts;
    (counts.added, counts.removed, counts.changed)
}

fn clauses(audits: &Audits, cause: &Cause) -> Vec<String> {
    let edits = cause.edits.iter().map(|at| &audits.effect.edits[*at]);
    edits
        .map(|edit| format!("{}: {}", edit.part, edit.clause))
        .collect()
}

/// `kept`, or `forced in by CLAUSE:LINE`.
fn shown(treated: &Option<Treated>) -> String {
    let Some(treated) = treated else {
        return "absent".to_owned();
    };
    let by = treated.clause.as_ref().map(|clause| {
        let line = treated.place.as_ref().map_or(0, |place| place.line);
        format!(" by {clause}:{line}")
    });
    treated.fate.as_str().to_owned() + by.as_deref().unwrap_or_default()
}

fn agents(routed: &Routed) -> Vec<(&str, String, String)> {
    let agents = routed.agents.iter();
    let agents =
        agents.map(|agent: &Agent| (agent.agent.as_str(), shown(&agent.base), shown(&agent.head)));
    agents.collect()
}

/// The line on which a text of `routing.toml` stands.
fn line_of(side: &Side, text: &str) -> usize {
    let file = side.files.iter().find(|file| file.path == "routing.toml");
    let text_of = &file.expect("a file").text;
    let at = text_of.find(text).expect("it stands there");
    text_of[..at].matches('\n').count() + 1
}

const ORDER: &str =
    "[[\"planner_agent\", \"command_agent\"], [\"planner_agent\", \"notification_agent\"]]";
const ALLOW: &str = "[\"planner_agent\", \"command_agent\", \"notification_agent\"]";
const WHEN: &str = "agents   = [\"command_agent\", \"notification_agent\"]";

#[test]
fn a_policy_against_itself_changes_nothing_and_decides_as_it_did() {
    let audit = recorded(Some(&fair));
    let told = diff(&shipped(&[]), &shipped(&[]), &audit);
    assert!(told.effect.is_empty(), "{:#?}", told.effect);
    assert!(told.effect.conclusive);
    assert_eq!(told.read.findings, 6);
    assert_eq!(told.read.as_recorded, 6);
    assert_eq!((told.read.runs, told.read.without_model), (1, 0));
    assert_eq!(doubts(&told), []);
    assert_eq!(told.routing.changed, []);
    assert_eq!(
        told.routing.same.len(),
        5,
        "a route of the run, and of four incidents"
    );
    let of_head = &told.routing.proposals.head;
    let fates: Vec<_> = of_head.values().flat_map(|fates| fates.keys()).collect();
    assert!(
        fates.iter().all(|fate| **fate == Carrying::AsRecorded),
        "{of_head:?}"
    );
    let counted = |slot: &str| of_head[slot][&Carrying::AsRecorded];
    assert_eq!(
        ["risk", "route", "plan", "notification"].map(counted),
        [6, 5, 4, 4]
    );
}

#[test]
fn what_guardrails_do_with_proposed_agents_is_told_with_their_lines() {
    let audit = recorded(Some(&fair));
    let base = shipped(&[]);
    let head = shipped(&[
        (
            "routing.toml",
            &format!("order   = {ORDER}"),
            "order   = []",
        ),
        (
            "routing.toml",
            &format!("allow   = {ALLOW}"),
            "allow   = [\"planner_agent\", \"command_agent\"]",
        ),
        ("routing.toml", WHEN, "agents   = [\"command_agent\"]"),
    ]);
    let told = diff(&base, &head, &audit);
    let line = |side: &Side, text: &str| line_of(side, text);
    let changed = &told.routing.changed;
    assert_eq!(changed.len(), 4);
    let one = &changed[0];
    assert_eq!(one.proposed.as_deref().expect("a proposal"), PROPOSED);
    assert_eq!(
        one.runs.base,
        ["planner_agent", "command_agent", "notification_agent"]
    );
    assert_eq!(one.runs.head, ["command_agent", "planner_agent"]);
    let at = |side: &Side, text: &str, clause: &str| format!("{clause}:{}", line(side, text));
    let order = at(&base, ORDER, "route.incident.order[0]");
    let when = at(&base, WHEN, "route.incident.require_when[0]");
    let [old, new] = [&base, &head].map(|side| {
        let text = match std::ptr::eq(side, &raw const base) {
            true => ALLOW,
            false => "[\"planner_agent\", \"command_agent\"]\nrequire",
        };
        at(side, text, "route.incident.allow")
    });
    // The table of `require_when` begins a line before its severities.
    let when = when.replace(
        &line(&base, WHEN).to_string(),
        &(line(&base, "[[route.incident.require_when]]")).to_string(),
    );
    assert_eq!(
        agents(one),
        [
            (
                "command_agent",
                format!("reordered by {order}"),
                "kept".to_owned()
            ),
            (
                "nobody_agent",
                format!("dropped by {old}"),
                format!("dropped by {new}")
            ),
            (
                "notification_agent",
                format!("forced in by {when}"),
                "absent".to_owned()
            ),
            ("planner_agent", "kept".to_owned(), "kept".to_owned()),
        ]
    );
    assert_eq!(
        told.routing.agents.base,
        Fates {
            routes: 5,
            proposed: 5,
            kept: 4,
            reordered: 4,
            dropped: 8,
            forced_in: 6
        }
    );
    assert_eq!(
        told.routing.agents.head,
        Fates {
            routes: 5,
            proposed: 5,
            kept: 8,
            reordered: 0,
            dropped: 8,
            forced_in: 2
        }
    );
    // Without the order, the commands are suggested before there is a plan.
    assert_eq!(signs(&told.effect.drafts), (0, 4, 0));
    assert_eq!(signs(&told.effect.routes), (0, 0, 4));
    assert!(
        told.effect.commands.counts.removed > 0,
        "{:?}",
        told.effect.commands.counts
    );
    let lost = &told.effect.commands.removed[0];
    assert_eq!(clauses(&told, &lost.cause), ["route.incident: order"]);
    // An agent that is required has to be allowed: these two edits are no policies by themselves.
    let route = &told.effect.routes.changed[0];
    assert_eq!(route.cause.how, How::Together);
    assert!(told.effect.conclusive, "{:?}", told.effect.doubts);
    let carried = |(about, decisive): &(OfAudit, bool)| match about {
        OfAudit::Carried {
            slot,
            side,
            proposals,
            differs,
        } => Some((
            slot.clone(),
            *side,
            *proposals,
            differs.contains("`guardrails`"),
            *decisive,
        )),
        _ => None,
    };
    let carried: Vec<_> = doubts(&told).iter().filter_map(carried).collect();
    assert_eq!(carried, [("route".to_owned(), "head", 4, true, false)]);
}

#[test]
fn promotions_are_gained_and_lost_with_the_clause_that_decides() {
    let audit = recorded(Some(&fair));
    let base = shipped(&[]);
    let lower = shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = diff(&base, &lower, &audit);
    assert_eq!(told.routing.lost, []);
    let [one, _] = told.routing.gained.as_slice() else {
        panic!("{:?}", told.routing.gained)
    };
    let Promoted {
        base: was,
        head: is,
        ..
    } = one;
    assert_eq!(
        (was.severity, is.severity),
        (Severity::Medium, Severity::Medium)
    );
    assert_eq!(
        is.reasons[0].text,
        "score 0.42 reaches promotion.threshold 0.40"
    );
    assert_eq!(
        was.reasons[0].text,
        "score 0.42 is under promotion.threshold 0.60"
    );
    let place = is.reasons[0].place.as_ref().expect("a place");
    assert_eq!(place.line, line_of(&lower, "threshold  = 0.4"));
    assert_eq!(signs(&told.effect.incidents), (2, 0, 4));
    assert_eq!(signs(&told.effect.findings), (0, 0, 2), "their verdict");
    // For these incidents nobody was asked for a route: that it is the default one is told.
    let not_asked = OfAudit::NotAsked {
        slot: "route".to_owned(),
        side: "head",
        proposals: 2,
    };
    assert!(
        doubts(&told).contains(&(not_asked, false)),
        "{:?}",
        doubts(&told)
    );
    assert!(told.effect.conclusive);
    let of_gained = |one: &&Routed| one.runs.base.is_empty();
    assert_eq!(told.routing.changed.iter().filter(of_gained).count(), 0);
}

#[test]
fn swapping_the_sides_swaps_the_signs() {
    let audit = recorded(Some(&fair));
    let base = shipped(&[("rules/mfa.yml", "level: high", "level: medium")]);
    let head = shipped(&[
        ("routing.toml", "threshold  = 0.6", "threshold  = 0.4"),
        (
            "routing.toml",
            &format!("order   = {ORDER}"),
            "order   = []",
        ),
        (
            "routing.toml",
            "require = [\"planner_agent\"]",
            "require = []",
        ),
    ]);
    let (forth, back) = (diff(&base, &head, &audit), diff(&head, &base, &audit));
    for ((kind, there), (_, again)) in forth.effect.deltas().into_iter().zip(back.effect.deltas()) {
        let (there, again) = (&there.counts, &again.counts);
        assert_eq!(
            (there.base, there.head),
            (again.head, again.base),
            "{kind:?}"
        );
        assert_eq!(
            (there.added, there.removed),
            (again.removed, again.added),
            "{kind:?}"
        );
        assert_eq!(there.changed, again.changed, "{kind:?}");
    }
    assert!(!forth.effect.is_empty());
    assert_eq!(forth.routing.agents.base, back.routing.agents.head);
    assert_eq!(forth.routing.agents.head, back.routing.agents.base);
    assert_eq!(forth.routing.proposals.base, back.routing.proposals.head);
    let mirrored = |promoted: &[Promoted]| -> Vec<Value> {
        let swapped = promoted
            .iter()
            .map(|one| json!([one.subject.record, one.head, one.base]));
        swapped.collect()
    };
    let plain = |promoted: &[Promoted]| -> Vec<Value> {
        let plain = promoted
            .iter()
            .map(|one| json!([one.subject.record, one.base, one.head]));
        plain.collect()
    };
    assert_eq!(plain(&forth.routing.gained), mirrored(&back.routing.lost));
    assert!(!forth.routing.gained.is_empty());
    assert_eq!(forth.routing.changed.len(), back.routing.changed.len());
    for (there, again) in forth.routing.changed.iter().zip(&back.routing.changed) {
        assert_eq!(
            (&there.runs.base, &there.runs.head),
            (&again.runs.head, &again.runs.base)
        );
        assert_eq!(there.proposed, again.proposed);
    }
}

#[test]
fn the_same_audit_gives_the_same_bytes() {
    let audit = recorded(Some(&fair));
    let base = shipped(&[]);
    let head = shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = || serde_json::to_string(&diff(&base, &head, &audit)).expect("JSON");
    assert_eq!(told(), told());
}

#[test]
fn what_was_refused_or_failed_stays_so() {
    let refusing = |request: &Request| match request.slot.as_str() {
        "risk" => Ok("no JSON".to_owned()),
        "plan" => Err(Failure::LeftAlone {
            host: "h".to_owned(),
            times: 3,
        }),
        _ => fair(request),
    };
    let audit = recorded(Some(&refusing));
    // A prompt that lets any reply through could accept now what was refused then.
    let head = shipped(&[
        ("prompts/risk.md", "limits: {", "limits: {repair: 0, "),
        ("prompts/risk.md", ", repair: 1", ""),
    ]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert!(told.effect.is_empty(), "{:#?}", told.effect);
    assert_eq!(told.read.as_recorded, 6);
    let fates = |slot: &str| told.routing.proposals.head[slot].clone();
    assert_eq!(
        fates("risk").into_iter().collect::<Vec<_>>(),
        [(Carrying::Refused, 6)]
    );
    assert_eq!(
        fates("plan").into_iter().collect::<Vec<_>>(),
        [(Carrying::Failed, 4)]
    );
}

#[test]
fn another_prompt_is_answered_as_the_old_one_was() {
    let audit = recorded(Some(&fair));
    let head = shipped(&[("prompts/risk.md", "You ", "Now you ")]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert!(told.effect.is_empty(), "{:#?}", told.effect);
    assert_eq!(told.routing.proposals.head["risk"][&Carrying::Carried], 6);
    assert_eq!(
        told.routing.proposals.base["risk"][&Carrying::AsRecorded],
        6
    );
    let [(OfAudit::Carried { slot, differs, .. }, false)] = &doubts(&told)[..] else {
        panic!("{:?}", doubts(&told))
    };
    assert_eq!(slot, "risk");
    let otherwise = told.routing.otherwise.iter();
    let otherwise = otherwise.map(|one| (one.slot.as_str(), one.side, one.proposal));
    assert_eq!(
        otherwise.collect::<Vec<_>>(),
        [("risk", "head", Carrying::Carried); 6]
    );
    let records = told.routing.otherwise.iter().map(|one| one.record);
    assert!(records.clone().all(|record| record.is_some()));
    assert!(records.is_sorted());
    assert!(differs.starts_with("the prompt (it was "), "{differs}");
    assert!(told.effect.conclusive);
}

#[test]
fn a_reply_that_is_refused_now_was_not_repaired_then() {
    let audit = recorded(Some(&fair));
    let head = shipped(&[("prompts/risk.md", "minimum: 0", "minimum: 50")]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert_eq!(
        told.routing.proposals.head["risk"][&Carrying::NotRepaired],
        6
    );
    assert!(!told.effect.conclusive);
    let not_repaired = OfAudit::NotRepaired {
        slot: "risk".to_owned(),
        side: "head",
        proposals: 6,
    };
    assert!(
        doubts(&told).contains(&(not_repaired, true)),
        "{:?}",
        doubts(&told)
    );
}

#[test]
fn a_body_that_is_gone_makes_its_proposal_unknown() {
    let audit = recorded(Some(&fair));
    fs::remove_dir_all(audit.path().join("blobs")).expect("removed");
    let head = shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert!(!told.effect.conclusive);
    let gone = |(about, decisive): &(OfAudit, bool)| match about {
        OfAudit::ProposalsGone {
            slot,
            side: "head",
            proposals,
            why,
        } => {
            assert!(why.contains("is gone: it was pruned"), "{why}");
            assert!(decisive);
            Some((slot.clone(), *proposals))
        }
        _ => None,
    };
    let gone: Vec<_> = doubts(&told).iter().filter_map(gone).collect();
    assert_eq!(
        gone,
        [("notification", 4), ("plan", 4), ("risk", 6), ("route", 5)]
            .map(|(slot, count)| (slot.to_owned(), count))
    );
    // What a policy decides without the proposals is what it decides without a model.
    assert_eq!(told.effect.incidents.counts.base, 4);
    // Where nothing changed, nothing hangs on it.
    assert!(diff(&shipped(&[]), &shipped(&[]), &audit).effect.conclusive);
}

#[test]
fn a_run_without_a_model_takes_the_defaults() {
    let audit = recorded(None);
    let head = shipped(&[(
        "routing.toml",
        "require = [\"planner_agent\"]",
        "require = []",
    )]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert_eq!(signs(&told.effect.plans), (0, 4, 0));
    assert_eq!(told.read.as_recorded, 6);
    assert_eq!(doubts(&told), [(OfAudit::WithoutModel { runs: 1 }, false)]);
    assert_eq!(told.routing.changed[0].proposed, None);
    assert_eq!(told.routing.agents.base.proposed, 0);
    assert!(told.effect.conclusive);
}

#[test]
fn each_run_is_told_for_itself() {
    let audit = recorded(Some(&fair));
    let quiet = |request: &Request| match request.slot.as_str() {
        "route" => Ok(json!({"phase": "response", "steps": [], "notes": ""}).to_string()),
        _ => fair(request),
    };
    record(audit.path(), &shipped(&[]), Some(&quiet));
    let head = shipped(&[(
        "routing.toml",
        "require = [\"planner_agent\"]",
        "require = []",
    )]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert_eq!((told.read.runs, told.read.findings), (2, 12));
    // In the first run the model proposed the planner, and in the second it did not.
    assert_eq!(signs(&told.effect.plans), (0, 4, 0));
    let records: Vec<_> = told
        .effect
        .plans
        .removed
        .iter()
        .map(|one| one.subject.record)
        .collect();
    let second = told.routing.changed.iter().map(|one| one.subject.record);
    assert!(
        second.clone().all(|record| records.contains(&record)),
        "{records:?}"
    );
    let runs: Vec<_> = rulectl::lab::replay::recorded_runs(audit.path()).expect("runs");
    let only = |at: usize| {
        let survey = survey(audit.path(), Some(runs[at].run)).expect("a run");
        audits(
            &shipped(&[]),
            &head,
            audit.path(),
            &survey,
            Range::default(),
        )
        .expect("followed")
    };
    assert_eq!(signs(&only(0).effect.plans), (0, 0, 0));
    assert_eq!(signs(&only(1).effect.plans), (0, 4, 0));
    assert_eq!(only(1).read.findings, 6);
    let nobody = survey(audit.path(), Some(uuid::Uuid::nil()));
    assert!(matches!(nobody, Err(AuditsError::NoRun(_))));
}

#[test]
fn findings_of_a_time_alone() {
    let audit = recorded(Some(&fair));
    let noon = Time::parse("2026-03-02T12:00:00Z");
    let late = Range {
        since: noon,
        until: None,
    };
    let told = in_range(&shipped(&[]), &shipped(&[]), &audit, late);
    assert_eq!((told.read.findings, told.read.outside_range), (5, 1));
    let early = Range {
        since: None,
        until: noon,
    };
    let told = in_range(&shipped(&[]), &shipped(&[]), &audit, early);
    assert_eq!((told.read.findings, told.read.outside_range), (1, 5));
}

#[test]
fn a_live_finding_counts_as_it_was_told_last() {
    let fixture = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("fixtures/audit/audit"), fixture.path());
    let told = diff(&shipped(&[]), &shipped(&[]), &fixture);
    // The second run told five findings as open and again as closed.
    assert_eq!((told.read.runs, told.read.findings), (2, 11));
    assert_eq!(told.read.as_recorded, 11);
    assert_eq!(told.read.policies.len(), 1);
    // One that closes in the range opened before it, and stays promoted as it was then.
    let late = Range {
        since: Time::parse("2026-03-02T21:46:00Z"),
        until: None,
    };
    let told = in_range(&shipped(&[]), &shipped(&[]), &fixture, late);
    assert_eq!((told.read.findings, told.read.as_recorded), (2, 2));
}

#[test]
fn a_rule_that_is_gone_takes_its_findings_and_one_that_is_renamed_keeps_them() {
    let audit = recorded(Some(&fair));
    let base = shipped(&[]);
    let gone = tempfile::tempdir().expect("a folder");
    lay_over(small_folder().path(), gone.path());
    let rules = gone.path().join("rules/sign_in.yml");
    let text = fs::read_to_string(&rules).expect("rules");
    // The search that feeds it goes too: by itself it would be reported.
    let is_left = |rule: &&str| {
        !rule.contains("name: impossible_travel") && !rule.contains("name: successful_login")
    };
    let left: Vec<&str> = text.split("---\n").filter(is_left).collect();
    assert!(left.len() + 2 == text.split("---\n").count());
    fs::write(&rules, left.join("---\n")).expect("written");
    let gone = folder("gone", gone.path()).side().expect("a policy");
    let told = diff(&base, &gone, &audit);
    assert_eq!(signs(&told.effect.findings), (0, 2, 0));
    assert_eq!(told.effect.lost[0].severity, Severity::High);
    assert!(told.effect.conclusive, "{:?}", told.effect.doubts);
    assert_eq!(told.routing.lost, [], "it is the finding that is gone");
    // Neither side has it: it is left out, and that is told.
    let told = diff(&gone, &gone, &audit);
    assert_eq!(told.read.of_neither, 2);
    let renamed = shipped(&[(
        "rules/sign_in.yml",
        "2b9c2a60-5a0e-4c1f-8d5b-6a4c0b8a3e22",
        "00000000-0000-4000-8000-000000000001",
    )]);
    let told = diff(&base, &renamed, &audit);
    assert_eq!(
        signs(&told.effect.findings),
        (0, 0, 2),
        "{:#?}",
        told.effect.findings
    );
    assert_eq!(signs(&told.effect.incidents), (0, 0, 0));
    assert!(told.effect.conclusive, "{:?}", told.effect.doubts);
}

#[test]
fn what_a_rule_says_of_itself_is_that_of_each_side() {
    let audit = recorded(None);
    let head = shipped(&[("rules/mfa.yml", "level: high", "level: medium")]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert_eq!(signs(&told.effect.findings), (0, 0, 2));
    assert_eq!(told.effect.findings.changed[0].fields[0].field, "level");
    // The level is the severity, and that asks for agents.
    assert_eq!(signs(&told.effect.incidents), (0, 0, 2));
    assert_eq!(signs(&told.effect.drafts), (0, 2, 0));
    assert!(told.effect.conclusive, "{:?}", told.effect.doubts);
}

#[test]
fn what_a_rule_would_find_now_is_left_to_the_logs() {
    let audit = recorded(None);
    let head = shipped(&[(
        "rules/sign_in.yml",
        "condition: {gte: 5}",
        "condition: {gte: 8}",
    )]);
    let told = diff(&shipped(&[]), &head, &audit);
    assert!(told.effect.is_empty());
    assert!(!told.effect.conclusive);
    let other = OfAudit::FindsOther {
        rule: "failed_login_burst".to_owned(),
    };
    assert!(
        doubts(&told).contains(&(other, true)),
        "{:?}",
        doubts(&told)
    );
}

#[test]
fn each_difference_has_the_edit_that_makes_it() {
    let audit = recorded(Some(&fair));
    let head = shipped(&[
        ("routing.toml", "threshold  = 0.6", "threshold  = 0.4"),
        ("routing.toml", WHEN, "agents   = [\"command_agent\"]"),
    ]);
    let told = diff(&shipped(&[]), &head, &audit);
    let added = &told.effect.incidents.added[0];
    assert_eq!(clauses(&told, &added.cause), ["promotion: threshold"]);
    let removed = &told.effect.drafts.removed[0];
    assert_eq!(
        clauses(&told, &removed.cause),
        ["route.incident: require_when"]
    );
    assert_eq!(removed.cause.how, How::Alone);
}

#[test]
fn an_engineers_slot_that_two_agents_run_is_answered_in_order() {
    let second = "[agents.second_agent]\ndescription = \"Writes another\"\nphase = \"response\"\nruns = \"slot:notification\"\n\n# --- routes";
    let edits = [
        ("routing.toml", "# --- routes", second),
        (
            "routing.toml",
            "\"command_agent\", \"notification_agent\"]\nrequire",
            "\"command_agent\", \"notification_agent\", \"second_agent\"]\nrequire",
        ),
        (
            "routing.toml",
            WHEN,
            "agents   = [\"command_agent\", \"notification_agent\", \"second_agent\"]",
        ),
    ];
    let base = shipped(&edits);
    let folder = tempfile::tempdir().expect("a folder");
    let asked = Mutex::new(0);
    let counting = |request: &Request| {
        if request.slot != "notification" {
            return fair(request);
        }
        let mut asked = asked.lock().expect("whole");
        *asked += 1;
        Ok(json!({"channel": "chat", "subject": format!("{asked}"), "body": "b"}).to_string())
    };
    record(folder.path(), &base, Some(&counting));
    let told = diff(&base, &shipped(&edits), &folder);
    assert_eq!(told.read.as_recorded, 6);
    assert_eq!(
        told.routing.proposals.head["notification"][&Carrying::AsRecorded],
        8
    );
}

/// The program, in a folder with `base`, `head` and `audit`.
fn rulectl(folder: &Path, words: &str) -> (i32, String, String) {
    let mut command = program();
    let output = command.current_dir(folder).args(words.split_whitespace());
    let output = output.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    (output.status.code().expect("an exit code"), out, err)
}

fn prepared() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(small_folder().path(), &folder.path().join("base"));
    lay_over(small_folder().path(), &folder.path().join("head"));
    let routing = folder.path().join("head/routing.toml");
    let text = fs::read_to_string(&routing).expect("a text");
    fs::write(
        &routing,
        text.replace("threshold  = 0.6", "threshold  = 0.4"),
    )
    .expect("written");
    lay_over(&root().join("fixtures/audit"), &folder.path().join("data"));
    folder
}

/// The one segment of the audit.
fn segment(folder: &Path) -> std::path::PathBuf {
    folder.join("data/audit/2026-11-22.jsonl")
}

const DIFF: &str = "diff base head --audits data";

#[test]
fn a_data_folder_and_its_audit_are_the_same() {
    let folder = prepared();
    let of_data = rulectl(folder.path(), DIFF);
    let of_audit = rulectl(folder.path(), "diff base head --audits data/audit");
    assert_eq!(of_data, of_audit);
    assert_eq!(of_data.0, 0, "{}", of_data.2);
    let (exit, out, _) = rulectl(folder.path(), &format!("{DIFF} --format json"));
    assert_eq!(exit, 0);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(told["effect"], Value::Null);
    assert_eq!(told["audits"]["read"]["findings"], 11);
    assert_eq!(told["audits"]["effect"]["incidents"]["counts"]["added"], 4);
    assert_eq!(told["audits"]["effect"].get("read"), None);
    assert_eq!(
        told["audits"]["routing"]["gained"].as_array().map(Vec::len),
        Some(4)
    );
    let (exit, out, _) = rulectl(folder.path(), &format!("{DIFF} --format ndjson"));
    assert_eq!(exit, 0);
    let kinds = out.lines().map(|line| {
        let value: Value = serde_json::from_str(line).expect("JSON");
        value
            .as_object()
            .expect("an object")
            .keys()
            .next()
            .cloned()
            .expect("a key")
    });
    let mut kinds: Vec<String> = kinds.collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "guardrail",
            "change",
            "read",
            "delta",
            "rule",
            "agents",
            "proposal",
            "same_route",
            "gained",
            "doubt"
        ]
    );
}

#[test]
fn a_damaged_audit_is_told_and_not_followed() {
    let folder = prepared();
    let path = segment(folder.path());
    let text = fs::read_to_string(&path).expect("a text");
    fs::write(&path, text.replacen("priya.raman", "nobody.atall", 1)).expect("written");
    let (exit, out, err) = rulectl(folder.path(), DIFF);
    assert_eq!((exit, out.as_str()), (2, ""), "{err}");
    assert!(
        err.contains("line 9: its hash is not that of its content"),
        "{err}"
    );
}

#[test]
fn an_audit_that_is_cut_short_is_inconclusive() {
    let whole = prepared();
    let text = fs::read_to_string(segment(whole.path())).expect("a text");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // Within a line, and behind one: of that only `head.json` knows.
    let within = text[..text.len() - 100].to_owned();
    let cases = [
        (within, "line 156 of 2026-11-22.jsonl has no end"),
        (
            lines[..60].concat(),
            "the audit ends behind 60 records, and its `head.json` says that there were 156",
        ),
    ];
    for (text, why) in cases {
        fs::write(segment(whole.path()), text).expect("written");
        let (exit, out, err) = rulectl(whole.path(), DIFF);
        assert_eq!(exit, 4, "{err}");
        assert!(out.contains(why), "{out}");
        assert!(
            out.contains("Promotions gained"),
            "what was read is told: {out}"
        );
    }
    // Without that, what of the last finding was decided is missing.
    fs::remove_file(whole.path().join("data/audit/head.json")).expect("removed");
    fs::write(segment(whole.path()), lines[..38].concat()).expect("written");
    let (exit, out, _) = rulectl(whole.path(), DIFF);
    assert_eq!(exit, 4);
    assert!(
        out.contains(
            "1 finding of which it is not recorded what was decided, the first is record 36"
        ),
        "{out}"
    );
    assert!(out.contains("1 run not recorded to have ended"), "{out}");
}

#[test]
fn words_that_name_nothing_are_usage_errors() {
    let folder = prepared();
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let cases = [
        (
            "diff base head --audits empty",
            "`empty` holds no audit; name the data folder of past runs",
        ),
        (
            "diff base head --audits nowhere",
            "`nowhere` holds no audit",
        ),
        (
            "diff base head --audits data --logs x.ndjson",
            "choose one of the two",
        ),
        (
            "diff base head --audits data --run 00000000-0000-0000-0000-000000000000",
            "the audit records no run",
        ),
        (
            "diff base head --run 00000000-0000-0000-0000-000000000000",
            "--audits",
        ),
        (
            "diff base head --audits data --since 2026-03-03 --until 2026-03-02",
            "is not before",
        ),
    ];
    for (words, expected) in cases {
        let (exit, out, err) = rulectl(folder.path(), words);
        assert_eq!((exit, out.as_str()), (3, ""), "{words}: {err}");
        assert!(err.contains(expected), "{words}: {err}");
    }
}

#[test]
fn no_findings_are_no_answer() {
    let folder = prepared();
    let (exit, out, _) = rulectl(folder.path(), &format!("{DIFF} --until 2020-01-01"));
    assert_eq!(exit, 4);
    assert!(
        out.contains("the audit records no findings of that run and time"),
        "{out}"
    );
    let (exit, out, err) = rulectl(folder.path(), &format!("{DIFF} --hours 1"));
    assert_eq!(exit, 0);
    assert!(
        err.contains("reading the 1 hour before 2026-03-02T21:48:53Z"),
        "{err}"
    );
    assert!(
        out.contains("Effect on 2 recorded findings of 2 runs"),
        "{out}"
    );
}

#[test]
fn records_of_another_version_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log_of, _) = Audit::open(folder.path(), Options::live(None)).expect("a log");
    let begun = json!({"engine": {"version": "0.0.1", "source": "x"}});
    log_of.append("run.begun", begun).expect("recorded");
    log_of
        .append("finding", json!({"finding": {"id": "old"}}))
        .expect("recorded");
    log_of.close().expect("closed");
    let head = shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = diff(&shipped(&[]), &head, &folder);
    assert!(!told.effect.conclusive);
    let doubts = doubts(&told);
    let unreadable =
        |(about, _): &(OfAudit, bool)| matches!(about, OfAudit::Unreadable { records: 2, .. });
    assert!(doubts.iter().any(unreadable), "{doubts:?}");
}

#[test]
fn an_audit_in_another_form_is_not_followed() {
    let folder = prepared();
    let zeros = "0".repeat(64);
    let body = "{\"body\":{\"format\":2,\"log\":\"e9efa8f1-7c8d-499b-b792-e2e057bdcce2\"},";
    let rest = format!(
        "\"kind\":\"log.begun\",\"mono\":0,\"prev\":\"{zeros}\",\"seq\":0,\"time\":\"2026-11-22T08:00:02Z\"}}"
    );
    let hash = rulectl::event::Digest::of(format!("{body}{rest}").as_bytes());
    let line = format!("{body}\"hash\":\"{hash}\",{rest}\n");
    fs::write(segment(folder.path()), line).expect("written");
    let (exit, out, err) = rulectl(folder.path(), DIFF);
    assert_eq!((exit, out.as_str()), (2, ""), "{err}");
    assert!(
        err.contains("the audit is of format 2, and this version reads format 1"),
        "{err}"
    );
}

#[test]
fn what_the_log_wrote_does_not_reach_the_terminal_raw() {
    let account = "\u{1b}[2Jann\u{202e}";
    let failures = |at: i64| sign_in(account, "FAILURE", at * 30);
    let events: Vec<Value> = (0..6).map(failures).collect();
    let audit = tempfile::tempdir().expect("a folder");
    let base = shipped(&[]);
    let input = memory(lines(&events).into_bytes());
    record_of(audit.path(), &base, input, Some(&fair));
    let head = shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = diff(&base, &head, &audit);
    assert_eq!(told.routing.gained.len(), 1);
    let changes = rulectl::lab::diff::changes(&base, &head);
    let page = rulectl::render::changed_in_audits(("base", "head"), &changes, &told, None);
    let page = strip_str(&page).to_string();
    assert!(
        page.contains("failed logins for \\u{1b}[2Jann\\u{202e}"),
        "{page}"
    );
    let deceives = |c: char| c == '\u{1b}' || c == '\u{202e}';
    assert!(!page.contains(deceives), "{page}");
}

#[test]
fn reports_tell_what_was_read_of_runs_and_what_became_of_agents() {
    let audit = recorded(Some(&fair));
    let base = shipped(&[]);
    let head = shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = diff(&base, &head, &audit);
    let changes = rulectl::lab::diff::changes(&base, &head);
    let diffed = Diffed {
        names: ["base", "head"],
        changes: &changes,
        effect: Some(&told.effect),
        audits: Some(&told),
        gate: None,
        actors: Actors::Numbered,
    };
    let findings = told.read.findings;
    let read = format!("{findings} recorded findings of 1 run");
    let forced = told.routing.agents.head.forced_in;
    let (comment, page) = (markdown(&diffed), rulectl::render::page(&diffed));
    assert!(comment.contains(&read) && page.contains(&read), "{comment}");
    let row = format!(
        "| forced in | {} | {forced} |",
        told.routing.agents.base.forced_in
    );
    assert!(comment.contains(&row), "{row}\n{comment}");
    assert!(page.contains("Agents as the model proposed them"));
    assert!(!comment.contains("u{60}"), "{comment}");
}

/// The guardrails of an incident's route, one way or another.
fn guarded(order: &str, require: &str) -> Side {
    shipped(&[
        ("routing.toml", "threshold  = 0.6", "threshold  = 0.4"),
        (
            "routing.toml",
            &format!("order   = {ORDER}"),
            &format!("order   = {order}"),
        ),
        (
            "routing.toml",
            "require = [\"planner_agent\"]",
            &format!("require = {require}"),
        ),
    ])
}

#[test]
fn any_proposal_comes_to_the_route_that_the_guardrails_give_it() {
    let sides = [
        guarded(ORDER, "[\"planner_agent\"]"),
        guarded("[]", "[\"planner_agent\"]"),
        guarded("[[\"command_agent\", \"planner_agent\"]]", "[]"),
    ];
    let failures: Vec<Value> = (0..6)
        .map(|at| sign_in("ann", "FAILURE", at * 30))
        .collect();
    let names = [
        "planner_agent",
        "command_agent",
        "notification_agent",
        "risk_agent",
        "nobody_agent",
    ];
    let proposals = proptest::collection::vec(proptest::sample::select(names.to_vec()), 0..6);
    let cases = proptest::test_runner::Config::with_cases(12);
    proptest!(cases, |(proposed in proposals)| {
        let answers = |request: &Request| match request.slot.as_str() {
            "route" => {
                let step = |name: &&str| json!({"agent_name": name, "reason": "", "when": ""});
                let steps: Vec<Value> = proposed.iter().map(step).collect();
                Ok(json!({"phase": "response", "steps": steps, "notes": ""}).to_string())
            }
            _ => fair(request),
        };
        let audit = tempfile::tempdir().expect("a folder");
        let input = memory(lines(&failures).into_bytes());
        record_of(audit.path(), &sides[0], input, Some(&answers));
        for (base, head) in [(0, 1), (1, 2), (2, 0)] {
            let sides = [&sides[base], &sides[head]];
            let told = diff(sides[0], sides[1], &audit);
            let routing = &told.routing;
            let mut routes = routing.changed.iter().chain(&routing.same);
            let routed = routes.find(|route| route.context == Context::Incident);
            let routed = routed.expect("an incident");
            let steps: Vec<ProposedStep> = proposed
                .iter()
                .map(|agent| ProposedStep {
                    agent: (*agent).to_owned(),
                    ..ProposedStep::default()
                })
                .collect();
            for (side, runs) in sides.iter().zip([&routed.runs.base, &routed.runs.head]) {
                let facts = Facts { severity: Some(Severity::Medium) };
                let decided = side.policy.routing.decide(Context::Incident, None, facts, &steps);
                let names: Vec<&String> = decided.steps.iter().map(|step| &step.agent_name).collect();
                prop_assert_eq!(names, runs.iter().collect::<Vec<_>>());
            }
            for fates in [routing.agents.base, routing.agents.head] {
                // Of the run and of the incident.
                let asked = 2 * proposed.len() as u64;
                prop_assert_eq!(fates.kept + fates.reordered + fates.dropped, asked);
            }
        }
    });
}
