//! Why a finding became an incident or did not, and who put what into the route and the plan of an
//! incident, with the clauses of the policy that it was decided by.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::SCHEMA;
use super::told::PlaceTold;
use crate::detect::{Finding, Rule};
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, parse_toml, parse_yaml_documents};
use crate::event::{Digest, Time};
use crate::plan::Plan;
use crate::policy::Loaded;
use crate::promote::{Incident, Verdict, Weighed};
use crate::risk::Risk;
use crate::route::{Action, Context, Route};
use crate::slots::Provenance;

/// The policy that decided, as it was.
#[derive(Debug)]
pub struct Decider<'l> {
    loaded: &'l Loaded,
    routing: Option<Node>,
}

/// Why a finding became an incident, or did not.
#[derive(Debug, Serialize)]
pub struct FindingTold {
    /// Which document this is.
    pub schema: &'static str,
    /// The policy that decided.
    pub policy: Digest,
    /// The finding.
    pub finding: Uuid,
    /// Its type.
    pub finding_type: String,
    /// What it is called.
    pub title: String,
    /// What formed it.
    pub formed: Formed,
    /// Each number of its risk, and where that comes from.
    pub risk: Vec<Valued>,
    /// Whether it became an incident.
    pub promoted: bool,
    /// Whether a model kept it from becoming one.
    pub withheld: bool,
    /// The clauses of promotion, of which one is enough.
    pub clauses: Vec<ClauseWeighed>,
    /// What was recorded when it was decided.
    pub recorded: Vec<String>,
}

/// What formed a finding.
#[derive(Debug, Serialize)]
pub struct Formed {
    /// The rule.
    pub rule: String,
    /// Where it begins.
    pub place: Option<PlaceTold>,
    /// How many events it has.
    pub count: u64,
    /// How often the rule held.
    pub hits: u64,
    /// The values of the fields that it is grouped by.
    pub group: BTreeMap<String, String>,
    /// The time of its first event.
    pub first_seen: Option<Time>,
    /// The time of its last event.
    pub last_seen: Option<Time>,
    /// Why the first hit was one.
    pub reasons: Vec<String>,
}

/// A value, and where it comes from.
#[derive(Debug, Serialize)]
pub struct Valued {
    /// What it is called.
    pub name: &'static str,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: String,
    /// The clause that it comes from.
    pub place: Option<PlaceTold>,
}

/// A clause of promotion, over a finding.
#[derive(Debug, Serialize)]
pub struct ClauseWeighed {
    /// The clause, or a part of `when` as it is written.
    pub clause: String,
    /// Where it is written.
    pub place: Option<PlaceTold>,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, beside what is asked.
    pub said: String,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ClauseWeighed>,
}

/// Who put what into the routes and the plan of an incident.
#[derive(Debug, Serialize)]
pub struct IncidentTold {
    /// Which document this is.
    pub schema: &'static str,
    /// The policy that decided.
    pub policy: Digest,
    /// The incident.
    pub incident: Uuid,
    /// Its finding.
    pub finding: Uuid,
    /// What it is called.
    pub title: String,
    /// Its severity.
    pub severity: &'static str,
    /// The route of the run, and that of the incident.
    pub routes: Vec<RouteTold>,
    /// Its plan.
    pub plan: Option<PlanTold>,
}

/// Who put what into a route.
#[derive(Debug, Serialize)]
pub struct RouteTold {
    /// `raw_events` or `incident`.
    pub context: &'static str,
    /// The phase.
    pub phase: String,
    /// What a model proposed, where its proposal was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Vec<String>>,
    /// Why a model's proposal was refused, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The agents, in order, or the steps of a plan.
    pub members: Vec<MemberTold>,
    /// Every change to what was proposed.
    pub edits: Vec<EditTold>,
}

/// Who put what into a plan.
pub type PlanTold = RouteTold;

/// An agent of a route or a step of a plan, and who put it there.
#[derive(Debug, Serialize)]
pub struct MemberTold {
    /// Its name.
    pub name: String,
    /// Who: the model's proposal, or a clause.
    pub by: String,
    /// The clause that wants it, or that allows what was proposed.
    pub place: Option<PlaceTold>,
    /// What the clause looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A change to what was proposed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct EditTold {
    /// What was done.
    pub action: String,
    /// To which agent, step or phase.
    pub name: String,
    /// The clause of `routing.toml`, or the sentence that stands for one.
    pub clause: String,
    /// Where the clause is written.
    pub place: Option<PlaceTold>,
}

impl<'l> Decider<'l> {
    /// A policy that was read, as it was when it decided.
    #[must_use]
    pub fn new(loaded: &'l Loaded) -> Self {
        let routing = loaded.files.iter().find(|file| file.path == "routing.toml");
        // It was checked, so that there is nothing to report.
        let parsed =
            routing.and_then(|file| parse_toml(file.id, &file.text, &mut Problems::default()));
        Self {
            loaded,
            routing: parsed,
        }
    }

    /// Why a finding became an incident, or did not.
    #[must_use]
    pub fn finding(&self, finding: &Finding, risk: &Risk, verdict: &Verdict) -> FindingTold {
        let policy = self.loaded.policy.as_ref();
        let rule = policy.and_then(|policy| policy.rules.get(&finding.rule));
        let weighed = policy.map(|policy| policy.promotion.weighed(finding, risk));
        FindingTold {
            schema: SCHEMA,
            policy: self.digest(),
            finding: finding.id,
            finding_type: finding.finding_type.clone(),
            title: finding.rule_title.clone(),
            formed: Formed {
                rule: rule.map_or_else(|| finding.rule.to_string(), |rule| rule.label().to_owned()),
                place: rule.map(|rule| self.told(rule.span.part(0, 0))),
                count: finding.count,
                hits: finding.hits,
                group: finding
                    .group
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                first_seen: finding.first_seen,
                last_seen: finding.last_seen,
                reasons: finding.reasons.clone(),
            },
            risk: self.risk(rule, risk),
            promoted: verdict.promoted,
            withheld: verdict.withheld,
            clauses: weighed
                .unwrap_or_default()
                .into_iter()
                .map(|clause| self.weighed(clause, None))
                .collect(),
            recorded: verdict.reasons.clone(),
        }
    }

    fn weighed(&self, weighed: Weighed, outer: Option<&PlaceTold>) -> ClauseWeighed {
        let own = || self.place(&weighed.clause);
        let place = outer.cloned().or_else(own);
        ClauseWeighed {
            holds: weighed.holds,
            said: weighed.said,
            parts: weighed
                .parts
                .into_iter()
                .map(|part| self.weighed(part, place.as_ref()))
                .collect(),
            clause: weighed.clause,
            place,
        }
    }

    /// Each number of a risk, and the clause that it comes from.
    fn risk(&self, rule: Option<&Rule>, risk: &Risk) -> Vec<Valued> {
        let document = rule.and_then(|rule| self.document(rule));
        let in_rule = |clause: &str| {
            let document = document.as_ref()?;
            Some(self.told(span_of(document, clause)?))
        };
        let number = |number: f64| format!("{number:.2}");
        let values = [
            ("severity", risk.severity.as_str().to_owned()),
            ("likelihood", number(risk.likelihood)),
            ("impact", number(risk.impact)),
            ("score", number(risk.score)),
        ];
        let valued = |(name, value): (&'static str, String)| {
            let source = risk.provenance.get(name).copied();
            let place = match (source, name) {
                (Some(Provenance::Floored), _) => in_rule(&format!("rulectl.floor.{name}")),
                (_, "score") => self.place("slots.risk.formula"),
                (Some(Provenance::Default | Provenance::Refused) | None, _) => {
                    in_rule(&format!("rulectl.risk.{name}")).or_else(|| in_rule("level"))
                }
                _ => None,
            };
            let declared = in_rule(&format!("rulectl.risk.{name}")).is_some();
            let of_rule = match (scripted(risk), declared) {
                (Some(script), _) => script.to_owned(),
                (None, true) => "as the rule declares it".to_owned(),
                (None, false) => {
                    let level = rule.map_or("", |rule| rule.level.as_str());
                    format!("from the level of the rule, {level}")
                }
            };
            Valued {
                name,
                value,
                source: self.source(name, source, (risk, &of_rule)),
                place,
            }
        };
        let floor = rule.and_then(|rule| rule.settings.floor).map(|floor| {
            let severity = floor.severity.map(|severity| severity.as_str().to_owned());
            let score = floor.score.map(number);
            let least: Vec<String> = severity.into_iter().chain(score).collect();
            Valued {
                name: "floor",
                value: least.join(" and "),
                source: "no model can say less".to_owned(),
                place: in_rule("rulectl.floor"),
            }
        });
        values.into_iter().map(valued).chain(floor).collect()
    }

    fn source(
        &self,
        name: &str,
        source: Option<Provenance>,
        (risk, of_rule): (&Risk, &str),
    ) -> String {
        let policy = self.loaded.policy.as_ref();
        let slot = policy.and_then(|policy| policy.slots.get("risk"));
        let formula = slot.map_or("likelihood * impact", |slot| slot.formula.text());
        let said = risk.proposed.as_ref().map(|said| match name {
            "severity" => said.severity.as_str().to_owned(),
            "likelihood" => format!("{:.2}", said.likelihood),
            "impact" => format!("{:.2}", said.impact),
            _ => format!("{:.2}", said.score),
        });
        let beside = said.map_or_else(String::new, |said| format!(", the model says {said}"));
        match source {
            Some(Provenance::Floored) => format!("floored{beside}"),
            Some(Provenance::Model) => "the model's".to_owned(),
            Some(Provenance::Recorded) => "the model's, from a recording".to_owned(),
            Some(Provenance::Refused) => "default, since the model's answer was refused".to_owned(),
            _ if name == "score" => format!("{formula}{beside}"),
            _ => format!("{of_rule}{beside}"),
        }
    }

    /// Who put what into the routes and the plan of an incident.
    #[must_use]
    pub fn incident(
        &self,
        incident: &Incident,
        finding: &Finding,
        routes: &[&Route],
        plan: Option<&Plan>,
    ) -> IncidentTold {
        IncidentTold {
            schema: SCHEMA,
            policy: self.digest(),
            incident: incident.id,
            finding: finding.id,
            title: incident.title.clone(),
            severity: incident.severity.as_str(),
            routes: routes
                .iter()
                .map(|route| self.route(route, incident))
                .collect(),
            plan: plan.map(|plan| self.plan(plan, finding)),
        }
    }

    fn route(&self, route: &Route, incident: &Incident) -> RouteTold {
        let context = route.context.as_str();
        let added = |agent: &str| {
            let mut edits = route.edits.iter();
            edits.find(|edit| edit.action == Action::Added && edit.agent == agent)
        };
        let members = route.steps.iter().map(|step| {
            let name = step.agent_name.clone();
            match added(&name) {
                Some(edit) => MemberTold {
                    place: self.place(&edit.clause),
                    since: edit
                        .clause
                        .contains("require_when")
                        .then(|| format!("the severity is {}", incident.severity.as_str())),
                    by: edit.clause.clone(),
                    name,
                },
                None => MemberTold {
                    by: format!("{} proposed it", proposer(route.provenance)),
                    place: self.item(&format!("route.{context}.allow"), &name),
                    since: None,
                    name,
                },
            }
        });
        RouteTold {
            context: match route.context {
                Context::RawEvents => "raw_events",
                Context::Incident => "incident",
            },
            phase: route.phase.clone(),
            proposed: route.proposed.clone(),
            refused: route.refused.clone(),
            members: members.collect(),
            edits: route
                .edits
                .iter()
                .map(|edit| self.edit(edit.action.as_str(), &edit.agent, &edit.clause))
                .collect(),
        }
    }

    fn plan(&self, plan: &Plan, finding: &Finding) -> PlanTold {
        let of_type = &finding.finding_type;
        let members = plan.steps.iter().map(|step| {
            let name = step.step_id.clone();
            let mandatory = self.item(&format!("plan.mandatory.{of_type}"), &name);
            let default = [of_type.as_str(), "OTHER"].into_iter().find_map(|of_type| {
                let clause = format!("plan.default.{of_type}");
                let place = self.item(&clause, &name)?;
                Some((clause, place))
            });
            let (by, place) = match (mandatory, default) {
                _ if plan.is_proposed(step) => {
                    let source = plan.provenance.get("steps").copied();
                    let by = format!("{} proposed it", proposer(source));
                    (by, self.item("plan.steps", &name))
                }
                (Some(place), _) => (format!("plan.mandatory.{of_type}"), Some(place)),
                (None, Some((clause, place))) => (clause, Some(place)),
                (None, None) => (plan.notes.clone(), None),
            };
            let approval = step.requires_human_approval;
            MemberTold {
                name,
                by,
                place,
                since: approval.then(|| "a human has to agree".to_owned()),
            }
        });
        PlanTold {
            context: "plan",
            phase: plan.notes.clone(),
            proposed: plan.proposed.clone(),
            refused: None,
            members: members.collect(),
            edits: plan
                .edits
                .iter()
                .map(|edit| {
                    let action = serde_json::to_value(edit.action).unwrap_or_default();
                    let action = action.as_str().unwrap_or_default();
                    self.edit(action, &edit.step_id, &edit.clause)
                })
                .collect(),
        }
    }

    fn edit(&self, action: &str, name: &str, clause: &str) -> EditTold {
        EditTold {
            action: action.to_owned(),
            name: name.to_owned(),
            clause: clause.to_owned(),
            place: self.place(clause),
        }
    }

    /// Where a clause of `routing.toml` is written.
    fn place(&self, clause: &str) -> Option<PlaceTold> {
        Some(self.told(span_of(self.routing.as_ref()?, clause)?))
    }

    /// Where a text stands in a list of `routing.toml`.
    fn item(&self, list: &str, text: &str) -> Option<PlaceTold> {
        let node = found(self.routing.as_ref()?, list)?.1;
        let Kind::List(items) = &node.kind else {
            return None;
        };
        let item = items
            .iter()
            .find(|item| item.scalar_text().as_deref() == Some(text))?;
        Some(self.told(item.span))
    }

    /// The document of a rule.
    fn document(&self, rule: &Rule) -> Option<Node> {
        let file = self
            .loaded
            .files
            .iter()
            .find(|file| file.path == rule.file)?;
        let documents = parse_yaml_documents(file.id, &file.text, &mut Problems::default());
        documents.into_iter().find(|node| node.span == rule.span)
    }

    fn told(&self, span: Span) -> PlaceTold {
        PlaceTold::of(span, &self.loaded.problems)
    }

    fn digest(&self) -> Digest {
        let policy = self.loaded.policy.as_ref();
        policy.map_or(Digest::of_bytes([0; 32]), |policy| policy.digest)
    }
}

/// That a script of the rule said how bad it is, where the rationale is not a model's and says so.
fn scripted(risk: &Risk) -> Option<&str> {
    let is_default = risk.provenance.get("rationale") == Some(&Provenance::Default);
    let says_so = is_default && risk.rationale.starts_with("default from the script");
    says_so.then_some(risk.rationale.as_str())
}

fn proposer(source: Option<Provenance>) -> &'static str {
    match source {
        Some(Provenance::Recorded) => "a recording of the model",
        _ => "the model",
    }
}

/// Where a clause is written: keys between dots, and items of lists by their number.
fn span_of(node: &Node, clause: &str) -> Option<Span> {
    found(node, clause).map(|(span, _)| span)
}

/// What a clause names: where it is written, and its value.
fn found<'n>(node: &'n Node, clause: &str) -> Option<(Span, &'n Node)> {
    if let Some(rest) = clause.strip_prefix('[') {
        let (number, rest) = rest.split_once(']')?;
        let Kind::List(items) = &node.kind else {
            return None;
        };
        let item = items.get(number.parse::<usize>().ok()?)?;
        return match rest.strip_prefix('.') {
            None if rest.is_empty() => Some((item.span, item)),
            rest => found(item, rest?),
        };
    }
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    // A key may have dots itself.
    entries.iter().find_map(|(key, value)| {
        let rest = clause.strip_prefix(key.text.as_str())?;
        match rest.strip_prefix('.') {
            None if rest.is_empty() => Some((key.span, value)),
            None if rest.starts_with('[') => found(value, rest),
            rest => found(value, rest?),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_found_where_they_are_written() {
        let text = "[a]\nb = [\"x\", \"y\"]\n[[a.c]]\nd = 1\n[a.\"e.f\"]\ng = 2\n";
        let mut problems = Problems::default();
        let file = problems.add_file("routing.toml", text);
        let node = parse_toml(file, text, &mut problems).expect("TOML");
        let line = |clause: &str| Some(problems.line_column(span_of(&node, clause)?).line);
        for (clause, expected) in [
            ("a.b", Some(2)),
            ("a.b[1]", Some(2)),
            ("a.b[2]", None),
            ("a.c[0].d", Some(4)),
            ("a.e.f.g", Some(6)),
            ("a.bc", None),
            ("each agent runs once", None),
        ] {
            assert_eq!(line(clause), expected, "{clause}");
        }
    }
}
