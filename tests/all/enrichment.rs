//! What databases know of addresses, where events lack it.

#[path = "../mmdb/mod.rs"]
mod mmdb;

use std::fs;
use std::path::Path;

use rulectl::geo::{Database, Databases, Holds};
use serde_json::{Value, json};

use self::mmdb::{country, database, system};
use crate::harness::{
    at, event, lines, log, policy_of, program, root, run, run_with, sign_in, small, small_folder,
    with,
};

fn countries() -> Vec<u8> {
    let networks = [
        ("192.0.2.0/25", country("FR", "France")),
        ("192.0.2.128/25", country("US", "USA")),
        ("10.0.0.0/8", country("DE", "Germany")),
        ("2001:db8::/32", country("CL", "Chile")),
    ];
    database("Test-Country", &networks)
}

fn systems() -> Vec<u8> {
    let networks = [
        ("192.0.2.0/25", system(64_496, "Example SARL")),
        ("203.0.113.0/24", system(64_511, "Hosting \"R\" Us\u{202e}")),
        ("2001:db8::/32", json!({"autonomous_system_number": 65_551})),
    ];
    database("Test-ASN", &networks)
}

/// Both databases.
fn both() -> Databases {
    let open = |bytes, holds| Database::of_bytes(bytes, "x.mmdb", holds).expect("a database");
    Databases::new(
        Some(open(countries(), Holds::Country)),
        Some(open(systems(), Holds::Asn)),
    )
}

/// The databases of the documentation are those that are written here; `BLESS=1` writes them.
#[test]
fn the_bundled_databases_are_these() {
    let bundled = [("countries.mmdb", countries()), ("systems.mmdb", systems())];
    for (name, bytes) in bundled {
        let path = root().join("fixtures/databases").join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &bytes).expect("written");
        }
        assert!(fs::read(&path).expect("a file") == bytes, "{name}");
    }
}

const COUNTRY: &str = "client.geographicalContext.country";
const NUMBER: &str = "securityContext.asNumber";
const ORG: &str = "securityContext.asOrg";

/// Every event, with what it says of its address.
const EVERY: &str = "title: every\nname: every\nlogsource: {product: okta}\ndetection:\n  s: {eventType: '*'}\n  condition: s\nrulectl:\n  metadata: [client.geographicalContext.country, securityContext.asNumber, securityContext.asOrg]\n";

/// An event, and what a finding of it has: the country, the number, the organization, and how
/// many of them come from a database.
type Row = (
    Value,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    usize,
);

fn rows() -> Vec<Row> {
    let plain = || event([("eventType", "x".into()), ("published", at(0, 0))]);
    let from = |address: &str| with(plain(), [("client.ipAddress", address.into())]);
    let (known, v6) = (|| from("192.0.2.7"), "2001:db8::7");
    let org = Some("Example SARL");
    let number = Some("64496");
    vec![
        (known(), Some("France"), number, org, 3),
        (
            with(known(), [(COUNTRY, "Chile".into())]),
            Some("Chile"),
            number,
            org,
            2,
        ),
        (
            with(known(), [(COUNTRY, Value::Null)]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(known(), [(COUNTRY, "".into())]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(known(), [(COUNTRY, json!([]))]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(known(), [(COUNTRY, json!([null, ""]))]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(known(), [(COUNTRY, json!([null, "Peru"]))]),
            Some("Peru"),
            number,
            org,
            2,
        ),
        (
            with(known(), [(COUNTRY, " ".into())]),
            Some(" "),
            number,
            org,
            2,
        ),
        (
            with(known(), [(COUNTRY, json!({"x": 1}))]),
            None,
            number,
            org,
            2,
        ),
        (
            with(known(), [("client.geographicalContext", Value::Null)]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(known(), [("securityContext", Value::Null)]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(known(), [(NUMBER, 0.into())]),
            Some("France"),
            Some("0"),
            org,
            2,
        ),
        (
            with(
                known(),
                [(NUMBER, 1.into()), (ORG, "A".into()), (COUNTRY, "B".into())],
            ),
            Some("B"),
            Some("1"),
            Some("A"),
            0,
        ),
        (from("192.0.2.200"), Some("United States"), None, None, 1),
        (
            from("::ffff:192.0.2.200"),
            Some("United States"),
            None,
            None,
            1,
        ),
        (
            from("203.0.113.9"),
            None,
            Some("64511"),
            Some("Hosting \"R\" Us\u{202e}"),
            2,
        ),
        (from(v6), Some("Chile"), Some("65551"), None, 2),
        (from("2001:DB8:0::7"), Some("Chile"), Some("65551"), None, 2),
        (from("10.1.2.3"), None, None, None, 0),
        (from("198.51.100.1"), None, None, None, 0),
        (from("192.0.2.7 "), None, None, None, 0),
        (from("192.0.2"), None, None, None, 0),
        (from(""), None, None, None, 0),
        (from(&"1".repeat(99)), None, None, None, 0),
        (plain(), None, None, None, 0),
        (
            with(plain(), [("client.ipAddress", json!(3_221_225_991_u32))]),
            None,
            None,
            None,
            0,
        ),
        (
            with(plain(), [("client.ipAddress", json!(["192.0.2.7"]))]),
            Some("France"),
            number,
            org,
            3,
        ),
        (
            with(plain(), [("client.ipAddress", json!(["192.0.2.7", v6]))]),
            None,
            None,
            None,
            0,
        ),
    ]
}

#[test]
fn what_an_event_lacks_and_nothing_else() {
    let databases = both();
    for (event, country, number, org, supplied) in rows() {
        let received = run_with(
            &mut policy_of(EVERY),
            std::slice::from_ref(&event),
            &databases,
        );
        let finding = &received.outcomes[0].finding;
        let value = |name: &str| finding.metadata.get(name).map(|values| values.join("|"));
        let found = [COUNTRY, NUMBER, ORG].map(value);
        assert_eq!(
            found,
            [country, number, org].map(|text| text.map(str::to_owned)),
            "{event}"
        );
        assert_eq!(finding.enriched.len(), supplied, "{event}");
        assert_eq!(finding.timeline[0].enriched, finding.enriched, "{event}");

        let bare = run(&policy_of(EVERY), std::slice::from_ref(&event));
        let bare = &bare.outcomes[0].finding;
        assert!(bare.enriched.is_empty() && bare.timeline[0].enriched.is_empty());
        let said = bare.metadata.values().filter(|values| **values != [""]);
        assert_eq!(said.count() + supplied, finding.metadata.len(), "{event}");
        assert_eq!(
            (bare.id, bare.anchor),
            (finding.id, finding.anchor),
            "{event}"
        );
    }
}

/// A database alone gives what it has.
#[test]
fn one_database_without_the_other() {
    let event = rows().remove(0).0;
    for (databases, fields) in [
        (Databases::NONE, vec![]),
        (
            Databases::new(
                Database::of_bytes(countries(), "x", Holds::Country).ok(),
                None,
            ),
            vec![COUNTRY],
        ),
        (
            Databases::new(None, Database::of_bytes(systems(), "x", Holds::Asn).ok()),
            vec![NUMBER, ORG],
        ),
    ] {
        let received = run_with(
            &mut policy_of(EVERY),
            std::slice::from_ref(&event),
            &databases,
        );
        assert_eq!(received.outcomes[0].finding.enriched, fields);
    }
}

/// Two sign-ins a quarter of an hour apart, of which Okta did not say where they came from.
fn travel() -> [Value; 2] {
    let from = |address: &str, seconds| {
        with(
            sign_in("ann", "SUCCESS", seconds),
            [("client.ipAddress", address.into())],
        )
    };
    [from("192.0.2.7", 0), from("192.0.2.200", 900)]
}

#[test]
fn impossible_travel_that_only_the_database_sees() {
    let mut policy = small();
    assert!(run(&policy, &travel()).outcomes.is_empty());
    let received = run_with(&mut policy, &travel(), &both());
    let finding = &received.outcomes[0].finding;
    assert_eq!(received.outcomes.len(), 1);
    assert_eq!(finding.rule_name.as_deref(), Some("impossible_travel"));
    assert_eq!(
        finding.reasons,
        ["France to United States in 15m, within 1h"]
    );
    assert_eq!(finding.enriched, [COUNTRY]);
    // The same country by its code, as other exports have it, is no travel.
    let [first, second] = travel();
    let second = with(second, [(COUNTRY, "fr".into())]);
    assert!(
        run_with(&mut small(), &[first, second], &both())
            .outcomes
            .is_empty()
    );
}

/// Only what the rule itself reads is said to be from a database.
#[test]
fn a_finding_tells_of_the_fields_that_its_rule_reads() {
    let rule = |name: &str, search: &str, more: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{product: okta}}\ndetection:\n  s: {search}\n  condition: s\n{more}---\n"
        )
    };
    let rules = [
        rule("reads", &format!("{{{COUNTRY}: France}}"), ""),
        rule("compares", &format!("{{actor.country|fieldref: {COUNTRY}}}"), ""),
        rule("says", "{eventType: x}", &format!("rulectl: {{summary: 'from {{{COUNTRY}}}'}}\n")),
        rule("groups", "{eventType: x}", &format!("rulectl: {{group-by: [{ORG}]}}\n")),
        rule("neither", "{eventType: x}", ""),
        "title: f\nlogsource: {product: okta}\nfilter:\n  rules: [filtered]\n  s: {securityContext.asNumber: 1}\n  condition: not s\n---\n".to_owned(),
        rule("filtered", "{eventType: x}", ""),
        rule("outer", "{eventType: y}", ""),
        format!("title: counted\nname: counted\ncorrelation: {{type: event_count, rules: [neither], group-by: [{COUNTRY}], timespan: 1h, condition: {{gte: 1}}, generate: true}}\n"),
    ];
    let event = event([
        ("eventType", "x".into()),
        ("published", at(0, 0)),
        ("client.ipAddress", "192.0.2.7".into()),
        ("actor.country", "FRANCE".into()),
    ]);
    let received = run_with(&mut policy_of(&rules.concat()), &[event], &both());
    let mut told: Vec<_> = received
        .outcomes
        .iter()
        .map(|outcome| &outcome.finding)
        .collect();
    told.sort_by_key(|finding| finding.rule_name.clone());
    let told: Vec<(&str, Vec<&str>)> = told
        .iter()
        .map(|finding| {
            let fields = finding.enriched.iter().map(String::as_str);
            (
                finding.rule_name.as_deref().unwrap_or_default(),
                fields.collect(),
            )
        })
        .collect();
    // The events of `neither` are grouped by the country, so that it is read with them.
    assert_eq!(
        told,
        [
            ("compares", vec![COUNTRY]),
            ("counted", vec![COUNTRY]),
            ("filtered", vec![NUMBER]),
            ("groups", vec![ORG]),
            ("neither", vec![COUNTRY]),
            ("reads", vec![COUNTRY]),
            ("says", vec![COUNTRY]),
        ]
    );
    let says = received
        .outcomes
        .iter()
        .find(|outcome| outcome.finding.rule_name.as_deref() == Some("says"));
    assert_eq!(says.expect("a finding").finding.description, "from France");
}

/// A long finding tells of an event in its middle, whose values are not kept.
#[test]
fn one_event_of_many() {
    let mut events: Vec<Value> = (0..60)
        .map(|at| with(sign_in("ann", "FAILURE", at), [(COUNTRY, "Chile".into())]))
        .collect();
    events[30] = with(
        sign_in("ann", "FAILURE", 30),
        [("client.ipAddress", "192.0.2.7".into())],
    );
    let finding = |events: &[Value]| {
        let received = run_with(&mut small(), events, &both());
        received.outcomes[0].finding.clone()
    };
    let found = finding(&events);
    assert_eq!(found.count, 60);
    assert_eq!(found.enriched, [COUNTRY]);
    assert_eq!(found.metadata[COUNTRY], ["Chile", "France"]);
    assert!(
        found
            .timeline
            .iter()
            .all(|moment| moment.enriched.is_empty())
    );
    events.remove(30);
    assert!(finding(&events).enriched.is_empty());
}

fn rulectl(folder: &Path, words: &str) -> std::process::Output {
    let mut command = program();
    command.current_dir(folder).args(words.split_whitespace());
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The shipped policy, the databases, and the events of [`travel`].
fn folder() -> tempfile::TempDir {
    let folder = small_folder();
    fs::write(folder.path().join("c.mmdb"), countries()).expect("written");
    fs::write(folder.path().join("s.mmdb"), systems()).expect("written");
    fs::write(folder.path().join("e.ndjson"), lines(&travel())).expect("written");
    folder
}

#[test]
fn a_run_says_which_databases_it_asked() {
    let folder = folder();
    let ran = rulectl(
        folder.path(),
        "run --events e.ndjson --geoip c.mmdb --asn s.mmdb",
    );
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let record = fs::read_to_string(folder.path().join("data/run.json")).expect("a run");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let digest = |bytes: &[u8]| rulectl::event::Digest::of(bytes).to_string();
    let expected = json!([
        {"holds": "country", "type": "Test-Country", "built": "2026-11-01T00:00:00Z", "sha256": digest(&countries())},
        {"holds": "asn", "type": "Test-ASN", "built": "2026-11-01T00:00:00Z", "sha256": digest(&systems())},
    ]);
    assert_eq!(record["databases"], expected);
    let findings = fs::read_to_string(folder.path().join("data/findings.jsonl")).expect("findings");
    let finding: Value = serde_json::from_str(&findings).expect("one finding");
    assert_eq!(finding["enriched"], json!([COUNTRY]));
    let id = finding["id"].as_str().expect("an id");
    let shown = text(&rulectl(folder.path(), &format!("show finding {id}")).stdout);
    assert!(
        shown.contains(&format!("{COUNTRY}: from a database")),
        "{shown}"
    );

    let ran = rulectl(folder.path(), "run --events e.ndjson");
    assert_eq!(ran.status.code(), Some(0));
    let record = fs::read_to_string(folder.path().join("data/run.json")).expect("a run");
    assert!(!record.contains("databases"), "{record}");
}

#[test]
fn lines_of_detect_tell_too() {
    let folder = folder();
    let rule = format!(
        "title: F\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {{product: okta}}\ndetection:\n  s: {{{COUNTRY}: France}}\n  condition: s\n"
    );
    fs::write(folder.path().join("f.yml"), rule).expect("written");
    for options in ["", " --sorted", " --follow"] {
        let words = format!("detect --rules f.yml --events e.ndjson --geoip c.mmdb{options}");
        let found = text(&rulectl(folder.path(), &words).stdout);
        assert!(
            found.ends_with(&format!("\"enriched\":[\"{COUNTRY}\"]}}\n")),
            "{options}: {found}"
        );
        assert_eq!(found.lines().count(), 1, "{options}");
        let words = words.replace(" --geoip c.mmdb", "");
        assert_eq!(text(&rulectl(folder.path(), &words).stdout), "");
    }
    let words = "detect --rules f.yml --events e.ndjson --geoip c.mmdb --follow --journal j.ndjson";
    assert_eq!(rulectl(folder.path(), words).status.code(), Some(0));
    let journal = fs::read_to_string(folder.path().join("j.ndjson")).expect("a journal");
    let digest = rulectl::event::Digest::of(&countries());
    let first = format!(
        "{{\"database\":{{\"holds\":\"country\",\"type\":\"Test-Country\",\"built\":\"2026-11-01T00:00:00Z\",\"sha256\":\"{digest}\"}}}}"
    );
    assert_eq!(journal.lines().next(), Some(first.as_str()));
    let words = "detect --rules rules --events e.ndjson --geoip c.mmdb";
    let found = text(&rulectl(folder.path(), words).stdout);
    assert!(
        found.ends_with(&format!("\"enriched\":[\"{COUNTRY}\"]}}\n")),
        "{found}"
    );
    let words = "detect --rules rules --events e.ndjson --geoip c.mmdb --out c.mmdb";
    let refused = rulectl(folder.path(), words);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("`--out` names a file that is read"));
}

#[test]
fn scripts_read_what_databases_know() {
    let folder = folder();
    fs::create_dir(folder.path().join("r")).expect("a folder");
    let rule = "title: S\nlogsource: {product: okta}\ndetection:\n  s: {eventType: '*'}\n  condition: s\nrulectl: {script: x.rhai#holds}\n";
    fs::write(folder.path().join("r/s.yml"), rule).expect("written");
    let script = "fn holds(event) { event.field(\"securityContext.asNumber\") == 64496 }\n";
    fs::write(folder.path().join("r/x.rhai"), script).expect("written");
    let found = rulectl(
        folder.path(),
        "detect --rules r --events e.ndjson --asn s.mmdb",
    );
    let lines = text(&found.stdout);
    assert_eq!(lines.lines().count(), 1, "{}", text(&found.stderr));
    assert!(
        lines.ends_with("\"enriched\":[\"securityContext.asNumber\"]}\n"),
        "{lines}"
    );
}

/// Where every event says where it comes from, nothing changes.
#[test]
fn a_log_that_lacks_nothing_gives_the_same_findings() {
    let folder = folder();
    let events = log("demo-day.ndjson");
    let rules = root().join("fixtures/sigma");
    let words = |databases: &str| {
        format!(
            "detect --rules {} --events {}{databases} --sorted",
            rules.display(),
            events.display()
        )
    };
    let bare = rulectl(folder.path(), &words(""));
    for threads in [1, 3] {
        let databases = format!(" --geoip c.mmdb --asn s.mmdb --threads {threads}");
        let asked = rulectl(folder.path(), &words(&databases));
        assert_eq!(text(&asked.stdout), text(&bare.stdout));
    }
    assert!(!bare.stdout.is_empty());
}

#[test]
fn suites_may_ask_databases() {
    let folder = folder();
    fs::create_dir(folder.path().join("fixtures")).expect("a folder");
    let suite = "suite: far\ncases:\n  - name: away\n    base: {eventType: user.session.start, outcome.result: SUCCESS, actor.id: ann}\n    events:\n      - {at: +0m, client.ipAddress: 192.0.2.7}\n      - {at: +9m, client.ipAddress: 192.0.2.200}\n    expect:\n      findings: [{rule: impossible_travel, enriched: [client.geographicalContext.country]}]\n";
    fs::write(folder.path().join("fixtures/far.test.yml"), suite).expect("written");
    let passed = rulectl(folder.path(), "test --geoip c.mmdb");
    assert_eq!(
        text(&passed.stdout),
        "1 passed, 0 failed\n",
        "{}",
        text(&passed.stderr)
    );
    assert_eq!(rulectl(folder.path(), "test").status.code(), Some(1));
    assert_eq!(
        rulectl(folder.path(), "test --geoip e.ndjson")
            .status
            .code(),
        Some(2)
    );
}

/// Each command refuses what is no database before it reads an event, and says all that is wrong.
#[test]
fn files_that_are_no_databases() {
    let folder = folder();
    let whole = countries();
    let mut damaged = whole.clone();
    // A record of the search tree that leads behind the file.
    damaged[..3].copy_from_slice(&[0xFF; 3]);
    fs::write(folder.path().join("cut.mmdb"), &whole[..whole.len() / 2]).expect("written");
    fs::write(folder.path().join("damaged.mmdb"), damaged).expect("written");
    fs::create_dir(folder.path().join("folder")).expect("a folder");
    for (words, errors) in [
        (
            "--geoip no.mmdb",
            vec!["`no.mmdb` cannot be read: no such file or directory"],
        ),
        ("--geoip folder", vec!["`folder` is not a regular file"]),
        (
            "--geoip e.ndjson",
            vec!["`e.ndjson` is no MaxMind database"],
        ),
        (
            "--geoip cut.mmdb",
            vec!["`cut.mmdb` is no MaxMind database"],
        ),
        ("--geoip damaged.mmdb", vec!["`damaged.mmdb` is damaged"]),
        (
            "--geoip s.mmdb --asn c.mmdb",
            vec![
                "`s.mmdb` is of the type `Test-ASN` and holds no `country.iso_code`",
                "`c.mmdb` is of the type `Test-Country` and holds no `autonomous_system_number`",
            ],
        ),
    ] {
        for command in ["run", "detect --rules rules"] {
            let refused = rulectl(
                folder.path(),
                &format!("{command} --events e.ndjson {words}"),
            );
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{words}: {said}");
            assert!(refused.stdout.is_empty());
            for error in errors.iter() {
                assert!(said.contains(&format!("error: {error}")), "{words}: {said}");
            }
        }
    }
    assert!(!folder.path().join("data/run.json").exists());
}
