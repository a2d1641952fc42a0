//! A diff as a page: one file that opens anywhere and loads nothing.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::{Digest, Sha256};

use crate::lab::diff::audits::Routing;
use crate::lab::diff::effect::{Differing, How};
use crate::lab::diff::{
    Breach, Change, Effect, Guardrail, Judged, Matters, Named, Outcome, Verdict,
};
use crate::render::audits::became_of;
use crate::render::diff::{differs, guarded, places, relates, title};
use crate::render::effect::{
    by, clauses, cut, depends, is_shown, numbers, plural, said, together, values,
};
use crate::render::gate::{breached, clause, place, waived};
use crate::render::report::Diffed;
use crate::render::report::naming::Naming;
use crate::render::report::news::{News, gate, guardrails};
use crate::render::report::plot::plot;
use crate::render::report::records::{Listed, Record, listed};
use crate::visible::visible;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// So many entries of a table are on the page; JSON has more.
pub(super) const ROWS: usize = 1_000;

/// What a diff found, as a page. Its own style and script are named by their digests, and nothing
/// else may be loaded or run.
#[must_use]
pub fn page(diffed: &Diffed<'_>) -> String {
    let naming = Naming::of(diffed.actors, diffed.effect);
    let [base, head] = diffed.names.map(Said);
    let header = html! {
        h1 { "rulectl diff: " code { (base) } " → " code { (head) } }
        (news(&News::of(diffed, &naming)))
    };
    let title = html! { "rulectl diff: " (base) " → " (head) };
    document(&title, &header, &told(diffed, &naming))
}

/// A page whose own style and script are all that it may load or run.
pub(super) fn document(title: &Markup, header: &Markup, body: &Markup) -> String {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (header) }
                (tools())
                main { (body) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

/// A text that is not ours: seen as it is, and never as markup.
pub(super) struct Said<'t>(pub(super) &'t str);

impl Render for Said<'_> {
    fn render_to(&self, out: &mut String) {
        visible(self.0).as_str().render_to(out);
    }
}

/// A sentence of ours with texts that are not: what stands in backticks is a name.
struct Sentence<'t>(&'t str);

impl Render for Sentence<'_> {
    fn render_to(&self, out: &mut String) {
        let parts: Vec<&str> = self.0.split('`').collect();
        // Where one is missing, nobody knows which are names.
        if parts.len().is_multiple_of(2) {
            return Said(self.0).render_to(out);
        }
        for (at, part) in parts.into_iter().enumerate() {
            let markup = match at % 2 {
                0 => html! { (Said(part)) },
                _ => html! { code { (Said(part)) } },
            };
            out.push_str(&markup.0);
        }
    }
}

/// The digest of a text, as a policy of content names it.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn news(told: &News) -> Markup {
    html! {
        div class={ "verdict " (told.tone.as_str()) } {
            p { strong { (Sentence(&told.news)) "." } }
            p { (Said(&told.findings)) "." }
            @if !told.doubts.is_empty() {
                p { strong { "Inconclusive" } ": this could change what is told." }
                ul { @for doubt in &told.doubts { li { (Sentence(doubt)) } } }
            }
        }
    }
}

/// What needs the script is not there without it.
fn tools() -> Markup {
    html! {
        div.tools role="search" hidden {
            label for="search" { "Search" }
            input #search type="search" autocomplete="off" placeholder="a rule, a file, a day";
            button #every type="button" aria-pressed="false" { "Open all" }
            span #found.quiet role="status" {}
        }
    }
}

fn told(diffed: &Diffed<'_>, naming: &Naming) -> Markup {
    let effect = diffed.effect;
    html! {
        @if let Some(verdict) = diffed.gate { (judged(verdict)) }
        @if let Some(effect) = effect.filter(|effect| !effect.is_empty()) {
            (counts(effect, &diffed.read(effect)))
            @if let Some(plot) = plot(effect) { (plot) }
        }
        (guarded_by(diffed))
        @if let Some(effect) = effect { (lost(effect, naming)) }
        (changed(&diffed.changes.items))
        @if let Some(audits) = diffed.audits { (routing(&audits.routing)) }
        @if let Some(effect) = effect {
            @for of in listed(effect) { (records(&of, effect, naming)) }
            (by_rule(effect))
            (by_key("By day", "day", effect.by_day.iter().map(|(day, of)| (day.clone(), of))))
            (by_key("By technique", "technique", effect.by_technique.iter().map(|(name, of)| (name.clone(), of))))
            (by_key("By actor", "actor", by_actor(effect, naming).into_iter()))
            (known(effect, naming))
        }
    }
}

/// A part of the page; nothing where there are no rows.
pub(super) fn section(heading: &str, rows: usize, left_out: u64, body: &Markup) -> Markup {
    let more = rows.saturating_sub(ROWS) as u64 + left_out;
    html! {
        @if rows > 0 {
            section data-rows {
                h2 { (heading) }
                (body)
                @if more > 0 {
                    p.quiet { (more) " more are left out here: " code { "--report json=FILE" } " has them." }
                }
            }
        }
    }
}

/// A table whose columns sort; a name that begins with `#` is of numbers.
pub(super) fn table(columns: &[&str], body: &Markup) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr {
                    @for column in columns {
                        @let name = column.trim_start_matches('#');
                        th scope="col" class=[(name != *column).then_some("number")] {
                            button type="button" { (name) }
                        }
                    }
                } }
                tbody { (body) }
            }
        }
    }
}

/// The clauses of the gate, those that fail first.
fn judged(verdict: &Verdict) -> Markup {
    let mut clauses: Vec<&Judged> = verdict.clauses.iter().collect();
    clauses.sort_by_key(|judged| judged.outcome);
    let rows = html! {
        @for judged in clauses.iter().take(ROWS) {
            tr data-row {
                td.sign data-key=(judged.outcome as u8) {
                    span class=(styled(judged.outcome)) { (judged.outcome.as_str()) }
                }
                td { code { (Said(&clause(judged))) } }
                td.what { @for breach in judged.breaches.iter().take(ROWS) { (breach_of(breach)) } }
                td { code { (Said(&place(&judged.place))) } }
            }
        }
        @for waiver in verdict.idle_waivers.iter().take(ROWS) {
            tr data-row {
                td.sign { "idle waiver" }
                td { code { (Said(waiver.clause.as_str())) } }
                td.what { @if let Some(of) = &waiver.of { (Said(of)) } }
                td { code { (Said(&place(&waiver.place))) } }
            }
        }
    };
    let body = table(&["outcome", "clause", "what", "where"], &rows);
    let count = verdict.clauses.len() + verdict.idle_waivers.len();
    section(&gate(verdict), count, 0, &body)
}

/// The class of an outcome, of those that the style knows.
fn styled(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "weaker",
        Outcome::NotJudged | Outcome::Waived => "undecided",
        Outcome::Passed => "stronger",
    }
}

fn breach_of(breach: &Breach) -> Markup {
    html! {
        div {
            (Sentence(&breached(breach)))
            @if let Some(at) = &breach.at { " " code.quiet { (Said(&place(at))) } }
            @if let Some(waiver) = &breach.waiver { div.quiet { (Said(&waived(waiver))) } }
        }
    }
}

/// What the guardrails of both sides make of the agents that the model proposed.
fn routing(routing: &Routing) -> Markup {
    let rows = html! {
        @for (fate, base, head) in became_of(&routing.agents) {
            tr { td { (fate) } td.number { (base) } td.number { (head) } }
        }
    };
    html! {
        h2 { "Agents as the model proposed them" }
        (table(&["agents", "#before", "#now"], &rows))
    }
}

fn counts(effect: &Effect, read: &str) -> Markup {
    let rows = html! {
        @for (kind, delta) in effect.deltas() {
            @let counts = &delta.counts;
            @if is_shown(counts) {
                tr {
                    td { (kind.as_str()) "s" }
                    @let figures = [counts.base, counts.head, counts.added, counts.removed, counts.changed];
                    @for (figure, number) in figures.into_iter().zip(numbers(counts)) {
                        td.number data-key=(figure) { (number) }
                    }
                }
            }
        }
    };
    let columns = ["kind", "#before", "#now", "#added", "#removed", "#changed"];
    html! {
        h2 { "Effect on " (Said(read)) }
        (table(&columns, &rows))
    }
}

fn guarded_by(diffed: &Diffed<'_>) -> Markup {
    let all = &diffed.changes.guardrails;
    let rows = html! { @for one in all.iter().take(ROWS) { (guardrail(one)) } };
    let body = table(&["moved", "clause", "what", "where"], &rows);
    section(&guardrails(diffed.changes), all.len(), 0, &body)
}

fn guardrail(guardrail: &Guardrail) -> Markup {
    let moved = guardrail.moved.as_str();
    let places = places(guardrail.base.as_ref(), guardrail.head.as_ref());
    html! {
        tr data-row {
            td.sign { span class=(moved) { (moved) } }
            td { code { (Said(&guardrail.clause)) } }
            td.what { (Sentence(&guarded(guardrail))) }
            td { code { (Said(&places)) } }
        }
    }
}

fn lost(effect: &Effect, naming: &Naming) -> Markup {
    let together = together(&effect.lost);
    let rows = html! {
        @for (first, kinds) in together.iter().take(ROWS) {
            @let subject = &first.one.subject;
            @let severity = first.severity.as_str();
            tr data-row {
                td data-key=(first.severity as u8) { span class=(severity) { (severity) } }
                td { (said(kinds)) }
                td.what { (Said(&naming.subject(subject))) }
                td.when { (naming.when(subject)) }
                @let by = by(&first.one.cause, &first.clauses) + depends(first.one.certainty);
                td { (Said(&by)) }
            }
        }
    };
    let body = table(&["severity", "lost", "of", "when", "why"], &rows);
    let heading = "Lost, of severity high or above";
    section(heading, together.len(), effect.lost_left_out, &body)
}

fn changed(all: &[Change]) -> Markup {
    let (idle, acting): (Vec<&Change>, Vec<&Change>) = all
        .iter()
        .partition(|change| change.matters == Matters::Nothing);
    let rows = html! {
        @for one in acting.into_iter().chain(idle).take(ROWS) { (change(one)) }
    };
    let body = table(&["what", "change", "matters", "where"], &rows);
    section("What changed", all.len(), 0, &body)
}

fn change(change: &Change) -> Markup {
    let stands = |named: &Option<Named>| named.as_ref().map(|named| named.place.clone());
    let (base, head) = (stands(&change.base), stands(&change.head));
    let action = change.action.as_str();
    html! {
        tr data-row {
            td.sign { span class=(action) { (action) } }
            td.what {
                @if is_told(change) {
                    details open {
                        summary { (Said(&title(change))) }
                        div.inside { (details(change)) }
                    }
                } @else {
                    (Said(&title(change)))
                }
            }
            td { (change.matters.as_str()) }
            td { code { (Said(&places(base.as_ref(), head.as_ref()))) } }
        }
    }
}

fn is_told(change: &Change) -> bool {
    !change.details.is_empty() || !change.through.is_empty() || change.relation.is_some()
}

fn details(change: &Change) -> Markup {
    let related = change.relation.as_ref();
    let events = related.into_iter().flat_map(|related| {
        [
            ("only before", &related.only_base),
            ("only now", &related.only_head),
        ]
    });
    html! {
        @for detail in change.details.iter().take(ROWS) {
            div {
                (Sentence(&differs(detail))) " "
                code.quiet { (Said(&places(detail.base.as_ref(), detail.head.as_ref()))) }
            }
        }
        @if !change.through.is_empty() {
            div { "does something else through " (Sentence(&change.through.join(", "))) }
        }
        @if let Some(related) = related { div { (Sentence(&relates(related))) } }
        @for (label, event) in events {
            @if let Some(event) = event {
                div { span.quiet { (label) } " " code { (Said(&event.to_string())) } }
            }
        }
    }
}

fn records(of: &Listed<'_>, effect: &Effect, naming: &Naming) -> Markup {
    let rows = html! {
        @for one in of.records.iter().take(ROWS) { (record(one, of, effect, naming)) }
    };
    let body = table(&["how", "what", "severity", "when", "why"], &rows);
    let heading = format!("{} that differ", plural(of.kind));
    section(&heading, of.records.len(), of.left_out, &body)
}

fn record(record: &Record<'_>, of: &Listed<'_>, effect: &Effect, naming: &Naming) -> Markup {
    let subject = record.subject;
    let sign = match record.sign {
        "-" => "removed",
        "+" => "added",
        _ => "changed",
    };
    let by = by(record.cause, &clauses(effect, record.cause)) + depends(record.certainty);
    html! {
        tr data-row {
            td.sign { span class=(sign) { (sign) } }
            td.what {
                details {
                    summary {
                        @if !record.name.is_empty() { code { (Said(record.name)) } " for " }
                        (Said(&naming.subject(subject)))
                    }
                    div.inside { (sides(record, of, naming)) (caused(record, effect)) }
                }
            }
            td data-key=[subject.severity.map(|severity| severity as u8)] {
                @if let Some(severity) = subject.severity { (severity.as_str()) }
            }
            td.when { (naming.when(subject)) }
            td { (Said(&by)) }
        }
    }
}

/// Both sides of a record, field by field.
fn sides(record: &Record<'_>, of: &Listed<'_>, naming: &Naming) -> Markup {
    let (told, withheld): (Vec<_>, Vec<_>) = record
        .fields
        .iter()
        .partition(|field| naming.tells(of.kind, &field.field));
    let names: Vec<&str> = withheld.iter().map(|field| field.field.as_str()).collect();
    html! {
        @if record.fields.is_empty() {
            p { @match record.sign { "+" => "There is none before.", _ => "There is none now." } }
        }
        @if !told.is_empty() {
            table {
                thead { tr { th scope="col" { "field" } th scope="col" { "before" } th scope="col" { "now" } } }
                tbody {
                    @for field in told {
                        tr {
                            td { (Said(&field.field)) }
                            @for value in cut(&field.base, &field.head) { td { (Said(&value)) } }
                        }
                    }
                }
            }
        }
        @if !names.is_empty() {
            p.quiet { "Also different, in words of the log: " (Said(&names.join(", "))) "." }
        }
        @for group in naming.group(record.subject) { p.mono { (Said(&group)) } }
    }
}

/// What makes the difference: each edit with what it was and is.
fn caused(record: &Record<'_>, effect: &Effect) -> Markup {
    let cause = record.cause;
    let edits = cause.edits.iter().filter_map(|at| effect.edits.get(*at));
    html! {
        p.quiet {
            @match cause.how {
                How::Alone if cause.edits.len() == 1 => "This edit makes it:",
                How::Alone => "Each of these edits makes some of it:",
                How::Together => "These edits make it together, and none alone:",
                How::NotAttributed => "There were too many edits to try each of them.",
            }
        }
        ul {
            @for edit in edits {
                li {
                    code { (Said(&edit.file)) ":" (edit.head_line.or(edit.base_line).unwrap_or(1)) } " "
                    (Said(&edit.part)) " " (Said(&edit.clause))
                    @if let (Some(base), Some(head)) = (&edit.base, &edit.head) {
                        ": " (Said(&values(base, head)))
                    }
                }
            }
        }
    }
}

fn by_rule(effect: &Effect) -> Markup {
    let rows = html! {
        @for of in effect.by_rule.iter().take(ROWS) {
            tr data-row {
                td.what { (Said(&of.rule)) }
                td.number { (of.base) }
                td.number { (of.head) }
                (signs(&of.differing))
            }
        }
    };
    let columns = [&["rule", "#findings before", "#now"], SIGNS.as_slice()].concat();
    section("By rule", effect.by_rule.len(), 0, &table(&columns, &rows))
}

/// The columns of [`signs`].
const SIGNS: [&str; 5] = [
    "#added",
    "#removed",
    "#changed",
    "#incidents added",
    "#incidents removed",
];

fn signs(differing: &Differing) -> Markup {
    let (findings, incidents) = (&differing.findings, &differing.incidents);
    let numbers = [
        findings.added,
        findings.removed,
        findings.changed,
        incidents.added,
        incidents.removed,
    ];
    html! { @for number in numbers { td.number { (number) } } }
}

/// The actors, in the order of their names here: one of numbers must not tell that of the log.
fn by_actor<'e>(effect: &'e Effect, naming: &Naming) -> Vec<(String, &'e Differing)> {
    let actors = effect.by_actor.iter();
    let mut actors: Vec<(String, &Differing)> = actors
        .map(|(actor, of)| (naming.actor(actor), of))
        .collect();
    // `actor-9` before `actor-10`.
    actors.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
    actors
}

fn by_key<'e>(
    heading: &str,
    key: &str,
    all: impl ExactSizeIterator<Item = (String, &'e Differing)>,
) -> Markup {
    let count = all.len();
    let rows = html! {
        @for (key, differing) in all.take(ROWS) {
            tr data-row { td.what { (Said(&key)) } (signs(differing)) }
        }
    };
    let columns = [&[key], SIGNS.as_slice()].concat();
    section(heading, count, 0, &table(&columns, &rows))
}

fn known(effect: &Effect, naming: &Naming) -> Markup {
    let others: Vec<_> = effect
        .doubts
        .iter()
        .filter(|doubt| !doubt.decisive)
        .collect();
    let body = html! {
        ul { @for doubt in others.iter().take(ROWS) { li data-row { (Sentence(&naming.doubt(doubt))) } } }
    };
    section("To be known", others.len(), 0, &body)
}
