//! `routing.toml`.

use serde_json::{Value, json};

use crate::detect::SEVERITIES;
use crate::gate::CLAUSES;
use crate::schema::pages::Table;
use crate::schema::{
    boolean, closed, count, list_of, mapping_to, named, number, one_of, said, span_of_time, text,
    together,
};

pub(super) fn schema() -> Value {
    closed(
        Table::NONE,
        &["agents", "route", "promotion", "plan"],
        json!({
            "agents": said("The steps that a route may name", mapping_to(agent())),
            "route": said("Which agents run, whatever a model proposes", routes()),
            "promotion": said("What makes a finding an incident: any one of these", promotion()),
            "slots": said("What a model may fill, and how far", slots()),
            "plan": said("How an incident is responded to", plan()),
            "ask": said("What answering a question may cost, and how much of a model is believed", ask()),
            "audit": said("What the audit leaves out, and for how long it keeps the rest", audit()),
            "gate": said("What a change of the policy may do, as `rulectl diff` judges it", gate()),
        }),
    )
}

fn agent() -> Value {
    closed(
        Table::AGENTS,
        &["description", "runs"],
        json!({
            "description": text(),
            "runs": together([named("runs"), json!({"pattern": "^(detect|commands|slot:[A-Za-z0-9_-]+|script:.+)$"})]),
            "critical": boolean(),
            "input": text(),
            "output": text(),
            "phase": text(),
        }),
    )
}

fn routes() -> Value {
    let contexts = json!({
        "raw_events": said("For a run as a whole", guardrails()),
        "incident": said("For each incident", guardrails()),
    });
    closed(Table::NONE, &["raw_events", "incident"], contexts)
}

fn guardrails() -> Value {
    let agents = || list_of(named("agent"));
    let severities = list_of(one_of(&SEVERITIES));
    let clause = closed(
        Table::NONE,
        &["severity", "agents"],
        json!({
            "severity": said("The severities of incidents for which the agents run too", severities),
            "agents": said("The agents that run for them", agents()),
        }),
    );
    let pair = json!({"type": "array", "items": named("agent"), "minItems": 2, "maxItems": 2});
    closed(
        Table::GUARDRAILS,
        &["phase", "allow"],
        json!({
            "phase": text(),
            "allow": agents(),
            "require": agents(),
            "order": list_of(pair),
            "require_when": list_of(clause),
        }),
    )
}

fn promotion() -> Value {
    let severities = list_of(one_of(&SEVERITIES));
    closed(
        Table::NONE,
        &[],
        json!({
            "threshold": said("A score at or above it promotes", number(0.0, 1.0)),
            "severities": said("A severity of these promotes", severities),
            "when": said("An expression of Rhai that promotes where it is true", text()),
        }),
    )
}

fn slots() -> Value {
    let may = || json!({"type": "string", "enum": ["raise", "set"]});
    let built_in = |keys: Value| closed(Table::SLOTS, &["prompt"], keys);
    let risk = json!({"prompt": named("prompt"), "may": may(), "formula": text()});
    let other = || json!({"prompt": named("prompt"), "may": may()});
    let own = json!({
        "prompt": named("prompt"),
        "default": said("What an agent says without a model", json!({"type": "object"})),
        "ask": said("Whether a model is asked at all", boolean()),
    });
    json!({
        "type": "object",
        "properties": {"risk": built_in(risk), "plan": built_in(other()), "route": built_in(other()), "ask": built_in(json!({"prompt": named("prompt")}))},
        "additionalProperties": closed(Table::SLOTS, &["prompt", "default"], own),
    })
}

fn ask() -> Value {
    let whole = |most: u32| json!({"type": "integer", "minimum": 1, "maximum": most});
    let keys = json!({
        "calls": whole(1_000),
        "pages": whole(1_000),
        "rows": whole(1_000_000),
        "bytes": whole(1 << 30),
        "max_execution_ms": whole(600_000),
        "shown": whole(20),
        "unaccounted": json!({"type": "string", "enum": ["refuse", "tell"]}),
    });
    closed(Table::ASK, &[], keys)
}

fn plan() -> Value {
    let steps = || list_of(named("step"));
    let by_type = |values: Value| json!({"type": "object", "propertyNames": named("finding_type"), "additionalProperties": values});
    let step = closed(
        Table::NONE,
        &["description", "rationale"],
        json!({
            "description": said("What is done", text()),
            "rationale": said("Why", text()),
            "after": said("The steps that come first, where a plan has them", steps()),
        }),
    );
    let described =
        json!({"type": "object", "propertyNames": named("step"), "additionalProperties": step});
    closed(
        Table::PLANS,
        &["steps"],
        json!({
            "steps": list_of(text()),
            "approval": steps(),
            "mandatory": by_type(steps()),
            "default": by_type(steps()),
            "goal": by_type(text()),
            "step": said("What each step is", described),
        }),
    )
}

fn audit() -> Value {
    closed(
        Table::NONE,
        &[],
        json!({
            "secret": said("Fields that no record keeps, and that no rule may read", list_of(named("field"))),
            "retention": said("How long records are kept; default `90d`", span_of_time()),
        }),
    )
}

fn gate() -> Value {
    let deny = || json!({"type": "string", "enum": ["deny", "allow"]});
    let budget = closed(
        Table::GATE,
        &[],
        json!({"new_findings_per_day": count(), "findings_per_day": count()}),
    );
    let waiver = closed(
        Table::NONE,
        &["clause", "reason", "until"],
        json!({
            "clause": said("What is passed over", one_of(&CLAUSES)),
            "of": said("Of which guardrail, command or rule, as `rulectl diff` names it", text()),
            "reason": said("Why, and who agreed", text()),
            "until": said("The last day on which it holds, in UTC", text()),
        }),
    );
    closed(
        Table::GATE,
        &[],
        json!({
            "weakened_guardrails": deny(),
            "undecided_guardrails": deny(),
            "new_write_scopes": deny(),
            "lost_findings": one_of(&SEVERITIES),
            "lost_incidents": one_of(&SEVERITIES),
            "new_findings_per_day": count(),
            "rules": said("The budgets of rules", json!({"type": "object", "propertyNames": named("rule"), "additionalProperties": budget})),
            "waivers": said("What is passed over for a reason and for a time", list_of(waiver)),
        }),
    )
}
