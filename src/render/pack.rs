//! What the rules of a policy cover: as a table, as a layer of the ATT&CK Navigator, and as pages.
//!
//! Rules may be anybody's. What they say in prose is escaped on pages, and stands in fences as it is
//! written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use crate::diag::counted;
use crate::lab::{Covered, Held, Planned};
use crate::render::style::{Styles, styled};
use crate::visible::visible;

/// By what the rules are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverageBy {
    /// Tactic and technique of ATT&CK.
    Technique,
    /// The behaviour that a rule names.
    Behaviour,
}

/// What a rule without a tag or a behaviour is told under.
const NONE: &str = "none named";

/// The rules by technique or by behaviour, as a table for a person.
#[must_use]
pub fn coverage(rules: &[Covered], by: CoverageBy) -> String {
    let widest = rules.iter().map(|rule| visible(&rule.rule).chars().count());
    let widest = widest.max().unwrap_or_default();
    let mut out = format!("{}\n", totals(rules));
    let line = |rule: &Covered| {
        let name = visible(&rule.rule);
        let cases = format!("{} fire, {} quiet", rule.fires.len(), rule.quiet.len());
        let incident = if rule.promoted { "  incident" } else { "" };
        format!("{name:widest$}  {:13}  {cases}{incident}", rule.level)
    };
    match by {
        CoverageBy::Behaviour => {
            for (behaviour, rules) in by_behaviour(rules) {
                let _ = writeln!(out, "\n{}", styled(Styles::HEADING, &visible(behaviour)));
                for rule in rules {
                    let _ = writeln!(out, "  {}", line(rule));
                }
            }
        }
        CoverageBy::Technique => {
            let _ = writeln!(out, "\n{}", styled(Styles::HEADING, "tactics"));
            for (tactic, rules) in by_each(rules, |rule| &rule.tactics) {
                let _ = writeln!(out, "  {:24}{}", visible(tactic), rules_of(rules.len()));
            }
            let _ = writeln!(out, "\n{}", styled(Styles::HEADING, "techniques"));
            for (technique, rules) in by_each(rules, |rule| &rule.techniques) {
                let mut label = visible(technique);
                for rule in rules {
                    let _ = writeln!(out, "  {label:12}{}", line(rule));
                    label.clear();
                }
            }
        }
    }
    out
}

/// How much there is of everything.
fn totals(rules: &[Covered]) -> String {
    let behaviours: BTreeSet<&String> = rules
        .iter()
        .filter_map(|it| it.behaviour.as_ref())
        .collect();
    let techniques: BTreeSet<&String> = rules.iter().flat_map(|it| &it.techniques).collect();
    let tactics: BTreeSet<&String> = rules.iter().flat_map(|it| &it.tactics).collect();
    format!(
        "{}; {}; {} of ATT&CK under {}",
        match rules.len() {
            1 => "1 rule that reports".to_owned(),
            more => format!("{more} rules that report"),
        },
        counted(behaviours.len() as u64, "behaviour"),
        counted(techniques.len() as u64, "technique"),
        counted(tactics.len() as u64, "tactic"),
    )
}

/// The rules of each behaviour, in the order in which the rules name them first.
fn by_behaviour(rules: &[Covered]) -> Vec<(&str, Vec<&Covered>)> {
    let mut by: Vec<(&str, Vec<&Covered>)> = Vec::new();
    for rule in rules {
        let behaviour = rule.behaviour.as_deref().unwrap_or(NONE);
        match by.iter_mut().find(|(known, _)| *known == behaviour) {
            Some((_, rules)) => rules.push(rule),
            None => by.push((behaviour, vec![rule])),
        }
    }
    by.sort_by_key(|(behaviour, _)| *behaviour == NONE);
    by
}

/// The rules under each of the names that they have.
fn by_each(
    rules: &[Covered],
    names: impl Fn(&Covered) -> &Vec<String>,
) -> BTreeMap<&str, Vec<&Covered>> {
    let mut by: BTreeMap<&str, Vec<&Covered>> = BTreeMap::new();
    for rule in rules {
        let names = names(rule);
        if names.is_empty() {
            by.entry(NONE).or_default().push(rule);
        }
        for name in names {
            by.entry(name).or_default().push(rule);
        }
    }
    by
}

fn rules_of(count: usize) -> String {
    counted(count as u64, "rule")
}

/// A layer of the ATT&CK Navigator: each technique with how many rules name it, and which.
/// The format: <https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md>.
#[must_use]
pub fn navigator(rules: &[Covered]) -> Value {
    let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in rules {
        for technique in &rule.techniques {
            by.entry(technique).or_default().push(&rule.rule);
        }
    }
    let most = by.values().map(Vec::len).max().unwrap_or(1);
    let techniques = by.iter().map(|(technique, rules)| {
        json!({
            "techniqueID": technique,
            "score": rules.len(),
            "comment": rules.join(", "),
            "enabled": true,
            "showSubtechniques": technique.contains('.'),
        })
    });
    json!({
        "name": "rulectl",
        "versions": {"layer": "4.5"},
        "domain": "enterprise-attack",
        "description": "How many rules of the policy name each technique",
        "techniques": techniques.collect::<Vec<_>>(),
        "gradient": {"colors": ["#ffffff", "#66b1ff"], "minValue": 0, "maxValue": most},
    })
}

/// Where every page begins that was written from rules, so that nobody else's is overwritten.
pub const WRITTEN: &str = "<!-- Written by `rulectl docs` from the rules; change it there. -->";

/// The page of every rule and of all of them together, by file name.
#[must_use]
pub fn pages(rules: &[Covered]) -> BTreeMap<String, String> {
    let mut named: BTreeMap<String, Vec<&Covered>> = BTreeMap::new();
    for rule in rules {
        named.entry(slug(&rule.rule)).or_default().push(rule);
    }
    let mut pages = BTreeMap::new();
    let mut files = BTreeMap::new();
    for (slug, of_name) in named {
        for rule in &of_name {
            // Two titles may come to the same name.
            let file = match of_name.len() {
                1 => format!("{slug}.md"),
                _ => format!("{slug}-{}.md", rule.id.simple()),
            };
            pages.insert(file.clone(), page(rule));
            files.insert(rule.id, file);
        }
    }
    pages.insert("README.md".to_owned(), index(rules, &files));
    pages
}

/// A name that any file system takes.
fn slug(name: &str) -> String {
    let kept = name.to_lowercase();
    let kept = kept.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let kept: Vec<&str> = kept.filter(|part| !part.is_empty()).collect();
    let mut slug = kept.join("-");
    slug.truncate(100);
    match slug.as_str() {
        "" | "readme" => format!("rule-{slug}"),
        _ => slug,
    }
}

fn index(rules: &[Covered], files: &BTreeMap<uuid::Uuid, String>) -> String {
    let mut out = format!(
        "{WRITTEN}\n# Rules\n\n{}.\n",
        totals(rules).replace('&', "&amp;")
    );
    let link = |rule: &Covered| {
        let file = files.get(&rule.id).map_or("", String::as_str);
        format!("[{}]({file})", escaped(&rule.rule))
    };
    let _ = writeln!(
        out,
        "\n## By behaviour\n\n| behaviour | rule | level | ATT&amp;CK | fires in | stays quiet in |\n|---|---|---|---|--:|--:|"
    );
    for (behaviour, rules) in by_behaviour(rules) {
        let mut behaviour = escaped(behaviour);
        for rule in rules {
            let incident = if rule.promoted { ", incident" } else { "" };
            let _ = writeln!(
                out,
                "| {behaviour} | {} | {}{incident} | {} | {} | {} |",
                link(rule),
                rule.level,
                techniques(rule),
                rule.fires.len(),
                rule.quiet.len(),
            );
            behaviour.clear();
        }
    }
    let head = "| technique | rules |\n|---|---|";
    let _ = writeln!(out, "\n## By technique of ATT&amp;CK\n\n{head}");
    for (technique, rules) in by_each(rules, |rule| &rule.techniques) {
        let rules: Vec<String> = rules.into_iter().map(link).collect();
        let technique = linked(technique);
        let _ = writeln!(out, "| {technique} | {} |", rules.join(", "));
    }
    out
}

fn techniques(rule: &Covered) -> String {
    let linked = rule.techniques.iter().map(|it| linked(it));
    linked.collect::<Vec<_>>().join(", ")
}

/// A technique with a link to its page, where it is written as ATT&CK writes it.
fn linked(technique: &str) -> String {
    let number = technique.strip_prefix('T').unwrap_or_default();
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    if number.is_empty() || !number.chars().all(is_number) {
        return escaped(technique);
    }
    let path = technique.replace('.', "/");
    format!("[{technique}](https://attack.mitre.org/techniques/{path}/)")
}

fn page(rule: &Covered) -> String {
    let mut out = format!("{WRITTEN}\n# {}\n", escaped(&rule.title));
    if let Some(description) = &rule.description {
        let _ = writeln!(out, "\n{}", escaped(description.trim()));
    }
    let _ = writeln!(out, "\n| | |\n|---|---|");
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "| {name} | {value} |");
        }
    };
    row(
        "rule",
        format!(
            "{}, {} line {}",
            escaped(&rule.rule),
            escaped(&rule.file),
            rule.line
        ),
    );
    row(
        "behaviour",
        rule.behaviour.as_deref().map(escaped).unwrap_or_default(),
    );
    row("ATT&amp;CK", attack(rule));
    row("level", rule.level.to_owned());
    row("type of finding", escaped(&rule.finding_type));
    let becomes = if rule.promoted {
        "; an incident"
    } else {
        "; not an incident by itself"
    };
    row(
        "without a model",
        format!(
            "severity {}, score {:.2}{becomes}",
            rule.severity, rule.score
        ),
    );
    row(
        "account",
        rule.user.as_deref().map(escaped).unwrap_or_default(),
    );
    list(&mut out, "What else may look like it", &rule.falsepositives);
    plan(&mut out, &rule.plan);
    cases(&mut out, "It fires in", &rule.fires);
    cases(&mut out, "It stays quiet in", &rule.quiet);
    list(&mut out, "Read on", &rule.references);
    let _ = writeln!(out, "\n## As it is written");
    for (_, text) in &rule.written {
        let fence = fence(text);
        let _ = writeln!(out, "\n{fence}yaml\n{}\n{fence}", shown(text));
    }
    out
}

fn attack(rule: &Covered) -> String {
    let tactics = rule.tactics.iter().map(|tactic| escaped(tactic));
    let tactics = tactics.collect::<Vec<_>>().join(", ");
    let techniques = techniques(rule);
    match (tactics.is_empty(), techniques.is_empty()) {
        (false, false) => format!("{tactics}: {techniques}"),
        _ => format!("{tactics}{techniques}"),
    }
}

fn list(out: &mut String, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {heading}\n");
    for item in items {
        let _ = writeln!(out, "- {}", escaped(item));
    }
}

fn plan(out: &mut String, steps: &[Planned]) {
    if steps.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n## What to do\n\nThe plan of an incident without a model:\n"
    );
    for (at, planned) in steps.iter().enumerate() {
        let step = &planned.step;
        let mandatory = if step.mandatory { ", always" } else { "" };
        let approval = if step.requires_human_approval {
            ", after a human agreed"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "{}. {}{mandatory}{approval}",
            at + 1,
            escaped(&step.description)
        );
        for command in &planned.commands {
            let _ = writeln!(out, "   - {}", escaped(command));
        }
    }
}

fn cases(out: &mut String, heading: &str, cases: &[Held]) {
    let names = cases
        .iter()
        .map(|held| format!("{}: {}", held.suite, held.case));
    list(out, heading, &names.collect::<Vec<_>>());
}

/// A text in a line of Markdown, in which nothing of it means anything.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in visible(&text.split_whitespace().collect::<Vec<_>>().join(" ")).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A text of several lines with nothing in it that hides.
fn shown(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// What no line of a text closes.
fn fence(text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len);
    "`".repeat(runs.max().unwrap_or(0).max(2) + 1)
}
