//! Why rules hold for events, or do not, as text.

use std::fmt::Write;

use serde_json::Value;

use crate::diag::counted;
use crate::lab::explain::{
    ClauseTold, EventTold, Explanation, FoundTold, PlaceTold, RuleKind, RuleTold, StepTold,
};
use crate::render::style::{Styles, styled, time};
use crate::visible::visible;

/// So wide is a clause with what is before it; its place stands behind that.
const WIDE: usize = 64;

/// The explanation for a person.
#[must_use]
pub fn explained(explanation: &Explanation) -> String {
    let mut out = String::new();
    for (at, rule) in explanation.rules.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        of_rule(&mut out, rule, explanation);
    }
    out
}

fn of_rule(out: &mut String, rule: &RuleTold, explanation: &Explanation) {
    let _ = writeln!(
        out,
        "{}  {}",
        styled(Styles::HEADING, &rule.rule),
        quiet(&format!("{}, {}", rule.title, place(&rule.place)))
    );
    if rule.kind == RuleKind::Inactive {
        let _ = writeln!(
            out,
            "  is inactive and never matches: `rulectl check` says why"
        );
        return;
    }
    if explanation.chosen.is_some() {
        for example in &rule.examples {
            let verdict = if example.matches {
                "matches"
            } else {
                "does not match"
            };
            let _ = writeln!(out, "  {verdict}: {}", event(example));
            tree(out, &example.tree, 4);
        }
        return;
    }
    let events = counted(explanation.events, "event");
    let _ = writeln!(out, "  {} of {events} match", rule.matched);
    steps(out, &rule.steps);
    // Where nobody asked for a rule by its name, one example of each is enough.
    let most = if explanation.all_rules {
        1
    } else {
        rule.examples.len()
    };
    for example in rule.examples.iter().take(most) {
        let alike = match example.alike {
            0 => String::new(),
            alike => format!(", and {alike} more like it"),
        };
        let _ = writeln!(out, "  comes near: {}{alike}", event(example));
        tree(out, &example.tree, 4);
    }
}

/// What came of each step, and which stopped most.
fn steps(out: &mut String, steps: &[StepTold]) {
    if steps.is_empty() {
        return;
    }
    let most = steps.iter().map(|step| step.stopped).max().unwrap_or(0);
    let _ = writeln!(out, "    {}", quiet("  reached   stopped  clause"));
    for step in steps {
        let mark = if most > 0 && step.stopped == most {
            ">"
        } else {
            " "
        };
        let search = step.search.as_ref();
        let search = search.map_or_else(String::new, |name| format!("{name}: "));
        let clause = padded(&visible(&format!("{search}{}", step.clause)), 24);
        let _ = writeln!(
            out,
            "    {mark} {:>7} {:>9}  {clause}  {}",
            step.reached,
            step.stopped,
            quiet(&place(&step.place))
        );
        if !step.found.is_empty() {
            let found: Vec<String> = step.found.iter().map(often).collect();
            let found = format!("found instead: {}", found.join(", "));
            let _ = writeln!(out, "{:26}{}", "", visible(&found));
        }
    }
}

fn often(found: &FoundTold) -> String {
    format!("{} ({})", shown(&found.value), found.events)
}

fn event(example: &EventTold) -> String {
    let uuid = example.uuid.as_deref().unwrap_or("an event without an id");
    let place = format!("{}:{}", example.input, example.line);
    visible(&format!("{uuid} ({place}, {})", time(example.time)))
}

/// A clause and all that it is made of. What decides is marked.
fn tree(out: &mut String, clause: &ClauseTold, indent: usize) {
    let (style, word) = if clause.holds {
        (Styles::GOOD, "yes")
    } else {
        (Styles::BAD, "no ")
    };
    let is_leaf = clause.verdict.is_some();
    let mark = if clause.decides && is_leaf { ">" } else { " " };
    let text = padded(&visible(&clause.shown), WIDE.saturating_sub(indent));
    let _ = writeln!(
        out,
        "{:indent$}{mark} {style}{word}{style:#} {text}  {}",
        "",
        quiet(&place(&clause.place))
    );
    if let Some(why) = why(clause) {
        let _ = writeln!(out, "{:indent$}        {}", "", visible(&why));
    }
    for part in &clause.parts {
        tree(out, part, indent + 2);
    }
}

/// What came of a clause, in words; nothing of one that says it by itself.
fn why(clause: &ClauseTold) -> Option<String> {
    let found = || found_in(clause);
    let note = clause.note.as_deref().unwrap_or_default();
    Some(match clause.verdict? {
        "matched" if clause.found.is_empty() => return None,
        "matched" => format!("found {}", found()),
        "absent" => "absent: the event has no such field".to_owned(),
        "wrong_case_of_field" => {
            format!("wrong case: the event has the field `{note}`, and names match exactly")
        }
        "empty" => "empty: the field is there, and nothing in it".to_owned(),
        "wrong_case" => format!("wrong case: found {}", found()),
        "wrong_kind" => format!("wrong kind: found {}, which is no {note}", found()),
        "wrong_value" if clause.kind == "script" => "the function says false".to_owned(),
        "wrong_value" if clause.found.is_empty() => "not found in the event".to_owned(),
        "wrong_value" => format!("wrong value: found {}", found()),
        "excluded" if clause.found.is_empty() => "excluded: it is there".to_owned(),
        "excluded" => format!("excluded: found {}", found()),
        "not_asked" => "not asked, since the rest does not hold".to_owned(),
        _ => format!("failed: {note}"),
    })
}

fn found_in(clause: &ClauseTold) -> String {
    let found: Vec<String> = clause.found.iter().map(shown).collect();
    let mut text = found.join(", ");
    if clause.more > 0 {
        let _ = write!(text, " and {} more", clause.more);
    }
    if clause.from_database {
        text.push_str(", from a database");
    }
    if !clause.has.is_empty() && clause.kind == "line" {
        let _ = write!(text, "; has {}", clause.has.join(", "));
    }
    if !clause.lacks.is_empty() {
        let _ = write!(text, "; lacks {}", clause.lacks.join(", "));
    }
    text
}

/// A value of an event, short enough for a line.
fn shown(value: &Value) -> String {
    const KEPT: usize = 80;
    let text = match value {
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(KEPT) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn place(place: &PlaceTold) -> String {
    format!("{}:{}", place.file, place.line)
}

fn quiet(text: &str) -> String {
    styled(Styles::QUIET, text)
}

fn padded(text: &str, wide: usize) -> String {
    format!("{text:<wide$}")
}
