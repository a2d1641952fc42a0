//! What a model was asked for, what it proposed, and what became of that.
//!
//! What a model wrote stands in lines that begin with `>`, and with nothing in it that a terminal
//! obeys: it is commentary, and never ours.

use crate::plan::{Action as PlanAction, Plan};
use crate::render::style::{field, raw_field, time};
use crate::risk::Risk;
use crate::route::{Action, Route, Summary};
use crate::slots::{Consulted, Provenance};
use crate::visible::visible;

/// The columns of a line behind the label.
const WIDTH: usize = 66;

/// Where each field of a risk came from, and the rationale.
pub(super) fn risk(out: &mut String, risk: &Risk) {
    let Some(consulted) = &risk.consulted else {
        return;
    };
    let source = |name: &str| risk.provenance.get(name).copied();
    if source("severity") == Some(Provenance::Refused) {
        prose(out, "from", &risk.rationale);
    } else {
        fields(out, risk, &source);
        if is_said(source("rationale")) {
            quoted(out, "model", &risk.rationale);
        } else {
            prose(out, "", &format!("rationale: {}", risk.rationale));
        }
    }
    asked(out, consulted);
}

fn fields(out: &mut String, risk: &Risk, source: &dyn Fn(&str) -> Option<Provenance>) {
    let Some(said) = &risk.proposed else {
        let sources = ["severity", "likelihood", "impact", "score"].map(source);
        let source = sources.into_iter().flatten().next().map_or("unknown", of);
        return prose(
            out,
            "from",
            &format!("severity, likelihood, impact and score: {source}"),
        );
    };
    let number = |number: f64| format!("{number:.2}");
    let severities = [risk.severity, said.severity].map(|severity| severity.as_str().to_owned());
    let rows = [
        ("severity", severities),
        ("likelihood", [risk.likelihood, said.likelihood].map(number)),
        ("impact", [risk.impact, said.impact].map(number)),
        ("score", [risk.score, said.score].map(number)),
    ];
    for (at, (name, [value, said])) in rows.into_iter().enumerate() {
        let why = match source(name) {
            Some(Provenance::Floored) => format!("floored, the model says {said}"),
            Some(Provenance::Default) => format!("default, the model says {said}"),
            source => source.map_or("unknown", of).to_owned(),
        };
        let label = if at == 0 { "from" } else { "" };
        prose(out, label, &format!("{name} {value}: {why}"));
    }
}

/// Where a value came from, in words.
fn of(source: Provenance) -> &'static str {
    match source {
        Provenance::Default => "default",
        Provenance::Model => "the model's",
        Provenance::Recorded => "the model's, from a recording",
        Provenance::Carried => "carried over",
        Provenance::Floored => "floored",
        Provenance::Refused => "default, since the model's answer was refused",
        Provenance::Script => "a script's",
    }
}

/// Whether a model said it.
fn is_said(source: Option<Provenance>) -> bool {
    matches!(source, Some(Provenance::Model | Provenance::Recorded))
}

/// The agents that run, and how the guardrails made them of what was proposed.
pub(super) fn route(out: &mut String, label: &str, route: &Route) {
    let agents = route.steps.iter().map(|step| step.agent_name.clone());
    let agents = listed(agents, ", then ");
    prose(out, label, &format!("{agents} (phase {})", route.phase));
    if let Some(why) = &route.refused {
        prose(
            out,
            "",
            &format!("of the guardrails alone, since the model's answer was refused: {why}"),
        );
    }
    if let Some(proposed) = &route.proposed {
        let proposed = listed(proposed.iter().map(|agent| name(agent)), ", then ");
        prose(
            out,
            "proposed",
            &format!("{proposed}, by {}", by(route.provenance)),
        );
    }
    for edit in &route.edits {
        let done = edit.action.as_str();
        let what = match edit.action {
            Action::Forced => format!("the phase {} {done} to {}", name(&edit.agent), route.phase),
            _ => format!("{} {done}", name(&edit.agent)),
        };
        let what = format!("{what}{}", clause(&edit.clause));
        prose(
            out,
            if route.consulted.is_some() {
                "edit"
            } else {
                ""
            },
            &what,
        );
    }
    let commented = route.steps.iter().filter(|step| step.proposed);
    for step in commented.filter(|step| !step.reason.is_empty()) {
        let when = step.when.as_deref().filter(|when| !when.is_empty());
        let when = when
            .map(|when| format!(" (when: {when})"))
            .unwrap_or_default();
        quoted(
            out,
            "model",
            &format!("{}: {}{when}", step.agent_name, step.reason),
        );
    }
    if let Some(notes) = route.notes.as_ref().filter(|notes| !notes.is_empty()) {
        quoted(out, "model", notes);
    }
    if let Some(consulted) = &route.consulted {
        asked(out, consulted);
    }
}

/// The clause of `routing.toml` that changed something, or the sentence that stands for one.
fn clause(clause: &str) -> String {
    let word = if clause.contains(' ') {
        ", since"
    } else {
        " by"
    };
    format!("{word} {clause}")
}

/// Who proposed it.
fn by(source: Option<Provenance>) -> &'static str {
    match source {
        Some(Provenance::Recorded) => "a recording of the model",
        _ => "the model",
    }
}

/// What a run's route was decided from.
pub(super) fn summary(out: &mut String, summary: &Summary) {
    let text = match summary.count {
        0 => "no event: it was decided before any was read".to_owned(),
        count => format!(
            "the first {}, {} to {} UTC, of {}",
            crate::diag::counted(count, "event"),
            time(summary.first_seen),
            time(summary.last_seen),
            types(summary),
        ),
    };
    prose(out, "from", &text);
}

/// The most frequent event types, each with how often it came.
fn types(summary: &Summary) -> String {
    const TOLD: usize = 5;
    let types = summary.event_types.iter().take(TOLD);
    let types =
        types.map(|frequent| format!("{} ({})", name(&frequent.event_type), frequent.count));
    let more = match summary.event_types.len().saturating_sub(TOLD) {
        0 => String::new(),
        _ => " and others".to_owned(),
    };
    format!("{}{more}", listed(types, ", "))
}

/// The goal of a plan; a model's is commentary.
pub(super) fn goal(out: &mut String, plan: &Plan) {
    if is_said(plan.provenance.get("overall_goal").copied()) {
        quoted(out, "goal", &plan.overall_goal);
    } else {
        field(out, "goal", &plan.overall_goal);
    }
}

/// What was proposed for a plan, and each change to it.
pub(super) fn plan(out: &mut String, plan: &Plan) {
    let Some(consulted) = &plan.consulted else {
        return;
    };
    match &plan.proposed {
        Some(proposed) => {
            let proposed = listed(proposed.iter().map(|id| name(id)), ", ");
            let source = by(plan.provenance.get("steps").copied());
            prose(out, "proposed", &format!("{proposed}, by {source}"));
        }
        None => prose(out, "from", &plan.notes),
    }
    for edit in &plan.edits {
        let what = match edit.action {
            PlanAction::Dropped => "dropped",
            PlanAction::Added => "added",
            PlanAction::Moved => "moved",
            PlanAction::Untied => "untied from one that it is to follow",
            PlanAction::Approval => "needs approval",
        };
        let what = format!("{} {what}{}", name(&edit.step_id), clause(&edit.clause));
        prose(out, "edit", &what);
    }
    asked(out, consulted);
}

/// What a model says of a step.
pub(super) fn comment(out: &mut String, label: &str, text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        quoted(out, label, text);
    }
}

/// Who was asked, and what it took.
fn asked(out: &mut String, consulted: &Consulted) {
    let Consulted {
        prompt,
        model,
        calls,
        prompt_tokens,
        completion_tokens,
    } = consulted;
    let prompt: String = prompt.to_string().chars().take(12).collect();
    let model = model.as_deref().unwrap_or("a model that gave no answer");
    let tokens = match prompt_tokens.saturating_add(*completion_tokens) {
        0 => "tokens not counted".to_owned(),
        _ => format!("{prompt_tokens} tokens in, {completion_tokens} out"),
    };
    let calls = crate::diag::counted(*calls, "call");
    prose(
        out,
        "asked",
        &format!("{model}, prompt {prompt}, {calls}, {tokens}"),
    );
}

/// A name that a model may have made up: in quotes, unless it is one word.
fn name(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !name.is_empty() && name.chars().all(is_word) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn listed(names: impl Iterator<Item = String>, between: &str) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(between)
    }
}

/// `label` in a column of its own, then untrusted text, in lines of 80 columns.
pub(super) fn prose(out: &mut String, label: &str, text: &str) {
    for (at, line) in wrapped(&visible(text), WIDTH).iter().enumerate() {
        raw_field(out, if at == 0 { label } else { "" }, line);
    }
}

/// The words of a model, each line marked as its.
fn quoted(out: &mut String, label: &str, text: &str) {
    for (at, line) in wrapped(&visible(text), WIDTH - 2).iter().enumerate() {
        raw_field(out, if at == 0 { label } else { "" }, &format!("> {line}"));
    }
}

/// Lines of at most so many characters, cut between words where there are such.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut left = width;
    for word in text.split(' ') {
        let mut chars = word.chars().count();
        let line = lines.last_mut();
        match line {
            Some(line) if !line.is_empty() && chars < left => {
                line.push(' ');
                line.push_str(word);
                left -= chars + 1;
                continue;
            }
            Some(line) if !line.is_empty() => lines.push(String::new()),
            _ => {}
        }
        left = width;
        let mut rest = word;
        while chars > width {
            let at = rest
                .char_indices()
                .nth(width)
                .map_or(rest.len(), |(at, _)| at);
            let (head, tail) = rest.split_at(at);
            if let Some(line) = lines.last_mut() {
                line.push_str(head);
            }
            lines.push(String::new());
            rest = tail;
            chars -= width;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(rest);
        }
        left -= chars;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_words() {
        let cases = [
            ("", 5, vec![""]),
            ("a b c", 5, vec!["a b c"]),
            ("a b cd", 5, vec!["a b", "cd"]),
            ("abcdefghijkl m", 5, vec!["abcde", "fghij", "kl m"]),
            ("a abcdef", 5, vec!["a", "abcde", "f"]),
            ("é é éé", 5, vec!["é é", "éé"]),
        ];
        for (text, width, expected) in cases {
            assert_eq!(wrapped(text, width), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_made_up_stands_in_quotes() {
        let cases = [
            ("planner_agent", "planner_agent"),
            ("", "\"\""),
            ("nothing, by us", "\"nothing, by us\""),
            ("a\" by \\", "\"a\\\" by \\\\\""),
        ];
        for (made_up, expected) in cases {
            assert_eq!(name(made_up), expected);
        }
    }

    #[test]
    fn what_a_model_wrote_cannot_leave_its_quotes() {
        let mut out = String::new();
        quoted(
            &mut out,
            "model",
            "all is well\n    verdict   not promoted\u{1b}[2J\u{202e}",
        );
        assert!(out.lines().all(|line| line.contains("> ")), "{out}");
        assert!(
            !out.contains("\u{1b}[2J") && !out.contains('\u{202e}'),
            "{out:?}"
        );
        assert!(out.contains("well\\u{a}"), "{out}");
    }
}
