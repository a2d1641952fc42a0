//! What a change of a policy does to the findings that an audit records, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::diag::{counted, grouped};
use crate::lab::diff::Place;
use crate::lab::diff::audits::{
    Agent, Audits, Both, Carrying, Fates, OfAudit, Promoted, Routed, Routing, Treated, Weighed,
};
use crate::render::effect::{about, body, doubts, heading, rest, when};
use crate::render::style::{Styles, styled, time};
use crate::visible::visible;

/// So many routes and promotions are shown; JSON has more.
const SHOWN: usize = 10;

/// All that the change does to what is recorded, and what the guardrails make of the proposals.
pub(super) fn followed(audits: &Audits) -> String {
    let mut out = String::new();
    let read = &audits.read;
    let between = match (read.first, read.last) {
        (Some(_), Some(_)) => format!(", {} to {}", time(read.first), time(read.last)),
        _ => String::new(),
    };
    let findings = counted(read.findings, "recorded finding");
    let runs = counted(read.runs, "run");
    heading(
        &mut out,
        &format!("Effect on {findings} of {runs}{between}"),
    );
    let as_recorded = grouped(read.as_recorded);
    let text = format!("the base decides {as_recorded} of them as it was decided then");
    let _ = writeln!(out, "  {}", styled(Styles::QUIET, &text));
    body(&mut out, &audits.effect);
    routing(&mut out, &audits.routing);
    doubts(&mut out, &audits.effect);
    out
}

fn routing(out: &mut String, routing: &Routing) {
    heading(
        out,
        "Agents, as the model proposed them and the guardrails have them",
    );
    fates(out, &routing.agents);
    proposals(out, routing);
    if !routing.changed.is_empty() {
        heading(out, "Routes that are others");
    }
    for changed in routing.changed.iter().take(SHOWN) {
        rerouted(out, changed);
    }
    let more = routing.changed.len().saturating_sub(SHOWN) as u64 + routing.changed_left_out;
    rest(out, more, "audits.routing.changed");
    for (title, sign, list, name) in [
        ("Promotions lost", "-", &routing.lost, "lost"),
        ("Promotions gained", "+", &routing.gained, "gained"),
    ] {
        if !list.is_empty() {
            heading(out, title);
        }
        list.iter()
            .take(SHOWN)
            .for_each(|one| promoted(out, sign, one));
        let more = list.len().saturating_sub(SHOWN) as u64;
        rest(out, more, &format!("audits.routing.{name}"));
    }
    if routing.promoted_left_out > 0 {
        let text = format!(
            "{} more promoted by one side alone",
            routing.promoted_left_out
        );
        let _ = writeln!(out, "  {}", styled(Styles::QUIET, &text));
    }
}

fn fates(out: &mut String, agents: &Both<Fates>) {
    let columns = format!("  {:<12}{:>9}{:>9}", "", "before", "now");
    let _ = writeln!(out, "{}", styled(Styles::QUIET, &columns));
    let Both { base, head } = agents;
    let rows = [
        ("routes", base.routes, head.routes),
        ("proposed", base.proposed, head.proposed),
        ("kept", base.kept, head.kept),
        ("reordered", base.reordered, head.reordered),
        ("dropped", base.dropped, head.dropped),
        ("forced in", base.forced_in, head.forced_in),
    ];
    for (name, base, head) in rows {
        let _ = writeln!(out, "  {name:<12}{base:>9}{head:>9}");
    }
}

fn proposals(out: &mut String, routing: &Routing) {
    let Both { base, head } = &routing.proposals;
    let slots: BTreeMap<&String, ()> = base.keys().chain(head.keys()).map(|it| (it, ())).collect();
    if slots.is_empty() {
        return;
    }
    heading(out, "Recorded proposals");
    for slot in slots.into_keys() {
        let [before, now] = [base, head].map(|side| side.get(slot).map(said).unwrap_or_default());
        let text = match before == now {
            true => format!("{slot}: {now}"),
            false => format!("{slot}: {} → {}", none(before), none(now)),
        };
        let _ = writeln!(out, "  {}", visible(&text));
    }
}

fn none(text: String) -> String {
    match text.is_empty() {
        true => "none".to_owned(),
        false => text,
    }
}

fn said(counts: &BTreeMap<Carrying, u64>) -> String {
    let words = counts.iter();
    let words = words.map(|(carrying, count)| format!("{count} {}", became(*carrying)));
    words.collect::<Vec<_>>().join(", ")
}

fn became(carrying: Carrying) -> &'static str {
    match carrying {
        Carrying::AsRecorded => "as recorded",
        Carrying::Carried => "carried to another request",
        Carrying::Refused => "refused then",
        Carrying::Failed => "failed then",
        Carrying::NotAsked => "not asked then",
        Carrying::NotRepaired => "refused now",
        Carrying::Gone => "not to be had",
    }
}

fn rerouted(out: &mut String, changed: &Routed) {
    let what = match changed.subject.finding {
        Some(_) => about(&changed.subject),
        None => "the route of a run".to_owned(),
    };
    let _ = writeln!(
        out,
        "  {} {}  {}",
        styled(Styles::HEADING, "~"),
        visible(&what),
        styled(Styles::QUIET, &when(&changed.subject))
    );
    let proposed = match (
        &changed.proposed,
        changed.proposal.head.or(changed.proposal.base),
    ) {
        (Some(agents), Some(carrying)) => format!("{} ({})", list(agents), became(carrying)),
        (Some(agents), None) => list(agents),
        (None, Some(carrying)) => format!("nothing: {}", became(carrying)),
        (None, None) => "nothing: no model was asked".to_owned(),
    };
    line(out, "proposed", &proposed);
    line(out, "before", &list(&changed.runs.base));
    line(out, "now", &list(&changed.runs.head));
    for agent in changed.agents.iter().filter(|agent| agent.differs()) {
        let Agent { agent, base, head } = agent;
        line(
            out,
            "",
            &format!("{agent}: {} → {}", treated(base), treated(head)),
        );
    }
}

fn list(agents: &[String]) -> String {
    match agents.is_empty() {
        true => "no agents".to_owned(),
        false => agents.join(", "),
    }
}

fn line(out: &mut String, label: &str, text: &str) {
    let label = format!("{label:<8}");
    let _ = writeln!(
        out,
        "    {}  {}",
        styled(Styles::QUIET, &label),
        visible(text)
    );
}

fn treated(treated: &Option<Treated>) -> String {
    let Some(treated) = treated else {
        return "not there".to_owned();
    };
    match &treated.clause {
        Some(clause) => {
            let place = placed(treated.place.as_ref());
            format!("{} by {clause}{place}", treated.fate.as_str())
        }
        None => treated.fate.as_str().to_owned(),
    }
}

fn placed(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| {
        format!(" ({}:{})", place.file, place.line)
    })
}

fn promoted(out: &mut String, sign: &str, promoted: &Promoted) {
    let style = match sign {
        "+" => Styles::GOOD,
        _ => Styles::BAD,
    };
    let _ = writeln!(
        out,
        "  {} {}  {}",
        styled(style, sign),
        visible(&about(&promoted.subject)),
        styled(Styles::QUIET, &when(&promoted.subject))
    );
    line(out, "before", &weighed(&promoted.base));
    line(out, "now", &weighed(&promoted.head));
}

fn weighed(weighed: &Weighed) -> String {
    let reasons = weighed.reasons.iter();
    let reasons = reasons.map(|reason| format!("{}{}", reason.text, placed(reason.place.as_ref())));
    let reasons: Vec<String> = reasons.collect();
    let severity = weighed.severity.as_str();
    format!("{severity} {:.2}: {}", weighed.score, reasons.join("; "))
}

/// What is not certain of recorded findings.
pub(super) fn of_audit(about: &OfAudit) -> String {
    match about {
        OfAudit::AuditCutShort { why } => {
            format!("what the audit told behind its end is not known: {why}")
        }
        OfAudit::Unreadable { records, first } => format!(
            "{} of runs, findings or slots that this version cannot read, the first is record {first}",
            counted(*records, "record")
        ),
        OfAudit::NotDecided { findings, first } => format!(
            "{} of which it is not recorded what was decided, the first is record {first}",
            counted(*findings, "finding")
        ),
        OfAudit::Carried {
            slot,
            side,
            proposals,
            differs,
        } => format!(
            "under the {side}, {} for `{slot}` answer a request that reads differently; the first in {differs}",
            counted(*proposals, "proposal")
        ),
        OfAudit::ProposalsGone {
            slot,
            side,
            proposals,
            why,
        } => format!(
            "under the {side}, {} for `{slot}` not to be had, so that the slot takes its default; the first: {why}",
            counted(*proposals, "proposal")
        ),
        OfAudit::NotRepaired {
            slot,
            side,
            proposals,
        } => format!(
            "under the {side}, {} for `{slot}` refused, and the model was not asked to repair that then, so that the slot takes its default",
            counted(*proposals, "proposal")
        ),
        OfAudit::NotAsked {
            slot,
            side,
            proposals,
        } => format!(
            "under the {side}, `{slot}` is filled {} for which the model was not asked then, so that the slot takes its default",
            counted(*proposals, "time")
        ),
        OfAudit::FindsOther { rule } => format!(
            "{rule} finds something else than it did: its recorded findings are followed, and what it would find now `--logs` tells"
        ),
        OfAudit::NewRule { rule } => {
            format!("{rule} is new: what it would find `--logs` tells")
        }
        OfAudit::OfNeither { findings } => format!(
            "{} left out, since neither side has the rule or detects anything",
            counted(*findings, "finding")
        ),
        OfAudit::OtherPolicy { runs } => format!(
            "{} decided by another policy than the base: what is told is what the base makes of them, and not what was decided",
            counted(*runs, "run")
        ),
        OfAudit::WithoutModel { runs } => format!(
            "{} decided without a model: slots take their default",
            counted(*runs, "run")
        ),
        OfAudit::NotEnded { runs } => format!(
            "{} not recorded to have ended: what was recorded is told",
            counted(*runs, "run")
        ),
        OfAudit::NoFindings => "the audit records no findings of that run and time".to_owned(),
    }
}
