//! Who is named in a report. What is handed around tells of accounts and addresses by numbers,
//! and says nothing else that a log does: which rule, on which day, and what of it is decided.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::lab::diff::Effect;
use crate::lab::diff::effect::{About, Doubt, Field, Kind, Subject};
use crate::render::effect::{doubted, field};
use crate::render::style::time;

/// How accounts and addresses of the logs are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actors {
    /// As the log names them, with all that findings say.
    Named,
    /// By numbers in the order in which they appear; nothing else is told in the words of the log.
    Numbered,
}

/// The names of the actors of an effect.
pub(super) enum Naming {
    AsLogged,
    /// The name of each actor.
    Numbers(BTreeMap<String, String>),
}

impl Naming {
    pub(super) fn of(actors: Actors, effect: Option<&Effect>) -> Self {
        match actors {
            Actors::Named => Self::AsLogged,
            Actors::Numbered => Self::Numbers(effect.map(numbers).unwrap_or_default()),
        }
    }

    /// The name of an actor.
    pub(super) fn actor(&self, actor: &str) -> String {
        match self {
            Self::AsLogged => actor.to_owned(),
            Self::Numbers(names) => names
                .get(actor)
                .cloned()
                .unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    /// The actor of a record, where it has one.
    pub(super) fn actor_of(&self, subject: &Subject) -> String {
        let actor = subject.actor.as_ref();
        actor.map(|actor| self.actor(actor)).unwrap_or_default()
    }

    /// What a record is about: what its finding says, or else which rule found what of whom.
    pub(super) fn subject(&self, subject: &Subject) -> String {
        match (self, subject.rule.as_str()) {
            (_, "") => "the run".to_owned(),
            (Self::AsLogged, rule) => format!("{rule}: {}", subject.description),
            (Self::Numbers(_), rule) => match self.actor_of(subject).as_str() {
                "" => rule.to_owned(),
                actor => format!("{rule} for {actor}"),
            },
        }
    }

    /// When it was: the day, where the log is not told.
    pub(super) fn when(&self, subject: &Subject) -> String {
        let whole = time(subject.at);
        match (self, subject.at) {
            (Self::Numbers(_), Some(_)) => whole.chars().take(10).collect(),
            (Self::Numbers(_), None) | (Self::AsLogged, _) => whole,
        }
    }

    /// The values that tell the group of a record from others.
    pub(super) fn group(&self, subject: &Subject) -> Vec<String> {
        match self {
            Self::Numbers(_) => Vec::new(),
            Self::AsLogged => {
                let values = subject.group.iter();
                values
                    .map(|(key, value)| format!("{key} {value}"))
                    .collect()
            }
        }
    }

    /// What differs of a record.
    pub(super) fn fields(&self, kind: Kind, fields: &[Field]) -> Vec<String> {
        let (told, withheld): (Vec<&Field>, Vec<&Field>) = fields
            .iter()
            .partition(|field| self.tells(kind, &field.field));
        let mut texts: Vec<String> = told.into_iter().flat_map(field).collect();
        if !withheld.is_empty() {
            let names: Vec<&str> = withheld.iter().map(|field| field.field.as_str()).collect();
            texts.push(format!("other {}", names.join(", ")));
        }
        texts
    }

    /// Whether the values of a field are told.
    pub(super) fn tells(&self, kind: Kind, field: &str) -> bool {
        matches!(self, Self::AsLogged) || decided(kind).contains(&field)
    }

    /// What is not certain.
    pub(super) fn doubt(&self, doubt: &Doubt) -> String {
        match (self, &doubt.about) {
            // What a script says of its failure may hold what it was given.
            (
                Self::Numbers(_),
                About::Script {
                    rule,
                    function,
                    failures,
                    ..
                },
            ) => format!("{function} failed {failures} times for {rule}"),
            (_, about) => doubted(about),
        }
    }
}

/// The fields of a record that hold what the policy decided, and no text of a log.
fn decided(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Finding => &[
            "rule_name",
            "rule_title",
            "rule_author",
            "level",
            "severity",
            "count",
            "hits",
            "status",
            "continues",
            "promoted",
        ],
        Kind::Risk => &["severity", "likelihood", "impact", "score"],
        Kind::Incident => &["severity", "risk_score", "status"],
        Kind::Route => &["phase", "agents"],
        Kind::Plan => &["steps"],
        Kind::Step => &["requires_human_approval", "mandatory", "dependencies"],
        Kind::Command => &["step_id", "system", "read_only"],
        Kind::Draft => &[],
    }
}

/// `actor-1`, `address-1`, in the order in which they are told: what is lost, then kind by kind.
fn numbers(effect: &Effect) -> BTreeMap<String, String> {
    let lost = effect.lost.iter().map(|lost| &lost.one.subject);
    let listed = effect.deltas().into_iter().flat_map(|(_, delta)| {
        let ones = delta.removed.iter().chain(&delta.added);
        let changed = delta.changed.iter();
        let changed = changed.flat_map(|changed| [&changed.base, &changed.head]);
        ones.map(|one| &one.subject).chain(changed)
    });
    let named = lost
        .chain(listed)
        .filter_map(|subject| subject.actor.as_ref());
    let mut counts = [0_usize; 2];
    // What has no actor is counted under this name.
    let mut names = BTreeMap::from([("unknown".to_owned(), "unknown".to_owned())]);
    for actor in named.chain(effect.by_actor.keys()) {
        names.entry(actor.clone()).or_insert_with(|| {
            let [actors, addresses] = &mut counts;
            let (word, count) = match actor.parse::<IpAddr>() {
                Ok(_) => ("address", addresses),
                Err(_) => ("actor", actors),
            };
            *count += 1;
            format!("{word}-{count}")
        });
    }
    names
}
