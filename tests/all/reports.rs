//! What `rulectl diff --report` writes: whatever a log or a policy says, it stays text; it names
//! nobody unless it is asked to; and what machines read is what their schemas say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;

use chrono::NaiveDate;
use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::select;
use regex::Regex;
use roxmltree::{Document, Node};
use rulectl::detect::Severity;
use rulectl::gate::{Bound, Clause};
use rulectl::lab::diff::effect::{
    About, Clause as OfEdit, Differing, Doubt, Field, Lost, One, Signed, Subject,
};
use rulectl::lab::diff::{
    Breach, Changes, Effect, Judged, Outcome, Place, Side, Verdict, Waived, changes,
};
use rulectl::render::{Actors, Diffed, junit, markdown, page, sarif};
use rulectl::visible::is_deceptive;
use serde_json::Value;
use tempfile::TempDir;

use crate::diff::{effect_of, scenarios, side};
use crate::harness::{lay_over, program, root};

/// What a diff of a scenario found.
#[derive(Clone)]
struct Found {
    changes: Changes,
    effect: Effect,
    gate: Option<Verdict>,
}

impl Found {
    fn of(scenario: &Path) -> Self {
        let sides = ["base", "head"].map(|name| side(scenario, name));
        let [base, head]: &[Side; 2] = &sides;
        Self {
            changes: changes(base, head),
            effect: effect_of(scenario, base, head, 1),
            gate: None,
        }
    }

    fn told<'f>(&'f self, names: [&'f str; 2], actors: Actors) -> Diffed<'f> {
        Diffed {
            names,
            changes: &self.changes,
            effect: Some(&self.effect),
            audits: None,
            gate: self.gate.as_ref(),
            actors,
        }
    }

    /// Every report, by name.
    fn reports(&self, names: [&str; 2], actors: Actors) -> [(&'static str, String); 4] {
        let told = self.told(names, actors);
        [
            ("markdown", markdown(&told)),
            ("html", page(&told)),
            ("junit", junit(&told)),
            (
                "sarif",
                rulectl::visible::json(&sarif(&told, "")).expect("JSON"),
            ),
        ]
    }
}

fn scenario(name: &str) -> Found {
    Found::of(&root().join("tests/diff").join(name))
}

static TWO_CHANGES: LazyLock<Found> = LazyLock::new(|| scenario("two_changes"));

/// Puts a text wherever one of a log stands.
fn say_in_log(effect: &mut Effect, text: &str) {
    let about = |subject: &mut Arc<Subject>| {
        let subject = Arc::make_mut(subject);
        subject.description = text.to_owned();
        subject.actor = Some(text.to_owned());
        subject.group = BTreeMap::from([(text.to_owned(), text.to_owned())]);
    };
    let field = |name: &str| Field {
        field: name.to_owned(),
        base: Value::from(text),
        head: Value::from(vec![text]),
    };
    for delta in deltas(effect) {
        let ones = delta.added.iter_mut().chain(&mut delta.removed);
        ones.for_each(|one| about(&mut one.subject));
        for changed in &mut delta.changed {
            about(&mut changed.base);
            about(&mut changed.head);
            changed.fields.push(field("description"));
            changed.fields.push(field("metadata"));
        }
    }
    effect
        .lost
        .iter_mut()
        .for_each(|lost| about(&mut lost.one.subject));
    effect.by_actor = std::mem::take(&mut effect.by_actor)
        .into_values()
        .map(|differing| (text.to_owned(), differing))
        .collect();
    effect.doubts.push(Doubt {
        about: About::Script {
            rule: "a_rule".to_owned(),
            function: "judge".to_owned(),
            failures: 3,
            first: text.to_owned(),
        },
        decisive: true,
    });
}

fn deltas(effect: &mut Effect) -> [&mut rulectl::lab::diff::effect::Delta; 8] {
    [
        &mut effect.findings,
        &mut effect.risks,
        &mut effect.incidents,
        &mut effect.routes,
        &mut effect.plans,
        &mut effect.steps,
        &mut effect.commands,
        &mut effect.drafts,
    ]
}

/// Puts a text wherever one of a policy stands.
fn say_in_policy(found: &mut Found, text: &str) {
    let said = || text.to_owned();
    for delta in deltas(&mut found.effect) {
        for one in delta.added.iter_mut().chain(&mut delta.removed) {
            one.name = said();
            Arc::make_mut(&mut one.subject).rule = said();
        }
        for changed in &mut delta.changed {
            changed.name = said();
            Arc::make_mut(&mut changed.head).rule = said();
            for field in &mut changed.fields {
                (field.field, field.base, field.head) = (said(), said().into(), said().into());
            }
        }
    }
    for lost in &mut found.effect.lost {
        Arc::make_mut(&mut lost.one.subject).rule = said();
        lost.clauses
            .iter_mut()
            .for_each(|clause| clause.clause = said());
    }
    for edit in &mut found.effect.edits {
        (edit.part, edit.clause) = (said(), said());
        (edit.base, edit.head) = (Some(said().into()), Some(said().into()));
    }
    found
        .effect
        .by_rule
        .iter_mut()
        .for_each(|of| of.rule = said());
    found.effect.by_technique.insert(said(), Default::default());
    found.effect.doubts.push(Doubt {
        about: About::Untested {
            rule: said(),
            side: "head",
            detections: vec![said()],
        },
        decisive: false,
    });
    for guardrail in &mut found.changes.guardrails {
        (guardrail.clause, guardrail.what) = (said(), said());
        (guardrail.before, guardrail.after) = (Some(said().into()), Some(said().into()));
    }
    for change in &mut found.changes.items {
        for named in change.base.iter_mut().chain(&mut change.head) {
            named.name = said();
        }
        for detail in &mut change.details {
            (detail.what, detail.path) = (said(), said());
            (detail.before, detail.after) = (Some(said().into()), Some(said().into()));
        }
        change.through.push(said());
        if let Some(related) = &mut change.relation {
            related.why = Some(said());
            related.only_base = Some(serde_json::json!({text: text}));
        }
    }
}

/// A verdict with a clause of each outcome, which says a text.
fn a_verdict(text: &str) -> Verdict {
    let place = Place {
        file: "routing.toml".to_owned(),
        line: 7,
    };
    let waiver = |expired: bool| Waived {
        clause: Clause::LostFindings,
        of: Some(text.to_owned()),
        reason: text.to_owned(),
        until: NaiveDate::from_ymd_opt(2026, 3, 2).expect("a day"),
        expired,
        place: place.clone(),
    };
    let breach = |waiver: Option<Waived>| Breach {
        rules: BTreeSet::new(),
        of: Some(text.to_owned()),
        what: format!("3 findings of {text}"),
        at: Some(place.clone()),
        waiver,
    };
    let judged = |outcome: Outcome, breaches: Vec<Breach>| Judged {
        clause: Clause::LostFindings,
        rule: Some(text.to_owned()),
        bound: Bound::Below(Severity::High),
        place: place.clone(),
        side: "base",
        outcome,
        breaches,
    };
    Verdict {
        passed: false,
        clauses: vec![
            judged(Outcome::Passed, vec![]),
            judged(Outcome::Waived, vec![breach(Some(waiver(false)))]),
            judged(Outcome::NotJudged, vec![]),
            judged(
                Outcome::Failed,
                vec![breach(None), breach(Some(waiver(true)))],
            ),
        ],
        idle_waivers: vec![waiver(false)],
    }
}

/// Pieces of what somebody would write into a log to be more than text.
const PIECES: [&str; 42] = [
    "@admin",
    "@org/team",
    "#123",
    "GH-123",
    "org/repo#1",
    "0123456789abcdef0123456789abcdef01234567",
    "https://evil.example/x",
    "www.evil.example",
    "evil@evil.example",
    "mailto:a@b.example",
    "[x](http://y.z)",
    "![x](http://y.z/a.png)",
    "<img src=x onerror=alert(1)>",
    "</details>",
    "<script>alert(1)</script>",
    "</script>",
    "</style>",
    "<!--",
    "-->",
    "]]>",
    "&lt;",
    "|",
    "\\|",
    "`",
    "``",
    "```",
    "\\`",
    "\\",
    "**",
    "~~",
    "\n",
    "\r\n",
    "\n\n# Heading\n\n",
    "\u{202e}",
    "\u{200b}",
    ":smile:",
    "[^1]",
    "$`x`$",
    "1.",
    "- [x]",
    " ",
    "word",
];

fn a_hostile_text() -> impl Strategy<Value = String> {
    let made =
        proptest::collection::vec(select(&PIECES[..]), 1..6).prop_map(|pieces| pieces.concat());
    let apart =
        proptest::collection::vec(select(&PIECES[..]), 1..6).prop_map(|pieces| pieces.join(" "));
    let any = "\\PC{0,40}|[\u{0}-\u{2100}]{0,20}";
    prop_oneof![made, apart, any]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
    /// No text of a log or a policy is ever a mention, a link, an image, markup or another cell.
    #[test]
    fn hostile_texts_stay_texts(log in a_hostile_text(), policy in a_hostile_text()) {
        let mut found = TWO_CHANGES.clone();
        say_in_log(&mut found.effect, &log);
        say_in_policy(&mut found, &policy);
        found.gate = Some(a_verdict(&policy));
        for actors in [Actors::Named, Actors::Numbered] {
            for (name, text) in found.reports([&policy, &log], actors) {
                prop_assert!(!text.chars().any(|c| c != '\n' && is_deceptive(c)), "{}", name);
                match name {
                    "markdown" => assert_is_harmless(&text),
                    "html" => assert_is_a_page(&text),
                    "junit" => assert_is_junit(&text),
                    _ => assert_is_sarif(&text),
                }
            }
        }
    }
}

/// Reads a comment as GitHub does: it holds what we write and nothing else.
#[track_caller]
fn assert_is_harmless(text: &str) {
    let mut options = Options::default();
    options.extension.autolink = true;
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.extension.math_code = true;
    options.extension.alerts = true;
    let arena = Arena::new();
    let document = parse_document(&arena, text, &options);
    document.descendants().for_each(assert_is_ours);
    assert!(text.len() < 65_536);
    let bars = |line: &str| line.matches('|').count();
    let mut columns = 0;
    for line in text.lines() {
        match line.starts_with('|') {
            true if columns == 0 => columns = bars(line),
            true => assert_eq!(bars(line), columns, "{line}"),
            false => columns = 0,
        }
    }
}

static OURS: LazyLock<Regex> = LazyLock::new(|| {
    let ours = r"^(<!-- rulectl diff -->|<details( open)?><summary>[A-Za-z0-9 ,:]+</summary>|</details>)\n?$";
    Regex::new(ours).expect("a regex")
});
static COMMIT: LazyLock<Regex> = LazyLock::new(|| Regex::new("[0-9a-fA-F]{7}").expect("a regex"));
static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<([a-zA-Z!/][^\s>]*)").expect("a regex"));
static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| {
    let loads = r#"<[^>]*\s(on\w+|src|href|style|srcset|action)\s*="#;
    Regex::new(loads).expect("a regex")
});

#[track_caller]
fn assert_is_ours<'a>(node: &'a AstNode<'a>) {
    match &node.data.borrow().value {
        NodeValue::HtmlBlock(block) => {
            assert!(OURS.is_match(&block.literal), "{block:?}");
        }
        NodeValue::Text(text) => {
            let told = ["@", "#", "://", "www.", "GH-", "[", "<", "$", "`"];
            assert!(!told.iter().any(|part| text.contains(part)), "{text}");
            assert!(!COMMIT.is_match(text), "{text}");
        }
        NodeValue::Heading(heading) => assert_eq!(heading.level, 3),
        NodeValue::List(list) => assert_eq!(list.bullet_char, b'-'),
        NodeValue::Document
        | NodeValue::Paragraph
        | NodeValue::Code(_)
        | NodeValue::Strong
        | NodeValue::Item(_)
        | NodeValue::Table(_)
        | NodeValue::TableRow(_)
        | NodeValue::TableCell
        | NodeValue::SoftBreak => {}
        other => panic!("not ours: {other:?}"),
    }
}

/// A page has the markup that we write, one style and one script, and names nothing outside.
#[track_caller]
pub fn assert_is_a_page(text: &str) {
    let ours: BTreeSet<&str> = [
        "!DOCTYPE",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "code",
        "div",
        "p",
        "strong",
        "ul",
        "li",
        "label",
        "input",
        "button",
        "span",
        "main",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "section",
        "details",
        "summary",
        "figure",
        "figcaption",
        "svg",
        "line",
        "text",
        "g",
        "rect",
        "script",
    ]
    .into();
    let (head, rest) = text.split_once("<script>").expect("a script");
    let (script, end) = rest.split_once("</script>").expect("its end");
    for found in TAG.captures_iter(head).chain(TAG.captures_iter(end)) {
        let name = found[1].trim_start_matches('/');
        assert!(ours.contains(name), "<{name}");
    }
    assert_eq!(text.matches("<script").count(), 1);
    assert_eq!(text.matches("<style").count(), 1);
    assert!(!script.contains("innerHTML"));
    assert!(!ATTRIBUTE.is_match(head) && !ATTRIBUTE.is_match(end));
}

/// The schema of OASIS, in which one expression has a bracket too many.
static SARIF: LazyLock<Validator> = LazyLock::new(|| {
    let schema = fs::read_to_string(root().join("tests/reports/sarif-2.1.0.json"));
    let schema = schema.expect("the schema").replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
});

#[track_caller]
pub fn assert_is_sarif(text: &str) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let wrong: Vec<String> = SARIF
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

static JUNIT: LazyLock<String> = LazyLock::new(|| {
    fs::read_to_string(root().join("tests/reports/junit-10.xsd")).expect("the schema")
});

/// Holds a document against the schema: elements, where they stand, and attributes.
#[track_caller]
pub fn assert_is_junit(text: &str) {
    let schema = Document::parse(&JUNIT).expect("XML");
    let document = Document::parse(text).expect("XML");
    assert_eq!(document.root_element().tag_name().name(), "testsuites");
    for element in document.descendants().filter(Node::is_element) {
        let name = element.tag_name().name();
        let defined = schema.root_element().children().find(|node| {
            node.tag_name().name() == "element" && node.attribute("name") == Some(name)
        });
        let defined = defined.unwrap_or_else(|| panic!("no element {name}"));
        let of = |kind: &str, key: &str| -> Vec<String> {
            let nodes = defined.descendants();
            let nodes = nodes.filter(|node| node.tag_name().name() == kind);
            nodes
                .filter_map(|node| node.attribute(key))
                .map(str::to_owned)
                .collect()
        };
        let (children, attributes) = (of("element", "ref"), of("attribute", "name"));
        let children: Vec<&str> = children.iter().map(String::as_str).collect();
        for child in element.children().filter(Node::is_element) {
            assert!(
                children.contains(&child.tag_name().name()),
                "{name}: {child:?}"
            );
        }
        for attribute in element.attributes() {
            assert!(
                attributes.contains(&attribute.name().to_owned()),
                "{name}: {attribute:?}"
            );
        }
        let required = defined
            .descendants()
            .filter(|node| node.attribute("use") == Some("required"));
        for attribute in required.filter_map(|node| node.attribute("name")) {
            assert!(
                element.has_attribute(attribute),
                "{name} has no {attribute}"
            );
        }
    }
    for suite in document
        .descendants()
        .filter(|node| node.has_tag_name("testsuite"))
    {
        let count = |name: &str| {
            suite
                .descendants()
                .filter(|node| node.has_tag_name(name))
                .count()
        };
        for (attribute, name) in [
            ("tests", "testcase"),
            ("failures", "failure"),
            ("skipped", "skipped"),
        ] {
            assert_eq!(
                suite.attribute(attribute),
                Some(count(name).to_string().as_str())
            );
        }
    }
}

#[test]
fn every_pair_is_written_as_its_readers_expect_and_names_nobody() {
    let actors = actors_of_log();
    assert!(actors.len() > 10, "{actors:?}");
    for path in scenarios() {
        let found = Found::of(&path);
        for (name, text) in found.reports(["base", "head"], Actors::Numbered) {
            match name {
                "markdown" => assert_is_harmless(&text),
                "html" => assert_is_a_page(&text),
                "junit" => assert_is_junit(&text),
                _ => assert_is_sarif(&text),
            }
            // What a policy names is no secret of the log.
            let policy = serde_json::to_string(&found.changes).expect("JSON");
            for actor in actors.iter().filter(|actor| !policy.contains(*actor)) {
                assert!(
                    !text.contains(actor),
                    "{actor} in {name} of {}",
                    path.display()
                );
            }
        }
    }
}

/// The accounts, names and addresses of the log.
fn actors_of_log() -> BTreeSet<String> {
    let log = fs::read_to_string(root().join("tests/diff/logs.ndjson")).expect("the log");
    let events = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let places = [
        "/actor/id",
        "/actor/alternateId",
        "/actor/displayName",
        "/client/ipAddress",
    ];
    let said = events.flat_map(|event| {
        places.map(|place| {
            event
                .pointer(place)
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
    });
    said.flatten().collect()
}

#[test]
fn what_a_log_says_is_told_only_where_actors_are_named() {
    let mut found = scenario("two_changes");
    say_in_log(&mut found.effect, "canary-of-the-log");
    for (name, text) in found.reports(["base", "head"], Actors::Numbered) {
        assert!(!text.contains("canary-of-the-log"), "{name}");
    }
    for (name, text) in found.reports(["base", "head"], Actors::Named) {
        assert!(text.contains("canary-of-the-log"), "{name}");
    }
}

#[test]
fn the_same_actor_has_the_same_number_throughout() {
    let mut found = scenario("two_changes");
    let address = |one: &mut One| {
        Arc::make_mut(&mut one.subject).actor = Some("203.0.113.9".to_owned());
    };
    found.effect.findings.added.iter_mut().for_each(address);
    let text = markdown(&found.told(["base", "head"], Actors::Numbered));
    // What is lost comes first, then findings, risks and incidents that differ.
    for (subject, count) in [
        ("`failed_login_burst` for `actor-1` ", 2),
        ("`admin_given` for `actor-2` ", 4),
        ("`admin_given` for `actor-3` ", 4),
        ("`failed_login_burst` for `address-1` ", 1),
    ] {
        assert_eq!(text.matches(subject).count(), count, "{subject}");
    }
}

#[test]
fn a_comment_fits_whatever_there_is_to_tell() {
    let mut found = scenario("two_changes");
    let long = "word ".repeat(2_000);
    let lost: Vec<Lost> = found.effect.lost.clone();
    for number in 0..10_000 {
        let mut one = lost[number % lost.len()].clone();
        let subject = Arc::make_mut(&mut one.one.subject);
        subject.finding = Some(uuid::Uuid::from_u128(number as u128));
        subject.actor = Some(format!("actor {number}"));
        one.clauses = vec![
            OfEdit {
                clause: long.clone(),
                ..one.clauses[0].clone()
            };
            9
        ];
        found.effect.lost.push(one);
    }
    let change = found.changes.items[0].clone();
    found
        .changes
        .items
        .extend(std::iter::repeat_n(change, 5_000));
    for change in &mut found.changes.items {
        change
            .details
            .iter_mut()
            .for_each(|detail| detail.what = long.clone());
    }
    let more = Regex::new(r"\d+ more left out here: `--report json=FILE` has them");
    let more = more.expect("a regex");
    for actors in [Actors::Named, Actors::Numbered] {
        let text = markdown(&found.told([&long, &long], actors));
        assert_is_harmless(&text);
        assert!(more.is_match(&text));
        assert!(text.ends_with("</details>\n\n") || text.ends_with("names them.\n"));
        assert_eq!(
            text.matches("<details>").count(),
            text.matches("</details>").count()
        );
    }
}

#[test]
fn reports_are_the_same_bytes_each_time() {
    let both = [scenario("two_changes"), scenario("two_changes")];
    let [one, other] = both.map(|found| found.reports(["base", "head"], Actors::Numbered));
    assert_eq!(one, other);
}

/// The parts of a page, one a line: headings, drawings, the columns of each table and how many
/// entries it has.
fn outline(page: &str) -> Vec<String> {
    let part = r#"<h2>([^<]*)</h2>|<(svg) |<thead>(.*?)</thead>|<(tr) data-row>"#;
    let part = Regex::new(part).expect("a regex");
    let column = Regex::new("<button type=\"button\">([^<]*)</button>").expect("a regex");
    let mut lines: Vec<String> = Vec::new();
    let mut rows = 0;
    for found in part.captures_iter(page) {
        if found.get(4).is_some() {
            rows += 1;
            continue;
        }
        lines.extend((rows > 0).then(|| format!("  entries: {rows}")));
        rows = 0;
        lines.extend(found.get(1).map(|heading| heading.as_str().to_owned()));
        lines.extend(found.get(2).map(|_| "  a drawing".to_owned()));
        let names = found.get(3).map_or("", |columns| columns.as_str());
        let names = column.captures_iter(names);
        let names: Vec<String> = names.map(|name| name[1].to_owned()).collect();
        lines.extend((!names.is_empty()).then(|| format!("  {}", names.join(" | "))));
    }
    lines.extend((rows > 0).then(|| format!("  entries: {rows}")));
    lines
}

#[test]
fn a_page_has_these_parts() {
    let found = scenario("two_changes");
    let actual = outline(&page(&found.told(["base", "head"], Actors::Numbered))).join("\n") + "\n";
    let path = root().join("tests/diff/two_changes/page.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &actual).expect("written");
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), actual);
}

#[test]
fn the_page_names_its_own_style_and_script_by_their_digests() {
    use base64::Engine;
    use sha2::Digest;
    let found = scenario("threshold");
    let text = page(&found.told(["base", "head"], Actors::Numbered));
    for element in ["style", "script"] {
        let (_, rest) = text.split_once(&format!("<{element}>")).expect("its begin");
        let (body, _) = rest.split_once(&format!("</{element}>")).expect("its end");
        let digest = base64::prelude::BASE64_STANDARD.encode(sha2::Sha256::digest(body));
        assert!(
            text.contains(&format!("{element}-src &#39;sha256-{digest}&#39;"))
                || text.contains(&format!("{element}-src 'sha256-{digest}'")),
            "{element}"
        );
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn a_result_is_the_same_one_when_its_line_moves() {
    let mut found = scenario("guardrail_removed");
    let prints = |found: &Found| -> Vec<String> {
        let value = sarif(&found.told(["base", "head"], Actors::Numbered), "policy/");
        let results = value["runs"][0]["results"]
            .as_array()
            .expect("results")
            .clone();
        let print = |result: &Value| result["partialFingerprints"]["rulectlDiff/v1"].to_string();
        results.iter().map(print).collect()
    };
    let before = prints(&found);
    for guardrail in &mut found.changes.guardrails {
        let places = guardrail.base.iter_mut().chain(&mut guardrail.head);
        places.for_each(|place| place.line += 7);
    }
    for clause in found
        .effect
        .lost
        .iter_mut()
        .flat_map(|lost| &mut lost.clauses)
    {
        clause.line += 7;
    }
    assert_eq!(prints(&found), before);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), before.len());
    let value = sarif(&found.told(["base", "head"], Actors::Numbered), "policy/");
    let at = &value["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(at["artifactLocation"]["uri"], "policy/routing.toml");
    assert_eq!(at["artifactLocation"]["uriBaseId"], "%SRCROOT%");
}

#[test]
fn what_is_lost_and_not_attributed_is_a_result_too() {
    let mut found = scenario("threshold");
    for lost in &mut found.effect.lost {
        lost.clauses.clear();
    }
    let value = sarif(&found.told(["base", "head"], Actors::Numbered), "");
    let results = value["runs"][0]["results"].as_array().expect("results");
    let lost: Vec<&Value> = results
        .iter()
        .filter(|result| result["ruleId"] == "lost")
        .collect();
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0]["message"]["text"]
            .to_string()
            .contains("one of the edits takes")
    );
}

/// A folder with both sides of a pair.
fn sides() -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for side in ["base", "head"] {
        lay_over(&root().join("tests/diff/policy"), &place.path().join(side));
    }
    lay_over(
        &root().join("tests/diff/threshold/head"),
        &place.path().join("head"),
    );
    place
}

/// Runs the command with reports: the exit code, and what it said.
fn run(place: &Path, reports: &[&str]) -> (Option<i32>, String) {
    let mut command = program();
    command
        .current_dir(place)
        .args(["diff", "./base", "./head", "--format", "json", "--logs"]);
    command.arg(root().join("tests/diff/logs.ndjson"));
    reports.iter().for_each(|report| {
        command.args(["--report", report]);
    });
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

#[test]
fn several_reports_are_written_at_once() {
    let place = sides();
    let reports = [
        "markdown=a.md",
        "html=a.html",
        "junit=a.xml",
        "sarif=a.sarif",
        "json=a.json",
    ];
    fs::write(place.path().join("a.md"), "an old one").expect("written");
    let (code, said) = run(place.path(), &reports);
    assert_eq!(code, Some(0), "{said}");
    let text = |name: &str| fs::read_to_string(place.path().join(name)).expect("a report");
    assert_is_harmless(&text("a.md"));
    assert_is_a_page(&text("a.html"));
    assert_is_junit(&text("a.xml"));
    assert_is_sarif(&text("a.sarif"));
    assert_eq!(text("a.json"), said);
    assert!(text("a.sarif").contains("\"uri\":\"head/rules/sign_in.yml\""));
    let names = fs::read_dir(place.path()).expect("the folder").count();
    assert_eq!(names, 7, "nothing else is left behind");
}

#[test]
fn a_report_that_cannot_be_written_is_said() {
    let place = sides();
    fs::create_dir(place.path().join("folder")).expect("a folder");
    let cases: [(&[&str], i32, &str); 8] = [
        (
            &["pdf=a"],
            3,
            "no report `pdf`; there are markdown, html, junit, sarif, json",
        ),
        (
            &["html"],
            3,
            "a report is a format and a file, such as `markdown=FILE`",
        ),
        (&["html="], 3, "a report is a format and a file"),
        (
            &["html=nowhere/a"],
            3,
            "the report `nowhere/a` cannot be written: there is no folder `nowhere`",
        ),
        (
            &["html=a", "json=a"],
            3,
            "the report `a` is named for two reports",
        ),
        (
            &["html=a", "json=folder/../a"],
            3,
            "the report `folder/../a` is named for two reports",
        ),
        (&["html=folder"], 3, "the report `folder` is a folder"),
        (
            &["json=/dev/full"],
            2,
            "the report `/dev/full` cannot be written: no space left on device",
        ),
    ];
    for (reports, code, wanted) in cases {
        let (actual, said) = run(place.path(), reports);
        assert_eq!(actual, Some(code), "{reports:?}: {said}");
        assert!(said.contains(wanted), "no `{wanted}` in {said}");
    }
}

#[test]
fn the_gate_comes_first_and_decides_what_fails() {
    let mut found = scenario("guardrail_removed");
    found.gate = Some(a_verdict("a_rule"));
    let told = found.told(["base", "head"], Actors::Numbered);
    let comment = markdown(&told);
    let line = comment.lines().nth(3).unwrap_or_default();
    let gate = "**Gate: not passed, 1 failed, 1 not judged, 1 waived. Lost of severity";
    assert!(line.starts_with(gate), "{line}");
    let outcomes: Vec<&str> = comment
        .lines()
        .filter_map(|line| line.strip_prefix("| **")?.split("**").next())
        .take(4)
        .collect();
    assert_eq!(outcomes, ["failed", "not judged", "waived", "passed"]);
    assert!(comment.contains("waived until"), "{comment}");
    assert!(comment.contains("the waiver ended with"), "{comment}");
    let cases = junit(&told);
    let of = |kind: &str| cases.matches(&format!("<failure type=\"{kind}\"")).count();
    // What is weaker and what is lost is left to the gate.
    assert_eq!(
        ["gate", "inconclusive", "weaker", "lost"].map(of),
        [1, 1, 0, 0]
    );
    let value = sarif(&told, "");
    let results = value["runs"][0]["results"].as_array().expect("results");
    let of_gate: Vec<bool> = results
        .iter()
        .filter(|result| result["ruleId"] == "gate")
        .map(|result| result.get("suppressions").is_some())
        .collect();
    assert_eq!(of_gate, [true, false, false]);
    assert!(page(&told).contains("Gate: not passed, 1 failed, 1 not judged, 1 waived"));
}

#[test]
fn a_drawing_holds_as_many_days_as_there_are() {
    let cases = [
        (1, 1, u64::MAX),
        (3, 3, 7),
        (120, 120, 7),
        (121, 61, 7),
        (5_000, 120, 1),
    ];
    for (days, most, count) in cases {
        let mut found = scenario("two_changes");
        let first = NaiveDate::from_ymd_opt(2026, 3, 1).expect("a day");
        let signs = Signed {
            added: count,
            removed: count / 2,
            changed: count / 3,
        };
        let of_day = Differing {
            findings: signs,
            ..Differing::default()
        };
        let all = first.iter_days().take(days);
        found.effect.by_day = all.map(|day| (day.to_string(), of_day.clone())).collect();
        found.effect.by_day.insert("unknown".to_owned(), of_day);
        (found.effect.read.first, found.effect.read.last) = (None, None);
        let text = page(&found.told(["base", "head"], Actors::Numbered));
        let (_, rest) = text.split_once("<svg").expect("a drawing");
        let (drawing, _) = rest.split_once("</svg>").expect("its end");
        let bars = drawing.matches("<title>").count();
        assert!(
            bars <= most && bars * 2 > most.min(days),
            "{days} days: {bars} bars"
        );
        let number = |name: &str, rect: &str| -> usize {
            let (_, rest) = rect.split_once(&format!(" {name}=\"")).expect("a number");
            rest.split('"')
                .next()
                .expect("its end")
                .parse()
                .expect("a number")
        };
        for rect in drawing.split("<rect").skip(1) {
            assert!(
                number("x", rect) + number("width", rect) <= 960,
                "{days}: {rect}"
            );
            assert!(
                number("y", rect) + number("height", rect) <= 180,
                "{days}: {rect}"
            );
        }
    }
}
