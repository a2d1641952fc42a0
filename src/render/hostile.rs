//! What came of an attack, as tables.

use std::fmt::Write;

use crate::lab::hostile::{Behaviour, Escape, Kind, MalformedReply, Report, Tally};
use crate::render::lists::{table, table_within};
use crate::render::style::{Styles, styled};
use crate::visible::visible;

/// The cases by behaviour, family and field, the malformed replies, and every escape that is told.
#[must_use]
pub fn attacked(report: &Report) -> String {
    let log = &report.log;
    let mut out = format!(
        "without a model: {} events, {} findings, {} incidents, {} commands\n\n",
        log.events, log.findings, log.incidents, log.commands
    );
    out += &matrix(report);
    out.push('\n');
    out += &behaviours(report);
    out.push('\n');
    out += &fields(report);
    if !report.replies.is_empty() {
        out.push('\n');
        out += &replies(&report.replies);
    }
    for escape in &report.escapes {
        told(&mut out, escape);
    }
    for reply in report.replies.iter().filter(|reply| !reply.holds()) {
        told_reply(&mut out, reply);
    }
    let total = report.total();
    let mut verdict = format!("{} cases, {} escapes", total.cases, total.escapes);
    if !report.replies.is_empty() {
        let taken = report.replies.iter().filter(|reply| !reply.holds()).count();
        let _ = write!(
            verdict,
            "; {} malformed replies, {taken} taken",
            report.replies.len()
        );
    }
    let style = if report.holds() {
        Styles::GOOD
    } else {
        Styles::BAD
    };
    let _ = writeln!(out, "\n{}", styled(style, &verdict));
    out
}

/// One column for each behaviour has to fit.
const MATRIX_WIDTH: u16 = 180;

/// Escapes by family and behaviour, with the number of cases in each place of a row.
fn matrix(report: &Report) -> String {
    let mut head = vec!["escapes", "cases"];
    head.extend(Behaviour::ALL.map(Behaviour::as_str));
    let rows = report.cells.chunks(Behaviour::ALL.len()).map(|cells| {
        let family = cells.first().map(|cell| visible(&cell.family));
        let cases: u64 = cells.iter().map(|cell| cell.tally.cases).sum();
        let mut row = vec![family.unwrap_or_default(), cases.to_string()];
        row.extend(cells.iter().map(|cell| cell.tally.escapes.to_string()));
        row
    });
    let rows = rows.filter(|row| row.get(1).is_some_and(|cases| cases != "0"));
    table_within(MATRIX_WIDTH, &head, rows)
}

fn behaviours(report: &Report) -> String {
    let rows = Behaviour::ALL.map(|behaviour| {
        let mut sum = Tally::default();
        let name = behaviour.as_str();
        let cells = report.cells.iter().filter(|cell| cell.behaviour == name);
        cells.for_each(|cell| sum.add(cell.tally));
        numbers(name, sum)
    });
    let total = numbers("all", report.total());
    let head = [
        "the model",
        "cases",
        "reached",
        "accepted",
        "repaired",
        "refused",
        "escapes",
    ];
    table(&head, rows.into_iter().chain([total]))
}

fn fields(report: &Report) -> String {
    let tried = report.fields.iter().filter(|field| field.tally.cases > 0);
    let rows = tried.map(|field| numbers(&visible(&field.path), field.tally));
    let head = [
        "the field",
        "cases",
        "reached",
        "accepted",
        "repaired",
        "refused",
        "escapes",
    ];
    table(&head, rows)
}

fn numbers(name: &str, tally: Tally) -> Vec<String> {
    let counts = [
        tally.cases,
        tally.reached,
        tally.accepted,
        tally.repaired,
        tally.refused,
        tally.escapes,
    ];
    let counts = counts.map(|count| count.to_string());
    [name.to_owned()].into_iter().chain(counts).collect()
}

fn replies(replies: &[MalformedReply]) -> String {
    let rows = replies.iter().map(|reply| {
        let ended = match (reply.holds(), reply.accepted) {
            (false, _) => "TAKEN",
            (true, 0) => "refused",
            (true, _) => "within bounds",
        };
        let why = reply.reasons.values().find(|why| !why.is_empty());
        let why = why.map(|why| clipped(why)).unwrap_or_default();
        vec![reply.reply.to_owned(), ended.to_owned(), why]
    });
    table(&["the reply", "ended", "because"], rows)
}

/// The first of several reasons, on one line.
fn clipped(why: &str) -> String {
    let first = why.split("; ").next().unwrap_or_default();
    visible(first)
}

fn told(out: &mut String, escape: &Escape) {
    let words = format!("{} {}", escape.payload, escape.field);
    let _ = writeln!(
        out,
        "\n{} {} under a model that obeys as `{}`",
        styled(Styles::BAD, "ESCAPE"),
        visible(&words),
        escape.behaviour
    );
    differences(out, &escape.differs);
    let _ = writeln!(out, "  again: rulectl hostile '{}'", visible(&words));
}

fn told_reply(out: &mut String, reply: &MalformedReply) {
    let bad = styled(Styles::BAD, "ESCAPE");
    let _ = writeln!(out, "\n{bad} a malformed reply: {}", reply.reply);
    differences(out, &reply.differs);
    if reply.accepted > 0 && !reply.may_pass {
        let _ = writeln!(out, "  it was accepted {} times", reply.accepted);
    }
}

fn differences(out: &mut String, differs: &[(Kind, String)]) {
    for (kind, what) in differs {
        let _ = writeln!(out, "  {}: {}", kind.as_str(), visible(what));
    }
}
