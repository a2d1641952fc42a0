//! Why a finding became an incident or did not, and who put what into a route, as text.

use std::fmt::Write;

use crate::diag::counted;
use crate::lab::explain::{
    ClauseWeighed, EditTold, FindingTold, IncidentTold, MemberTold, PlaceTold, RouteTold,
};
use crate::render::style::{Styles, styled, time};
use crate::visible::visible;

/// So wide is what is said; where it is written stands behind that.
const WIDE: usize = 64;

/// Why a finding became an incident, or did not.
#[must_use]
pub fn explained_finding(told: &FindingTold) -> String {
    let mut out = String::new();
    let kind = format!("finding {}, {}", told.finding, told.finding_type);
    title(&mut out, &told.title, &kind);
    let formed = &told.formed;
    line(
        &mut out,
        2,
        &format!(
            "formed by {} in {} of {}",
            counted(formed.count, "event"),
            counted(formed.hits, "hit"),
            formed.rule
        ),
        formed.place.as_ref(),
    );
    let (first, last) = (time(formed.first_seen), time(formed.last_seen));
    line(&mut out, 4, &format!("{first} to {last} UTC"), None);
    for (name, value) in &formed.group {
        line(&mut out, 4, &format!("{name} = {value}"), None);
    }
    for reason in &formed.reasons {
        line(&mut out, 4, &format!("first hit: {reason}"), None);
    }
    line(&mut out, 2, "its risk", None);
    for valued in &told.risk {
        let said = format!("{} {}: {}", valued.name, valued.value, valued.source);
        line(&mut out, 4, &said, valued.place.as_ref());
    }
    let verdict = match (told.promoted, told.withheld) {
        (true, _) => "promoted: one clause is enough",
        (false, true) => "not promoted, since a model kept it from that",
        (false, false) => "not promoted: no clause holds",
    };
    line(&mut out, 2, verdict, None);
    told.clauses
        .iter()
        .for_each(|clause| weighed(&mut out, clause, 4));
    for reason in told.recorded.iter().filter(|_| told.withheld) {
        line(&mut out, 4, &format!("recorded: {reason}"), None);
    }
    out
}

fn weighed(out: &mut String, clause: &ClauseWeighed, indent: usize) {
    let (style, word) = if clause.holds {
        (Styles::GOOD, "yes")
    } else {
        (Styles::BAD, "no ")
    };
    let text = format!("{}: {}", clause.clause, clause.said);
    let text = visible(&text);
    let wide = WIDE.saturating_sub(indent + 4);
    let _ = writeln!(
        out,
        "{:indent$}{style}{word}{style:#} {text:<wide$}{}",
        "",
        at(clause.place.as_ref())
    );
    let parts = clause.parts.iter();
    parts.for_each(|part| weighed(out, part, indent + 2));
}

/// Who put what into the routes and the plan of an incident.
#[must_use]
pub fn explained_incident(told: &IncidentTold) -> String {
    let mut out = String::new();
    let kind = format!(
        "incident {}, severity {}, of finding {}",
        told.incident, told.severity, told.finding
    );
    title(&mut out, &told.title, &kind);
    for route in &told.routes {
        let what = match route.context {
            "raw_events" => "the route of the run",
            _ => "the route of the incident",
        };
        of_route(&mut out, &format!("{what}, phase {}", route.phase), route);
    }
    if let Some(plan) = &told.plan {
        of_route(&mut out, &format!("the plan: {}", plan.phase), plan);
    }
    out
}

fn of_route(out: &mut String, what: &str, route: &RouteTold) {
    line(out, 2, what, None);
    if let Some(why) = &route.refused {
        line(
            out,
            4,
            &format!("the model's answer was refused: {why}"),
            None,
        );
    }
    if let Some(proposed) = &route.proposed {
        let proposed: Vec<String> = proposed.iter().map(|name| format!("{name:?}")).collect();
        let proposed = format!("the model proposed: {}", proposed.join(", "));
        line(out, 4, &proposed, None);
    }
    for (at, member) in (1..).zip(&route.members) {
        of_member(out, at, member);
    }
    // What was added stands among the members, with the same clause.
    let edits = route.edits.iter().filter(|edit| edit.action != "added");
    let edits: Vec<&EditTold> = edits.collect();
    // A model that repeats itself is told once.
    for same in edits.chunk_by(|one, other| one == other) {
        let Some(edit) = same.first() else { continue };
        let by = if edit.clause.contains(' ') {
            "since"
        } else {
            "by"
        };
        let mut text = format!("{} {:?}, {by} {}", edit.action, edit.name, edit.clause);
        if same.len() > 1 {
            let _ = write!(text, ", {} times", same.len());
        }
        line(out, 4, &text, edit.place.as_ref());
    }
}

fn of_member(out: &mut String, number: usize, member: &MemberTold) {
    let since = member.since.as_ref();
    let since = since.map_or_else(String::new, |since| format!(" ({since})"));
    let text = format!("{number}. {}: {}{since}", member.name, member.by);
    line(out, 4, &text, member.place.as_ref());
}

fn title(out: &mut String, title: &str, kind: &str) {
    let kind = styled(Styles::QUIET, kind);
    let _ = writeln!(out, "{}  {kind}", styled(Styles::HEADING, title));
}

/// What is said, made visible, and where it is written.
fn line(out: &mut String, indent: usize, text: &str, place: Option<&PlaceTold>) {
    let text = visible(text);
    if place.is_none() {
        let _ = writeln!(out, "{:indent$}{text}", "");
        return;
    }
    let wide = WIDE.saturating_sub(indent);
    let _ = writeln!(out, "{:indent$}{text:<wide$}{}", "", at(place));
}

fn at(place: Option<&PlaceTold>) -> String {
    place.map_or_else(String::new, |place| {
        let place = format!("{}:{}", place.file, place.line);
        format!("  {}", styled(Styles::QUIET, &place))
    })
}
