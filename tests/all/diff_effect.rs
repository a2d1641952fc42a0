//! What a change of a policy does to logs: which findings and what follows from them, and by which edit.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use proptest::sample::select;
use rulectl::geo::Databases;
use rulectl::lab::diff::effect::{About, Cause, Changed, Delta, Effect, Field, How, Kind, One};
use rulectl::lab::diff::{Side, effect, folder};
use rulectl::okta::Mapping;
use rulectl::pipeline::Settings;
use rulectl::policy;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{lay_over, lines, memory, root, run, shipped_folder, sign_in};

/// Failed sign-ins, and a burst of them; `RULE` of a burst is replaced.
pub const BURST: &str = "\
title: Failed sign-in
name: failed
logsource: {product: okta}
detection:
  selection: {eventType: user.session.start, outcome.result: FAILURE}
  condition: selection
---
title: Burst
name: burst
level: high
tags: [attack.t1110]
correlation:
  type: event_count
  rules: [failed]
  group-by: [actor.alternateId]
  timespan: 10m
  condition: {gte: 3}
rulectl:
  user: actor.id
";

/// A side: the least that a policy has, with a rule file, and other files edited by replacing texts.
pub fn side(rules: &str, edits: &[(&str, &str, &str)]) -> Side {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
    for (file, from, to) in edits {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.contains(from), "no {from} in {file}");
        fs::write(path, text.replace(from, to)).expect("written");
    }
    let loaded = policy::load(folder.path());
    let problems = rulectl::render::problems_as_text(&loaded.problems, false);
    Side {
        name: "side".to_owned(),
        policy: loaded
            .policy
            .unwrap_or_else(|| panic!("not a policy:\n{problems}")),
        files: loaded.files,
    }
}

pub fn settings(threads: usize) -> Settings {
    Settings {
        mapping: Mapping::Okta,
        since: None,
        until: None,
        strict: false,
        threads,
        databases: Databases::NONE,
        evidence: None,
    }
}

pub fn diff(base: &Side, head: &Side, events: &[Value]) -> Effect {
    let inputs = vec![memory(lines(events).into_bytes())];
    effect(base, head, inputs, &settings(1)).expect("it runs")
}

/// Bursts of failed sign-ins a minute apart, of so many events, of one account each.
pub fn bursts(sizes: &[(&str, i64)]) -> Vec<Value> {
    let burst = |(account, size): &(&str, i64)| -> Vec<Value> {
        (0..*size)
            .map(|at| sign_in(account, "FAILURE", at * 60))
            .collect()
    };
    sizes.iter().flat_map(burst).collect()
}

/// How many are added, removed and changed.
type Signs = (u64, u64, u64);

fn signs(delta: &Delta) -> Signs {
    let counts = &delta.counts;
    (counts.added, counts.removed, counts.changed)
}

/// The clauses of a cause.
fn clauses(effect: &Effect, cause: &Cause) -> Vec<String> {
    let edits = cause.edits.iter().map(|at| &effect.edits[*at]);
    edits
        .map(|edit| {
            format!(
                "{}:{} {} {}",
                edit.file,
                edit.head_line.or(edit.base_line).unwrap_or(0),
                edit.part,
                edit.clause
            )
        })
        .collect()
}

#[test]
fn a_policy_against_itself_is_empty() {
    let (base, head) = (side(BURST, &[]), side(BURST, &[]));
    let effect = diff(&base, &head, &bursts(&[("ann", 3), ("bob", 5)]));
    assert!(effect.is_empty(), "{effect:#?}");
    assert_eq!(effect.edits, []);
    assert_eq!(effect.doubts, []);
    assert_eq!(
        (effect.findings.counts.base, effect.findings.counts.head),
        (2, 2)
    );
    assert_eq!(
        (effect.commands.counts.base, effect.commands.counts.head),
        (4, 4)
    );
}

#[test]
fn a_higher_threshold_takes_bursts_and_all_that_hangs_on_them() {
    let head = BURST.replace("gte: 3", "gte: 5");
    let (base, head) = (side(BURST, &[]), side(&head, &[]));
    let effect = diff(&base, &head, &bursts(&[("ann", 3), ("bob", 5), ("eve", 1)]));
    assert_eq!(signs(&effect.findings), (0, 1, 1), "{effect:#?}");
    assert_eq!(signs(&effect.incidents), (0, 1, 0));
    assert_eq!(signs(&effect.routes), (0, 1, 0));
    assert_eq!(signs(&effect.steps), (0, 2, 0));
    let lost = &effect.lost[0];
    assert_eq!(
        lost.one.subject.actor.as_deref(),
        Some("00uann00000000000000")
    );
    assert_eq!(
        format!("{:?}", lost.clauses),
        r#"[Clause { file: "rules/sign_in.yml", line: 17, side: "head", clause: "burst: correlation.condition.gte" }]"#
    );
    let fields: Vec<&str> = effect.findings.changed[0]
        .fields
        .iter()
        .map(|f| f.field.as_str())
        .collect();
    assert_eq!(fields, ["hits", "reasons"]);
    assert_eq!(effect.by_technique["t1110"].findings.removed, 1);
    assert_eq!(effect.by_day["2026-03-02"].incidents.removed, 1);
}

#[test]
fn swapping_the_sides_swaps_the_signs() {
    let head = BURST.replace("gte: 3", "gte: 5").replace("10m", "4m");
    let (base, head) = (side(BURST, &[]), side(&head, &[]));
    let events = bursts(&[("ann", 3), ("bob", 5), ("eve", 9)]);
    let (forth, back) = (diff(&base, &head, &events), diff(&head, &base, &events));
    assert_mirrored(&forth, &back);
    assert!(!forth.is_empty());
}

/// What is added on the way there is removed on the way back, and the other way round.
#[track_caller]
fn assert_mirrored(forth: &Effect, back: &Effect) {
    for (forth, back) in deltas(forth).into_iter().zip(deltas(back)) {
        let (there, again) = (&forth.counts, &back.counts);
        assert_eq!((there.base, there.head), (again.head, again.base));
        assert_eq!(there.changed, again.changed);
        let subjects = |list: &[One]| -> Vec<String> {
            let shown = |one: &One| format!("{} {:?}", one.name, one.subject);
            let mut shown: Vec<String> = list.iter().map(shown).collect();
            shown.sort();
            shown
        };
        assert_eq!(subjects(&forth.added), subjects(&back.removed));
        assert_eq!(subjects(&forth.removed), subjects(&back.added));
        let of_fields = |effect: &Delta, swap: bool| -> Vec<String> {
            let shown = |changed: &Changed| {
                let field = |f: &Field| {
                    let (was, is) = if swap {
                        (&f.head, &f.base)
                    } else {
                        (&f.base, &f.head)
                    };
                    format!("{} {was} {is}", f.field)
                };
                changed
                    .fields
                    .iter()
                    .map(field)
                    .collect::<Vec<_>>()
                    .join("; ")
            };
            let mut shown: Vec<String> = effect.changed.iter().map(shown).collect();
            shown.sort();
            shown
        };
        assert_eq!(of_fields(forth, false), of_fields(back, true));
    }
}

fn deltas(effect: &Effect) -> [&Delta; 8] {
    [
        &effect.findings,
        &effect.risks,
        &effect.incidents,
        &effect.routes,
        &effect.plans,
        &effect.steps,
        &effect.commands,
        &effect.drafts,
    ]
}

#[test]
fn a_renamed_rule_keeps_its_findings() {
    let head = BURST.replace("title: Burst\nname: burst", "title: Volley\nname: volley");
    let (base, head) = (side(BURST, &[]), side(&head, &[]));
    let effect = diff(&base, &head, &bursts(&[("ann", 3)]));
    assert_eq!(signs(&effect.findings), (0, 0, 1), "{effect:#?}");
    let fields: Vec<&str> = effect.findings.changed[0]
        .fields
        .iter()
        .map(|f| f.field.as_str())
        .collect();
    assert_eq!(fields, ["description", "rule", "rule_name", "rule_title"]);
}

#[test]
fn promotion_routes_plans_and_commands_are_compared_under_one_finding() {
    let edits: [(&str, &str, &str, [Signs; 6], &str); 4] = [
        (
            "routing.toml",
            "severities = [\"high\", \"critical\"]",
            "severities = [\"critical\"]",
            [
                (0, 0, 1),
                (0, 1, 0),
                (0, 1, 0),
                (0, 1, 0),
                (0, 2, 0),
                (0, 2, 0),
            ],
            "routing.toml:27 promotion severities",
        ),
        (
            "routing.toml",
            "require = [\"planner_agent\", \"command_agent\"]",
            "require = [\"planner_agent\"]",
            [
                (0, 0, 0),
                (0, 0, 0),
                (0, 0, 1),
                (0, 0, 0),
                (0, 0, 0),
                (0, 2, 0),
            ],
            "routing.toml:23 route.incident require",
        ),
        (
            "routing.toml",
            "OTHER = [\"collect_auth_logs\", \"lock_account\"]",
            "OTHER = [\"collect_auth_logs\"]",
            [
                (0, 0, 0),
                (0, 0, 0),
                (0, 0, 0),
                (0, 0, 1),
                (0, 1, 0),
                (0, 1, 0),
            ],
            "routing.toml:37 plan default.OTHER",
        ),
        (
            "routing.toml",
            "approval = [\"lock_account\"]",
            "approval = []",
            [
                (0, 0, 0),
                (0, 0, 0),
                (0, 0, 0),
                (0, 0, 0),
                (0, 0, 1),
                (0, 0, 0),
            ],
            "routing.toml:34 plan approval",
        ),
    ];
    for (file, from, to, expected, cause) in edits {
        let (base, head) = (side(BURST, &[]), side(BURST, &[(file, from, to)]));
        let effect = diff(&base, &head, &bursts(&[("ann", 3)]));
        let of_kinds = [
            &effect.findings,
            &effect.incidents,
            &effect.routes,
            &effect.plans,
            &effect.steps,
            &effect.commands,
        ];
        assert_eq!(of_kinds.map(signs), expected, "{to}: {effect:#?}");
        for delta in of_kinds {
            let causes = delta.removed.iter().map(|one| &one.cause);
            for cause_of in causes.chain(delta.changed.iter().map(|changed| &changed.cause)) {
                assert_eq!(clauses(&effect, cause_of), [cause], "{effect:#?}");
            }
        }
    }
}

#[test]
fn each_effect_has_the_edit_that_makes_it() {
    let head = BURST.replace("gte: 3", "gte: 5");
    let other = "\n---\ntitle: Sign-in\nname: signed_in\nlevel: high\nlogsource: {product: okta}\ndetection:\n  s: {eventType: user.session.start, outcome.result: SUCCESS}\n  condition: s\n";
    let base = side(&format!("{BURST}{other}"), &[]);
    let head = format!("{head}{other}").replace("level: high\nlogsource", "level: low\nlogsource");
    let head = side(
        &head,
        &[(
            "routing.toml",
            "approval = [\"lock_account\"]",
            "approval = []",
        )],
    );
    let mut events = bursts(&[("ann", 3), ("bob", 5)]);
    events.push(sign_in("eve", "SUCCESS", 7));
    let effect = diff(&base, &head, &events);
    let told: Vec<String> = effect
        .findings
        .removed
        .iter()
        .chain(&effect.incidents.removed)
        .map(|one| {
            format!(
                "{} {:?} {:?}",
                one.subject.rule,
                one.cause.how,
                clauses(&effect, &one.cause)
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"burst Alone ["rules/sign_in.yml:17 burst correlation.condition.gte"]"#,
            r#"signed_in Alone ["rules/sign_in.yml:24 signed_in level"]"#,
            r#"burst Alone ["rules/sign_in.yml:17 burst correlation.condition.gte"]"#,
        ]
    );
    let steps: Vec<_> = effect
        .steps
        .changed
        .iter()
        .map(|c| clauses(&effect, &c.cause))
        .collect();
    assert_eq!(steps, [["routing.toml:34 plan approval"]]);
}

#[test]
fn what_no_edit_makes_alone_is_made_together() {
    // Either clause promotes: only both edits together take the incident.
    let promotion = "severities = [\"high\", \"critical\"]";
    let base = side(
        BURST,
        &[(
            "routing.toml",
            promotion,
            &format!("threshold = 0.6\n{promotion}"),
        )],
    );
    let head = side(
        BURST,
        &[(
            "routing.toml",
            promotion,
            "threshold = 0.7\nseverities = [\"critical\"]",
        )],
    );
    let effect = diff(&base, &head, &bursts(&[("ann", 3)]));
    let lost = effect.lost.iter().find(|lost| lost.kind == Kind::Incident);
    let cause = &lost.expect("an incident").one.cause;
    assert_eq!(cause.how, How::Together);
    assert_eq!(
        clauses(&effect, cause),
        [
            "routing.toml:27 promotion threshold",
            "routing.toml:28 promotion severities"
        ]
    );
}

#[test]
fn what_decides_nothing_is_no_edit() {
    let head = BURST.replace(
        "title: Burst",
        "# Why: see the wiki\ntitle: Burst\ndescription: new",
    );
    let effect = diff(&side(BURST, &[]), &side(&head, &[]), &bursts(&[("ann", 3)]));
    assert_eq!(effect.edits, []);
    assert!(effect.is_empty() && effect.conclusive);
}

#[test]
fn what_the_log_cannot_tell_is_said() {
    let head = BURST.replace("gte: 3", "gte: 2");
    let (base, head) = (side(BURST, &[]), side(&head, &[]));
    let about = |events: &[Value]| -> Vec<(String, bool)> {
        let doubts = diff(&base, &head, events).doubts;
        let name = |about: &About| {
            let json = serde_json::to_value(about).expect("JSON");
            json["what"].as_str().expect("a name").to_owned()
        };
        doubts
            .iter()
            .map(|doubt| (name(&doubt.about), doubt.decisive))
            .collect()
    };
    let said = |names: &[(&str, bool)]| -> Vec<(String, bool)> {
        names
            .iter()
            .map(|(name, decisive)| ((*name).to_owned(), *decisive))
            .collect()
    };
    assert_eq!(
        about(&[sign_in("ann", "SUCCESS", 0)]),
        said(&[("untested", true), ("untested", true)])
    );
    assert_eq!(
        about(&[]),
        said(&[("no_events", true), ("untested", true), ("untested", true)])
    );
    // The window of ten minutes reaches before the first event of a log of an hour.
    let mut hour = bursts(&[("ann", 3)]);
    hour.push(sign_in("bob", "SUCCESS", 3600));
    assert_eq!(about(&hour), said(&[("before_log", true)]));
    hour.push(sign_in("bob", "SUCCESS", 360_000));
    assert_eq!(about(&hour), said(&[("before_log", false)]));
    let late: Vec<Value> = [sign_in("bob", "SUCCESS", -3600)]
        .into_iter()
        .chain(hour)
        .collect();
    assert_eq!(about(&late), said(&[]));
    let mut odd = late;
    odd.push(serde_json::json!({"eventType": "x", "published": "whenever"}));
    odd.push(serde_json::json!(17));
    assert_eq!(
        about(&odd),
        said(&[("rejected", true), ("without_time", true)])
    );
}

/// A policy of made-up numbers.
#[derive(Clone, Debug)]
struct Made {
    gte: u8,
    minutes: u8,
    level: &'static str,
    suppress: &'static str,
    quiet: bool,
    promotes: &'static str,
    approval: &'static str,
}

fn a_made() -> impl Strategy<Value = Made> {
    (
        2..5_u8,
        select(vec![3, 10]),
        select(vec!["medium", "high"]),
        select(vec!["0s", "2m", "1h"]),
        any::<bool>(),
        select(vec![
            "\"high\", \"critical\"",
            "\"medium\", \"high\", \"critical\"",
            "\"critical\"",
        ]),
        select(vec!["approval = [\"lock_account\"]", "approval = []"]),
    )
        .prop_map(
            |(gte, minutes, level, suppress, quiet, promotes, approval)| Made {
                gte,
                minutes,
                level,
                suppress,
                quiet,
                promotes,
                approval,
            },
        )
}

impl Made {
    fn side(&self) -> Side {
        let mut rules = BURST
            .replace("gte: 3", &format!("gte: {}", self.gte))
            .replace("10m", &format!("{}m", self.minutes))
            .replace("level: high", &format!("level: {}", self.level))
            .replace(
                "user: actor.id",
                &format!("user: actor.id\n  suppress: {}", self.suppress),
            );
        if !self.quiet {
            rules.push_str("---\ntitle: Success\nname: success\nlevel: high\nlogsource: {product: okta}\ndetection:\n  s: {outcome.result: SUCCESS}\n  condition: s\n");
        }
        let promotion = "severities = [\"high\", \"critical\"]";
        let promotes = format!("severities = [{}]", self.promotes);
        let approval = (
            "routing.toml",
            "approval = [\"lock_account\"]",
            self.approval,
        );
        side(&rules, &[("routing.toml", promotion, &promotes), approval])
    }
}

fn a_log() -> impl Strategy<Value = Vec<Value>> {
    let event = (
        select(vec!["ann", "bob"]),
        select(vec!["FAILURE", "SUCCESS"]),
        0..40_i64,
    );
    proptest::collection::vec(event, 0..40).prop_map(|events| {
        let sign_in = |(who, result, minutes)| sign_in(who, result, minutes * 60);
        events.into_iter().map(sign_in).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10) })]
    /// What is told is what two runs differ in; the way back is its mirror image; against itself
    /// nothing differs; and neither threads nor the order of events change a byte.
    #[test]
    fn an_effect_is_what_two_runs_differ_in(one in a_made(), other in a_made(), events in a_log()) {
        let (base, head) = (one.side(), other.side());
        let forth = diff(&base, &head, &events);
        let ids = |side: &Side| -> BTreeSet<Option<Uuid>> {
            let outcomes = run(&side.policy, &events).outcomes;
            outcomes.iter().map(|outcome| Some(outcome.finding.id)).collect()
        };
        let (old, new) = (ids(&base), ids(&head));
        let counts = &forth.findings.counts;
        prop_assert_eq!((counts.base, counts.head), (old.len() as u64, new.len() as u64));
        let mut came = old;
        for one in &forth.findings.removed {
            prop_assert!(came.remove(&one.subject.finding));
        }
        for changed in &forth.findings.changed {
            prop_assert!(came.remove(&changed.base.finding));
        }
        came.extend(forth.findings.changed.iter().map(|changed| changed.head.finding));
        came.extend(forth.findings.added.iter().map(|one| one.subject.finding));
        prop_assert_eq!(came, new);
        assert_mirrored(&forth, &diff(&head, &base, &events));
        prop_assert!(diff(&base, &base, &events).is_empty());
        let mut turned = events;
        turned.reverse();
        let inputs = vec![memory(lines(&turned).into_bytes())];
        let threaded = effect(&base, &head, inputs, &settings(3)).expect("it runs");
        let json = |effect: &Effect| serde_json::to_string(effect).expect("JSON");
        prop_assert_eq!(json(&threaded), json(&forth));
    }
}

#[test]
fn drafts_are_compared_and_what_they_show_is_an_edit() {
    let log = || {
        let log = fs::read(root().join("fixtures/logs/demo-day.ndjson")).expect("the log");
        vec![memory(log)]
    };
    let changed = |side: &Side, file: &str, from: &str, to: &str| edited(side, &[(file, from, to)]);
    let policy = shipped_folder();
    let shipped = folder("side", policy.path()).side().expect("a policy");
    let subject = "subject = \"[{{ incident.severity }}]";
    let other = changed(&shipped, "routing.toml", subject, "subject = \"a");
    // A description does nothing until something shows it.
    let (file, from, to) = ("rules/mfa.yml", "Many pushes", "Very many pushes");
    let described = changed(&shipped, file, from, to);
    let effect_of =
        |base: &Side, head: &Side| effect(base, head, log(), &settings(1)).expect("it runs");
    assert!(effect_of(&shipped, &described).is_empty());
    let listed = "context:\n  - rule.description\n";
    let body = "body = \"\"\"\n";
    let shows = [
        ("prompts/notification.md", "context:\n", listed),
        (
            "routing.toml",
            body,
            "body = \"\"\"\n{{ rule.description }} ",
        ),
    ];
    let [showing, showing_other] = [&shipped, &described].map(|side| edited(side, &shows));
    let cases = [
        (&shipped, &other, "slots.notification default.subject"),
        (&showing, &showing_other, "mfa_fatigue description"),
    ];
    for (base, head, clause) in cases {
        let effect = effect_of(base, head);
        let counts = &effect.drafts.counts;
        assert!(
            counts.changed > 0 && counts.base == counts.head,
            "{counts:?}"
        );
        let others = effect
            .deltas()
            .into_iter()
            .filter(|(kind, _)| *kind != Kind::Draft);
        for (kind, delta) in others {
            assert_eq!(signs(delta), (0, 0, 0), "{kind:?}");
        }
        let cause = &effect.drafts.changed[0].cause;
        assert!(
            clauses(&effect, cause)[0].ends_with(clause),
            "{:?}",
            effect.edits
        );
        let field = &effect.drafts.changed[0].fields;
        assert_eq!(field[0].field, "content");
    }
}

/// A side with files edited by replacing texts.
fn edited(side: &Side, edits: &[(&str, &str, &str)]) -> Side {
    let place = tempfile::tempdir().expect("a folder");
    for file in &side.files {
        let mut text = file.text.to_string();
        for (path, from, to) in edits {
            if file.path == *path {
                assert!(text.contains(from), "no {from} in {path}");
                text = text.replacen(from, to, 1);
            }
        }
        let path = place.path().join(&file.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let loaded = folder("side", place.path());
    let problems = rulectl::render::problems_as_text(&loaded.loaded.problems, false);
    loaded
        .side()
        .unwrap_or_else(|| panic!("not a policy:\n{problems}"))
}
