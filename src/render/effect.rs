//! What a change of a policy does to logs, as text.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;
use uuid::Uuid;

use crate::diag::counted;
use crate::lab::diff::Effect;
use crate::lab::diff::effect::{
    About, Cause, Certainty, Changed, Clause, Counted, Delta, Differing, Field, How, Kind, Least,
    Lost, OfRule, One, Signed, Subject,
};
use crate::render::audits::of_audit;
use crate::render::style::{Styles, severity, styled, time};
use crate::slots::Provenance;
use crate::visible::visible;

/// So many records of a list are shown; JSON has more.
const SHOWN: usize = 10;

/// So many of each kind that follows from findings.
const FOLLOWING: usize = 4;

/// So many fields of a record that differ are shown.
const FIELDS: usize = 4;

/// What is gone of severity high or above, finding by finding, with the clauses that took it;
/// nothing where nothing is.
pub(super) fn lost(effect: &Effect) -> String {
    let mut out = String::new();
    if effect.lost.is_empty() {
        return out;
    }
    heading(&mut out, "Lost, of severity high or above");
    let together = together(&effect.lost);
    for (first, kinds) in together.iter().take(SHOWN) {
        let what = format!("{} of {}", said(kinds), about(&first.one.subject));
        let _ = writeln!(
            out,
            "  {} {}  {}",
            severity(first.severity),
            visible(&what),
            styled(Styles::QUIET, &when(&first.one.subject))
        );
        let by = by(&first.one.cause, &first.clauses);
        let by = format!("{by}{}", depends(first.one.certainty));
        let _ = writeln!(out, "           {}", visible(&by));
    }
    let more = together.len().saturating_sub(SHOWN) as u64;
    rest(&mut out, more + effect.lost_left_out, "effect.lost");
    out
}

/// The slots of which a record is made whose fills are those of the finding before.
fn carried(kind: Kind, subject: &Subject) -> String {
    let makes = |slot: &str| match kind {
        Kind::Finding => false,
        Kind::Risk | Kind::Incident => slot == "risk",
        Kind::Route => slot == "route",
        Kind::Plan | Kind::Step | Kind::Command => slot == "plan",
        Kind::Draft => !matches!(slot, "risk" | "route" | "plan"),
    };
    let fills = subject.fills.iter();
    let carried = fills.filter(|(slot, source)| makes(slot) && **source == Provenance::Carried);
    let slots: Vec<&str> = carried.map(|(slot, _)| slot.as_str()).collect();
    if slots.is_empty() {
        return String::new();
    }
    format!("; carried: {}", slots.join(", "))
}

/// Of what does not hold whatever a model says, that it does not.
pub(super) fn depends(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Certain => "",
        Certainty::DependsOnModel => "; depends on the model",
    }
}

/// What is gone of one finding by one cause: the first of it, and how many of each kind.
pub(super) type Together<'l> = (&'l Lost, BTreeMap<Kind, u64>);

/// What is told together: of one finding, as it was told once, by one cause, certain or not.
type Told<'l> = (Option<u64>, Option<Uuid>, &'l [usize], bool);

/// The gravest first.
pub(super) fn together(lost: &[Lost]) -> Vec<Together<'_>> {
    let mut all: Vec<Together<'_>> = Vec::new();
    let mut places: BTreeMap<Told<'_>, usize> = BTreeMap::new();
    for lost in lost {
        let subject = &lost.one.subject;
        let edits = lost.one.cause.edits.as_slice();
        let is_certain = lost.one.certainty == Certainty::Certain;
        let key = (subject.record, subject.finding, edits, is_certain);
        let place = *places.entry(key).or_insert(all.len());
        if place == all.len() {
            all.push((lost, BTreeMap::new()));
        }
        if let Some((_, kinds)) = all.get_mut(place) {
            *kinds.entry(lost.kind).or_default() += 1;
        }
    }
    all.sort_by_key(|(first, kinds)| {
        let gravest = kinds.keys().next().copied();
        (Reverse(first.severity), gravest, first.one.subject.at)
    });
    all
}

/// `finding, incident, 2 steps`.
pub(super) fn said(kinds: &BTreeMap<Kind, u64>) -> String {
    let words: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| match count {
            1 => kind.as_str().to_owned(),
            count => counted(*count, kind.as_str()),
        })
        .collect();
    words.join(", ")
}

/// All that the change does: how many of each kind, the first records, by rule, and what is not certain.
pub(super) fn done(effect: &Effect) -> String {
    let mut out = String::new();
    let read = &effect.read;
    let between = match (read.first, read.last) {
        (Some(_), Some(_)) => format!(", {} to {}", time(read.first), time(read.last)),
        _ => String::new(),
    };
    let events = counted(read.events, "event");
    heading(&mut out, &format!("Effect on {events}{between}"));
    body(&mut out, effect);
    doubts(&mut out, effect);
    out
}

/// How many of each kind, the first records, and by rule.
pub(super) fn body(out: &mut String, effect: &Effect) {
    if effect.is_empty() {
        let _ = writeln!(out, "  none: findings and all that follows are the same");
        return;
    }
    counts(out, effect);
    let mut implied = BTreeSet::new();
    for (kind, delta) in effect.deltas() {
        records(out, effect, (kind, delta), &mut implied);
    }
    by_rule(out, &effect.by_rule);
    by_key(out, "By day", &effect.by_day);
    by_key(out, "By technique", &effect.by_technique);
}

pub(super) fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{}", styled(Styles::HEADING, text));
}

pub(super) fn rest(out: &mut String, more: u64, list: &str) {
    if more > 0 {
        let text = format!("{more} more: `{list}` of --format json");
        let _ = writeln!(out, "  {}", styled(Styles::QUIET, &text));
    }
}

fn counts(out: &mut String, effect: &Effect) {
    let mut rows = vec![["", "before", "now", "added", "removed", "changed"].map(str::to_owned)];
    for (kind, delta) in effect.deltas() {
        let counts = &delta.counts;
        if !is_shown(counts) {
            continue;
        }
        let [base, head, added, removed, changed] = numbers(counts);
        let name = format!("{}s", kind.as_str());
        rows.push([name, base, head, added, removed, changed]);
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = match place {
                0 => format!("  {cell:<NAME$}"),
                _ => format!("{cell:>width$}", width = COLUMN.max(width + 2)),
            };
            line.push_str(&cell);
        }
        let line = line.trim_end();
        let line = if at == 0 {
            styled(Styles::QUIET, line)
        } else {
            line.to_owned()
        };
        let _ = writeln!(out, "{line}");
    }
}

/// The least width of the names of kinds, and of a column of numbers.
const NAME: usize = 10;
const COLUMN: usize = 9;

/// Whether there are records of a kind, or may be.
pub(super) fn is_shown(counts: &Counted) -> bool {
    let bounds = counts.bounds.unwrap_or_default();
    counts.base + counts.head + bounds.base.at_most + bounds.head.at_most > 0
}

/// How many there are before and now, and how many are added, removed and changed.
pub(super) fn numbers(counts: &Counted) -> [String; 5] {
    let bounds = counts.bounds;
    [
        number(counts.base, bounds.map(|bounds| bounds.base)),
        number(counts.head, bounds.map(|bounds| bounds.head)),
        number(counts.added, bounds.map(|bounds| bounds.added)),
        number(counts.removed, bounds.map(|bounds| bounds.removed)),
        number(counts.changed, bounds.map(|bounds| bounds.changed)),
    ]
}

/// A number, with what it may be where a model decides: `4 (4 to 9)`.
fn number(figure: u64, may_be: Option<Least>) -> String {
    let is_figure = |may_be: &Least| may_be.at_least == figure && may_be.at_most == figure;
    match may_be.filter(|may_be| !is_figure(may_be)) {
        Some(Least { at_least, at_most }) => format!("{figure} ({at_least} to {at_most})"),
        None => figure.to_string(),
    }
}

/// Lists the first records of a kind that differ. What hangs on a record that came or went is
/// implied by that.
fn records(
    out: &mut String,
    effect: &Effect,
    (kind, delta): (Kind, &Delta),
    implied: &mut BTreeSet<Uuid>,
) {
    let is_implied = |subject: &Subject| {
        let finding = subject.finding.as_ref();
        finding.is_some_and(|finding| implied.contains(finding))
    };
    let mut lines: Vec<String> = Vec::new();
    for (sign, ones) in [("-", &delta.removed), ("+", &delta.added)] {
        let ones = ones.iter().filter(|one| !is_implied(&one.subject));
        lines.extend(ones.map(|one| sided(sign, one, effect)));
    }
    let changed = delta.changed.iter();
    let changed = changed.filter(|changed| !is_implied(&changed.head));
    lines.extend(changed.map(|changed| both(kind, changed, effect)));
    if !lines.is_empty() {
        heading(out, &plural(kind));
    }
    let shown = if kind == Kind::Finding {
        SHOWN
    } else {
        FOLLOWING
    };
    lines.iter().take(shown).for_each(|line| out.push_str(line));
    let more = lines.len().saturating_sub(shown) as u64 + delta.left_out;
    rest(out, more, &format!("effect.{}s", kind.as_str()));
    // Of steps and commands, one may come where others stay.
    if matches!(kind, Kind::Finding | Kind::Incident | Kind::Plan) {
        let ones = delta.removed.iter().chain(&delta.added);
        implied.extend(ones.filter_map(|one| one.subject.finding));
    }
}

pub(super) fn plural(kind: Kind) -> String {
    let word = kind.as_str();
    let (first, rest) = word.split_at(1);
    format!("{}{rest}s", first.to_uppercase())
}

fn sided(sign: &str, one: &One, effect: &Effect) -> String {
    let style = if sign == "+" {
        Styles::GOOD
    } else {
        Styles::BAD
    };
    let by = by(&one.cause, &clauses(effect, &one.cause));
    let by = format!("{by}{}", depends(one.certainty));
    format!(
        "  {} {}  {}\n    {}\n",
        styled(style, sign),
        visible(&named(&one.name, &one.subject)),
        styled(Styles::QUIET, &when(&one.subject)),
        visible(&by)
    )
}

fn both(kind: Kind, changed: &Changed, effect: &Effect) -> String {
    let fields: Vec<String> = changed.fields.iter().flat_map(field).collect();
    let more = fields.len().saturating_sub(FIELDS);
    let more = if more > 0 {
        format!("; {}", counted(more as u64, "other field"))
    } else {
        String::new()
    };
    let fields: Vec<String> = fields.into_iter().take(FIELDS).collect();
    let by = by(&changed.cause, &clauses(effect, &changed.cause));
    let by = format!("{by}{}", depends(changed.certainty));
    let by = format!("{by}{}", carried(kind, &changed.head));
    format!(
        "  {} {}  {}\n    {}\n    {}\n",
        styled(Styles::HEADING, "~"),
        visible(&named(&changed.name, &changed.head)),
        styled(Styles::QUIET, &when(&changed.head)),
        visible(&format!("{}{more}", fields.join("; "))),
        visible(&by)
    )
}

/// A field that differs; of one with entries, those that do.
pub(super) fn field(field: &Field) -> Vec<String> {
    let name = &field.field;
    // The digest of all events tells nothing but that they are others.
    if name == "events" {
        return vec!["other events".to_owned()];
    }
    if let (Value::Object(base), Value::Object(head)) = (&field.base, &field.head) {
        let keys: BTreeSet<&String> = base.keys().chain(head.keys()).collect();
        let differing = keys.into_iter().filter_map(|key| {
            let [base, head] = [base, head].map(|map| map.get(key).unwrap_or(&Value::Null));
            (base != head).then(|| format!("{name}.{key} {}", values(base, head)))
        });
        return differing.collect();
    }
    vec![format!("{name} {}", values(&field.base, &field.head))]
}

pub(super) fn values(base: &Value, head: &Value) -> String {
    cut(base, head).join(" → ")
}

/// Two values that differ, each cut to what a line takes, so that one sees where.
pub(super) fn cut(base: &Value, head: &Value) -> [String; 2] {
    const WIDTH: usize = 60;
    const BEFORE: usize = 16;
    let texts = [base, head].map(plain);
    let same = |(one, other): &(char, char)| one == other;
    let [one, other] = &texts;
    let common = one.chars().zip(other.chars()).take_while(same).count();
    let is_long = texts.iter().any(|text| text.chars().count() > WIDTH);
    let from = if is_long {
        common.saturating_sub(BEFORE)
    } else {
        0
    };
    texts.map(|text| {
        let cut: String = text.chars().skip(from).take(WIDTH).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.chars().count() > from + WIDTH {
            "…"
        } else {
            ""
        };
        format!("{before}{cut}{after}")
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            items.join("; ")
        }
        other => other.to_string(),
    }
}

/// A record, with the step, the command or the agent that it is of.
fn named(name: &str, subject: &Subject) -> String {
    match (name, subject.rule.as_str()) {
        ("", _) => about(subject),
        (name, "") => name.to_owned(),
        (name, _) => format!("{name} for {}", about(subject)),
    }
}

/// The time of a record, and its number where an audit has it.
pub(super) fn when(subject: &Subject) -> String {
    match (subject.at, subject.record) {
        (at, None) => time(at),
        (None, Some(record)) => format!("record {record}"),
        (at, Some(record)) => format!("{}  record {record}", time(at)),
    }
}

pub(super) fn about(subject: &Subject) -> String {
    format!("{}: {}", subject.rule, subject.description)
}

pub(super) fn clauses(effect: &Effect, cause: &Cause) -> Vec<Clause> {
    let edits = cause.edits.iter().filter_map(|at| effect.edits.get(*at));
    edits.map(Clause::of).collect()
}

/// What makes a difference, with the lines.
pub(super) fn by(cause: &Cause, clauses: &[Clause]) -> String {
    let shown: Vec<String> = clauses.iter().map(placed).collect();
    match cause.how {
        How::Alone => format!("by {}", shown.join(", and by ")),
        How::Together => format!("by these together: {}", shown.join(", ")),
        How::NotAttributed => "by edits that were too many to try one by one".to_owned(),
    }
}

/// A clause with its line: `routing.toml:27 promotion: threshold`.
pub(super) fn placed(clause: &Clause) -> String {
    let side = if clause.side == "base" {
        " (before)"
    } else {
        ""
    };
    let text = format!("{}:{}{side} {}", clause.file, clause.line, clause.clause);
    text.trim_end().to_owned()
}

fn by_rule(out: &mut String, rules: &[OfRule]) {
    if rules.is_empty() {
        return;
    }
    heading(out, "By rule");
    for rule in rules.iter().take(SHOWN) {
        let text = format!(
            "{}: findings {} → {}; {}",
            rule.rule,
            rule.base,
            rule.head,
            differing(&rule.differing)
        );
        let _ = writeln!(out, "  {}", visible(&text));
    }
    rest(
        out,
        rules.len().saturating_sub(SHOWN) as u64,
        "effect.by_rule",
    );
}

fn by_key(out: &mut String, title: &str, all: &BTreeMap<String, Differing>) {
    if all.is_empty() {
        return;
    }
    heading(out, title);
    for (key, counts) in all.iter().take(SHOWN) {
        let _ = writeln!(
            out,
            "  {}",
            visible(&format!("{key}: {}", differing(counts)))
        );
    }
    let list = title.to_lowercase().replace(' ', "_");
    let more = all.len().saturating_sub(SHOWN) as u64;
    rest(out, more, &format!("effect.{list}"));
}

fn differing(counts: &Differing) -> String {
    format!(
        "findings {}, incidents {}, others {}",
        signed(&counts.findings),
        signed(&counts.incidents),
        signed(&counts.others)
    )
}

pub(super) fn signed(counts: &Signed) -> String {
    format!("+{} -{} ~{}", counts.added, counts.removed, counts.changed)
}

pub(super) fn doubts(out: &mut String, effect: &Effect) {
    let [decisive, others] = [true, false].map(|decisive| {
        let doubts = effect.doubts.iter();
        doubts.filter(move |doubt| doubt.decisive == decisive)
    });
    for (title, doubts) in [
        (
            "Inconclusive: this could change what is told",
            decisive.collect::<Vec<_>>(),
        ),
        ("To be known", others.collect()),
    ] {
        if !doubts.is_empty() {
            heading(out, title);
        }
        for doubt in doubts {
            let _ = writeln!(out, "  {}", visible(&doubted(&doubt.about)));
        }
    }
}

pub(super) fn doubted(about: &About) -> String {
    match about {
        About::CutShort { why } => why.clone(),
        About::Rejected { records } => {
            format!("{} left out as no event", counted(*records, "record"))
        }
        About::WithoutTime { events } => format!(
            "{} without a readable time, which no correlation takes",
            counted(*events, "event")
        ),
        About::LowerCased { events } => format!(
            "{} with lower-cased field names, which no rule matches",
            counted(*events, "event")
        ),
        About::LetGo { events } => format!(
            "windows were full and let {} go before their time",
            counted(*events, "event")
        ),
        About::Script {
            rule,
            function,
            failures,
            first,
        } => format!(
            "{} of {function} for {rule}, first: {first}",
            counted(*failures, "failure")
        ),
        About::BeforeLog { rule, span, first } => format!(
            "untold: the windows of {rule} reach {span} back from {first}, to before the log begins"
        ),
        About::Untested {
            rule,
            side,
            detections,
        } => {
            let detections = detections.join(", ");
            format!("untested: no event reached {detections}, on which {rule} of the {side} rests")
        }
        About::NoEvents => "no events were read".to_owned(),
        About::NotPaired { findings } => format!(
            "{} too many to be paired; they are counted by rule",
            counted(*findings, "finding")
        ),
        About::Prompt {
            file,
            slot,
            findings,
        } => format!(
            "{file} is another, so that no fill of the slot {slot} is carried: what a model says of {} is not known",
            counted(*findings, "finding")
        ),
        About::Audit(about) => of_audit(about),
        About::NotAttributed { edits } => format!(
            "{}, too many to try each of them by itself",
            counted(*edits as u64, "edit")
        ),
    }
}
