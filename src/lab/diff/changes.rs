//! What changed between two policies, decided from their files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Logic, Relation, Rule};
use crate::lab::diff::Side;
use crate::lab::diff::details::{About, Detail, Matters, details};
use crate::lab::diff::guardrails::{Guardrail, guardrails};
use crate::lab::diff::relation::{Related, relate};
use crate::lab::diff::things::{Kind, Place, Places, Thing, entry, texts, things};
use crate::policy::Policy;
use crate::route::Runs;

/// Everything that differs between two policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes {
    /// Whether nothing does, byte for byte.
    pub same: bool,
    /// Thing by thing, in the order of the way of the data.
    pub items: Vec<Change>,
    /// The guardrails that hold less or more than before, the weaker ones first.
    pub guardrails: Vec<Guardrail>,
}

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It does the same under another id or name, or in another file.
    Renamed,
    /// It is another.
    Changed,
}

impl Action {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::Changed => "changed",
        }
    }
}

/// A thing as one side names it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// What a person calls it.
    pub name: String,
    /// The id of a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Where it is written.
    pub place: Place,
}

/// A thing that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What it is.
    pub kind: Kind,
    /// What became of it.
    pub action: Action,
    /// Whether that can change an output.
    pub matters: Matters,
    /// What the base has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Named>,
    /// What the head has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Named>,
    /// Each difference between the two.
    pub details: Vec<Detail>,
    /// Of a rule, what it names that changed: it may do something else with that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<String>,
    /// Of a rule that does something else, how what it matches relates to what it matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<Related>,
}

impl Change {
    /// What a person calls it: as the head does, where that has it.
    #[must_use]
    pub fn name(&self) -> &str {
        let named = self.head.as_ref().or(self.base.as_ref());
        named.map_or("", |named| &named.name)
    }

    /// The same for both orders of the sides.
    fn order(&self) -> (Kind, Option<&str>, Option<&Place>) {
        let both = || [&self.base, &self.head].into_iter().flatten();
        let name = both().map(|named| named.name.as_str()).min();
        (self.kind, name, both().map(|named| &named.place).min())
    }

    fn is_about(&self, path: &str) -> bool {
        let named = [&self.base, &self.head].into_iter().flatten();
        let mut places = named.map(|named| &named.place).chain(
            self.details
                .iter()
                .flat_map(|detail| detail.base.iter().chain(&detail.head)),
        );
        places.any(|place| place.file == path)
    }
}

/// Everything that differs between two policies, decided from their files.
#[must_use]
pub fn changes(base: &Side, head: &Side) -> Changes {
    if base.policy.digest == head.policy.digest {
        return Changes {
            same: true,
            items: Vec::new(),
            guardrails: Vec::new(),
        };
    }
    let things = (things(base), things(head));
    let both = Both {
        base,
        head,
        things: (&things.0, &things.1),
        about: about(base, head),
    };
    let pairs = pairs(&things.0, &things.1);
    let mut items: Vec<Change> = pairs.iter().filter_map(|pair| both.change(*pair)).collect();
    both.add_through(&mut items, &pairs);
    both.add_files(&mut items);
    items.sort_by(|one, other| one.order().cmp(&other.order()));
    let rules = pairs
        .iter()
        .filter_map(|pair| ids(*pair))
        .collect::<Vec<_>>();
    let guardrails = guardrails((base, &things.0), (head, &things.1), &items, &rules);
    Changes {
        same: false,
        items,
        guardrails,
    }
}

/// The rules of two policies that are one: by id, else by logic digest, else by name.
#[must_use]
pub fn rule_pairs(base: &Side, head: &Side) -> Vec<(Uuid, Uuid)> {
    let (base, head) = (things(base), things(head));
    pairs(&base, &head).into_iter().filter_map(ids).collect()
}

/// The ids of a rule that both sides have.
fn ids((base, head): Pair<'_>) -> Option<(Uuid, Uuid)> {
    Some((base?.rule?.0, head?.rule?.0))
}

type Pair<'t> = (Option<&'t Thing>, Option<&'t Thing>);

/// Each thing with its other version: each stands in one pair.
fn pairs<'t>(base: &'t [Thing], head: &'t [Thing]) -> Vec<Pair<'t>> {
    let mut left: Vec<&Thing> = base.iter().collect();
    let mut new: Vec<&Thing> = head.iter().collect();
    let mut pairs = Vec::new();
    take_pairs(&mut left, &mut new, &mut pairs, |thing| {
        Some(thing.key.clone())
    });
    let logic = |thing: &Thing| Some(thing.rule?.1?.to_string());
    take_pairs(&mut left, &mut new, &mut pairs, logic);
    // A list or a script in two places is two things; what else has a name may have moved.
    let has_name = |thing: &Thing| !matches!(thing.kind, Kind::List | Kind::Script);
    take_pairs(&mut left, &mut new, &mut pairs, |thing| {
        has_name(thing).then(|| thing.name.clone())
    });
    pairs.extend(left.into_iter().map(|thing| (Some(thing), None)));
    pairs.extend(new.into_iter().map(|thing| (None, Some(thing))));
    pairs
}

/// Pairs what has the same mark, in the order of the keys.
fn take_pairs<'t>(
    left: &mut Vec<&'t Thing>,
    new: &mut Vec<&'t Thing>,
    pairs: &mut Vec<Pair<'t>>,
    mark: impl Fn(&Thing) -> Option<String>,
) {
    let mut marked: BTreeMap<(Kind, String), Vec<&'t Thing>> = BTreeMap::new();
    left.sort_by(|one, other| other.key.cmp(&one.key));
    for thing in left.iter() {
        if let Some(text) = mark(thing) {
            marked.entry((thing.kind, text)).or_default().push(thing);
        }
    }
    new.sort_by(|one, other| one.key.cmp(&other.key));
    let mut taken = BTreeSet::new();
    new.retain(|thing| {
        let twin = mark(thing).and_then(|text| marked.get_mut(&(thing.kind, text))?.pop());
        if let Some(twin) = twin {
            taken.insert(std::ptr::from_ref(twin));
            pairs.push((Some(twin), Some(thing)));
        }
        twin.is_none()
    });
    left.retain(|thing| !taken.contains(&std::ptr::from_ref(*thing)));
}

fn about(base: &Side, head: &Side) -> About {
    let sides = [base, head];
    let mut rules = sides.iter().flat_map(|side| side.policy.rules.values());
    let selects =
        |rule: &Rule| matches!(&rule.logic, Logic::Correlation(of) if of.selection.is_some());
    About {
        description_is_read: sides.iter().any(|side| description_is_read(&side.policy)),
        rules_are_selected: rules.any(selects),
    }
}

/// Whether a prompt shows the description of a rule, or a script that drafts is given it.
pub(super) fn description_is_read(policy: &Policy) -> bool {
    let mut agents = policy.routing.agents.values();
    let mut fields = policy.prompts.values().flat_map(|prompt| &prompt.context);
    agents.any(|agent| matches!(agent.runs, Runs::Script(_)))
        || fields.any(|field| field == "rule.description")
}

struct Both<'s> {
    base: &'s Side,
    head: &'s Side,
    things: (&'s [Thing], &'s [Thing]),
    about: About,
}

impl Both<'_> {
    fn change(&self, pair: Pair<'_>) -> Option<Change> {
        let (before, after) = pair;
        let places = (Places::of(self.base), Places::of(self.head));
        let named = |thing: &Thing, places: Places<'_>| Named {
            name: thing.name.clone(),
            id: thing.rule.map(|(id, _)| id),
            place: places.place(thing.node.span),
        };
        let base = before.map(|thing| named(thing, places.0));
        let head = after.map(|thing| named(thing, places.1));
        let mut change = Change {
            kind: before.or(after)?.kind,
            action: if base.is_none() {
                Action::Added
            } else {
                Action::Removed
            },
            matters: Matters::Decides,
            base,
            head,
            details: Vec::new(),
            through: Vec::new(),
            relation: None,
        };
        let (Some(before), Some(after)) = (before, after) else {
            let (side, thing) = match before {
                Some(thing) => (self.base, thing),
                None => (self.head, after?),
            };
            if thing.kind == Kind::Gate || is_idle(side, thing) {
                change.matters = Matters::Nothing;
            }
            return Some(change);
        };
        change.details = details(
            before.kind,
            (&before.node, places.0),
            (&after.node, places.1),
            self.about,
        );
        add_identity(&mut change, before.kind);
        let is_other = does_otherwise(before, after);
        let decides = is_other
            || change
                .details
                .iter()
                .any(|detail| detail.matters == Matters::Decides);
        change.action = match (&change.base, &change.head) {
            (Some(base), Some(head)) if !decides && is_elsewhere(before.kind, base, head) => {
                Action::Renamed
            }
            _ => Action::Changed,
        };
        if is_other {
            change.relation = self.relation(before, after);
        }
        if change.details.is_empty() && !is_other {
            return None;
        }
        let matters = change.details.iter().map(|detail| detail.matters);
        change.matters = matters.max().unwrap_or(Matters::Nothing);
        let related = change.relation.as_ref().map(|related| related.relation);
        // What is spelled otherwise and matches the same does nothing else.
        if is_other && related != Some(Relation::Equivalent) {
            change.matters = Matters::Decides;
        }
        Some(change)
    }

    fn relation(&self, before: &Thing, after: &Thing) -> Option<Related> {
        let base = self.base.policy.rules.get(&before.rule?.0)?;
        let head = self.head.policy.rules.get(&after.rule?.0)?;
        Some(relate((self.base, base), (self.head, head), self.things))
    }

    /// Tells of each rule what it names that changed.
    fn add_through(&self, items: &mut [Change], pairs: &[Pair<'_>]) {
        let deciding = items.iter().filter(|item| item.matters == Matters::Decides);
        let changed: Vec<(Kind, BTreeSet<String>)> = deciding
            .map(|item| {
                let named = [&item.base, &item.head].into_iter().flatten();
                let ids = named
                    .clone()
                    .filter_map(|named| Some(named.id?.to_string()));
                (
                    item.kind,
                    named.map(|named| named.name.clone()).chain(ids).collect(),
                )
            })
            .collect();
        for item in items.iter_mut().filter(|item| item.relation.is_some()) {
            let own: BTreeSet<Uuid> = [&item.base, &item.head]
                .into_iter()
                .flatten()
                .filter_map(|named| named.id)
                .collect();
            let written = pairs.iter().flat_map(|(base, head)| [base, head]).flatten();
            let written: Vec<&&Thing> = written
                .filter(|thing| thing.rule.is_some_and(|(id, _)| own.contains(&id)))
                .collect();
            let mut through = BTreeSet::new();
            for (kind, names) in &changed {
                let is_named = written
                    .iter()
                    .any(|thing| names.iter().any(|name| self.names(thing, *kind, name)));
                if let Some(name) = names
                    .iter()
                    .find(|name| Uuid::parse_str(name).is_err())
                    .filter(|_| is_named)
                {
                    through.insert(format!("{} `{name}`", kind.as_str()));
                }
            }
            item.through = through.into_iter().collect();
            if !item.through.is_empty() {
                item.matters = Matters::Decides;
            }
        }
    }

    /// Whether a rule names a thing.
    fn names(&self, rule: &Thing, kind: Kind, name: &str) -> bool {
        let text = || rule.node.to_json().to_string();
        match kind {
            Kind::List => {
                let file = name.trim_start_matches("rules/lists/");
                let list = file.rsplit_once('.').map_or(file, |(list, _)| list);
                text().contains(&format!("%{list}%")) || text().contains(&format!("%{list}."))
            }
            Kind::Script => {
                let path = name.trim_start_matches("rules/");
                text().contains(&format!("{path}#"))
            }
            Kind::Accessor => text().contains(&format!("{name}.")),
            Kind::Rule => entry(&rule.node, "correlation")
                .and_then(|node| entry(node, "rules"))
                .is_some_and(|node| node.to_json().to_string().contains(&format!("\"{name}\""))),
            Kind::Filter => rule.rule.is_some_and(|(id, _)| {
                let filtered =
                    |side: &Side| match side.policy.rules.get(&id).map(|rule| &rule.logic) {
                        Some(Logic::Detection(detection)) => {
                            detection.parts().2.iter().any(|(title, _)| title == name)
                        }
                        _ => false,
                    };
                filtered(self.base) || filtered(self.head)
            }),
            _ => false,
        }
    }

    /// What differs in a file beside the things that it holds.
    fn add_files(&self, items: &mut Vec<Change>) {
        let (base, head) = (texts(self.base), texts(self.head));
        let paths: BTreeSet<&str> = base.keys().chain(head.keys()).copied().collect();
        for path in paths {
            let (before, after) = (base.get(path), head.get(path));
            if before == after || items.iter().any(|item| item.is_about(path)) {
                continue;
            }
            let place = |text: &str, other: &str| {
                let same = text
                    .lines()
                    .zip(other.lines())
                    .take_while(|(one, other)| one == other);
                Place {
                    file: path.to_owned(),
                    line: 1 + same.count(),
                }
            };
            let named = |text: Option<&&str>, other: Option<&&str>| {
                text.map(|text| Named {
                    name: path.to_owned(),
                    id: None,
                    place: place(text, other.copied().unwrap_or_default()),
                })
            };
            items.push(Change {
                kind: Kind::File,
                action: match (before, after) {
                    (None, _) => Action::Added,
                    (_, None) => Action::Removed,
                    _ => Action::Changed,
                },
                matters: Matters::Nothing,
                base: named(before, after),
                head: named(after, before),
                details: Vec::new(),
                through: Vec::new(),
                relation: None,
            });
        }
    }
}

/// Whether two versions of a rule do something else.
fn does_otherwise(before: &Thing, after: &Thing) -> bool {
    match (before.rule, after.rule) {
        (Some((_, before)), Some((_, after))) => before != after,
        _ => false,
    }
}

/// Whether a rule goes by another name, or stands elsewhere.
fn is_elsewhere(kind: Kind, base: &Named, head: &Named) -> bool {
    let names = (&base.name, base.id) != (&head.name, head.id);
    kind == Kind::Rule && (names || base.place.file != head.place.file)
}

/// A rule that never matches: it is for another log, or names a list that is not there.
fn is_idle(side: &Side, thing: &Thing) -> bool {
    let rule = thing.rule.and_then(|(id, _)| side.policy.rules.get(&id));
    rule.is_some_and(|rule| matches!(rule.logic, Logic::Inactive))
}

/// What tells a thing, where that is not written in it: the file, and an id that is made from a name.
fn add_identity(change: &mut Change, kind: Kind) {
    let (Some(base), Some(head)) = (&change.base, &change.head) else {
        return;
    };
    let mut told = Vec::new();
    let detail = |what: &str, before: String, after: String, matters: Matters| Detail {
        what: what.to_owned(),
        path: String::new(),
        before: Some(before.into()),
        after: Some(after.into()),
        base: Some(base.place.clone()),
        head: Some(head.place.clone()),
        matters,
    };
    let is_written = change.details.iter().any(|detail| detail.path == "id");
    if let (Some(before), Some(after)) = (base.id, head.id)
        && before != after
        && !is_written
    {
        told.push(detail(
            "id",
            before.to_string(),
            after.to_string(),
            Matters::Shown,
        ));
    }
    let moved = base.place.file != head.place.file;
    if moved
        && matches!(
            kind,
            Kind::Rule | Kind::Filter | Kind::Accessor | Kind::Prompt
        )
    {
        let files = (base.place.file.clone(), head.place.file.clone());
        told.push(detail("file", files.0, files.1, Matters::Nothing));
    }
    change.details.extend(told);
}
