//! The bundled logs and rules, read as their README says.

use std::collections::BTreeMap;
use std::fs;

use rulectl::diag::{Problems, Severity};
use rulectl::okta::Mapping;
use rulectl::pipeline::Counts;
use rulectl::policy;
use rulectl::source::Input;

use crate::harness::{Received, lay_over, log, policy_of, root, run_inputs, small};

/// A rule that every event satisfies, whatever it holds.
const EVERYTHING: &str = "title: any\nlogsource: {product: okta}\ndetection:\n  s: {there.is.no.such.field: null}\n  condition: s\n";

fn read(name: &str, mapping: Mapping, rules: &str) -> Received {
    run_inputs(&policy_of(rules), vec![Input::File(log(name))], mapping, 2)
}

#[test]
fn every_log_is_read_or_refused_as_its_readme_says() {
    struct Expect {
        events: u64,
        rejected: u64,
        without_time: u64,
        without_type: u64,
        lower_cased: u64,
    }
    let plain = |events| Expect {
        events,
        rejected: 0,
        without_time: 0,
        without_type: 0,
        lower_cased: 0,
    };
    #[rustfmt::skip]
    let cases = [
        ("demo-day.ndjson", Mapping::Auto, plain(397)),
        ("flat-demo.json", Mapping::Auto, plain(9)),
        ("flat-demo.json", Mapping::Flat, plain(9)),
        ("flat-demo.json", Mapping::Okta, Expect { without_time: 9, without_type: 9, ..plain(9) }),
        ("okta-doc-samples.ndjson", Mapping::Auto, plain(6)),
        ("odd/odd-shapes.ndjson", Mapping::Auto, Expect { without_time: 2, ..plain(26) }),
        ("event-hook.json", Mapping::Auto, plain(2)),
        ("array-pretty.json", Mapping::Auto, plain(3)),
        ("concatenated-pretty.json", Mapping::Auto, plain(3)),
        ("odd/lower-cased.ndjson", Mapping::Auto, Expect { lower_cased: 3, ..plain(3) }),
        ("odd/lower-cased.ndjson", Mapping::Lowercase, plain(3)),
        ("odd/malformed.ndjson", Mapping::Auto, Expect { rejected: 5, ..plain(4) }),
    ];
    for (name, mapping, expect) in cases {
        let received = read(name, mapping, EVERYTHING);
        let Counts {
            events,
            rejected,
            without_time,
            without_type,
            lower_cased,
            ..
        } = received.counts;
        assert_eq!(
            (events, rejected, without_time, without_type, lower_cased),
            (
                expect.events,
                expect.rejected,
                expect.without_time,
                expect.without_type,
                expect.lower_cased
            ),
            "{name} as {mapping:?}"
        );
        assert_eq!(received.failed, [] as [String; 0], "{name}");
        // None disappears: each event meets the rule that all of them satisfy.
        assert_eq!(
            received.outcomes.len() as u64,
            events - received.counts.correlation.duplicates,
            "{name} as {mapping:?}"
        );
    }
}

#[test]
fn each_malformed_line_says_what_is_wrong_with_it() {
    let received = read("odd/malformed.ndjson", Mapping::Auto, EVERYTHING);
    let shown: Vec<(u64, &str, bool)> = received
        .rejected
        .iter()
        .map(|rejected| {
            (
                rejected.line,
                rejected
                    .reason
                    .split(", at byte")
                    .next()
                    .unwrap_or_default(),
                rejected.record.is_some(),
            )
        })
        .collect();
    let expected = [
        (2, "not JSON: EOF while parsing a value", true),
        (3, "not JSON: expected value", true),
        (5, "not UTF-8 text", false),
        (8, "expected a JSON object, found a number", true),
        (9, "not JSON: trailing characters", true),
    ];
    assert_eq!(shown, expected);
    assert!(
        received
            .rejected
            .iter()
            .all(|rejected| rejected.length > 0 && rejected.input.ends_with("malformed.ndjson"))
    );
}

/// What a rule sees of each odd event: the line, and a search that it satisfies or does not.
#[test]
fn odd_shapes_mean_what_they_hold() {
    #[rustfmt::skip]
    let cases: [(&str, &[usize]); 14] = [
        ("{securityContext.isProxy: 'true'}", &[1, 4]),
        ("{securityContext.isProxy: true}", &[1, 4]),
        ("{securityContext.isProxy: null}", &[2, 3]),
        ("{securityContext.isProxy|exists: false}", &[3]),
        // An array without elements has no value, like a null.
        ("{target: null, target|exists: true, uuid|re: '0000000[57]$'}", &[5, 7]),
        ("{target|exists: false}", &[6]),
        ("{client.geographicalContext: null, client|exists: true}", &[8, 9]),
        ("{client.zone: 'null', client.ipAddress: 'null'}", &[16]),
        ("{client.ipAddress: null}", &[9]),
        ("{outcome: null}", &[24]),
        ("{debugContext.debugData.behaviors|contains: 'New IP=POSITIVE'}", &[20]),
        ("{debugContext.debugData.logOnlySecurityData|contains: '\"level\"'}", &[21]),
        ("{published: redacted}", &[14]),
        ("{published|exists: false}", &[15]),
    ];
    for (search, lines) in cases {
        let rules = format!(
            "title: odd\nlogsource: {{product: okta}}\ndetection:\n  s: {search}\n  o: {{uuid|re: '.'}}\n  condition: s and o\n"
        );
        let received = read("odd/odd-shapes.ndjson", Mapping::Auto, &rules);
        let mut seen: Vec<usize> = received
            .outcomes
            .iter()
            .flat_map(|outcome| &outcome.finding.okta_event_ids)
            .map(|uuid| {
                uuid.rsplit('-')
                    .next()
                    .and_then(|last| last.parse().ok())
                    .expect("the number of the line")
            })
            .collect();
        seen.sort_unstable();
        // The other lines may hold the everyday form of the same field.
        let everyday = |line: &usize| {
            search.contains("behaviors") || search.contains("logOnly") || lines.contains(line)
        };
        assert!(
            lines.iter().all(|line| seen.contains(line)) && seen.iter().all(everyday),
            "{search}: {seen:?}"
        );
    }
}

#[test]
fn odd_times_are_read_to_the_last_digit_or_not_at_all() {
    let received = read("odd/odd-shapes.ndjson", Mapping::Auto, EVERYTHING);
    let time = |line: usize| {
        let suffix = format!("{line:012}");
        let of = |outcome: &&rulectl::pipeline::Outcome| {
            outcome.finding.okta_event_ids[0].ends_with(&suffix)
        };
        let outcome = received
            .outcomes
            .iter()
            .find(of)
            .expect("the event of the line");
        outcome
            .finding
            .first_seen
            .map(|time| time.to_string().len())
    };
    // `2026-03-02T10:00:00` has 19 characters, then the fraction and `Z`.
    assert_eq!(
        [11, 12, 13, 14, 15].map(time),
        [Some(24), Some(27), Some(30), None, None]
    );
}

#[test]
fn the_flat_demo_has_one_burst_and_one_journey() {
    for mapping in [Mapping::Auto, Mapping::Flat] {
        let received = run_inputs(
            &small(),
            vec![Input::File(log("flat-demo.json"))],
            mapping,
            1,
        );
        let shown: Vec<_> = received
            .outcomes
            .iter()
            .map(|o| {
                (
                    o.finding.finding_type.as_str(),
                    o.finding.description.as_str(),
                    o.finding.count,
                )
            })
            .collect();
        #[rustfmt::skip]
        let expected = [
            ("FAILED_LOGIN_BURST", "5 failed logins for alice within 6m", 5),
            ("IMPOSSIBLE_TRAVEL", "bob signed in from Paris, FR and then from New York, US: 2 sign-ins within 25m", 2),
        ];
        assert_eq!(shown, expected, "{mapping:?}");
        let commands: Vec<&str> = received
            .outcomes
            .iter()
            .filter_map(|o| o.response.as_ref())
            .flat_map(|r| &r.commands)
            .map(|c| c.command.as_str())
            .collect();
        assert!(
            !commands.is_empty() && commands.iter().all(|command| !command.contains("bob")),
            "`bob` is no Okta id: {commands:?}"
        );
    }
}

/// How often a rule of SigmaHQ's matches in the demo day; the others do not.
const MATCHES: [(&str, usize); 3] = [
    ("rules/okta_password_in_alternateid_field.yml", 1),
    ("rules/okta_user_account_locked_out.yml", 1),
    ("rules/okta_user_session_start_via_anonymised_proxy.yml", 2),
];

#[test]
fn sigmahq_s_rules_load_unmodified_and_match() {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::remove_file(folder.path().join("rules/sign_in.yml")).expect("removed");
    lay_over(
        &root().join("fixtures/sigma/okta"),
        &folder.path().join("rules"),
    );
    let loaded = policy::load(folder.path());
    let problems: Vec<_> = loaded
        .problems
        .sorted()
        .into_iter()
        .map(|d| (d.severity, d.code, loaded.problems.file_name(d.span.file)))
        .collect();
    assert_eq!(
        problems,
        [(
            Severity::Warning,
            "RL0113",
            "rules/okta_session_impersonation_granted.yml"
        )]
    );
    let policy = loaded
        .policy
        .expect("warnings do not keep a policy from running");
    let mut unportable = Problems::default();
    policy::report_unportable(&policy, &mut unportable);
    assert_eq!(unportable.counts(), (0, 0));
    assert_eq!(policy.rules.len(), 24);
    let received = run_inputs(
        &policy,
        vec![Input::File(log("demo-day.ndjson"))],
        Mapping::Auto,
        2,
    );
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in &received.outcomes {
        *counts
            .entry(policy.rules[&outcome.finding.rule].file.as_str())
            .or_default() += 1;
        assert_eq!(
            outcome.finding.rule_author, policy.rules[&outcome.finding.rule].author,
            "the licence asks for the author"
        );
    }
    let counts: Vec<(&str, usize)> = counts.into_iter().collect();
    assert_eq!(counts, MATCHES);
}
