//! What changed between two policies, as text.

use std::fmt::Write;

use anstyle::Style;
use serde_json::Value;

use crate::detect::Relation;
use crate::diag::counted;
use crate::lab::diff::audits::Audits;
use crate::lab::diff::{
    Action, Change, Changes, Detail, Effect, Guardrail, Kind, Matters, Moved, Named, Place,
    Related, TextDiff, Verdict,
};
use crate::render::audits::followed;
use crate::render::effect::{done, lost};
use crate::render::gate::gate;
use crate::render::style::{Styles, styled};
use crate::visible::visible;

/// Everything that changed: the verdict of the gate and what holds less and what is lost first, then thing by thing, what
/// changes nothing, and what all of it does to logs, where they were read.
#[must_use]
pub fn changed(
    names: (&str, &str),
    changes: &Changes,
    effect: Option<&Effect>,
    verdict: Option<&Verdict>,
) -> String {
    let told = effect.map(done).unwrap_or_default();
    all(names, changes, (effect, verdict), &told)
}

/// The same, with what it does to what an audit records.
#[must_use]
pub fn changed_in_audits(
    names: (&str, &str),
    changes: &Changes,
    audits: &Audits,
    verdict: Option<&Verdict>,
) -> String {
    let judged = (Some(&audits.effect), verdict);
    all(names, changes, judged, &followed(audits))
}

/// What differs, with the verdict and what is lost, and what is told of the effect behind it.
fn all(
    (base, head): (&str, &str),
    changes: &Changes,
    (effect, verdict): (Option<&Effect>, Option<&Verdict>),
    told: &str,
) -> String {
    let mut out = String::new();
    let title = format!("{} → {}", visible(base), visible(head));
    let _ = writeln!(out, "{}", styled(Styles::HEADING, &title));
    if changes.same {
        let _ = writeln!(
            out,
            "\nNo difference: both are the same policy, byte for byte."
        );
        return out;
    }
    out.push_str(&verdict.map(gate).unwrap_or_default());
    section(&mut out, "Guardrails", &changes.guardrails, guardrail);
    out.push_str(&effect.map(lost).unwrap_or_default());
    let (idle, acting): (Vec<&Change>, Vec<&Change>) = changes
        .items
        .iter()
        .partition(|item| item.matters == Matters::Nothing);
    section(&mut out, "Changes", &acting, |out, item| change(out, item));
    section(&mut out, "Without effect", &idle, |out, item| {
        change(out, item)
    });
    let _ = writeln!(out, "\n{}", total(changes, idle.len()));
    out.push_str(told);
    out
}

fn section<T>(out: &mut String, title: &str, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", styled(Styles::HEADING, title));
    items.iter().for_each(|item| write(out, item));
}

fn total(changes: &Changes, idle: usize) -> String {
    let of = |moved: Moved| {
        changes
            .guardrails
            .iter()
            .filter(|guardrail| guardrail.moved == moved)
            .count()
    };
    format!(
        "{}, {idle} without effect; guardrails: {} weaker, {} undecided, {} stronger",
        counted(changes.items.len() as u64, "change"),
        of(Moved::Weaker),
        of(Moved::Undecided),
        of(Moved::Stronger)
    )
}

fn guardrail(out: &mut String, guardrail: &Guardrail) {
    let style = match guardrail.moved {
        Moved::Weaker => Styles::BAD,
        Moved::Undecided => Styles::HEADING,
        Moved::Stronger => Styles::GOOD,
    };
    head(
        out,
        style,
        guardrail.moved.as_str(),
        &guardrail.clause,
        places(guardrail.base.as_ref(), guardrail.head.as_ref()),
    );
    line(out, &guarded(guardrail), "");
}

/// What moved of a guardrail, with both values.
pub(super) fn guarded(guardrail: &Guardrail) -> String {
    let what = &guardrail.what;
    match (&guardrail.before, &guardrail.after) {
        (Some(before), Some(after)) => format!("{what}: {} → {}", shown(before), shown(after)),
        (Some(value), None) | (None, Some(value))
            if !what.contains(&format!("`{}`", shown(value))) =>
        {
            format!("{what}: {}", shown(value))
        }
        _ => what.clone(),
    }
}

fn change(out: &mut String, change: &Change) {
    let style = match change.action {
        _ if change.matters == Matters::Nothing => Styles::QUIET,
        Action::Added => Styles::GOOD,
        Action::Removed => Styles::BAD,
        Action::Renamed | Action::Changed => Styles::HEADING,
    };
    let place = |named: &Option<Named>| named.as_ref().map(|named| named.place.clone());
    let (base, head_place) = (place(&change.base), place(&change.head));
    head(
        out,
        style,
        change.action.as_str(),
        &title(change),
        places(base.as_ref(), head_place.as_ref()),
    );
    if change.kind == Kind::File && change.action == Action::Changed {
        line(out, "comments or layout alone", "");
    }
    change
        .details
        .iter()
        .for_each(|difference| detail(out, difference, change));
    if !change.through.is_empty() {
        line(
            out,
            &format!("does something else through {}", change.through.join(", ")),
            "",
        );
    }
    if let Some(related) = &change.relation {
        relation(out, related);
    }
}

pub(super) fn title(change: &Change) -> String {
    let kind = change.kind.as_str();
    match (&change.base, &change.head) {
        (Some(base), Some(head)) if base.name != head.name => {
            format!("{kind} {} → {}", base.name, head.name)
        }
        _ => format!("{kind} {}", change.name()),
    }
}

fn detail(out: &mut String, detail: &Detail, change: &Change) {
    let text = differs(detail);
    let note = if detail.matters < change.matters {
        format!("{}; ", detail.matters.as_str())
    } else {
        String::new()
    };
    let at = places(detail.base.as_ref(), detail.head.as_ref());
    let path = match detail.path.contains('.') {
        true => format!("{}, ", detail.path),
        false => String::new(),
    };
    line(out, &text, &format!("{note}{path}{at}"));
}

/// A difference in words, with both values.
pub(super) fn differs(detail: &Detail) -> String {
    let what = &detail.what;
    match (&detail.before, &detail.after) {
        (Some(before), Some(after)) => format!("{what} {} → {}", shown(before), shown(after)),
        (Some(before), None) => format!("{what} removed: {}", shown(before)),
        (None, Some(after)) => format!("{what} added: {}", shown(after)),
        (None, None) => what.clone(),
    }
}

fn relation(out: &mut String, related: &Related) {
    line(out, &relates(related), "");
    for (label, event) in [
        ("only before", &related.only_base),
        ("only now", &related.only_head),
    ] {
        if let Some(event) = event {
            let quiet = Styles::QUIET;
            let _ = writeln!(
                out,
                "            {quiet}{label}{quiet:#} {}",
                visible(&event.to_string())
            );
        }
    }
}

/// How what a rule matches relates to what it matched, in words.
pub(super) fn relates(related: &Related) -> String {
    match related.relation {
        Relation::Equivalent => "matches the same as before".to_owned(),
        Relation::Narrower => "narrower: matches less than before".to_owned(),
        Relation::Broader => "broader: matches more than before".to_owned(),
        Relation::Incomparable => {
            "incomparable: matches less of some, and more of others".to_owned()
        }
        Relation::Undecided => format!("undecided: {}", related.why.as_deref().unwrap_or_default()),
    }
}

fn head(out: &mut String, style: Style, label: &str, title: &str, places: String) {
    let label = styled(style, &format!("{label:<9}"));
    let place = styled(Styles::QUIET, &places);
    let _ = writeln!(out, "  {label} {}  {place}", visible(title));
}

fn line(out: &mut String, text: &str, quiet: &str) {
    let _ = write!(out, "            {}", visible(text));
    if !quiet.is_empty() {
        let _ = write!(out, "  {}", styled(Styles::QUIET, quiet));
    }
    out.push('\n');
}

/// `rules/a.yml:3`, `rules/a.yml:3 → 5`, `rules/a.yml:3 → rules/b.yml:1`.
pub(super) fn places(base: Option<&Place>, head: Option<&Place>) -> String {
    let shown = |place: &Place| format!("{}:{}", place.file, place.line);
    match (base, head) {
        (Some(base), Some(head)) if base == head => shown(base),
        (Some(base), Some(head)) if base.file == head.file => {
            format!("{} → {}", shown(base), head.line)
        }
        (Some(base), Some(head)) => format!("{} → {}", shown(base), shown(head)),
        (Some(place), None) | (None, Some(place)) => shown(place),
        (None, None) => String::new(),
    }
}

/// A value on one line, cut to what a line takes.
fn shown(value: &Value) -> String {
    const WIDTH: usize = 100;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect();
            items.join(", ")
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// A file line by line, what went and what came told apart.
#[must_use]
pub fn text_diff(text: &TextDiff) -> String {
    let mut out = String::from("\n");
    for line in text.diff.lines() {
        let style = match line.as_bytes().first() {
            Some(b'-') => Styles::BAD,
            Some(b'+') => Styles::GOOD,
            Some(b'@') => Styles::QUIET,
            _ => Style::new(),
        };
        let _ = writeln!(out, "{}", styled(style, line));
    }
    out
}
