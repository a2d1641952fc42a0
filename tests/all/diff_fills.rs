//! Slots held constant: which fills are known on both sides of a diff, and what is told of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use rulectl::lab::diff::effect::{
    Bounds, Certainty, Changed, Counted, Effect, Kind, Least, One, effect_with,
};
use rulectl::lab::diff::{Answers, Side, folder};
use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::diff_effect::{BURST, bursts, diff, settings};
use crate::harness::{lay_over, lines, memory, program, root, run_asking, sign_in};
use crate::scripted::{Act, Scripted};

/// A policy in which everything that a model can be asked for is asked; what is in capitals is replaced.
const ROUTING: &str = r#"
[agents.detector_agent]
description = "d"
runs = "detect"

[agents.risk_agent]
description = "r"
runs = "slot:risk"

[agents.planner_agent]
description = "p"
runs = "slot:plan"

[agents.command_agent]
description = "c"
runs = "commands"

[agents.note_agent]
description = "n"
critical = CRITICAL
runs = "slot:note"

[agents.other_agent]
description = "o"
runs = "slot:other"

[route.raw_events]
phase = "ingest"
allow = ["detector_agent", "risk_agent"]
require = [RUN]

[route.incident]
phase = "response"
allow = ["planner_agent", "command_agent", "note_agent", "other_agent"]
require = [REQUIRE]
order = [ORDER]

[[route.incident.require_when]]
severity = ["critical"]
agents = [WHEN_CRITICAL]

[promotion]
threshold = THRESHOLD
severities = [SEVERITIES]
PROMOTED_WHEN

[slots.risk]
prompt = "prompts/risk.md"
may = "MAY"
formula = "FORMULA"

[slots.plan]
prompt = "prompts/plan.md"

[slots.route]
prompt = "prompts/route.md"

[slots.note]
prompt = "prompts/note.md"
default = {text = "{{ incident.severity }}"}

[slots.other]
prompt = "prompts/other.md"
default = {text = "o"}

[plan]
steps = ["collect_auth_logs", "lock_account"]
approval = [APPROVAL]

[plan.mandatory]
OTHER = [MANDATORY]

[plan.default]
OTHER = ["collect_auth_logs", "lock_account"]

[plan.step.collect_auth_logs]
description = "Collect the account's events"
rationale = "Every later decision rests on them"

[plan.step.lock_account]
description = "Suspend the account"
rationale = "Nobody can sign in while the case is open"
after = ["collect_auth_logs"]
"#;

/// Each replaced text with what may stand there: what is first is the plainest.
const CHOICES: [(&str, &[&str]); 15] = [
    ("CRITICAL", &["false", "true"]),
    (
        "RUN",
        &[
            r#""detector_agent", "risk_agent""#,
            r#""detector_agent""#,
            r#""risk_agent""#,
        ],
    ),
    (
        "REQUIRE",
        &[
            r#""planner_agent", "command_agent""#,
            "",
            r#""planner_agent""#,
            r#""command_agent", "note_agent""#,
        ],
    ),
    (
        "ORDER",
        &[
            r#"["planner_agent", "command_agent"]"#,
            "",
            r#"["command_agent", "planner_agent"]"#,
            r#"["planner_agent", "note_agent"], ["note_agent", "command_agent"], ["note_agent", "other_agent"]"#,
        ],
    ),
    (
        "WHEN_CRITICAL",
        &["", r#""note_agent""#, r#""planner_agent""#],
    ),
    ("THRESHOLD", &["0.6", "0.3", "0.9"]),
    (
        "SEVERITIES",
        &[r#""high", "critical""#, r#""critical""#, ""],
    ),
    (
        "PROMOTED_WHEN",
        &["", r#"when = "count >= 4""#, r#"when = "impact < 0.5""#],
    ),
    ("MAY", &["raise", "set"]),
    (
        "FORMULA",
        &["likelihood * impact", "(likelihood + impact) / 4.0"],
    ),
    ("APPROVAL", &["", r#""lock_account""#]),
    ("MANDATORY", &["", r#""lock_account""#]),
    ("LEVEL", &["medium", "high", "low"]),
    (
        "FLOOR",
        &[
            "",
            "  floor: {score: 0.5}",
            "  floor: {severity: high, score: 0.2}",
        ],
    ),
    ("GTE", &["3", "5"]),
];

/// The slots with the schema of each.
const SLOTS: [(&str, &str); 5] = [
    ("risk", "{type: object}"),
    ("plan", "{type: object}"),
    ("route", "{type: object}"),
    ("note", "{type: object, properties: {text: {type: string}}}"),
    (
        "other",
        "{type: object, properties: {text: {type: string}}}",
    ),
];

/// What is chosen of each: places in the lists; and the words of each prompt.
#[derive(Clone, Debug)]
struct Made {
    choices: Vec<usize>,
    words: Vec<bool>,
    /// The slots that have no prompt.
    unasked: Vec<bool>,
}

fn a_made() -> impl Strategy<Value = Made> {
    (
        proptest::collection::vec(0..12_usize, CHOICES.len()),
        proptest::collection::vec(any::<bool>(), SLOTS.len()),
        proptest::collection::vec(proptest::bool::weighted(0.2), 3),
    )
        .prop_map(|(choices, words, unasked)| Made {
            choices,
            words,
            unasked,
        })
}

impl Made {
    /// This one, with some of another.
    fn with(&self, other: &Self, of: &[bool]) -> Self {
        let mut made = self.clone();
        let pick = |at: usize| of[at % of.len()];
        for (at, choice) in made.choices.iter_mut().enumerate() {
            if pick(at) {
                *choice = other.choices[at];
            }
        }
        for (at, word) in made.words.iter_mut().enumerate() {
            if pick(at + 3) {
                *word = other.words[at];
            }
        }
        for (at, unasked) in made.unasked.iter_mut().enumerate() {
            if pick(at + 7) {
                *unasked = other.unasked[at];
            }
        }
        made
    }

    fn side(&self) -> Side {
        let place = tempfile::tempdir().expect("a folder");
        lay_over(&root().join("tests/diagnostics/good"), place.path());
        let mut routing = ROUTING.to_owned();
        let mut rules = BURST.replace("level: high", "level: LEVEL");
        rules = rules.replace("gte: 3", "gte: GTE") + "FLOOR\n";
        for ((word, all), choice) in CHOICES.iter().zip(&self.choices) {
            let chosen = all[choice % all.len()];
            routing = replaced(&routing, word, chosen);
            rules = replaced(&rules, word, chosen);
        }
        for (at, (slot, schema)) in SLOTS.iter().enumerate() {
            let file = format!("prompts/{slot}.md");
            if self.unasked.get(at) == Some(&true) {
                let table = format!("[slots.{slot}]\nprompt = \"{file}\"\n");
                assert!(routing.contains(&table), "{table}");
                routing = routing.replace(&table, "");
                routing = routing
                    .replace("may = \"raise\"\n", "")
                    .replace("may = \"set\"\n", "");
                let formulas = CHOICES[9].1;
                for formula in formulas.iter().filter(|_| *slot == "risk") {
                    routing = routing.replace(&format!("formula = \"{formula}\"\n"), "");
                }
                let _none = fs::remove_file(place.path().join(&file));
                continue;
            }
            let bounds = match *slot {
                "plan" => ", plan.mandatory",
                "route" => ", guardrails",
                "note" => ", incident.severity",
                _ => "",
            };
            let word = if self.words[at] { "Say" } else { "Tell" };
            let text = format!(
                "---\nslot: {slot}\ncontext: [finding.group{bounds}]\nschema: {schema}\n---\n{word} {{{{ finding.group }}}}\n"
            );
            fs::write(place.path().join(file), text).expect("written");
        }
        fs::write(place.path().join("routing.toml"), routing).expect("written");
        fs::write(place.path().join("rules/sign_in.yml"), rules).expect("written");
        let found = folder("side", place.path());
        let problems = rulectl::render::problems_as_text(&found.loaded.problems, false);
        found.side().unwrap_or_else(|| panic!("{problems}"))
    }
}

/// The text with a word replaced where it stands alone.
fn replaced(text: &str, word: &str, with: &str) -> String {
    let pattern = regex::Regex::new(&format!(r"\b{word}\b")).expect("a pattern");
    pattern
        .replace_all(text, regex::NoExpand(with))
        .into_owned()
}

/// Says anything, and always the same of one thing: a reply is made of the prompt, what it shows,
/// and a number.
struct Whimsical(u64);

impl Whimsical {
    /// A number below `of`, by what it is about.
    fn roll(&self, request: &Request, about: &str, of: u64) -> u64 {
        let turns = request.messages.len();
        let shown = ["finding", "plan", "guardrails"].map(|name| &request.context[name]);
        let asked = json!([self.0, request.prompt, shown, turns, about]);
        let digest = rulectl::event::Digest::of(asked.to_string().as_bytes()).to_string();
        u64::from_str_radix(&digest[..12], 16).expect("a number") % of
    }

    /// Some of these, in any order, and now and then something that nobody knows.
    fn some(&self, request: &Request, names: &[&str]) -> Vec<String> {
        let mut all: Vec<(u64, String)> = names
            .iter()
            .filter(|name| self.roll(request, name, 3) > 0)
            .map(|name| {
                (
                    self.roll(request, &format!("place of {name}"), 100),
                    (*name).to_owned(),
                )
            })
            .collect();
        all.sort();
        let mut names: Vec<String> = all.into_iter().map(|(_, name)| name).collect();
        if self.roll(request, "unknown", 5) == 0 {
            names.push("shell".to_owned());
        }
        names
    }

    fn says(&self, request: &Request) -> Value {
        let roll = |about: &str, of: u64| self.roll(request, about, of);
        if roll("nonsense", 8) == 0 {
            return json!({"steps": 7, "severity": "bad", "text": 1});
        }
        match request.slot.as_str() {
            "risk" => {
                let severity = ["low", "medium", "high", "critical"][roll("severity", 4) as usize];
                json!({"severity": severity, "likelihood": roll("likelihood", 101), "impact": roll("impact", 101)})
            }
            "route" => {
                let agents = [
                    "planner_agent",
                    "command_agent",
                    "note_agent",
                    "other_agent",
                    "detector_agent",
                    "risk_agent",
                ];
                let steps = self.some(request, &agents).into_iter();
                let steps: Vec<Value> = steps.map(|name| json!({"agent_name": name})).collect();
                json!({"phase": "x", "steps": steps})
            }
            "plan" => {
                let steps = self
                    .some(request, &["collect_auth_logs", "lock_account"])
                    .into_iter();
                let steps: Vec<Value> = steps
                    .map(|name| {
                        json!({
                            "step_id": name, "rationale": format!("{}", roll(&name, 3)),
                            "dependencies": self.some(request, &["lock_account"]),
                            "requires_human_approval": roll(&name, 2) == 0,
                        })
                    })
                    .collect();
                json!({"steps": steps})
            }
            _ => json!({"text": roll("text", 3).to_string()}),
        }
    }
}

impl Model for Whimsical {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        if self.roll(request, "silent", 12) == 0 {
            return Err(Failure::Recorded("it says nothing".to_owned()));
        }
        Ok(Reply {
            text: self.says(request).to_string(),
            finish: Finish::Stop,
            model: "whimsical".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About {
            model: "whimsical".to_owned(),
            ..About::default()
        }
    }
}

/// One that is asked about some of the slots alone.
struct Partial<'w>(&'w Whimsical, u64);

impl Model for Partial<'_> {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let place = SLOTS.iter().position(|(slot, _)| *slot == request.slot);
        if place.is_some_and(|place| self.1 >> place & 1 == 1) {
            self.0.ask(request)
        } else {
            Err(Failure::Recorded("it is not asked".to_owned()))
        }
    }

    fn about(&self) -> About {
        self.0.about()
    }
}

fn asking(base: &Side, head: &Side, events: &[Value], model: &dyn Model) -> Effect {
    let answers = Answers {
        recording: None,
        model: Some(model),
    };
    let inputs = vec![memory(lines(events).into_bytes())];
    effect_with(base, head, inputs, &settings(1), answers, &|_| {}).expect("it runs")
}

/// The figures where nothing bounds them.
fn bounds(counts: &Counted) -> Bounds {
    let is = |figure: u64| Least {
        at_least: figure,
        at_most: figure,
    };
    counts.bounds.unwrap_or(Bounds {
        base: is(counts.base),
        head: is(counts.head),
        added: is(counts.added),
        removed: is(counts.removed),
        changed: is(counts.changed),
    })
}

/// What tells a difference from others: its way, its kind, its name and its finding.
type Told = BTreeSet<(&'static str, Kind, String, Option<Uuid>)>;

/// The differences that are told, or only those that are certain.
fn told(effect: &Effect, all: bool) -> Told {
    let is_told = |certainty: Certainty| all || certainty == Certainty::Certain;
    let mut told = Told::new();
    for (kind, delta) in effect.deltas() {
        let mut ones = |way, list: &[One]| {
            let list = list.iter().filter(|one| is_told(one.certainty));
            told.extend(list.map(|one| (way, kind, one.name.clone(), one.subject.finding)));
        };
        ones("added", &delta.added);
        ones("removed", &delta.removed);
        let changed = delta.changed.iter().filter(|it| is_told(it.certainty));
        let key = |it: &Changed| ("changed", kind, it.name.clone(), it.head.finding);
        told.extend(changed.map(key));
    }
    told
}

/// Holds what is told without any fill against what is told with some.
#[track_caller]
fn assert_within(open: &Effect, filled: &Effect) {
    for ((kind, open), (_, filled)) in open.deltas().into_iter().zip(filled.deltas()) {
        let (may_be, is) = (bounds(&open.counts), &filled.counts);
        for (of, may_be, is) in [
            ("base", may_be.base, is.base),
            ("head", may_be.head, is.head),
            ("added", may_be.added, is.added),
            ("removed", may_be.removed, is.removed),
            ("changed", may_be.changed, is.changed),
        ] {
            let within = may_be.at_least..=may_be.at_most;
            assert!(within.contains(&is), "{of} {kind:?}: {is} in {within:?}");
        }
        let inner = bounds(is);
        assert!(inner.head.at_most <= may_be.head.at_most, "{kind:?}");
    }
    let (certain, filled) = (told(open, false), told(filled, true));
    let missing: Vec<_> = certain.difference(&filled).collect();
    assert!(missing.is_empty(), "not certain: {missing:?}");
}

/// How many of each kind a run has.
fn counted(side: &Side, events: &[Value], model: &dyn Model) -> BTreeMap<Kind, u64> {
    let mut counts = BTreeMap::new();
    let mut add = |kind: Kind, more: usize| *counts.entry(kind).or_default() += more as u64;
    add(Kind::Route, 1);
    for outcome in run_asking(&side.policy, events, model).outcomes {
        add(Kind::Finding, 1);
        add(Kind::Risk, 1);
        if let Some(response) = outcome.response {
            add(Kind::Incident, 1);
            add(Kind::Route, 1);
            add(Kind::Plan, response.plan.iter().count());
            add(Kind::Step, response.plan.map_or(0, |plan| plan.steps.len()));
            add(Kind::Command, response.commands.len());
            add(Kind::Draft, response.drafts.len());
        }
    }
    counts
}

fn events() -> Vec<Value> {
    let mut events = bursts(&[("ann", 3), ("bob", 6), ("eve", 1)]);
    events.push(sign_in("bob", "SUCCESS", 900));
    events
}

/// How many pairs are made up: `RULECTL_CASES`, for a long run by hand.
fn cases() -> u32 {
    let asked = std::env::var("RULECTL_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]
    /// Whatever a model says, of the right kind or not, what comes of both sides is within the
    /// bounds that were told without it, and what was told as certain is so.
    #[test]
    fn what_is_certain_holds_with_every_fill(
        one in a_made(),
        other in a_made(),
        of in proptest::collection::vec(proptest::bool::weighted(0.2), 29),
        seeds in proptest::collection::vec(any::<u64>(), 3),
    ) {
        let (base, head) = (one.side(), one.with(&other, &of).side());
        let events = events();
        let open = diff(&base, &head, &events);
        assert_within(&open, &open);
        for seed in seeds {
            let model = Whimsical(seed);
            let filled = asking(&base, &head, &events, &model);
            assert_within(&open, &filled);
            // Also where some of the fills are known.
            let some = asking(&base, &head, &events, &Partial(&model, seed));
            assert_within(&some, &filled);
            for (side, is_base) in [(&base, true), (&head, false)] {
                let counts = counted(side, &events, &model);
                for (kind, delta) in open.deltas() {
                    let bounds = bounds(&delta.counts);
                    let may_be = if is_base { bounds.base } else { bounds.head };
                    let is = counts.get(&kind).copied().unwrap_or_default();
                    let within = may_be.at_least..=may_be.at_most;
                    prop_assert!(within.contains(&is), "{kind:?} {is_base}: {is} in {within:?}");
                }
            }
        }
    }

    /// Against itself a policy differs in nothing, whatever a model could say.
    #[test]
    fn nothing_depends_on_a_model_where_nothing_changed(one in a_made(), seed in any::<u64>()) {
        let (base, head) = (one.side(), one.side());
        let open = diff(&base, &head, &events());
        prop_assert!(open.is_empty() && open.edits.is_empty(), "{open:?}");
        let filled = asking(&base, &head, &events(), &Whimsical(seed));
        prop_assert!(filled.is_empty(), "{filled:?}");
    }
}

/// What a pair of `tests/diff` with a recording is told as, by the program in a folder of its own.
fn program_tells(words: &[&str], settings: &str) -> (Option<i32>, String, Value) {
    let place = tempfile::tempdir().expect("a folder");
    for side in ["base", "head"] {
        let folder = place.path().join(side);
        lay_over(&root().join("tests/diff/policy"), &folder);
        lay_over(
            &root().join("tests/diff/prompt_changed").join(side),
            &folder,
        );
    }
    let recording = root().join("tests/diff/prompt_changed/recording.jsonl");
    fs::copy(recording, place.path().join("said.jsonl")).expect("copied");
    fs::write(place.path().join("rulectl.toml"), settings).expect("written");
    let mut command = program();
    command
        .current_dir(place.path())
        .args(["diff", "base", "head", "--format", "json"]);
    command
        .args(["--policy", "head", "--logs"])
        .arg(root().join("tests/diff/logs.ndjson"));
    let output = command.args(words).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("a text");
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), said, told)
}

/// Where the fills of the risks that are told come from, on both sides; and how many risks differ.
fn sources(told: &Value) -> (BTreeSet<(String, String)>, u64) {
    let risks = &told["effect"]["risks"];
    let changed = risks["changed"].as_array().expect("a list");
    let source = |side: &Value| side["fills"]["risk"].as_str().unwrap_or("none").to_owned();
    let sources = changed
        .iter()
        .map(|one| (source(&one["base"]), source(&one["head"])));
    (
        sources.collect(),
        risks["counts"]["changed"].as_u64().expect("a count"),
    )
}

#[test]
fn a_recording_is_read_where_it_is_named() {
    let named = "[slots]\nmode = \"live\"\nrecording = \"said.jsonl\"\n";
    let recorded = (
        BTreeSet::from([("recorded".to_owned(), "none".to_owned())]),
        6,
    );
    let nothing = (BTreeSet::new(), 0);
    for (words, settings, expected) in [
        (&["--recording", "said.jsonl"][..], "", &recorded),
        (
            &["--recording", "said.jsonl", "--slots", "replay"],
            "",
            &recorded,
        ),
        // A mode that is configured asks nobody: it is for runs.
        (&[], named, &recorded),
        (&["--slots", "default"], named, &nothing),
        (&[], "[slots]\nrecording = \"not_yet.jsonl\"\n", &nothing),
        (&[], "", &nothing),
    ] {
        let (code, said, told) = program_tells(words, settings);
        assert_eq!(code, Some(0), "{words:?} {said}");
        assert_eq!(sources(&told), *expected, "{words:?}");
    }
    for (words, expected, wanted) in [
        (
            &["--recording", "nowhere.jsonl"][..],
            4,
            "there is no recording `nowhere.jsonl`",
        ),
        (&["--slots", "replay"], 4, "there is no recording"),
        (&["--recording", "rulectl.toml"], 2, "rulectl.toml"),
        (&["--slots", "record"], 3, "`diff` records nothing"),
        (&["--slots", "live"], 3, "no model is configured"),
        (
            &[
                "--slots",
                "live",
                "--recording",
                "said.jsonl",
                "--llm-base-url",
                "http://127.0.0.1:9/v1",
                "--llm-model",
                "other",
            ],
            3,
            "is of model `small` at temperature 0.0, and model `other`",
        ),
    ] {
        let (code, said, _) = program_tells(words, "");
        assert_eq!(code, Some(expected), "{words:?} {said}");
        assert!(said.contains(wanted), "no `{wanted}` in {said}");
    }
}

#[test]
fn a_model_is_asked_for_what_is_not_known_and_within_its_budget() {
    let reply = r#"{"severity": "low", "likelihood": 70, "impact": 70, "rationale": "r"}"#;
    let live = |more: &[&str]| {
        let server = Scripted::new([Act::says(reply)]);
        let url = server.base_url();
        let mut words = vec![
            "--slots",
            "live",
            "--llm-model",
            "small",
            "--llm-base-url",
            &url,
        ];
        words.extend(more);
        let (code, said, told) = program_tells(&words, "");
        assert_eq!(code, Some(0), "{said}");
        (server.seen().len(), told)
    };
    let is = |base: &str, head: &str| BTreeSet::from([(base.to_owned(), head.to_owned())]);
    // What is recorded is not asked. Equal requests are asked once, whatever policies ask them.
    let (asked, told) = live(&["--recording", "said.jsonl"]);
    assert_eq!((asked, sources(&told)), (5, (is("recorded", "model"), 6)));
    assert!(
        told["effect"]["risks"]["counts"]["bounds"].is_null(),
        "{told}"
    );
    assert_eq!(told["effect"]["doubts"], json!([]));
    // Of what the budget leaves out nothing is known.
    let (asked, told) = live(&["--recording", "said.jsonl", "--llm-budget-calls", "2"]);
    assert_eq!(asked, 2);
    let changed = &told["effect"]["risks"]["counts"]["bounds"]["changed"];
    assert_eq!(*changed, json!({"at_least": 2, "at_most": 6}));
    assert_eq!(told["effect"]["doubts"][0]["findings"], 4);
    let certain = told["effect"]["risks"]["changed"]
        .as_array()
        .expect("a list");
    let certain = certain.iter().filter(|one| one["certainty"] == "certain");
    assert_eq!(certain.count(), 2);
}

/// Of a finding whose risk was answered and whose route was not: what is required for its severity
/// is shown to whoever proposes a route, so that another severity may have another route.
#[test]
fn a_route_that_is_open_is_not_the_same_for_another_severity() {
    let mut one = Made {
        choices: vec![0; CHOICES.len()],
        words: vec![true, false, false, false, false],
        unasked: vec![false; 3],
    };
    // A model may say `critical`, for which more is required.
    one.choices[4] = 1;
    one.choices[9] = 1;
    let mut other = one.clone();
    other.choices[7] = 1;
    other.unasked[0] = true;
    let (base, head) = (one.side(), other.side());
    let (events, model) = (events(), Whimsical(17_519_337_914_436_480_979));
    let filled = asking(&base, &head, &events, &model);
    let some = asking(
        &base,
        &head,
        &events,
        &Partial(&model, 17_519_337_914_436_480_979),
    );
    let changed = |effect: &Effect| {
        let routes = effect
            .deltas()
            .into_iter()
            .find(|(kind, _)| *kind == Kind::Route);
        bounds(&routes.expect("routes").1.counts).changed
    };
    assert_eq!(
        changed(&filled),
        Least {
            at_least: 1,
            at_most: 1
        }
    );
    assert_eq!(
        changed(&some),
        Least {
            at_least: 0,
            at_most: 1
        }
    );
    assert_within(&some, &filled);
}
