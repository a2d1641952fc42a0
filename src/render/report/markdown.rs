//! A diff as a comment on a pull request: the verdict, the counts, and the rest folded.
//!
//! What policies and logs say is untrusted here too. It stands in code spans, where nothing is a
//! link, a mention or HTML; words of letters alone, and plain numbers, may stand outside of them.

use std::fmt::Write;

use crate::diag::counted;
use crate::lab::diff::audits::Routing;
use crate::lab::diff::effect::{Cause, Clause, How, Subject};
use crate::lab::diff::{Change, Effect, Guardrail, Judged, Matters, Named, Verdict, Waived};
use crate::render::audits::became_of;
use crate::render::diff::{differs, guarded, places, relates};
use crate::render::effect::{clauses, depends, is_shown, numbers, placed, plural, said, together};
use crate::render::gate::{breached, clause, place, waived};
use crate::render::report::Diffed;
use crate::render::report::naming::{Actors, Naming};
use crate::render::report::news::{News, gate, guardrails};
use crate::render::report::records::{Listed, Record, listed};
use crate::visible::visible;

/// Where a comment of ours begins, so that the next run finds it and writes over it.
pub const MARKER: &str = "<!-- rulectl diff -->";

/// A comment takes 65,536 characters; this many bytes are never more, with what whoever posts it adds.
const LIMIT: usize = 60_000;

/// What the ends of all sections take.
const RESERVE: usize = 4_000;

/// So many rows of a section are shown.
const ROWS: usize = 40;

/// So many records of each kind.
const RECORDS: usize = 20;

/// So many differences of a change, and fields of a record, are shown.
const DETAILS: usize = 8;

/// What a diff found, as Markdown for GitHub.
#[must_use]
pub fn markdown(diffed: &Diffed<'_>) -> String {
    let naming = Naming::of(diffed.actors, diffed.effect);
    let mut page = Page::default();
    let [base, head] = diffed.names.map(code);
    page.line(&format!("{MARKER}\n### `rulectl diff`: {base} → {head}\n"));
    page.news(&News::of(diffed, &naming));
    if let Some(gate) = diffed.gate {
        page.gate(gate);
    }
    if let Some(effect) = diffed.effect.filter(|effect| !effect.is_empty()) {
        page.counts(effect);
    }
    page.guardrails(diffed);
    if let Some(effect) = diffed.effect {
        page.lost(effect, &naming);
    }
    page.changes(&diffed.changes.items);
    if let Some(effect) = diffed.effect {
        if let Some(audits) = diffed.audits {
            page.routing(&audits.routing);
        }
        page.by_rule(effect);
        let all = listed(effect);
        all.iter().for_each(|of| page.records(of, effect, &naming));
        page.known(effect, &naming);
    }
    if diffed.effect.is_some() && diffed.actors == Actors::Numbered {
        page.line("Accounts and addresses are numbered here; `--actors` names them.");
    }
    page.text
}

/// The comment as far as it is written.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn news(&mut self, told: &News) {
        let (news, findings) = (prose(&told.news), prose(&told.findings));
        self.line(&format!("**{news}.** {findings}.\n"));
        let Some((first, others)) = told.doubts.split_first() else {
            return;
        };
        let more = match others.len() {
            0 => String::new(),
            more => format!("; and {}", counted(more as u64, "other reason")),
        };
        self.line(&format!("**Inconclusive:** {}{more}.\n", prose(first)));
    }

    fn counts(&mut self, effect: &Effect) {
        self.line("| | before | now | added | removed | changed |\n|---|--:|--:|--:|--:|--:|");
        for (kind, delta) in effect.deltas() {
            if is_shown(&delta.counts) {
                let numbers = numbers(&delta.counts).join(" | ");
                self.line(&format!("| {}s | {numbers} |", kind.as_str()));
            }
        }
        self.line("");
    }

    /// What the guardrails of both sides make of the agents that the model proposed.
    fn routing(&mut self, routing: &Routing) {
        let rows: Vec<String> = became_of(&routing.agents)
            .into_iter()
            .map(|(fate, base, head)| row(&[fate.to_owned(), base.to_string(), head.to_string()]))
            .collect();
        let changed = routing.changed.len() as u64 + routing.changed_left_out;
        let heading = format!(
            "Agents as the model proposed them: {} changed, {} gained, {} lost",
            counted(changed, "route"),
            counted(routing.gained.len() as u64, "promotion"),
            routing.lost.len()
        );
        let columns = "| agents | before | now |\n|---|--:|--:|";
        self.folded("", &heading, columns, rows.into_iter(), ROWS, 0);
    }

    /// The clauses, those that fail first; open where it is not passed.
    fn gate(&mut self, verdict: &Verdict) {
        let mut clauses: Vec<&Judged> = verdict.clauses.iter().collect();
        clauses.sort_by_key(|judged| judged.outcome);
        let idle = verdict.idle_waivers.iter().map(idle);
        let rows: Vec<String> = clauses.into_iter().map(judged).chain(idle).collect();
        let columns = "| | clause | what | where |\n|---|---|---|---|";
        let heading = gate(verdict);
        let fold = if verdict.passed { "" } else { " open" };
        self.folded(fold, &heading, columns, rows.into_iter(), ROWS, 0);
    }

    fn guardrails(&mut self, diffed: &Diffed<'_>) {
        let all = &diffed.changes.guardrails;
        let heading = guardrails(diffed.changes);
        let columns = "| | clause | what | where |\n|---|---|---|---|";
        self.section(&heading, columns, all.iter().map(guardrail), ROWS, 0);
    }

    fn lost(&mut self, effect: &Effect, naming: &Naming) {
        let together = together(&effect.lost);
        let rows = together.iter().map(|(first, kinds)| {
            let subject = &first.one.subject;
            row(&[
                first.severity.as_str().to_owned(),
                said(kinds),
                about(subject, naming),
                naming.when(subject),
                caused(&first.one.cause, &first.clauses) + depends(first.one.certainty),
            ])
        });
        let heading = format!("Lost, of {}", counted(together.len() as u64, "finding"));
        let columns = "| severity | what | of | when | by |\n|---|---|---|---|---|";
        self.section(&heading, columns, rows, ROWS, effect.lost_left_out);
    }

    fn changes(&mut self, all: &[Change]) {
        let (idle, acting): (Vec<&Change>, Vec<&Change>) = all
            .iter()
            .partition(|change| change.matters == Matters::Nothing);
        let heading = format!(
            "{}, {} without effect",
            counted(all.len() as u64, "change"),
            idle.len()
        );
        let ordered: Vec<&Change> = acting.into_iter().chain(idle).collect();
        self.section(&heading, "", ordered.into_iter().map(change), ROWS, 0);
    }

    fn by_rule(&mut self, effect: &Effect) {
        let rows = effect.by_rule.iter().map(|of| {
            let differing = &of.differing;
            let [findings, incidents] = [&differing.findings, &differing.incidents]
                .map(|signs| format!("{} | {} | {}", signs.added, signs.removed, signs.changed));
            format!(
                "| {} | {} | {} | {findings} | {incidents} |",
                code(&of.rule),
                of.base,
                of.head
            )
        });
        let columns = "| rule | findings before | now | added | removed | changed | incidents added | removed | changed |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|";
        self.section("By rule", columns, rows, ROWS, 0);
    }

    fn records(&mut self, of: &Listed<'_>, effect: &Effect, naming: &Naming) {
        let rows = of.records.iter().map(|one| record(one, of, effect, naming));
        let count = of.records.len() as u64 + of.left_out;
        let heading = format!("{} that differ: {count}", plural(of.kind));
        let columns = "| | of | when | what differs | by |\n|---|---|---|---|---|";
        self.section(&heading, columns, rows, RECORDS, of.left_out);
    }

    fn known(&mut self, effect: &Effect, naming: &Naming) {
        let (decisive, others): (Vec<_>, Vec<_>) =
            effect.doubts.iter().partition(|doubt| doubt.decisive);
        for (heading, doubts) in [
            ("Inconclusive: this could change what is told", decisive),
            ("To be known", others),
        ] {
            let rows = doubts.into_iter();
            let rows = rows.map(|doubt| format!("- {}", prose(&naming.doubt(doubt))));
            self.section(heading, "", rows, ROWS, 0);
        }
    }

    /// A folded section; says how many rows it has no room for.
    fn section(
        &mut self,
        heading: &str,
        columns: &str,
        rows: impl ExactSizeIterator<Item = String>,
        most: usize,
        left_out: u64,
    ) {
        self.folded("", heading, columns, rows, most, left_out);
    }

    fn folded(
        &mut self,
        fold: &str,
        heading: &str,
        columns: &str,
        rows: impl ExactSizeIterator<Item = String>,
        most: usize,
        left_out: u64,
    ) {
        let count = rows.len();
        if count == 0 {
            return;
        }
        self.line(&format!("<details{fold}><summary>{heading}</summary>\n"));
        if !columns.is_empty() {
            self.line(columns);
        }
        let mut shown = 0;
        for row in rows.take(most) {
            if self.text.len() + row.len() + RESERVE > LIMIT {
                break;
            }
            self.line(&row);
            shown += 1;
        }
        let more = (count - shown) as u64 + left_out;
        if more > 0 {
            self.line(&format!(
                "\n{more} more left out here: `--report json=FILE` has them."
            ));
        }
        self.line("\n</details>\n");
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn judged(judged: &Judged) -> String {
    let breaches = judged.breaches.iter().map(|breach| {
        let at = breach
            .at
            .as_ref()
            .map(|at| format!(" {}", code(&place(at))));
        let waiver = breach.waiver.as_ref();
        let waiver = waiver.map(|waiver| format!(", {}", prose(&waived(waiver))));
        format!(
            "{}{}{}",
            prose(&breached(breach)),
            at.unwrap_or_default(),
            waiver.unwrap_or_default()
        )
    });
    let mut what: Vec<String> = breaches.take(DETAILS).collect();
    let more = judged.breaches.len().saturating_sub(DETAILS);
    if more > 0 {
        what.push(format!("{more} more"));
    }
    row(&[
        format!("**{}**", judged.outcome.as_str()),
        code(&clause(judged)),
        what.join("; "),
        code(&place(&judged.place)),
    ])
}

/// A waiver that nothing needs.
fn idle(waiver: &Waived) -> String {
    let of = waiver.of.as_deref().map(code).unwrap_or_default();
    row(&[
        "idle waiver".to_owned(),
        code(waiver.clause.as_str()),
        of,
        code(&place(&waiver.place)),
    ])
}

fn guardrail(guardrail: &Guardrail) -> String {
    let places = places(guardrail.base.as_ref(), guardrail.head.as_ref());
    row(&[
        format!("**{}**", guardrail.moved.as_str()),
        code(&guardrail.clause),
        prose(&guarded(guardrail)),
        code(&places),
    ])
}

fn record(record: &Record<'_>, of: &Listed<'_>, effect: &Effect, naming: &Naming) -> String {
    let subject = about(record.subject, naming);
    let subject = match record.name {
        "" => subject,
        name => format!("{} for {subject}", code(name)),
    };
    let fields = naming.fields(of.kind, record.fields);
    let more = fields.len().saturating_sub(DETAILS);
    let mut fields: Vec<String> = fields
        .iter()
        .take(DETAILS)
        .map(|text| prose(text))
        .collect();
    if more > 0 {
        fields.push(counted(more as u64, "other field"));
    }
    let sign = match record.sign {
        "-" => "removed",
        "+" => "added",
        _ => "changed",
    };
    row(&[
        sign.to_owned(),
        subject,
        naming.when(record.subject),
        fields.join("; "),
        caused(record.cause, &clauses(effect, record.cause)) + depends(record.certainty),
    ])
}

/// What a record is about; what a log says stands in one span.
fn about(subject: &Subject, naming: &Naming) -> String {
    match (naming, naming.actor_of(subject).as_str()) {
        (Naming::AsLogged, _) | (_, "") => code(&naming.subject(subject)),
        (Naming::Numbers(_), actor) => format!("{} for {}", code(&subject.rule), code(actor)),
    }
}

/// What makes a difference, with the lines.
fn caused(cause: &Cause, clauses: &[Clause]) -> String {
    let clauses: Vec<String> = clauses.iter().map(|one| code(&placed(one))).collect();
    match cause.how {
        How::Alone => clauses.join(", and "),
        How::Together => format!("together: {}", clauses.join(", ")),
        How::NotAttributed => "too many edits to try one by one".to_owned(),
    }
}

/// What changed, by its kind and what both sides call it.
fn called(change: &Change) -> String {
    let kind = change.kind.as_str();
    match (&change.base, &change.head) {
        (Some(base), Some(head)) if base.name != head.name => {
            format!("{kind} {} → {}", code(&base.name), code(&head.name))
        }
        _ => format!("{kind} {}", code(change.name())),
    }
}

/// A change with its differences, as a list.
fn change(change: &Change) -> String {
    let stands = |named: &Option<Named>| named.as_ref().map(|named| named.place.clone());
    let (base, head) = (stands(&change.base), stands(&change.head));
    let mut text = format!(
        "- **{}** {} {}",
        change.action.as_str(),
        called(change),
        code(&places(base.as_ref(), head.as_ref()))
    );
    if change.matters != Matters::Decides {
        let _ = write!(text, ", {}", change.matters.as_str());
    }
    let mut lines: Vec<String> = change
        .details
        .iter()
        .take(DETAILS)
        .map(|detail| {
            let places = places(detail.base.as_ref(), detail.head.as_ref());
            format!("{} {}", prose(&differs(detail)), code(&places))
        })
        .collect();
    let more = change.details.len().saturating_sub(DETAILS);
    if more > 0 {
        lines.push(counted(more as u64, "other difference"));
    }
    if !change.through.is_empty() {
        let through = format!("does something else through {}", change.through.join(", "));
        lines.push(prose(&through));
    }
    if let Some(related) = &change.relation {
        lines.push(prose(&relates(related)));
        for (label, event) in [
            ("only before", &related.only_base),
            ("only now", &related.only_head),
        ] {
            let event = event.as_ref().map(ToString::to_string);
            lines.extend(event.map(|event| format!("{label} {}", code(&event))));
        }
    }
    for line in lines {
        let _ = write!(text, "\n  - {line}");
    }
    text
}

/// A text is cut where it is longer.
const WIDEST: usize = 240;

/// Any text as a code span, in which nothing means anything; nothing for an empty one.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut shown = String::new();
    let text = visible(text);
    for c in text.chars().take(WIDEST) {
        match c {
            // One ends the span, and the other the cell of a table.
            '`' | '|' => {
                let _ = write!(shown, "\\u{{{:x}}}", c as u32);
            }
            c => shown.push(c),
        }
    }
    let cut = if text.chars().nth(WIDEST).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{shown}{cut}`")
}

/// A sentence: words and numbers as they are, and all else as code.
fn prose(text: &str) -> String {
    let mut pieces: Vec<String> = Vec::new();
    let mut odd: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        if is_plain(word) {
            pieces.extend(span(&mut odd));
            pieces.push(word.to_owned());
        } else {
            odd.push(word);
        }
    }
    pieces.extend(span(&mut odd));
    pieces.join(" ")
}

/// Odd words as one code span, with the punctuation of the sentence outside.
fn span(odd: &mut Vec<&str>) -> Option<String> {
    let text = odd.join(" ");
    odd.clear();
    let inner = text.strip_prefix('(').unwrap_or(&text);
    let before = if inner.len() < text.len() { "(" } else { "" };
    let bare = inner.trim_end_matches(PUNCTUATION);
    let after = inner.get(bare.len()..).unwrap_or_default();
    // Our own sentences put names in backticks.
    let unquoted = bare
        .strip_prefix('`')
        .and_then(|bare| bare.strip_suffix('`'));
    // Several of them, one behind the other, are one span.
    let unquoted = unquoted.map(|bare| bare.replace("`, `", ", "));
    let unquoted = unquoted.filter(|bare| !bare.contains('`'));
    match unquoted.as_deref().unwrap_or(bare) {
        "" if text.is_empty() => None,
        "" => Some(code(&text)),
        bare => Some(format!("{before}{}{after}", code(bare))),
    }
}

const PUNCTUATION: [char; 5] = [',', ';', ':', '.', ')'];

/// Whether a word cannot mean anything to Markdown or to GitHub: letters, perhaps hyphenated, or a
/// number, and no digits that could be a commit.
fn is_plain(word: &str) -> bool {
    if word == "→" {
        return true;
    }
    let bare = word.strip_prefix('(').unwrap_or(word);
    let bare = bare.trim_end_matches(PUNCTUATION);
    let is_word = |part: &str| !part.is_empty() && part.chars().all(char::is_alphabetic);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_hex = bare.len() >= 7 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        return false;
    }
    match bare.split_once('.') {
        Some((whole, part)) => is_number(whole) && is_number(part),
        // `1.` and `1)` would begin a list.
        None if is_number(bare) => !word.ends_with(['.', ')']),
        None => bare.split('-').all(is_word),
    }
}
