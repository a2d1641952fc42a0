//! What a change of a policy does to logs: which findings and what follows from them, and by which edit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use proptest::sample::select;
use rulectl::detect::{Finding, Joined, Joint, JointWindows};
use rulectl::event::{Digest, Nanos, Time};
use rulectl::geo::Databases;
use rulectl::lab::diff::effect::{About, Cause, Changed, Delta, Effect, Field, How, Kind, One};
use rulectl::lab::diff::{Side, effect, folder};
use rulectl::okta::Mapping;
use rulectl::pipeline::{Counts, JointSink, Outcome, Settings, detect_jointly};
use rulectl::policy;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{lay_over, lines, memory, root, run, sign_in, small_folder};

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

/// Correlations of several kinds over days, whose numbers are replaced.
const LONG: &str = "\
title: Failed sign-in
name: failed
logsource: {product: okta}
detection: {s: {outcome.result: FAILURE}, condition: s}
---
title: Successful sign-in
name: succeeded
logsource: {product: okta}
detection: {s: {outcome.result: SUCCESS}, condition: s}
---
title: Burst
name: burst
level: medium
correlation: {type: event_count, rules: [failed], group-by: [actor.alternateId], timespan: 20m, condition: {gte: 2}}
rulectl: {suppress: SUPPRESS}
---
title: Guessed
name: guessed
level: medium
correlation: {type: temporal_ordered, rules: [failed, succeeded], group-by: [actor.alternateId], timespan: 15m}
---
title: Still out
name: still_out
level: medium
correlation: {type: absent, rules: [failed, succeeded], group-by: [actor.alternateId], timespan: 30m}
---
title: Busy
name: busy
level: medium
correlation: {type: event_count, rules: [burst], timespan: 2h, condition: {gte: 2}}
rulectl: {suppress: 10m}
";

/// Three days of sign-ins, which come in bursts.
fn days() -> impl Strategy<Value = Vec<Value>> {
    let burst = (
        select(vec!["ann", "bob", "cleo", "dan", "eve"]),
        0..(3 * 24 * 60_i64),
        proptest::collection::vec((0..40_i64, any::<bool>()), 1..8),
    );
    proptest::collection::vec(burst, 150..250).prop_map(|bursts| {
        let events = bursts.iter().flat_map(|(who, start, events)| {
            events.iter().map(move |(minutes, succeeds)| {
                let result = if *succeeds { "SUCCESS" } else { "FAILURE" };
                sign_in(who, result, (start + minutes) * 60)
            })
        });
        events.collect()
    })
}

/// Pairs the findings of two runs as it is documented, all at once: those that are the same, then
/// by the largest overlap, then the earliest.
fn pairs(base: &[Outcome], head: &[Outcome]) -> Vec<(Uuid, Uuid)> {
    let is_same = |one: &Outcome, other: &Outcome| {
        let continued = |outcome: &Outcome| {
            let mut outcome = outcome.clone();
            outcome.finding.continues = outcome.finding.continues.map(|_| Uuid::nil());
            outcome
        };
        one.finding.id == other.finding.id && continued(one) == continued(other)
    };
    let mut paired: Vec<(Uuid, Uuid)> = Vec::new();
    let mut overlaps = Vec::new();
    for one in base.iter().map(|outcome| (outcome, &outcome.finding)) {
        for other in head.iter().map(|outcome| (outcome, &outcome.finding)) {
            let ((was, old), (is, new)) = (one, other);
            if old.rule != new.rule || old.group != new.group {
                continue;
            }
            if is_same(was, is) {
                paired.push((old.id, new.id));
            } else if old.count == 1 && new.count == 1 {
                if old.anchor == new.anchor {
                    overlaps.push((Reverse(Nanos(0)), old.first_seen, old.id, new.id));
                }
            } else {
                let start = old.first_seen.max(new.first_seen);
                let end = old.last_seen.min(new.last_seen);
                if let Some((start, end)) = start.zip(end).filter(|(start, end)| start <= end) {
                    overlaps.push((Reverse(end.since(start)), Some(start), old.id, new.id));
                }
            }
        }
    }
    overlaps.sort_by_key(|(overlap, start, ..)| (*overlap, *start));
    for (.., old, new) in overlaps {
        if paired
            .iter()
            .all(|(one, other)| *one != old && *other != new)
        {
            paired.push((old, new));
        }
    }
    paired
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
    /// Findings are paired before the log ends, and as if all of them had waited for its end.
    #[test]
    fn findings_are_paired_whenever_nothing_more_can_come(
        events in days(),
        suppress in select(vec!["0s", "10m", "3h"]),
        edit in select(vec![
            ("gte: 2}}\nrulectl: {suppress: SUPPRESS}", "gte: 3}}\nrulectl: {suppress: SUPPRESS}"),
            ("suppress: SUPPRESS", "suppress: 25m"),
            ("timespan: 20m", "timespan: 7m"),
            ("timespan: 15m", "timespan: 40m"),
            ("timespan: 30m", "timespan: 50m"),
            ("timespan: 2h", "timespan: 9h"),
        ]),
    ) {
        let (from, to) = edit;
        let of = |rules: &str| side(&rules.replace("SUPPRESS", suppress), &[]);
        let (base, head) = (of(LONG), of(&LONG.replace(from, to)));
        let effect = diff(&base, &head, &events);
        let [old, new] = [&base, &head].map(|side| run(&side.policy, &events).outcomes);
        let ids = |outcomes: &[Outcome]| -> BTreeSet<Option<Uuid>> {
            outcomes.iter().map(|outcome| Some(outcome.finding.id)).collect()
        };
        let (mut removed, mut added) = (ids(&old), ids(&new));
        let mut same = BTreeSet::new();
        for (one, other) in pairs(&old, &new) {
            prop_assert!(removed.remove(&Some(one)) && added.remove(&Some(other)));
            same.insert((Some(one), Some(other)));
        }
        let delta = &effect.findings;
        prop_assume!(delta.left_out == 0);
        let told = |ones: &[One]| ones.iter().map(|one| one.subject.finding).collect::<BTreeSet<_>>();
        prop_assert_eq!(told(&delta.removed), removed);
        prop_assert_eq!(told(&delta.added), added);
        for changed in &delta.changed {
            prop_assert!(same.contains(&(changed.base.finding, changed.head.finding)));
        }
    }
}

/// A rule and a group, whose values are folded.
type Of = (Uuid, Vec<String>);

fn of(finding: &Finding) -> Of {
    let group = finding.group.values().map(|value| value.to_lowercase());
    (finding.rule, group.collect())
}

/// Asks after every match what may still come, and holds every finding against the answers.
#[derive(Default)]
struct Foretold {
    reaches: BTreeMap<Of, Option<Time>>,
    broken: Vec<String>,
}

impl JointSink for Foretold {
    fn finding(&mut self, _: &[usize], finding: Finding) -> std::io::Result<()> {
        if finding.first_seen < self.reaches[&of(&finding)] {
            self.broken.push(format!("{finding:?}"));
        }
        Ok(())
    }

    fn advanced(&mut self, windows: &JointWindows<'_, '_>) {
        let come = windows.to_come().expect("events have a time");
        for ((rule, group), reaches) in &mut self.reaches {
            *reaches = (*reaches).max(Some(come.reaches(&[*rule], group)));
        }
    }

    fn met(&mut self, _: &JointWindows<'_, '_>, _: &Counts) -> std::io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) })]
    /// No finding reaches further back than was ever foretold of its rule and group, and for each
    /// that is later than the log begins it is foretold at last that it is over.
    #[test]
    fn findings_reach_no_further_back_than_foretold(
        events in days(),
        suppress in select(vec!["0s", "10m", "3h"]),
    ) {
        let sides = [LONG.replace("SUPPRESS", suppress), LONG.replace("SUPPRESS", "1h")];
        let sides = sides.map(|rules| side(&rules, &[]));
        let joined = sides.iter().map(|side| Joined {
            detector: &side.policy.detector,
            rules: &side.policy.rules,
            outside: Digest::of(b""),
        });
        let joined: Vec<Joined<'_>> = joined.collect();
        let joint = Joint::new(&joined);
        let findings = sides.iter().flat_map(|side| run(&side.policy, &events).outcomes);
        let findings: Vec<Finding> = findings.map(|outcome| outcome.finding).collect();
        let mut sink = Foretold {
            reaches: findings.iter().map(|finding| (of(finding), None)).collect(),
            ..Foretold::default()
        };
        let inputs = vec![memory(lines(&events).into_bytes())];
        detect_jointly(&joint, inputs, &settings(1), &mut sink, &|_| {}).expect("it runs");
        prop_assert!(sink.broken.is_empty(), "{:?}", sink.broken);
        // A day is the longest that a finding stays open.
        let last = findings.iter().filter_map(|finding| finding.last_seen).max();
        for finding in &findings {
            if last.zip(finding.last_seen).is_some_and(|(last, seen)| last.since(seen) > Nanos::DAY) {
                prop_assert!(sink.reaches[&of(finding)] > finding.last_seen);
            }
        }
    }
}

#[test]
fn drafts_are_compared_and_what_they_show_is_an_edit() {
    let log = || {
        let log = fs::read(root().join("fixtures/logs/demo-day.ndjson")).expect("the log");
        vec![memory(log)]
    };
    let changed = |side: &Side, file: &str, from: &str, to: &str| edited(side, &[(file, from, to)]);
    let policy = small_folder();
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
