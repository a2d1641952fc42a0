//! The schemas of the formats: they take every good file, and know the keys that the decoders do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jsonschema::Validator;
use rulectl::diag::{Problems, Severity};
use rulectl::document::{parse_toml, parse_yaml_documents};
use rulectl::lab::all_suites;
use rulectl::policy;
use rulectl::schema::{Format, schema};
use rulectl::slots;
use serde_json::Value;

use crate::harness::{program, root};

fn validator(format: Format) -> Validator {
    jsonschema::draft202012::options()
        .build(&schema(format))
        .expect("a schema")
}

/// The documents of a file as JSON; nothing where it cannot be parsed.
fn documents(name: &str, text: &str) -> Vec<Value> {
    let mut problems = Problems::default();
    let file = problems.add_file(name, text);
    let nodes = match name.rsplit('.').next() {
        Some("toml") => parse_toml(file, text, &mut problems).into_iter().collect(),
        Some("md") => {
            let front = slots::split(text).map_or("", |(front, _)| front);
            parse_yaml_documents(file, front, &mut problems)
        }
        _ => parse_yaml_documents(file, text, &mut problems),
    };
    nodes.iter().map(|node| node.to_json()).collect()
}

/// Every file of a policy folder that has a format, by its path there.
fn files(policy: &Path) -> Vec<(String, Format, String)> {
    let mut found = Vec::new();
    for part in ["rules", "prompts", "fixtures"] {
        below(policy, part, &mut found);
    }
    for name in ["routing.toml", "tools.yaml"] {
        if policy.join(name).is_file() {
            found.push(name.to_owned());
        }
    }
    found.sort();
    let of_format = found.into_iter().filter_map(|name| {
        let format = Format::of(&name)?;
        let is_suite = name.ends_with(".test.yml");
        let is_other = format == Format::Tests && !is_suite;
        let text = fs::read_to_string(policy.join(&name)).ok()?;
        (!is_other).then_some((name, format, text))
    });
    of_format.collect()
}

fn below(policy: &Path, part: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(policy.join(part)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = format!("{part}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            below(policy, &name, found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn every_good_file_is_taken() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let validators: Vec<(Format, Validator)> = Format::ALL
        .into_iter()
        .map(|(_, format)| (format, validator(format)))
        .collect();
    let mut hold = |format: Format, name: &str, text: &str| {
        seen.insert(format.as_str());
        let (_, validator) = validators.iter().find(|(of, _)| *of == format).unwrap();
        for document in documents(name, text) {
            let errors = validator.iter_errors(&document);
            wrong.extend(
                errors.map(|error| format!("{name}: {}: {error:.200}", error.instance_path())),
            );
        }
    };
    for policy in [
        "",
        "tests/power",
        "tests/diff/policy",
        "tests/diagnostics/good",
    ] {
        for (name, format, text) in files(&root().join(policy)) {
            hold(format, &format!("{policy}/{name}"), &text);
        }
    }
    let sigma = root().join("fixtures/sigma");
    let mut found = Vec::new();
    below(&sigma, ".", &mut found);
    let rules = found.iter().filter(|name| name.ends_with(".yml"));
    let mut count = 0;
    for name in rules {
        hold(
            Format::Rules,
            name,
            &fs::read_to_string(sigma.join(name)).unwrap(),
        );
        count += 1;
    }
    assert!(count > 20, "{count} rules of SigmaHQ");
    assert_eq!(seen.len(), Format::ALL.len());
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn files_of_another_form_are_not() {
    let folder = root().join("tests/diagnostics");
    for name in [
        "unknown-keys/routing.toml",
        "unknown-keys/tools.yaml",
        "unknown-keys/prompts/risk.md",
    ] {
        let format = Format::of(name.split_once('/').unwrap().1).unwrap();
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let validator = validator(format);
        let documents = documents(name, &text);
        assert!(!documents.is_empty(), "{name}");
        assert!(
            documents.iter().all(|one| !validator.is_valid(one)),
            "{name}"
        );
    }
    let detection =
        "title: x\nlogsource: {product: okta}\ndetection: {s: {eventType: a}, condition: s}\n";
    let correlation =
        |rest: &str| format!("title: x\ncorrelation: {{rules: [a], timespan: 1h, {rest}}}\n");
    assert!(validator(Format::Rules).is_valid(&documents("x.yml", detection)[0]));
    for (format, text) in [
        (Format::Rules, detection.replace("title: x\n", "")),
        (
            Format::Rules,
            detection.replace("logsource: {product: okta}\n", ""),
        ),
        (Format::Rules, detection.replace(", condition: s", "")),
        (
            Format::Rules,
            detection.replace("eventType:", "eventType|contians:"),
        ),
        (
            Format::Rules,
            detection.replace("eventType: a", "eventType: {a: b}"),
        ),
        (
            Format::Rules,
            detection.replace("eventType: a", "eventType: []"),
        ),
        (Format::Rules, detection.replace("{eventType: a}", "{}")),
        (Format::Rules, format!("{detection}level: grave\n")),
        (Format::Rules, format!("{detection}tags: a\n")),
        (Format::Rules, format!("{detection}correlation: {{}}\n")),
        (
            Format::Rules,
            format!("{detection}rulectl: {{finding_type: burst}}\n"),
        ),
        (
            Format::Rules,
            format!("{detection}rulectl: {{risk: {{impact: 2}}}}\n"),
        ),
        (
            Format::Rules,
            format!("{detection}rulectl: {{suppress: 10}}\n"),
        ),
        (Format::Rules, "title: x\n".to_owned()),
        (
            Format::Rules,
            correlation("type: event_cuont, condition: {gte: 1}"),
        ),
        (Format::Rules, correlation("type: event_count")),
        (
            Format::Rules,
            correlation("type: event_count, condition: {}"),
        ),
        (
            Format::Rules,
            correlation("type: value_count, condition: {gte: 1}"),
        ),
        (
            Format::Rules,
            correlation("type: absent, condition: {gte: 1}"),
        ),
        (
            Format::Rules,
            correlation("type: consecutive, condition: {travel: {latitude: a}}"),
        ),
        (
            Format::Rules,
            format!(
                "{}rulectl: {{group-by: [a]}}\n",
                correlation("type: absent")
            ),
        ),
        (Format::Tests, "suite: x\ncases: []\n".to_owned()),
        (
            Format::Tests,
            "suite: x\ncases: [{name: a, events: [], expect: {}}]\n".to_owned(),
        ),
        (
            Format::Tests,
            "suite: x\ncases: [{name: a, events: [], expect: {findings: [{ruel: b}]}}]\n"
                .to_owned(),
        ),
        (
            Format::Tests,
            "suite: x\ncases: [{name: a, events: [{repeat: two}], expect: {findings: 1}}]\n"
                .to_owned(),
        ),
        (
            Format::Tools,
            "commands: {a: {system: okta_api, description: b}}\n".to_owned(),
        ),
        (
            Format::Tools,
            "commands: {a: {system: okta_api, description: b, get: /api/v1/x, put: /api/v1/x}}\n"
                .to_owned(),
        ),
        (Format::Tools, "tools: []\ncommands: {}\n".to_owned()),
    ] {
        let documents = documents("x.yml", &text);
        assert_eq!(documents.len(), 1, "{text}");
        assert!(!validator(format).is_valid(&documents[0]), "{text}");
    }
}

/// Files in which one thing differs from a good one, and whether `check` takes them: so does the
/// schema.
#[test]
fn the_schemas_take_what_check_takes() {
    const DETECTION: &str =
        "title: x\nlogsource: {product: okta}\ndetection: {s: {eventType: a}, condition: s}\n";
    const CORRELATION: &str = "title: x\ncorrelation: {type: event_count, rules: [failed_login], timespan: 1h, condition: {gte: 2}}\n";
    let good =
        |name: &str| fs::read_to_string(root().join("tests/diagnostics/good").join(name)).unwrap();
    let rule = |inside: &str| ("rules/x.yml", format!("{DETECTION}{inside}\n"));
    let block = |inside: &str| rule(&format!("rulectl: {{{inside}}}"));
    let counted = |inside: &str| ("rules/x.yml", format!("{CORRELATION}{inside}\n"));
    let case = |inside: &str| {
        block(&format!(
            "tests: [{{name: a, expect: {{findings: 0}}, {inside}}}]"
        ))
    };
    let of_log = |from: &str, to: &str| {
        let text = good("tools.yaml");
        assert!(text.contains(from), "no `{from}` in {text}");
        ("tools.yaml", text.replacen(from, to, 1))
    };
    let slot = |name: &str| {
        let agent = format!("[agents.x]\ndescription = \"a\"\nruns = \"slot:{name}\"\n");
        let slot = format!("[slots.\"{name}\"]\nprompt = \"prompts/x.md\"\ndefault = {{}}\n");
        (
            "routing.toml",
            format!("{}\n{agent}{slot}", good("routing.toml")),
        )
    };
    for ((file, text), is_good) in [
        (rule(""), true),
        (rule("rulectl: null"), true),
        (rule("correlation: null"), false),
        (rule("correlation: {type: absent}"), false),
        (rule("filter: {}"), false),
        (rule("accessors: {}"), false),
        (counted("detection: {}"), false),
        (counted("filter: {}"), false),
        (counted("accessors: {}"), false),
        (counted("rulectl: null"), true),
        (counted("rulectl: {group-by: [actor.id]}"), false),
        (counted("rulectl: {group-by: null}"), false),
        (block("group-by: null"), true),
        (block("group-by: []"), true),
        (block("tests: []"), true),
        (block("tests: null"), false),
        (block("suppress: 292y"), true),
        (block("suppress: 300y"), false),
        (block("suppress: 100000y"), false),
        (block("suppress: 00010m"), true),
        (block("suppress: 99999999999s"), false),
        (case("events: [], start: 2026-01-01T00:00:00Z"), true),
        (case("events: [], start: '2026-01-01 00:00:00'"), true),
        (
            case("events: [], start: '2026-01-01T00:00:00.5+02:00'"),
            true,
        ),
        (case("events: [], start: yesterday"), false),
        (case("events: [], start: 2026-13-01T00:00:00Z"), false),
        (case("events: [], start: '2026-01-01'"), false),
        (case("events: [{eventType: a, repeat: 100000}]"), true),
        (case("events: [{eventType: a, repeat: 100001}]"), false),
        (of_log("{userId}", "{userID}"), false),
        (of_log("{userId}", "{userId"), false),
        (of_log("{userId}", "{userId}{userId}"), true),
        (slot("a b"), false),
    ] {
        let format = Format::of(file).unwrap();
        let documents = documents(file, &text);
        let [document] = documents.as_slice() else {
            panic!("{text}")
        };
        let mut texts: Vec<(String, Arc<str>)> = files(&root().join("tests/diagnostics/good"))
            .into_iter()
            .filter(|(name, ..)| name != file)
            .map(|(name, _, text)| (name, text.into()))
            .collect();
        texts.push((file.to_owned(), text.as_str().into()));
        let texts = texts
            .iter()
            .map(|(name, text)| (name.as_str(), Arc::clone(text)));
        let mut loaded = policy::load_texts(texts);
        all_suites(&root().join("tests/diagnostics/good"), &mut loaded);
        let told: Vec<&str> = loaded
            .problems
            .sorted()
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| problem.message.as_str())
            .collect();
        assert_eq!(told.is_empty(), is_good, "check: {text}{told:?}");
        assert_eq!(
            validator(format).is_valid(document),
            is_good,
            "schema: {text}"
        );
    }
}

/// The keys that a decoder knows of the mapping in which `zzzzzz` stands, as its problem lists them.
fn known_to_the_decoder(file: &str, text: &str) -> BTreeSet<String> {
    let good = root().join("tests/diagnostics/good");
    let mut texts: Vec<(String, Arc<str>)> = files(&good)
        .into_iter()
        .filter(|(name, ..)| name != file)
        .map(|(name, _, text)| (name, text.into()))
        .collect();
    texts.push((file.to_owned(), text.into()));
    let texts = texts
        .iter()
        .map(|(name, text)| (name.as_str(), Arc::clone(text)));
    let mut loaded = policy::load_texts(texts);
    all_suites(&good, &mut loaded);
    let listed = loaded.problems.sorted().into_iter().find_map(|problem| {
        let help = problem.help()?;
        let is_it = problem.message == "unknown key `zzzzzz`";
        is_it.then(|| help.strip_prefix("known here: ").map(str::to_owned))?
    });
    let listed = listed.unwrap_or_else(|| panic!("no list for {text}"));
    listed
        .split(", ")
        .map(|key| key.trim_matches('`').to_owned())
        .collect()
}

/// The keys of the mapping to which steps of a schema lead: properties, items and choices are gone
/// through as they come.
fn known_to_the_schema(format: Format, pointer: &str) -> BTreeSet<String> {
    let schema = schema(format);
    let mapping = schema
        .pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer}"));
    assert_eq!(mapping["additionalProperties"], false, "{pointer}");
    let keys = mapping["properties"].as_object().expect("keys");
    keys.keys().cloned().collect()
}

#[test]
fn the_schemas_know_the_keys_that_the_decoders_know() {
    let good =
        |name: &str| fs::read_to_string(root().join("tests/diagnostics/good").join(name)).unwrap();
    let detection =
        "title: x\nlogsource: {product: okta}\ndetection: {s: {eventType: a}, condition: s}\n";
    let block = |inside: &str| ("rules/x.yml", format!("{detection}rulectl: {{{inside}}}\n"));
    let correlation = |inside: &str| {
        (
            "rules/x.yml",
            format!(
                "title: x\ncorrelation: {{rules: [failed_login, b], timespan: 1h, {inside}}}\n"
            ),
        )
    };
    let condition = |of: &str, inside: &str| {
        correlation(&format!("type: {of}, condition: {{zzzzzz: 1, {inside}}}"))
    };
    let routing = |table: &str| {
        (
            "routing.toml",
            format!("{}\n{table}\nzzzzzz = 1\n", good("routing.toml")),
        )
    };
    let case = |inside: &str| block(&format!("tests: [{{name: a, {inside}}}]"));
    let of_type = |at: usize, rest: &str| {
        format!("/$defs/correlation/allOf/{at}/then/properties/condition{rest}")
    };
    let tests = "/$defs/rulectl/properties/tests/items";
    let agents = "/properties/agents/additionalProperties";
    let rows: Vec<((&str, String), Format, String)> = vec![
        (block("zzzzzz: 1"), Format::Rules, "/$defs/rulectl".to_owned()),
        (block("risk: {zzzzzz: 1}"), Format::Rules, "/$defs/rulectl/properties/risk".to_owned()),
        (block("floor: {zzzzzz: 1}"), Format::Rules, "/$defs/rulectl/properties/floor".to_owned()),
        (block("script: {zzzzzz: 1}"), Format::Rules, "/$defs/rulectl/properties/script/anyOf/1".to_owned()),
        (correlation("type: absent, zzzzzz: 1"), Format::Rules, "/$defs/correlation".to_owned()),
        (("rules/x.yml", "title: x\ncorrelation: {type: event_count, rules: {zzzzzz: 1}, timespan: 1h, condition: {gte: 1}}\n".to_owned()), Format::Rules, "/$defs/correlation/properties/rules/anyOf/2".to_owned()),
        (condition("value_count", "field: a, gte: 1"), Format::Rules, of_type(1, "")),
        (condition("value_percentile", "field: a, gte: 1"), Format::Rules, of_type(4, "")),
        (condition("value_median", "field: a, gte: 1"), Format::Rules, of_type(5, "")),
        (condition("consecutive", "travel: {latitude: a, longitude: b}"), Format::Rules, of_type(8, "")),
        (correlation("type: consecutive, condition: {travel: {latitude: a, longitude: b, zzzzzz: 1}}"), Format::Rules, of_type(8, "/properties/travel")),
        (correlation("type: consecutive, condition: {without_coordinates: {country: a, within: 1h, zzzzzz: 1}}"), Format::Rules, of_type(8, "/properties/without_coordinates")),
        (condition("first_seen", "field: a"), Format::Rules, of_type(9, "")),
        (case("events: [], expect: {findings: 1}, zzzzzz: 1"), Format::Rules, tests.to_owned()),
        (case("events: {file: x, zzzzzz: 1}, expect: {findings: 1}"), Format::Rules, format!("{tests}/properties/events/anyOf/1")),
        (case("events: [{from: {file: x, zzzzzz: 1}}], expect: {findings: 1}"), Format::Rules, format!("{tests}/properties/base/properties/from")),
        (case("events: [], expect: {zzzzzz: 1}"), Format::Rules, format!("{tests}/properties/expect")),
        (case("events: [], expect: {plans: [{zzzzzz: 1}]}"), Format::Rules, format!("{tests}/properties/expect/properties/plans/anyOf/1/items")),
        (case("events: [], expect: {findings: [{zzzzzz: 1}]}"), Format::Rules, format!("{tests}/properties/expect/properties/findings/anyOf/1/items")),
        (("routing.toml", format!("zzzzzz = 1\n{}", good("routing.toml"))), Format::Routing, String::new()),
        (routing("[agents.x]\ndescription = \"a\"\nruns = \"commands\""), Format::Routing, agents.to_owned()),
        (routing("[[route.incident.require_when]]\nseverity = [\"high\"]\nagents = []"), Format::Routing, "/properties/route/properties/incident/properties/require_when/items".to_owned()),
        (("routing.toml", good("routing.toml").replace("[route.incident]", "[route.incident]\nzzzzzz = 1")), Format::Routing, "/properties/route/properties/incident".to_owned()),
        (("routing.toml", good("routing.toml").replace("[promotion]", "[promotion]\nzzzzzz = 1")), Format::Routing, "/properties/promotion".to_owned()),
        (("routing.toml", good("routing.toml").replace("[plan]", "[plan]\nzzzzzz = 1")), Format::Routing, "/properties/plan".to_owned()),
        (("routing.toml", good("routing.toml").replace("[slots.risk]", "[slots.risk]\nzzzzzz = 1")), Format::Routing, "/properties/slots/properties/risk".to_owned()),
        (routing("[audit]"), Format::Routing, "/properties/audit".to_owned()),
        (routing("[gate]"), Format::Routing, "/properties/gate".to_owned()),
        (routing("[gate.rules.x]"), Format::Routing, "/properties/gate/properties/rules/additionalProperties".to_owned()),
        (routing("[[gate.waivers]]\nclause = \"lost_findings\""), Format::Routing, "/properties/gate/properties/waivers/items".to_owned()),
        (("tools.yaml", "commands: {a: {system: okta_api, description: b, get: /api/v1/x, zzzzzz: 1}}\n".to_owned()), Format::Tools, "/properties/commands/additionalProperties".to_owned()),
        (("tools.yaml", "commands: {}\ntools: {a: {description: b, get: /api/v1/x, columns: {id: /id}, zzzzzz: 1}}\n".to_owned()), Format::Tools, "/properties/tools/additionalProperties".to_owned()),
        (("tools.yaml", "commands: {}\ntools: {a: {description: b, get: /api/v1/x, columns: {id: /id}, params: {q: {in: filter, attribute: a, operator: eq, schema: {}, zzzzzz: 1}}}}\n".to_owned()), Format::Tools, "/properties/tools/additionalProperties/properties/params/additionalProperties".to_owned()),
        (("tools.yaml", "commands: {}\ntools: {a: {description: b, get: /api/v1/x, columns: {id: /id}, patterns: [{form: x, with: {}, zzzzzz: 1}]}}\n".to_owned()), Format::Tools, "/properties/tools/additionalProperties/properties/patterns/items/anyOf/1".to_owned()),
        (("tools.yaml", "commands: {}\nrecipes: {a: {description: b, steps: [], zzzzzz: 1}}\n".to_owned()), Format::Tools, "/properties/recipes/additionalProperties".to_owned()),
        (("prompts/risk.md", good("prompts/risk.md").replacen("---\n", "---\nzzzzzz: 1\n", 1)), Format::Prompts, String::new()),
        (("prompts/risk.md", good("prompts/risk.md").replacen("---\n", "---\nlimits: {zzzzzz: 1}\n", 1)), Format::Prompts, "/properties/limits".to_owned()),
    ];
    for ((file, text), format, pointer) in rows {
        let schema = known_to_the_schema(format, &pointer);
        assert_eq!(schema, known_to_the_decoder(file, &text), "{pointer}");
    }
}

#[test]
fn the_program_prints_and_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let written = program()
        .args(["schema", "--write"])
        .arg(folder.path().join("schemas"))
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    for (name, format) in Format::ALL {
        let printed = program().args(["schema", name]).output().unwrap();
        let file = fs::read(folder.path().join(format!("schemas/{name}.json"))).unwrap();
        assert_eq!(printed.stdout, file, "{name}");
        let printed: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(printed, schema(format), "{name}");
        assert_eq!(printed["$id"], format!("urn:rulectl:schema:{name}"));
    }
    let unknown = program().args(["schema", "rule"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(3));
    assert_eq!(
        program().arg("schema").output().unwrap().status.code(),
        Some(3)
    );
}

/// The committed schemas, which editors are told of in `docs/editors.md`: `rulectl schema --write schemas`.
#[test]
fn the_committed_schemas_are_current() {
    for (name, format) in Format::ALL {
        let path = root().join(format!("schemas/{name}.json"));
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
        assert!(
            committed == schema(format),
            "`rulectl schema --write schemas` writes {name} anew"
        );
    }
}
