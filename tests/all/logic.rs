//! The logic digest of a rule: what changes it, and what does not.

use std::fs;

use rulectl::event::Digest;

use crate::harness::{lay_over, load, root};

const RULES: &str = "\
title: Failed
id: 00000000-0000-4000-8000-000000000001
name: failed
level: low
logsource: {product: okta, service: okta, definition: the System Log}
detection:
  s:
    outcome.result: FAILURE
    client.ipAddress|cidr|expand: '%offices%'
    debugContext.debugData.risk.level: HIGH
  condition: s
rulectl: {summary: 'a failure of {actor.id}'}
---
title: Burst
id: 00000000-0000-4000-8000-000000000002
name: burst
correlation:
  type: event_count
  rules: [failed]
  group-by: [actor.alternateId]
  timespan: 10m
  condition: {gte: 3}
rulectl:
  summary: '{count} of {actor.id}'
  suppress: 5m
  metadata: [client.ipAddress]
  script: {finding: say.rhai#say}
---
title: Alerts
id: 00000000-0000-4000-8000-000000000003
name: alerts
correlation:
  type: value_count
  rules: {level: high}
  timespan: 1h
  condition: {field: rulectl.level, gte: 1}
---
title: Other
name: other
level: high
logsource: {product: okta}
detection: {s: {eventType: user.session.start}, condition: s}
---
title: Not at night
logsource: {product: okta, service: okta}
filter:
  rules: [failed]
  night: {published|hour|gte: 22}
  condition: not night
---
title: Insides
accessors: {debugContext.debugData.risk: map}
";

const LIST: &str = "# kind: networks\n192.0.2.0/24\n";
const SCRIPT: &str = "fn say(finding) { #{summary: \"much\"} }\n";

/// The digests of the three rules.
fn digests(rules: &str, list: &str, script: &str) -> [Digest; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    write("rules/sign_in.yml", rules);
    write("rules/lists/offices.txt", list);
    write("rules/say.rhai", script);
    let policy = load(folder.path());
    [1, 2, 3].map(|id| {
        let id = format!("00000000-0000-4000-8000-{id:012}")
            .parse()
            .expect("an id");
        policy.detector.logic_digest(id).expect("it runs")
    })
}

/// What is changed: a text of the rules and another, and of which of the three rules that changes the digest.
#[rustfmt::skip]
const CASES: [(&str, &str, [bool; 3]); 36] = [
    // What a rule is called, says of itself, and how it is laid out.
    ("title: Failed", "title: Something failed", [false, false, false]),
    ("title: Burst", "title: Burst # of failures", [false, false, false]),
    ("title: Burst", "title: Burst\ndescription: many\nauthor: Ann\ntags: [attack.t1110]", [false, false, false]),
    ("level: low", "level: medium", [false, false, false]),
    ("definition: the System Log", "definition: of Okta", [false, false, false]),
    ("00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000002 ", [false, false, false]),
    ("  type: event_count\n  rules: [failed]\n", "  rules:\n    - failed\n  type: 'event_count'\n", [false, false, false]),
    ("    outcome.result: FAILURE\n", "", [true, true, false]),
    ("  s:\n    outcome.result: FAILURE\n    client.ipAddress|cidr|expand: '%offices%'\n", "  s:\n    client.ipAddress|cidr|expand: '%offices%'\n    outcome.result: FAILURE\n", [false, false, false]),
    ("'a failure of {actor.id}'", "'{actor.id} failed'", [false, false, false]),
    ("'{count} of {actor.id}'", "'{hits} hits, {actor.id}'", [false, false, false]),
    ("title: Other\nname: other", "title: Others\nname: others", [false, false, false]),
    ("title: Not at night", "title: By day", [false, false, false]),
    ("rules: [failed]\n  group-by", "rules: [failed]\n  generate: true\n  group-by", [false, false, false]),
    ("rulectl:\n  summary", "rulectl:\n  finding_type: BURST\n  risk: {likelihood: 0.1}\n  floor: {score: 0.1}\n  summary", [false, false, false]),
    // What it looks for.
    ("service: okta, definition", "definition", [true, true, false]),
    ("outcome.result: FAILURE", "outcome.result: SUCCESS", [true, true, false]),
    ("outcome.result: FAILURE", "outcome.result|contains: FAILURE", [true, true, false]),
    ("risk.level: HIGH\n  condition: s", "risk.level: HIGH\n  condition: not s", [true, true, false]),
    ("type: event_count", "type: value_count", [false, true, false]),
    ("timespan: 10m", "timespan: 11m", [false, true, false]),
    ("{gte: 3}", "{gte: 4}", [false, true, false]),
    ("{gte: 3}", "{gt: 3}", [false, true, false]),
    ("group-by: [actor.alternateId]", "group-by: [actor.id]", [false, true, false]),
    // What shapes its findings.
    ("suppress: 5m", "suppress: 6m", [false, true, false]),
    ("suppress: 5m", "suppress: 5m\n  user: actor.id", [false, true, false]),
    ("metadata: [client.ipAddress]", "metadata: [client.zone]", [false, true, false]),
    ("'{count} of {actor.id}'", "'{count} of {actor.displayName}'", [false, true, false]),
    ("{finding: say.rhai#say}", "{finding: say.rhai#say2}", [false, true, false]),
    // What it has from elsewhere.
    ("gte: 22", "gte: 23", [true, true, false]),
    ("not night", "night", [true, true, false]),
    ("rules: [failed]\n  night", "rules: [other]\n  night", [true, true, true]),
    ("debugData.risk: map", "debugData.risk: json", [true, true, false]),
    ("name: alerts\n", "name: alerts\nlevel: low\n", [false, false, false]),
    ("level: high\nlogsource", "level: critical\nlogsource", [false, false, true]),
    ("eventType: user.session.start}", "eventType: user.session.end}", [false, false, true]),
];

#[test]
fn what_changes_the_logic_digest_of_a_rule() {
    let script = format!("{SCRIPT}fn say2(finding) {{ #{{summary: \"more\"}} }}\n");
    let before = digests(RULES, LIST, &script);
    assert_eq!(before, digests(RULES, LIST, &script));
    for (from, to, expected) in CASES {
        assert_eq!(RULES.matches(from).count(), 1, "{from}");
        let mut rules = RULES.replace(from, to);
        if to == "type: value_count" {
            rules = rules.replace("{gte: 3}", "{field: actor.id, gte: 3}");
        }
        if from.starts_with("rules: [failed]\n  night") || from.starts_with("service: okta") {
            rules = rules.replace(
                "logsource: {product: okta, service: okta}",
                "logsource: {product: okta}",
            );
        }
        let after = digests(&rules, LIST, &script);
        let changed = [0, 1, 2].map(|at| before[at] != after[at]);
        assert_eq!(changed, expected, "`{from}` to `{to}`");
    }
    let changed = |after: [Digest; 3]| [0, 1, 2].map(|at| before[at] != after[at]);
    let list = LIST.to_owned() + "198.51.100.0/24\n";
    assert_eq!(changed(digests(RULES, &list, &script)), [true, true, false]);
    let commented = format!("# ours\n{LIST}");
    assert_eq!(changed(digests(RULES, &commented, &script)), [false; 3]);
    let other = script.replace("much", "little");
    assert_eq!(changed(digests(RULES, LIST, &other)), [false, true, false]);
}
