//! What a run found, for the person who started it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::detect::{Finding, Moment};
use crate::diag::{counted, noun};
use crate::event::Digest;
use crate::pipeline::{Beginning, Counts, Fills, Outcome, Response};
use crate::render::asked;
use crate::render::fills::{filled, filled_by_slot};
use crate::render::finding::marks;
use crate::render::lines::of_several;
use crate::render::lists::written;
use crate::render::style::{Styles, field, raw_field, severity, short, styled, time};
use crate::visible::visible;

/// What a run is remembered by while it goes on: a few outcomes in full, and counts of all.
#[derive(Debug, Default)]
pub struct Collected {
    incidents: Vec<Outcome>,
    others: Vec<Outcome>,
    incident_count: u64,
    other_count: u64,
    /// How often each agent failed, and why the first time.
    failed: BTreeMap<String, (u64, String)>,
    /// Of the others, those that a model kept from becoming incidents.
    withheld: u64,
    /// What the run began with, where a model was asked for its route.
    beginning: Option<Beginning>,
}

/// So many incidents, and so many other findings, are shown; the rest is counted.
const SHOWN: usize = 50;

impl Collected {
    /// Remembers what the run begins with.
    pub fn begin(&mut self, beginning: &Beginning) {
        let asked = beginning.asked.as_ref();
        self.beginning = asked.map(|_| beginning.clone());
    }

    /// Remembers an outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        let responses = outcome.response.iter();
        for draft in responses.flat_map(|response| &response.drafts) {
            if let Some(failed) = &draft.failed {
                let first = || (0, failed.reason.clone());
                let known = self.failed.entry(draft.agent_name.clone());
                known.or_insert_with(first).0 += 1;
            }
        }
        let (list, count) = if outcome.response.is_some() {
            (&mut self.incidents, &mut self.incident_count)
        } else {
            (&mut self.others, &mut self.other_count)
        };
        *count += 1;
        self.withheld += u64::from(outcome.promotion.withheld);
        if list.len() < SHOWN {
            list.push(outcome.clone());
        }
    }
}

impl Collected {
    /// How often each agent failed, and which one and why the first time.
    pub fn failures(&self) -> impl Iterator<Item = (u64, String)> {
        self.failed.iter().map(|(agent, (failures, first))| {
            let (failed, agent) = (noun(*failures, "failure"), visible(agent));
            (
                *failures,
                format!("{failed} of {agent}, first: {}", visible(first)),
            )
        })
    }
}

/// An outcome on one line, for whoever watches a run.
#[must_use]
pub fn outcome_line(outcome: &Outcome) -> String {
    let Outcome { finding, risk, .. } = outcome;
    let not = if outcome.promotion.withheld {
        "withheld by a model"
    } else {
        "not promoted"
    };
    let became = outcome.response.as_ref().map_or_else(
        || not.to_owned(),
        |response| format!("incident {}", short(response.incident.id)),
    );
    format!(
        "{}  {} {:.2}  {}  {:?}  finding {}  {became}",
        time(finding.created_at),
        severity(risk.severity),
        risk.score,
        visible(&finding.description),
        finding.status,
        short(finding.id),
    )
}

/// The summary. `data` is the folder that holds the artifacts.
#[must_use]
pub fn summary(
    collected: &Collected,
    counts: &Counts,
    slots: &Fills,
    inputs: usize,
    policy: Digest,
    generation: u64,
    data: &str,
) -> String {
    let mut out = String::new();
    head(&mut out, counts, inputs, policy, generation);
    if let Some(beginning) = &collected.beginning {
        began(&mut out, beginning);
    }
    heading(&mut out, "Incidents", collected.incident_count);
    collected
        .incidents
        .iter()
        .for_each(|outcome| incident(&mut out, outcome));
    rest(
        &mut out,
        collected.incident_count,
        collected.incidents.len(),
    );
    heading(
        &mut out,
        "Findings that were not promoted",
        collected.other_count,
    );
    collected
        .others
        .iter()
        .for_each(|outcome| other(&mut out, outcome));
    rest(&mut out, collected.other_count, collected.others.len());
    slots_filled(&mut out, slots);
    foot(&mut out, collected, counts, data);
    out
}

fn head(out: &mut String, counts: &Counts, inputs: usize, policy: Digest, generation: u64) {
    let policy: String = policy.to_string().chars().take(12).collect();
    let _ = writeln!(
        out,
        "{} from {}{}",
        counted(counts.events, "event"),
        counted(inputs as u64, "input"),
        range(counts)
    );
    let _ = writeln!(
        out,
        "{}",
        styled(
            Styles::QUIET,
            &format!("policy {policy}, generation {generation}")
        )
    );
}

/// How the route of the run came about.
fn began(out: &mut String, beginning: &Beginning) {
    let style = Styles::HEADING;
    let _ = writeln!(out, "\n{style}Route of the run{style:#}");
    asked::route(out, "route", &beginning.route);
    if let Some(summary) = &beginning.summary {
        asked::summary(out, summary);
    }
}

fn range(counts: &Counts) -> String {
    match (counts.first, counts.last) {
        (None, _) | (_, None) => String::new(),
        (first, last) => format!(", {} to {} UTC", time(first), time(last)),
    }
}

fn heading(out: &mut String, text: &str, count: u64) {
    let style = Styles::HEADING;
    let _ = writeln!(out, "\n{style}{text}: {count}{style:#}");
}

fn rest(out: &mut String, count: u64, shown: usize) {
    let left = count.saturating_sub(shown as u64);
    if left > 0 {
        let _ = writeln!(out, "\n  … and {left} more; `rulectl show` lists them all");
    }
}

fn incident(out: &mut String, outcome: &Outcome) {
    let Outcome {
        finding,
        promotion,
        response,
        ..
    } = outcome;
    let Some(response) = response else { return };
    title(out, outcome);
    why(out, finding);
    asked::risk(out, &outcome.risk);
    field(out, "promoted", &promotion.reasons.join("; "));
    timeline(out, &finding.timeline, finding.count);
    if response.route.consulted.is_some() {
        asked::route(out, "route", &response.route);
    }
    plan(out, response);
    drafts(out, response);
}

fn other(out: &mut String, outcome: &Outcome) {
    title(out, outcome);
    why(out, &outcome.finding);
    asked::risk(out, &outcome.risk);
    field(
        out,
        "promoted",
        &format!("no: {}", outcome.promotion.reasons.join("; ")),
    );
    timeline(out, &outcome.finding.timeline, outcome.finding.count);
}

fn title(out: &mut String, outcome: &Outcome) {
    let Outcome { finding, risk, .. } = outcome;
    let heading = styled(Styles::HEADING, &finding.rule_title);
    let id = styled(Styles::QUIET, &format!("finding {}", short(finding.id)));
    let _ = writeln!(
        out,
        "\n  {} {:.2}  {heading}  {id}",
        severity(risk.severity),
        risk.score
    );
    let _ = writeln!(out, "    {}", visible(&finding.description));
}

fn why(out: &mut String, finding: &Finding) {
    let label = finding.rule_name.as_deref().unwrap_or(&finding.rule_title);
    let mut text = format!("{label}: {}", finding.reasons.join("; "));
    if let Some(author) = &finding.rule_author {
        text.push_str(&format!(" (rule by {author})"));
    }
    field(out, "why", &text);
    if let Some(user) = &finding.user_id {
        field(out, "user", user);
    }
}

/// The first and last three moments.
fn timeline(out: &mut String, moments: &[Moment], count: u64) {
    const ENDS: usize = 3;
    let shown: Vec<&Moment> = if moments.len() > 2 * ENDS {
        moments
            .iter()
            .take(ENDS)
            .chain(moments.iter().skip(moments.len() - ENDS))
            .collect()
    } else {
        moments.iter().collect()
    };
    let hidden = count.saturating_sub(shown.len() as u64);
    for (at, moment) in shown.iter().enumerate() {
        if at == ENDS && hidden > 0 {
            raw_field(out, "", &format!("… {} more", hidden));
        }
        let label = if at == 0 { "events" } else { "" };
        raw_field(out, label, &moment_text(moment));
    }
}

pub(super) fn moment_text(moment: &Moment) -> String {
    let values: Vec<String> = moment
        .values
        .values()
        .map(|value| shortened(&visible(value)))
        .collect();
    format!("{}  {}", time(moment.at), values.join(" · "))
}

/// A value cut to what fits a line of a timeline; the record has the whole.
fn shortened(text: &str) -> String {
    const WIDTH: usize = 40;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

fn plan(out: &mut String, response: &Response) {
    let Some(plan) = &response.plan else {
        return raw_field(out, "plan", "none: no agent of the route plans");
    };
    if plan.consulted.is_some() {
        asked::goal(out, plan);
    }
    for (at, step) in plan.steps.iter().enumerate() {
        let marks = marks(plan, step).into_iter();
        let marks: String = marks.map(|mark| format!("  {mark}")).collect();
        let label = if at == 0 { "plan" } else { "" };
        raw_field(
            out,
            label,
            &format!(
                "{}. {}{}",
                at + 1,
                visible(&step.step_id),
                styled(Styles::QUIET, &marks)
            ),
        );
        asked::comment(out, "", step.comment.as_deref());
    }
    asked::plan(out, plan);
    let read_only = response
        .commands
        .iter()
        .filter(|command| command.read_only)
        .count();
    let commands = format!(
        "{}, {read_only} read-only",
        counted(response.commands.len() as u64, "suggested command")
    );
    field(out, "commands", &commands);
}

fn drafts(out: &mut String, response: &Response) {
    let drafts: Vec<String> = response.drafts.iter().map(written).collect();
    if !drafts.is_empty() {
        field(out, "drafts", &drafts.join(", "));
    }
}

/// What scripts could not answer: their rules were without them there.
fn scripts(out: &mut String, counts: &Counts) {
    for failed in counts.scripts.iter() {
        let _ = writeln!(
            out,
            "{:>8} {} of {} for {}, first: {}",
            failed.failures,
            noun(failed.failures, "failure"),
            visible(&failed.function),
            visible(&failed.rule),
            visible(&failed.first)
        );
    }
}

/// The agents that failed: their incidents are without what they write.
fn agents(out: &mut String, collected: &Collected) {
    for (failures, what) in collected.failures() {
        let _ = writeln!(out, "{failures:>8} {what}");
    }
}

/// What came of asking a model, where one was.
fn slots_filled(out: &mut String, slots: &Fills) {
    if slots.is_empty() {
        return;
    }
    let (style, filled) = (Styles::HEADING, filled(slots));
    let _ = writeln!(out, "\n{style}Slots filled: {filled}{style:#}\n");
    for line in filled_by_slot(slots) {
        for (at, line) in asked::wrapped(&line, 66).iter().enumerate() {
            let indent = if at == 0 { "" } else { "         " };
            let _ = writeln!(out, "  {indent}{line}");
        }
    }
}

fn foot(out: &mut String, collected: &Collected, counts: &Counts, data: &str) {
    let _ = writeln!(out);
    if collected.withheld > 0 {
        let _ = writeln!(
            out,
            "{:>8} withheld: the default risk makes it an incident, and the model's does not",
            collected.withheld
        );
    }
    let correlation = &counts.correlation;
    for (count, one, what) in [
        (
            counts.rejected,
            "",
            "rejected: not events; see rejects.jsonl",
        ),
        (
            counts.without_time,
            "",
            "without a readable time: met single-event rules only",
        ),
        (counts.without_type, "", "without an event type"),
        (counts.outside_range, "", "outside the time range"),
        (correlation.duplicates, "second copy", "of a matched event"),
        (
            correlation.cut_groups,
            "match",
            "with more values to group by than are followed",
        ),
        (
            correlation.without_group,
            "match",
            "without a value to group by",
        ),
        (
            correlation.pending,
            "event",
            "still waiting for what is asked to follow",
        ),
        (
            correlation.evicted,
            "",
            "let go before their time, since there were too many events and values",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{count:>8} {}", of_several(count, one, what));
        }
    }
    scripts(out, counts);
    agents(out, collected);
    let _ = writeln!(out, "Artifacts in {}. Nothing was executed.", visible(data));
    let first = collected.incidents.first().or(collected.others.first());
    if let Some(outcome) = first {
        let _ = writeln!(
            out,
            "Next: rulectl show finding {}",
            short(outcome.finding.id)
        );
    }
}
