//! `[agents.…]` and `[route.…]` of `routing.toml`.

use std::collections::BTreeMap;

use crate::detect::SEVERITIES;
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape};
use crate::route::guardrails::RequireWhen;
use crate::route::vacuous::{report_order, report_require_when};
use crate::route::{Agent, Context, Guardrails, Routing, Runs};
use crate::script::Reference;
use crate::slots::SLOTS;

/// The codes of problems in routing.
pub mod codes {
    /// An agent that is not declared.
    pub const NO_SUCH_AGENT: &str = "RL0310";
    /// A required agent that is not allowed.
    pub const NOT_ALLOWED: &str = "RL0311";
    /// An order that no route can keep.
    pub const CYCLE: &str = "RL0312";
    /// A kind of agent that is not run by this version.
    pub const RUNS: &str = "RL0313";
    /// A route that could leave out what every run needs.
    pub const ROUTED_AROUND: &str = "RL0314";
    /// An agent of the engineer's where there is no incident.
    pub const NO_INCIDENT: &str = "RL0315";
}

const RUNS: [(&str, Runs); 4] = [
    ("detect", Runs::Detect),
    ("slot:risk", Runs::Risk),
    ("slot:plan", Runs::Plan),
    ("commands", Runs::Commands),
];

/// Takes `agents` and `route` out of the root table. What was reported is left out of it, so that
/// what follows from it can be checked all the same.
pub fn decode_routing(root: &mut Table<'_>, problems: &mut Problems) -> Option<Routing> {
    let agents = root
        .require("agents", problems)
        .map(|node| decode_agents(node, problems));
    let route = root
        .require("route", problems)
        .and_then(|node| node.table(problems));
    let (agents, mut route) = (agents?, route?);
    let mut guardrails = BTreeMap::new();
    for context in [Context::RawEvents, Context::Incident] {
        if let Some(node) = route.require(context.as_str(), problems) {
            guardrails.extend(
                decode_guardrails(node, context, &agents, problems).map(|rails| (context, rails)),
            );
        }
    }
    route.finish(problems);
    Some(Routing { agents, guardrails })
}

/// The slots of the engineer's that agents run, each with where the agent says so, whatever else is
/// wrong with it.
#[must_use]
pub fn slots_run<'n>(root: &Table<'n>) -> Vec<(&'n str, Span)> {
    let inside = |node: &'n Node, key: &str| match &node.kind {
        Kind::Map(entries) => entries.iter().find(|(k, _)| k.text == key),
        _ => None,
    };
    let tables = root
        .entries()
        .iter()
        .filter(|(key, _)| key.text == "agents");
    let agents = tables.flat_map(|(_, node)| match &node.kind {
        Kind::Map(agents) => agents.as_slice(),
        _ => &[],
    });
    let runs = agents.filter_map(|(_, agent)| inside(agent, "runs"));
    runs.filter_map(|(_, runs)| match &runs.kind {
        Kind::Text(text) => Some((text.strip_prefix("slot:")?, runs.span)),
        _ => None,
    })
    .filter(|(name, _)| is_slot_name(name) && !SLOTS.contains(name))
    .collect()
}

fn is_slot_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_letter)
}

fn decode_agents(node: &Node, problems: &mut Problems) -> BTreeMap<String, Agent> {
    let Some(table) = node.table(problems) else {
        return BTreeMap::new();
    };
    let mut agents = BTreeMap::new();
    for (key, node) in table.entries() {
        // An agent that was reported is known all the same: its uses are not to blame.
        let agent = decode_agent(node, problems).unwrap_or(Agent {
            description: String::new(),
            input: None,
            output: None,
            phase: None,
            critical: false,
            runs: Runs::Commands,
        });
        agents.insert(key.text.clone(), agent);
    }
    agents
}

fn decode_agent(node: &Node, problems: &mut Problems) -> Option<Agent> {
    let mut table = node.table(problems)?;
    let description = table
        .require("description", problems)
        .and_then(|node| node.text(problems));
    let runs = table
        .require("runs", problems)
        .and_then(|node| decode_runs(node, problems));
    let critical = table
        .get("critical")
        .and_then(|node| node.boolean(problems))
        .unwrap_or(false);
    let [input, output, phase] = ["input", "output", "phase"].map(|key| {
        let text = table.get(key).and_then(|node| node.text(problems));
        text.map(str::to_owned)
    });
    table.finish(problems);
    Some(Agent {
        description: description?.to_owned(),
        input,
        output,
        phase,
        critical,
        runs: runs?,
    })
}

fn decode_runs(node: &Node, problems: &mut Problems) -> Option<Runs> {
    let text = node.text(problems)?;
    let known = RUNS.iter().find(|(name, _)| *name == text);
    if let Some((_, runs)) = known {
        return Some(runs.clone());
    }
    if let Some(name) = text.strip_prefix("slot:") {
        return decode_slot(name, node.span, problems);
    }
    if let Some(path) = text.strip_prefix("script:") {
        return decode_script(path, node.span, problems);
    }
    problems
        .error(
            codes::RUNS,
            node.span,
            format!("an agent cannot run `{text}`"),
        )
        .did_you_mean_or(
            text,
            RUNS.iter().map(|(name, _)| *name),
            "or `slot:NAME` or `script:rules/FILE.rhai#FUNCTION` of your own",
        );
    None
}

/// The longest name of a slot, in bytes.
const LONGEST_NAME: usize = 64;

fn decode_slot(name: &str, span: Span, problems: &mut Problems) -> Option<Runs> {
    if SLOTS.contains(&name) {
        problems
            .error(
                codes::RUNS,
                span,
                format!("the slot `{name}` is filled for each route, and not by an agent of it"),
            )
            .help("leave the agent out: `[slots.route]` is enough");
        return None;
    }
    if !is_slot_name(name) {
        problems
            .error(
                codes::RUNS,
                span,
                format!("`{name}` cannot be the name of a slot"),
            )
            .help("it has 1 to 64 letters, digits, `_` and `-`");
        return None;
    }
    Some(Runs::Slot(name.to_owned(), span))
}

fn decode_script(path: &str, span: Span, problems: &mut Problems) -> Option<Runs> {
    let Some(reference) = path.strip_prefix("rules/") else {
        problems
            .error(
                codes::RUNS,
                span,
                format!("`{path}` is no function of a script in `rules/`"),
            )
            .help("write `script:rules/FILE.rhai#FUNCTION`");
        return None;
    };
    Reference::read(reference, span, problems).map(Runs::Script)
}

fn decode_guardrails(
    node: &Node,
    context: Context,
    agents: &BTreeMap<String, Agent>,
    problems: &mut Problems,
) -> Option<Guardrails> {
    let errors = problems.counts().0;
    let mut table = node.table(problems)?;
    let phase = table
        .require("phase", problems)
        .and_then(|node| node.text(problems));
    let allow = table
        .require("allow", problems)
        .map(|node| agent_names(node, agents, problems))
        .unwrap_or_default();
    let require = table
        .get("require")
        .map(|node| agent_names(node, agents, problems))
        .unwrap_or_default();
    let order_node = table.get("order");
    let order = order_node
        .map(|node| decode_order(node, agents, problems))
        .unwrap_or_default();
    let conditions = table
        .get("require_when")
        .and_then(|node| node.list(problems))
        .unwrap_or_default();
    let clauses = conditions
        .iter()
        .filter_map(|node| decode_require_when(node, agents, problems));
    let clauses: Vec<(RequireWhen, Vec<(String, Span)>)> = clauses.collect();
    let named = clauses.iter().flat_map(|(_, named)| named);
    let mut required: Vec<(String, Span)> = require.iter().chain(named).cloned().collect();
    let span = table.span();
    table.finish(problems);
    // A misspelt name was reported; what it leaves out of `allow` follows from that.
    if allow.iter().all(|(name, _)| agents.contains_key(name)) {
        required.retain(|(name, _)| agents.contains_key(name));
        report_not_allowed(&allow, &required, problems);
    }
    if let Some(node) = order_node {
        let pairs = order.iter().map(|(pair, _)| pair);
        report_cycle(pairs, node.span, problems);
    }
    // What a misspelt word makes vacuous is not.
    if problems.counts().0 == errors {
        report_order(&allow, &order, problems);
        report_require_when(context, &require, &clauses, problems);
    }
    let order: Vec<(String, String)> = order.into_iter().map(|(pair, _)| pair).collect();
    if context == Context::RawEvents {
        report_drafting(allow.iter().chain(&required), agents, problems);
    }
    report_routed_around(context, &require, agents, span, problems);
    Some(Guardrails {
        context: context.as_str(),
        phase: phase?.to_owned(),
        allow: texts(allow),
        require: texts(require),
        require_when: clauses.into_iter().map(|(clause, _)| clause).collect(),
        order,
    })
}

fn decode_require_when(
    node: &Node,
    agents: &BTreeMap<String, Agent>,
    problems: &mut Problems,
) -> Option<(RequireWhen, Vec<(String, Span)>)> {
    let mut table = node.table(problems)?;
    let severity_node = table.require("severity", problems);
    let severities = severity_node
        .and_then(|node| node.list(problems))
        .unwrap_or_default();
    let severity = severities
        .iter()
        .filter_map(|node| node.one_of(&SEVERITIES, problems))
        .collect();
    let named = table
        .require("agents", problems)
        .map(|node| agent_names(node, agents, problems))
        .unwrap_or_default();
    table.finish(problems);
    Some((
        RequireWhen {
            severity,
            agents: texts(named.clone()),
        },
        named,
    ))
}

fn agent_names(
    node: &Node,
    agents: &BTreeMap<String, Agent>,
    problems: &mut Problems,
) -> Vec<(String, Span)> {
    let names = node.texts(problems);
    for (name, span) in &names {
        if !agents.contains_key(*name) {
            problems
                .error(
                    codes::NO_SUCH_AGENT,
                    *span,
                    format!("no agent named `{name}`"),
                )
                .did_you_mean(name, agents.keys().map(String::as_str));
        }
    }
    names
        .into_iter()
        .map(|(name, span)| (name.to_owned(), span))
        .collect()
}

fn texts(names: Vec<(String, Span)>) -> Vec<String> {
    names.into_iter().map(|(name, _)| name).collect()
}

fn decode_order(
    node: &Node,
    agents: &BTreeMap<String, Agent>,
    problems: &mut Problems,
) -> Vec<((String, String), Span)> {
    let mut order = Vec::new();
    for pair in node.list(problems).unwrap_or_default() {
        let Kind::List(_) = &pair.kind else {
            problems.error(
                shape::WRONG_TYPE,
                pair.span,
                format!("expected a pair of agents, found {}", pair.describe()),
            );
            continue;
        };
        match agent_names(pair, agents, problems).as_slice() {
            [(left, _), (right, _)] => {
                // A misspelt name was reported.
                if [left, right].iter().all(|name| agents.contains_key(*name)) {
                    order.push(((left.clone(), right.clone()), pair.span));
                }
            }
            other => {
                let message = format!("expected a pair of agents, found {}", other.len());
                problems
                    .error(shape::BAD_VALUE, pair.span, message)
                    .help("write `[\"left\", \"right\"]`: left runs before right");
            }
        }
    }
    order
}

fn report_not_allowed(
    allow: &[(String, Span)],
    required: &[(String, Span)],
    problems: &mut Problems,
) {
    for (name, span) in required {
        if !allow.iter().any(|(allowed, _)| allowed == name) {
            problems
                .error(
                    codes::NOT_ALLOWED,
                    *span,
                    format!("the agent `{name}` is required here and not allowed here"),
                )
                .help("add it to `allow`, or remove it here");
        }
    }
}

/// What an agent of the engineer's is given is an incident.
fn report_drafting<'n>(
    named: impl Iterator<Item = &'n (String, Span)>,
    agents: &BTreeMap<String, Agent>,
    problems: &mut Problems,
) {
    for (name, span) in named {
        if agents.get(name).is_some_and(|agent| agent.runs.drafts()) {
            problems
                .error(
                    codes::NO_INCIDENT,
                    *span,
                    format!("the agent `{name}` is given an incident, and here is none yet"),
                )
                .help("allow and require it in `[route.incident]`");
        }
    }
}

/// An order with a cycle cannot be kept by a route that holds the agents on it.
fn report_cycle<'n>(
    order: impl Iterator<Item = &'n (String, String)>,
    span: Span,
    problems: &mut Problems,
) {
    let mut left: Vec<_> = order.collect();
    // Take away what has nothing before it or nothing behind it, until nothing changes.
    loop {
        let count = left.len();
        let rights: Vec<&String> = left.iter().copied().map(|(_, right)| right).collect();
        let lefts: Vec<&String> = left.iter().copied().map(|(left, _)| left).collect();
        left.retain(|(first, second)| rights.contains(&first) && lefts.contains(&second));
        if left.len() == count {
            break;
        }
    }
    if let Some((first, second)) = left.first() {
        problems
            .error(
                codes::CYCLE,
                span,
                format!("the order goes in a circle through `{first}` and `{second}`"),
            )
            .help("remove one of the pairs");
    }
}

fn report_routed_around(
    context: Context,
    require: &[(String, Span)],
    agents: &BTreeMap<String, Agent>,
    span: Span,
    problems: &mut Problems,
) {
    let runs = |wanted: Runs| {
        require
            .iter()
            .any(|(name, _)| agents.get(name).is_some_and(|agent| agent.runs == wanted))
    };
    if context == Context::RawEvents && !runs(Runs::Detect) {
        problems
            .warn(
                codes::ROUTED_AROUND,
                Span {
                    end: span.start,
                    ..span
                },
                "no required agent runs `detect`, so that a proposed route can leave detection out",
            )
            .help("require the agent that runs `detect`");
    }
}
