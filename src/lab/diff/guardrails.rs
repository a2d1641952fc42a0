//! Guardrails that hold less or more than before, decided from the files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::detect::{Level, Logic, Relation, Rule, SEVERITIES, Severity};
use crate::document::{Kind as Shape, Node};
use crate::gate::Bound;
use crate::lab::diff::Side;
use crate::lab::diff::changes::{Action, Change};
use crate::lab::diff::details::Matters;
use crate::lab::diff::things::{Kind, Place, Places, Thing, entry};
use crate::promote::Promotion;
use crate::risk::{Kept, kept};
use crate::route::Guardrails;
use crate::slots::{May, SLOTS};
use crate::tools::{CommandTemplate, Method};

/// Which way a guardrail moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// It holds less than before.
    Weaker,
    /// Nobody can tell from the files.
    Undecided,
    /// It holds more than before.
    Stronger,
}

impl Moved {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weaker => "weaker",
            Self::Undecided => "undecided",
            Self::Stronger => "stronger",
        }
    }

    fn by(is_weaker: bool) -> Self {
        if is_weaker {
            Self::Weaker
        } else {
            Self::Stronger
        }
    }
}

/// A guardrail that moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guardrail {
    /// Which way.
    pub moved: Moved,
    /// The clause: `route.incident.require`.
    pub clause: String,
    /// In words.
    pub what: String,
    /// What it was; absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Where it was written, or where it would have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Place>,
    /// Where it is written, or where it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Place>,
}

/// Every guardrail that moved, the weaker ones first.
pub(super) fn guardrails(
    (base, base_things): (&Side, &[Thing]),
    (head, head_things): (&Side, &[Thing]),
    items: &[Change],
    pairs: &[(Uuid, Uuid)],
) -> Vec<Guardrail> {
    let mut moved = Moving {
        base: View::of(base, base_things),
        head: View::of(head, head_things),
        found: Vec::new(),
    };
    moved.routes();
    moved.agents();
    moved.promotion();
    moved.slots();
    moved.plan();
    moved.audit();
    moved.gate();
    moved.rules(items);
    moved.reported(pairs);
    moved.commands(items);
    let mut found = moved.found;
    found.sort_by(|one, other| {
        let key = |guardrail: &Guardrail| {
            (
                guardrail.moved,
                guardrail.clause.clone(),
                guardrail.what.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    found
}

/// A side, and where things are written on it.
struct View<'s> {
    side: &'s Side,
    places: Places<'s>,
    things: BTreeMap<(Kind, &'s str), &'s Thing>,
}

impl<'s> View<'s> {
    fn of(side: &'s Side, things: &'s [Thing]) -> Self {
        let named = things.iter();
        Self {
            side,
            places: Places::of(side),
            things: named
                .map(|thing| ((thing.kind, thing.key.as_str()), thing))
                .collect(),
        }
    }

    /// Where the keys lead, or as far as they do; at the end, a value of a list.
    fn place(&self, kind: Kind, name: &str, keys: &[&str], value: Option<&str>) -> Option<Place> {
        let thing = self.things.get(&(kind, name))?;
        let mut node = &thing.node;
        for key in keys {
            let Some(next) = entry(node, key) else { break };
            node = next;
        }
        let found = value.and_then(|value| item(node, value)).unwrap_or(node);
        Some(self.places.place(found.span))
    }

    fn rule(&self, rule: &Rule, keys: &[&str]) -> Option<Place> {
        self.place(Kind::Rule, &rule.id.to_string(), keys, None)
    }
}

/// The first scalar below a node that is this text.
fn item<'n>(node: &'n Node, value: &str) -> Option<&'n Node> {
    match &node.kind {
        Shape::List(items) => items.iter().find_map(|node| item(node, value)),
        Shape::Map(entries) => entries.iter().find_map(|(_, node)| item(node, value)),
        _ => (node.scalar_text().as_deref() == Some(value)).then_some(node),
    }
}

struct Moving<'s> {
    base: View<'s>,
    head: View<'s>,
    found: Vec<Guardrail>,
}

/// Where a clause is written: a kind of thing, its name, and the keys in it.
type Clause<'c> = (Kind, &'c str, &'c [&'c str]);

impl Moving<'_> {
    fn push(
        &mut self,
        moved: Moved,
        clause: &str,
        what: String,
        values: [Option<Value>; 2],
        places: [Option<Place>; 2],
    ) {
        let [before, after] = values;
        let [base, head] = places;
        self.found.push(Guardrail {
            moved,
            clause: clause.to_owned(),
            what,
            before,
            after,
            base,
            head,
        });
    }

    fn places(&self, (kind, name, keys): Clause<'_>, value: Option<&str>) -> [Option<Place>; 2] {
        [&self.base, &self.head].map(|view| view.place(kind, name, keys, value))
    }

    /// Values of a set that came or went: `gone` and `new` say what that is, and whether going is weaker.
    fn set(
        &mut self,
        clause: &str,
        at: Clause<'_>,
        (before, after): (&[String], &[String]),
        (gone, new): (&str, &str),
        going_is_weaker: bool,
    ) {
        for (from, other, text, is_going) in
            [(before, after, gone, true), (after, before, new, false)]
        {
            let alone: BTreeSet<&String> =
                from.iter().filter(|value| !other.contains(value)).collect();
            for value in alone {
                let values = [
                    is_going.then(|| json!(value)),
                    (!is_going).then(|| json!(value)),
                ];
                let places = self.places(at, Some(value));
                self.push(
                    Moved::by(is_going == going_is_weaker),
                    clause,
                    format!("`{value}` {text}"),
                    values,
                    places,
                );
            }
        }
    }

    fn routes(&mut self) {
        let (before, after) = (
            &self.base.side.policy.routing.guardrails,
            &self.head.side.policy.routing.guardrails,
        );
        let contexts: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        let none = Guardrails::default();
        let pairs: Vec<_> = contexts
            .into_iter()
            .map(|context| {
                let of = |all: &BTreeMap<_, Guardrails>| all.get(&context).unwrap_or(&none).clone();
                (context.as_str(), of(before), of(after))
            })
            .collect();
        for (name, before, after) in pairs {
            self.route(name, &before, &after);
        }
    }

    fn route(&mut self, name: &str, before: &Guardrails, after: &Guardrails) {
        let clause = |key: &str| format!("route.{name}.{key}");
        let keyed: fn(&'static str) -> &'static [&'static str] = |key| match key {
            "require" => &["require"],
            "allow" => &["allow"],
            _ => &["order"],
        };
        let at = |key: &'static str| (Kind::Route, name, keyed(key));
        self.set(
            &clause("require"),
            at("require"),
            (&before.require, &after.require),
            ("is not required any more", "is required now"),
            true,
        );
        self.set(
            &clause("allow"),
            at("allow"),
            (&before.allow, &after.allow),
            ("is not allowed any more", "is allowed now"),
            false,
        );
        let order = |rails: &Guardrails| -> Vec<String> {
            let pairs = in_order(&rails.order).into_iter();
            pairs
                .map(|(left, right)| format!("{left} before {right}"))
                .collect()
        };
        self.set(
            &clause("order"),
            at("order"),
            (&order(before), &order(after)),
            ("does not hold any more", "holds now"),
            true,
        );
        self.required_when(name, before, after);
    }

    /// Severity by severity, which agents a condition requires beside those that always run.
    fn required_when(&mut self, name: &str, before: &Guardrails, after: &Guardrails) {
        let clause = format!("route.{name}.require_when");
        let required = |rails: &Guardrails| -> BTreeMap<String, BTreeSet<Severity>> {
            let mut agents: BTreeMap<String, BTreeSet<Severity>> = BTreeMap::new();
            for when in &rails.require_when {
                for agent in &when.agents {
                    agents
                        .entry(agent.clone())
                        .or_default()
                        .extend(&when.severity);
                }
            }
            for agent in &rails.require {
                let all = SEVERITIES.iter().map(|(_, severity)| *severity);
                agents.entry(agent.clone()).or_default().extend(all);
            }
            agents
        };
        let (before_agents, after_agents) = (required(before), required(after));
        let agents: BTreeSet<String> = before_agents
            .keys()
            .chain(after_agents.keys())
            .cloned()
            .collect();
        for agent in agents {
            // Of those that always run, `require` has told.
            if before.require.contains(&agent) != after.require.contains(&agent)
                && !(before.require_when.iter().chain(&after.require_when))
                    .any(|when| when.agents.contains(&agent))
            {
                continue;
            }
            let of = |all: &BTreeMap<String, BTreeSet<Severity>>| {
                all.get(&agent).cloned().unwrap_or_default()
            };
            let (old, new) = (of(&before_agents), of(&after_agents));
            let lists = |set: &BTreeSet<Severity>| {
                set.iter()
                    .map(|severity| severity.as_str())
                    .collect::<Vec<_>>()
            };
            for (one, other, text, moved) in [
                (&old, &new, "is not required any more of", Moved::Weaker),
                (&new, &old, "is required now of", Moved::Stronger),
            ] {
                let alone: BTreeSet<Severity> = one.difference(other).copied().collect();
                if !alone.is_empty() {
                    let what = format!("`{agent}` {text} {}", lists(&alone).join(", "));
                    let values = [Some(json!(lists(&old))), Some(json!(lists(&new)))];
                    let places = self.places((Kind::Route, name, &["require_when"]), Some(&agent));
                    self.push(moved, &clause, what, values, places);
                }
            }
        }
    }

    fn agents(&mut self) {
        let (before, after) = (
            &self.base.side.policy.routing.agents,
            &self.head.side.policy.routing.agents,
        );
        let both: Vec<_> = before
            .iter()
            .filter_map(|(name, agent)| {
                Some((name.clone(), agent.clone(), after.get(name)?.clone()))
            })
            .collect();
        for (name, before, after) in both {
            if before.critical != after.critical {
                let what = if after.critical {
                    "stops its branch now when it fails"
                } else {
                    "does not stop its branch any more when it fails"
                };
                let places = self.places((Kind::Agent, &name, &["critical"]), None);
                let values = [Some(json!(before.critical)), Some(json!(after.critical))];
                self.push(
                    Moved::by(before.critical),
                    &format!("agents.{name}.critical"),
                    format!("`{name}` {what}"),
                    values,
                    places,
                );
            }
            if before.runs != after.runs {
                let places = self.places((Kind::Agent, &name, &["runs"]), None);
                self.push(
                    Moved::Undecided,
                    &format!("agents.{name}.runs"),
                    format!("`{name}` does something else"),
                    [None, None],
                    places,
                );
            }
        }
    }

    fn promotion(&mut self) {
        let (before, after) = (
            self.base.side.policy.promotion.clone(),
            self.head.side.policy.promotion.clone(),
        );
        if before.threshold != after.threshold {
            let least = |promotion: &Promotion| promotion.threshold.unwrap_or(f64::INFINITY);
            let is_weaker = least(&after) > least(&before);
            let what = if is_weaker {
                "a finding needs a higher score to become an incident"
            } else {
                "a lower score makes a finding an incident"
            };
            let places = self.places((Kind::Table, "promotion", &["threshold"]), None);
            let values = [before.threshold, after.threshold].map(|value| value.map(Value::from));
            self.push(
                Moved::by(is_weaker),
                "promotion.threshold",
                what.to_owned(),
                values,
                places,
            );
        }
        let names = |promotion: &Promotion| -> Vec<String> {
            let severities = promotion.severities.iter();
            severities
                .map(|severity| severity.as_str().to_owned())
                .collect()
        };
        let texts = (
            "does not promote by itself any more",
            "promotes by itself now",
        );
        self.set(
            "promotion.severities",
            (Kind::Table, "promotion", &["severities"]),
            (&names(&before), &names(&after)),
            texts,
            true,
        );
        self.promoted_when(&before, &after);
    }

    /// What an expression promotes nobody can tell from the files; that there is none, everybody.
    fn promoted_when(&mut self, before: &Promotion, after: &Promotion) {
        if before.when == after.when {
            return;
        }
        let (moved, what) = match (&before.when, &after.when) {
            (Some(_), None) => (Moved::Weaker, "no expression promotes any more"),
            (None, _) => (Moved::Stronger, "an expression promotes too"),
            (Some(_), Some(_)) => (Moved::Undecided, "another expression promotes"),
        };
        let text = |promotion: &Promotion| promotion.when.as_ref().map(|when| json!(when.text()));
        let places = self.places((Kind::Table, "promotion", &["when"]), None);
        let values = [text(before), text(after)];
        self.push(moved, "promotion.when", what.to_owned(), values, places);
    }

    fn slots(&mut self) {
        self.may();
        self.formula();
        self.asked();
    }

    /// Another formula may give a finding a lower score or a higher one.
    fn formula(&mut self) {
        let formula = |view: &View<'_>| {
            let slot = view.side.policy.slots.get("risk");
            slot.map(|slot| slot.formula.clone()).unwrap_or_default()
        };
        let (before, after) = (formula(&self.base), formula(&self.head));
        if before == after {
            return;
        }
        let places = self.places((Kind::Slot, "risk", &["formula"]), None);
        let values = [before, after].map(|formula| Some(json!(formula.text())));
        let what = "the score follows from likelihood and impact in another way".to_owned();
        self.push(Moved::Undecided, "slots.risk.formula", what, values, places);
    }

    /// Whether a model is asked for a slot of the engineer's.
    fn asked(&mut self) {
        let asks = |view: &View<'_>| -> BTreeMap<String, bool> {
            let slots = view.side.policy.slots.iter();
            let own = slots.filter(|(_, slot)| slot.default.is_some());
            own.map(|(name, slot)| (name.clone(), slot.ask)).collect()
        };
        let (before, after) = (asks(&self.base), asks(&self.head));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (was, is) = (before.get(name).copied(), after.get(name).copied());
            if was.unwrap_or(false) == is.unwrap_or(false) {
                continue;
            }
            let is_weaker = is == Some(true);
            let what = if is_weaker {
                "a model writes what people read"
            } else {
                "no model writes it any more"
            };
            let places = self.places((Kind::Slot, name, &["ask"]), None);
            self.push(
                Moved::by(is_weaker),
                &format!("slots.{name}.ask"),
                what.to_owned(),
                [was, is].map(|asks| asks.map(Value::from)),
                places,
            );
        }
    }

    fn may(&mut self) {
        let (before, after) = (&self.base.side.policy.slots, &self.head.side.policy.slots);
        // What is the engineer's own, its schema bounds.
        let known = SLOTS.into_iter().map(str::to_owned);
        let names: BTreeSet<String> = known.collect();
        let moved: Vec<_> = names
            .into_iter()
            .map(|name| {
                let may = |slots: &BTreeMap<String, crate::slots::SlotSettings>| {
                    slots.get(&name).map(|slot| slot.may)
                };
                let pair = (may(before), may(after));
                (name, pair)
            })
            .collect();
        for (name, (before, after)) in moved {
            if before == after {
                continue;
            }
            let word = |may: Option<May>| {
                may.map(|may| json!(if may == May::Set { "set" } else { "raise" }))
            };
            let reach = |may: Option<May>| match may {
                None => 0,
                Some(May::Raise) => 1,
                Some(May::Set) => 2,
            };
            let what = match after {
                Some(May::Set) => "a model may set what it fills, down to the floor",
                Some(May::Raise) => "a model may only make what it fills graver",
                None => "no model fills it any more",
            };
            let places = self.places((Kind::Slot, &name, &["may"]), None);
            let is_weaker = reach(after) > reach(before);
            self.push(
                Moved::by(is_weaker),
                &format!("slots.{name}.may"),
                what.to_owned(),
                [word(before), word(after)],
                places,
            );
        }
    }

    fn plan(&mut self) {
        let planning = |view: &View<'_>| view.side.policy.planning.clone();
        let (before, after) = (planning(&self.base), planning(&self.head));
        // Of a step that is gone nobody asks for approval.
        let known = |step: &&String| {
            before.step_ids().any(|id| id == **step) && after.step_ids().any(|id| id == **step)
        };
        let steps =
            |steps: &[String]| -> Vec<String> { steps.iter().filter(known).cloned().collect() };
        let approval = (steps(before.approval()), steps(after.approval()));
        let texts = ("is done without approval", "needs approval now");
        self.set(
            "plan.approval",
            (Kind::Table, "plan", &["approval"]),
            (&approval.0, &approval.1),
            texts,
            true,
        );
        let types: BTreeSet<&String> = before
            .mandatory_types()
            .chain(after.mandatory_types())
            .collect();
        for finding_type in types {
            let lists = (
                before.mandatory(finding_type).to_vec(),
                after.mandatory(finding_type).to_vec(),
            );
            let keys = ["mandatory", finding_type.as_str()];
            let texts = ("is not mandatory any more", "is mandatory now");
            self.set(
                &format!("plan.mandatory.{finding_type}"),
                (Kind::Table, "plan", &keys),
                (&lists.0, &lists.1),
                texts,
                true,
            );
        }
    }

    fn audit(&mut self) {
        let (before, after) = (
            self.base.side.policy.audit.clone(),
            self.head.side.policy.audit.clone(),
        );
        let paths = |audit: &crate::redact::AuditSettings| -> Vec<String> {
            audit.secrets.paths().map(str::to_owned).collect()
        };
        let texts = ("is not masked any more", "is masked now");
        self.set(
            "audit.secret",
            (Kind::Table, "audit", &["secret"]),
            (&paths(&before), &paths(&after)),
            texts,
            true,
        );
        if before.retention != after.retention {
            let is_weaker = after.retention < before.retention;
            let what = if is_weaker {
                "bodies are kept for a shorter time"
            } else {
                "bodies are kept for longer"
            };
            let values = [
                Some(json!(before.retention.to_string())),
                Some(json!(after.retention.to_string())),
            ];
            let places = self.places((Kind::Table, "audit", &["retention"]), None);
            self.push(
                Moved::by(is_weaker),
                "audit.retention",
                what.to_owned(),
                values,
                places,
            );
        }
    }

    /// Clauses of the gate that let more through, or less. Waivers are told with its verdict.
    fn gate(&mut self) {
        let limits = |view: &View<'_>| -> BTreeMap<String, (Bound, Place)> {
            let limits = view.side.policy.gate.limits.iter();
            let limits = limits.map(|limit| {
                let rule = limit.rule.as_ref().map(|rule| format!("rules.{rule}."));
                let key = limit.clause.as_str();
                let clause = format!("gate.{}{key}", rule.unwrap_or_default());
                (clause, (limit.bound, view.places.place(limit.span)))
            });
            limits.collect()
        };
        let (before, after) = (limits(&self.base), limits(&self.head));
        let clauses: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for clause in clauses {
            let (old, new) = (before.get(clause), after.get(clause));
            let bounds = [old, new].map(|limit| limit.map(|(bound, _)| *bound));
            let is_weaker = match bounds {
                [Some(old), Some(new)] if old == new => continue,
                [Some(old), Some(new)] => new > old,
                [old, _] => old.is_some(),
            };
            let what = if is_weaker {
                "the gate lets more through"
            } else {
                "the gate lets less through"
            };
            let values = bounds.map(|bound| bound.map(|bound| json!(bound)));
            let places = [old, new].map(|limit| limit.map(|(_, place)| place.clone()));
            self.push(
                Moved::by(is_weaker),
                clause,
                what.to_owned(),
                values,
                places,
            );
        }
    }

    fn rules(&mut self, items: &[Change]) {
        for item in items
            .iter()
            .filter(|item| item.kind == Kind::Rule && item.matters != Matters::Nothing)
        {
            let of = |named: &Option<crate::lab::diff::changes::Named>, view: &View<'_>| {
                let id = named.as_ref()?.id?;
                view.side.policy.rules.get(&id).cloned()
            };
            let (before, after) = (of(&item.base, &self.base), of(&item.head, &self.head));
            match (&before, &after) {
                (Some(before), Some(after)) => {
                    self.matched(item, before, after);
                    self.suppressed(before, after);
                    self.typed(before, after);
                    self.risk(before, after);
                }
                (Some(rule), None) | (None, Some(rule)) => self.rule_on_one_side(item, rule),
                (None, None) => {}
            }
        }
    }

    /// A rule of level high or above that is gone, or new.
    fn rule_on_one_side(&mut self, item: &Change, rule: &Rule) {
        if rule.level < Level::High || matches!(rule.logic, Logic::Inactive) {
            return;
        }
        let is_gone = item.action == Action::Removed;
        let what = format!(
            "a rule of level {} {}",
            rule.level.as_str(),
            if is_gone { "is gone" } else { "is new" }
        );
        let level = Some(json!(rule.level.as_str()));
        let values = if is_gone {
            [level, None]
        } else {
            [None, level]
        };
        let places =
            [&item.base, &item.head].map(|named| named.as_ref().map(|named| named.place.clone()));
        self.push(
            Moved::by(is_gone),
            &clause_of(rule, ""),
            what,
            values,
            places,
        );
    }

    /// A rule that was of level high or above and matches less, or is and matches more.
    fn matched(&mut self, item: &Change, before: &Rule, after: &Rule) {
        let Some(related) = &item.relation else {
            return;
        };
        if before.level.max(after.level) < Level::High {
            return;
        }
        let (moved, what) = match related.relation {
            Relation::Equivalent => return,
            Relation::Narrower => (Moved::Weaker, "matches less than before"),
            Relation::Broader => (Moved::Stronger, "matches more than before"),
            Relation::Incomparable => (Moved::Weaker, "does not match all that it matched"),
            Relation::Undecided if related.only_base.is_some() => {
                (Moved::Weaker, "does not match all that it matched")
            }
            Relation::Undecided => (Moved::Undecided, "may match less than before"),
        };
        let key = if matches!(after.logic, Logic::Correlation(_)) {
            "correlation"
        } else {
            "detection"
        };
        let places = [
            self.base.rule(before, &[key]),
            self.head.rule(after, &[key]),
        ];
        let level = before.level.max(after.level).as_str();
        let what = format!("a rule of level {level} {what}");
        self.push(moved, &clause_of(after, key), what, [None, None], places);
    }

    /// What the findings of a rule keep whatever a model says, and whether they are promoted without one.
    fn risk(&mut self, before: &Rule, after: &Rule) {
        let kept_by = |view: &View<'_>, rule: &Rule| {
            let slot = view.side.policy.slots.get("risk");
            kept(rule.level, &rule.settings, slot)
        };
        let (old, new) = (kept_by(&self.base, before), kept_by(&self.head, after));
        let places = [
            self.base.rule(before, &["rulectl", "floor"]),
            self.head.rule(after, &["rulectl", "floor"]),
        ];
        let slot = |view: &View<'_>| {
            let slot = view.side.policy.slots.get("risk");
            slot.map(|slot| (slot.may, slot.formula.clone()))
        };
        // What follows from the slot alone is told of the slot.
        let own = |rule: &Rule| (rule.level, rule.settings.risk, rule.settings.floor);
        if slot(&self.base) == slot(&self.head) || own(before) != own(after) {
            let word =
                |severity: Option<Severity>| severity.map(|severity| json!(severity.as_str()));
            if old.least_severity != new.least_severity {
                let moved = Moved::by(new.least_severity < old.least_severity);
                let values = [word(old.least_severity), word(new.least_severity)];
                self.push(
                    moved,
                    &clause_of(after, "rulectl.floor.severity"),
                    "the least severity that a model can give its findings".to_owned(),
                    values,
                    places.clone(),
                );
            }
            if old.least_score != new.least_score {
                let least = |score: Option<f64>| score.unwrap_or(-1.0);
                let moved = Moved::by(least(new.least_score) < least(old.least_score));
                let values = [old.least_score, new.least_score].map(|score| score.map(Value::from));
                self.push(
                    moved,
                    &clause_of(after, "rulectl.floor.score"),
                    "the least score that a model can give its findings".to_owned(),
                    values,
                    places,
                );
            }
        }
        self.level((before, &old), (after, &new));
        let promoted = |view: &View<'_>, kept: &Kept| {
            view.side.policy.promotion.takes(kept.severity, kept.score)
        };
        let is = (promoted(&self.base, &old), promoted(&self.head, &new));
        let differs = (old.severity, old.score) != (new.severity, new.score);
        if differs && is.0 != is.1 {
            // An expression may promote what a score and a severity do not.
            let others = if is.0 { &self.head } else { &self.base };
            let has_when = others.side.policy.promotion.when.is_some();
            let (moved, what) = match (has_when, is.0) {
                (true, _) => (Moved::Undecided, "another clause may promote its findings"),
                (false, true) => (Moved::Weaker, "its findings are not promoted any more"),
                (false, false) => (Moved::Stronger, "its findings are promoted now"),
            };
            let shown = |kept: &Kept| {
                Some(json!({"severity": kept.severity.as_str(), "score": kept.score}))
            };
            let places = [
                self.base.rule(before, &["rulectl", "risk"]),
                self.head.rule(after, &["rulectl", "risk"]),
            ];
            self.push(
                moved,
                &clause_of(after, "rulectl.risk"),
                what.to_owned(),
                [shown(&old), shown(&new)],
                places,
            );
        }
    }

    /// What the findings of a rule have without a model, where a floor hides that it moved; and its
    /// level, where that decides nothing else than which rules guardrails are about.
    fn level(&mut self, (before, old): (&Rule, &Kept), (after, new): (&Rule, &Kept)) {
        let is_told =
            (old.least_severity, new.least_severity) == (Some(old.severity), Some(new.severity));
        let places = |moving: &Self, keys: &[&str]| {
            [
                moving.base.rule(before, keys),
                moving.head.rule(after, keys),
            ]
        };
        if old.severity != new.severity {
            if is_told {
                return;
            }
            let keys: &[&str] = if before.level == after.level {
                &["rulectl", "risk"]
            } else {
                &["level"]
            };
            let places = places(self, keys);
            self.push(
                Moved::by(new.severity < old.severity),
                &clause_of(after, "rulectl.risk.severity"),
                "the severity that its findings have without a model".to_owned(),
                [old.severity, new.severity].map(|severity| Some(json!(severity.as_str()))),
                places,
            );
        } else if before.level != after.level && before.level.max(after.level) >= Level::High {
            let places = places(self, &["level"]);
            self.push(
                Moved::by(after.level < before.level),
                &clause_of(after, "level"),
                "the level of its findings".to_owned(),
                [before.level, after.level].map(|level| Some(json!(level.as_str()))),
                places,
            );
        }
    }

    /// A rule of level high or above of which one finding stands for hits that are further apart.
    fn suppressed(&mut self, before: &Rule, after: &Rule) {
        let (Some(old), Some(new)) = (before.settings.suppress, after.settings.suppress) else {
            return;
        };
        if old == new || before.level.max(after.level) < Level::High {
            return;
        }
        let keys = ["rulectl", "suppress"];
        let places = [self.base.rule(before, &keys), self.head.rule(after, &keys)];
        self.push(
            Moved::by(new > old),
            &clause_of(after, "rulectl.suppress"),
            "how far apart the hits are that are one finding".to_owned(),
            [old, new].map(|span| Some(json!(span.to_string()))),
            places,
        );
    }

    /// A rule whose findings are of another type, for which other steps are mandatory.
    fn typed(&mut self, before: &Rule, after: &Rule) {
        let types = [before, after].map(|rule| rule.settings.finding_type.clone());
        let [old, new] = &types;
        if old == new {
            return;
        }
        let mandatory = |view: &View<'_>, finding_type: &str| {
            let planning = &view.side.policy.planning;
            planning.mandatory(finding_type).to_vec()
        };
        let (was, is) = (mandatory(&self.base, old), mandatory(&self.head, new));
        let keys = ["rulectl", "finding_type"];
        for (one, other, text, moved) in [
            (&was, &is, "is not mandatory any more", Moved::Weaker),
            (&is, &was, "is mandatory now", Moved::Stronger),
        ] {
            for step in one.iter().filter(|step| !other.contains(step)) {
                let places = [self.base.rule(before, &keys), self.head.rule(after, &keys)];
                let what = format!("for its findings `{step}` {text}");
                let values = types.clone().map(|name| Some(json!(name)));
                let clause = clause_of(after, "rulectl.finding_type");
                self.push(moved, &clause, what, values, places);
            }
        }
    }

    /// Rules of level high or above that only feed correlations now, and are not reported by themselves.
    fn reported(&mut self, pairs: &[(Uuid, Uuid)]) {
        let silent = [&self.base, &self.head].map(silent);
        let [silent_before, silent_after] = &silent;
        for (base, head) in pairs {
            let rules = |view: &View<'_>, id: &Uuid| view.side.policy.rules.get(id).cloned();
            let (Some(before), Some(after)) = (rules(&self.base, base), rules(&self.head, head))
            else {
                continue;
            };
            let (was, is) = (silent_before.contains(base), silent_after.contains(head));
            if was == is || before.level.max(after.level) < Level::High {
                continue;
            }
            let level = before.level.max(after.level).as_str();
            let reported = if is {
                "is not reported by itself any more"
            } else {
                "is reported by itself now"
            };
            let places = [self.base.rule(&before, &[]), self.head.rule(&after, &[])];
            let what = format!("a rule of level {level} {reported}");
            self.push(
                Moved::by(is),
                &clause_of(&after, ""),
                what,
                [None, None],
                places,
            );
        }
    }

    /// A command that writes and serves another step, of which one needs approval.
    fn approved(&mut self, item: &Change, [was, is]: [bool; 2]) {
        let name = item.name();
        let places = self.places((Kind::Command, name, &["step"]), None);
        let what = if is {
            "a command that writes serves a step that needs approval now"
        } else {
            "a command that writes serves a step without approval now"
        };
        let clause = format!("commands.{name}.step");
        let values = [was, is].map(|approved| Some(json!(approved)));
        self.push(Moved::by(was), &clause, what.to_owned(), values, places);
    }

    /// Commands that change something where there was none, or where it read.
    fn commands(&mut self, items: &[Change]) {
        for item in items.iter().filter(|item| item.kind == Kind::Command) {
            let (base, head) = (self.base.side, self.head.side);
            let [old, new] = [base, head].map(|side| {
                let mut commands = side.policy.tools.commands.iter();
                commands.find(|command| command.name == item.name())
            });
            let method = |command: Option<&CommandTemplate>| command.map(|command| command.method);
            let (before, after) = (method(old), method(new));
            let writes =
                |method: Option<Method>| method.is_some_and(|method| method != Method::Get);
            let what = match (before, after, writes(before), writes(after)) {
                (None, _, _, true) => "a command that writes may be suggested now",
                (_, None, true, _) => "a command that writes is not suggested any more",
                (_, _, false, true) => "a command that read writes now",
                (_, _, true, false) => "a command that wrote reads now",
                (_, _, true, true) if call(old) != call(new) => {
                    "a command that writes does so in another way"
                }
                (_, _, true, true) => {
                    let step = |command: Option<&CommandTemplate>| {
                        command.map(|command| command.step.clone())
                    };
                    // That a step needs no approval any more is told of the step.
                    if step(old) != step(new) && approved(base, old) != approved(head, new) {
                        self.approved(item, [approved(base, old), approved(head, new)]);
                    }
                    continue;
                }
                _ => continue,
            };
            let word = |method: Option<Method>| method.map(|method| json!(method.as_str()));
            let places = [&item.base, &item.head]
                .map(|named| named.as_ref().map(|named| named.place.clone()));
            let clause = format!("commands.{}", item.name());
            self.push(
                Moved::by(writes(after)),
                &clause,
                what.to_owned(),
                [word(before), word(after)],
                places,
            );
        }
    }
}

/// The rules that are not reported by themselves, since a correlation that does not say `generate` names them.
fn silent(view: &View<'_>) -> BTreeSet<Uuid> {
    let rules = &view.side.policy.rules;
    let names: BTreeMap<&str, Uuid> = rules
        .values()
        .filter_map(|rule| Some((rule.name.as_deref()?, rule.id)))
        .collect();
    let mut fed = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for rule in rules.values() {
        let Logic::Correlation(correlation) = &rule.logic else {
            continue;
        };
        let named = correlation.rules.iter().filter_map(|(name, _)| {
            let named = names.get(name.as_str()).copied();
            named.or_else(|| Uuid::parse_str(name).ok())
        });
        let list = if correlation.generate {
            &mut kept
        } else {
            &mut fed
        };
        list.extend(named);
    }
    fed.difference(&kept).copied().collect()
}

/// Whether the step that a command serves needs approval.
fn approved(side: &Side, command: Option<&CommandTemplate>) -> bool {
    command.is_some_and(|command| side.policy.planning.approval().contains(&command.step))
}

/// What decides what a command changes.
fn call(command: Option<&CommandTemplate>) -> Option<impl PartialEq> {
    let command = command?;
    let call = (command.method, &command.path, &command.query);
    Some((call, &command.system, &command.body))
}

/// The clause of a rule, in its file.
fn clause_of(rule: &Rule, key: &str) -> String {
    let label = rule.label();
    if key.is_empty() {
        format!("rule {label}")
    } else {
        format!("rule {label}: {key}")
    }
}

/// What stands before what, also where a third stands between.
fn in_order(pairs: &[(String, String)]) -> BTreeSet<(String, String)> {
    let mut all: BTreeSet<(String, String)> = pairs.iter().cloned().collect();
    loop {
        let between = all.iter().flat_map(|(left, middle)| {
            let next = all.iter().filter(move |(from, _)| from == middle);
            next.map(move |(_, right)| (left.clone(), right.clone()))
        });
        let grown: BTreeSet<_> = all.iter().cloned().chain(between).collect();
        if grown.len() == all.len() {
            return all;
        }
        all = grown;
    }
}
