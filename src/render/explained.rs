//! Why rules hold for events, or do not, as text.

use std::fmt::Write;

use serde_json::Value;

use crate::diag::{counted, grouped};
use crate::lab::explain::{
    ClauseTold, EventTold, Explanation, FoundTold, LeftOut, MOST_CHOSEN, PlaceTold, RuleKind,
    RuleTold, StepTold, WindowEvent, WindowTold, WindowsTold,
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
    let more = explanation.chosen.unwrap_or_default();
    let more = more.saturating_sub(MOST_CHOSEN as u64);
    if more > 0 {
        let more = counted(more, "event");
        let _ = writeln!(out, "\nand {more} more, which are not shown");
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
    if let Some(windows) = &rule.windows {
        of_windows(out, windows, explanation.chosen.is_some());
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
    let _ = writeln!(out, "  {} of {events} match", grouped(rule.matched));
    steps(out, &rule.steps);
    let most = if explanation.brief {
        1
    } else {
        rule.examples.len()
    };
    for example in rule.examples.iter().take(most) {
        let alike = match example.alike {
            0 => String::new(),
            alike => format!(", and {} more like it", grouped(alike)),
        };
        let _ = writeln!(out, "  comes near: {}{alike}", event(example));
        tree(out, &example.tree, 4);
    }
}

/// What a correlation saw.
fn of_windows(out: &mut String, windows: &WindowsTold, chosen: bool) {
    let (findings, hits) = (
        counted(windows.findings, "finding"),
        counted(windows.hits, "hit"),
    );
    let joined = if windows.hits > windows.findings && windows.findings > 0 {
        format!(
            "; a hit within {} of the last joins its finding",
            windows.suppress
        )
    } else {
        String::new()
    };
    let _ = writeln!(out, "  {findings} of {hits}{joined}");
    for feed in &windows.feeds {
        let events = counted(feed.events, "event");
        let fed = format!("  fed by {}: {events}", visible(&feed.rule));
        let _ = writeln!(
            out,
            "{}  {}",
            padded(&fed, WIDE),
            quiet(&place(&feed.place))
        );
        for example in &feed.examples {
            let verdict = if example.matches {
                "matches"
            } else {
                "does not match"
            };
            let _ = writeln!(out, "    {verdict}: {}", event(example));
            tree(out, &example.tree, 6);
        }
    }
    let _ = writeln!(
        out,
        "  counted: {} in {}{}",
        counted(windows.counted, "event"),
        counted(windows.groups, "group"),
        left_out(windows)
    );
    for window in &windows.windows {
        of_window(out, window, (&windows.place, windows.feeds.len()), chosen);
    }
    if windows.windows.is_empty() && chosen {
        let _ = writeln!(out, "  the event enters no window");
    }
}

/// Why events of its rules were not counted.
fn left_out(windows: &WindowsTold) -> String {
    let LeftOut {
        without_time,
        without_value,
        without_group,
        unbegun,
    } = windows.left_out;
    let reasons = [
        (without_time, "without a readable time"),
        (without_value, "without a value for what is counted"),
        (without_group, "without a value for what is grouped by"),
        (unbegun, "ending what had not begun"),
        (windows.answered, "answered in time"),
        (windows.waiting, "still waiting when the log ends"),
    ];
    let told = reasons.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, reason)| format!(", {count} {reason}"))
        .collect()
}

fn of_window(
    out: &mut String,
    window: &WindowTold,
    (at, rules): (&PlaceTold, usize),
    chosen: bool,
) {
    let group = window.group.iter();
    let group: Vec<String> = group
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let group = if group.is_empty() {
        "all events together".to_owned()
    } else {
        group.join(", ")
    };
    let what = match (chosen, window.hit) {
        (true, true) => "a hit",
        (true, false) => "no hit",
        (false, _) => "nearest without a hit",
    };
    let _ = writeln!(out, "  {what}: {}", visible(&group));
    let so_far = padded(&format!("    {}", clipped(&window.so_far)), WIDE);
    let _ = writeln!(out, "{so_far}  {}", quiet(&place(at)));
    if !window.missing.is_empty() {
        let _ = writeln!(out, "    missing: {}", visible(&window.missing.join(", ")));
    }
    if let Some(old) = &window.too_old {
        let _ = writeln!(out, "      {} is too old to count", of_event(old, rules));
    }
    let listed = window.events.len().min(LISTED);
    let earlier = window.earlier + window.events.len() - listed;
    if earlier > 0 {
        let _ = writeln!(out, "      {} before", counted(earlier as u64, "event"));
    }
    for event in window.events.iter().skip(window.events.len() - listed) {
        let _ = writeln!(out, "      {}", of_event(event, rules));
    }
}

/// So many events of a window are listed, the newest of them; JSON has more.
const LISTED: usize = 12;

/// An event of a window, with the rules that it satisfies where there are several.
fn of_event(event: &WindowEvent, rules: usize) -> String {
    let uuid = event.uuid.as_deref().unwrap_or("an event without an id");
    let satisfied = if rules > 1 {
        format!("  {}", event.rules.join(", "))
    } else {
        String::new()
    };
    visible(&format!("{}  {uuid}{satisfied}", time(Some(event.time))))
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
        let clause = padded(&clipped(&format!("{search}{}", step.clause)), 24);
        let _ = writeln!(
            out,
            "    {mark} {:>7} {:>9}  {clause}  {}",
            grouped(step.reached),
            grouped(step.stopped),
            quiet(&place(&step.place))
        );
        if !step.found.is_empty() {
            let found: Vec<String> = step.found.iter().map(often).collect();
            let found = format!("found instead: {}", found.join(", "));
            let _ = writeln!(out, "{:26}{}", "", visible(&found));
        }
        for near in &step.near {
            let (field, events) = (&near.field, grouped(near.events));
            let found = format!("found instead: the field `{field}`, of another case ({events})");
            let _ = writeln!(out, "{:26}{}", "", visible(&found));
        }
        if step.found_many {
            let _ = writeln!(
                out,
                "{:26}found instead: more than 1,000 different values",
                ""
            );
        }
    }
}

fn often(found: &FoundTold) -> String {
    format!("{} ({})", shown(&found.value), grouped(found.events))
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
    let text = padded(&clipped(&clause.shown), WIDE.saturating_sub(indent));
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
            format!("wrong case of field: the event has `{note}`, and names match exactly")
        }
        "empty" => "empty: the field is there, and nothing in it".to_owned(),
        "wrong_case" => format!("wrong case: found {}", found()),
        "wrong_kind" => format!("wrong kind: found {}, which is no {note}", found()),
        "wrong_value" if clause.kind == "script" => "the function says false".to_owned(),
        "wrong_value" if clause.found.is_empty() => match note.parse() {
            Ok(values) => format!(
                "not found in any of {} of the event",
                counted(values, "value")
            ),
            Err(_) => "not found in the event".to_owned(),
        },
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

/// So much of a clause or of what is said of a window stands in a line.
const LONGEST: usize = 300;

/// Untrusted text made visible, and cut where it is long.
fn clipped(text: &str) -> String {
    let text = visible(text);
    match text.char_indices().nth(LONGEST) {
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
