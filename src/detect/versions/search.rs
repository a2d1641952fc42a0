//! The search for an event that one formula accepts and another does not.

use serde_json::{Map, Value};

use crate::detect::versions::atoms::{Asked, Atoms, Formula, Set};
use crate::detect::versions::candidates::{Candidate, candidates};

/// So many mixes of atoms are looked at.
const MOST_STEPS: usize = 20_000;

/// So many events are made up and asked about.
const MOST_EVENTS: usize = 400;

/// What a search came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is no such event.
    Nothing,
    /// This is one.
    Event(Value),
    /// There may be one, and none was found.
    Unknown(String),
}

impl Outcome {
    pub(super) fn why(&self) -> Option<String> {
        match self {
            Self::Unknown(why) => Some(why.clone()),
            _ => None,
        }
    }

    pub(super) fn event(self) -> Option<Value> {
        match self {
            Self::Event(event) => Some(event),
            _ => None,
        }
    }
}

/// A search under way.
pub(super) struct Search<'s> {
    atoms: &'s Atoms,
    wanted: &'s Formula,
    unwanted: &'s Formula,
    is_one: &'s mut dyn FnMut(&Value) -> bool,
    candidates: Vec<Vec<Candidate>>,
    /// Whether a field may have several values.
    several: bool,
    steps: usize,
    events: usize,
    /// The fields of a mix for which no event was found.
    left: Option<Vec<String>>,
}

impl<'s> Search<'s> {
    /// Looks for an event that is `wanted` and not `unwanted`; `is_one` has the last word.
    pub(super) fn run(
        atoms: &'s Atoms,
        wanted: &'s Formula,
        unwanted: &'s Formula,
        is_one: &'s mut dyn FnMut(&Value) -> bool,
    ) -> Outcome {
        let fields = 0..atoms.fields.len();
        let mut search = Self {
            atoms,
            wanted,
            unwanted,
            is_one,
            candidates: fields.map(|field| candidates(atoms, field)).collect(),
            several: false,
            steps: 0,
            events: 0,
            left: None,
        };
        // Events whose fields have one value each are what people expect.
        for several in [false, true] {
            search.several = several;
            (search.steps, search.events, search.left) = (0, 0, None);
            if let Some(event) = search.from(0, 0) {
                return Outcome::Event(event);
            }
            if search.left.is_none() && search.steps <= MOST_STEPS {
                return Outcome::Nothing;
            }
        }
        Outcome::Unknown(search.why())
    }

    fn why(&self) -> String {
        if self.steps > MOST_STEPS || self.events > MOST_EVENTS {
            return "the rules ask for too many different things to try all of them".to_owned();
        }
        let fields = self.left.clone().unwrap_or_default();
        format!(
            "nothing rules out an event that only one of them matches, and none was found: look at {}",
            fields.join(", ")
        )
    }

    /// Tries every mix in which these atoms hold and those do not.
    fn from(&mut self, yes: Set, no: Set) -> Option<Value> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        let (yes, no) = self.atoms.closed(yes, no)?;
        match (self.wanted.holds(yes, no), self.unwanted.holds(yes, no)) {
            (Some(false), _) | (_, Some(true)) => None,
            (Some(true), Some(false)) => self.event(yes, no),
            _ => {
                let open = !(yes | no) & self.all();
                let next = 1 << open.trailing_zeros();
                if open == 0 {
                    return None;
                }
                let found = self.from(yes | next, no);
                found.or_else(|| self.from(yes, no | next))
            }
        }
    }

    fn all(&self) -> Set {
        (1 << self.atoms.atoms.len()) - 1
    }

    /// An event in which these atoms hold and those do not.
    fn event(&mut self, yes: Set, no: Set) -> Option<Value> {
        let found = self.values(yes, no).and_then(|values| self.asked(values));
        if found.is_none() && self.left.is_none() {
            let fields = self.atoms.atoms.iter().enumerate();
            let mut names: Vec<String> = fields
                .filter(|(at, _)| (yes | no) >> at & 1 == 1)
                .map(|(_, atom)| match self.atoms.fields.get(atom.field) {
                    Some(Some(path)) => format!("`{}`", path.as_str()),
                    _ => "keywords".to_owned(),
                })
                .collect();
            names.sort_unstable();
            names.dedup();
            self.left = Some(names);
        }
        found
    }

    /// The event with these values, if it is one, without those that it does not need.
    fn asked(&mut self, mut values: Vec<Vec<Value>>) -> Option<Value> {
        if !self.is_one_of(&values)? {
            return None;
        }
        for field in 0..values.len() {
            let mut fewer = values.clone();
            let had = fewer.get_mut(field).map(std::mem::take)?;
            if !had.is_empty() && self.is_one_of(&fewer) == Some(true) {
                values = fewer;
            }
        }
        made(self.atoms, &values)
    }

    fn is_one_of(&mut self, values: &[Vec<Value>]) -> Option<bool> {
        self.events += 1;
        if self.events > MOST_EVENTS {
            return None;
        }
        Some((self.is_one)(&made(self.atoms, values)?))
    }

    /// The values of each field.
    fn values(&self, yes: Set, no: Set) -> Option<Vec<Vec<Value>>> {
        let mut chosen: Vec<Vec<&Candidate>> = Vec::new();
        for field in 0..self.atoms.fields.len() {
            chosen.push(self.of_field(field, yes, no)?);
        }
        for (at, atom) in self.atoms.atoms.iter().enumerate() {
            if let Asked::SameAs(other) = atom.asked
                && yes >> at & 1 == 1
            {
                self.share(atom.field, other, (yes, no), &mut chosen)?;
            }
        }
        let values = chosen.into_iter().map(|chosen| {
            let values = chosen.into_iter().map(|candidate| candidate.value.clone());
            values.collect()
        });
        Some(values.collect())
    }

    /// What of a field can be decided by looking at its values.
    fn of_values(&self, field: usize) -> Set {
        let numbered = self.atoms.atoms.iter().enumerate();
        numbered
            .filter(|(_, atom)| atom.field == field && !matches!(atom.asked, Asked::SameAs(_)))
            .fold(0, |set, (at, _)| set | 1 << at)
    }

    fn nulls(&self) -> Set {
        let numbered = self.atoms.atoms.iter().enumerate();
        numbered
            .filter(|(_, atom)| matches!(atom.asked, Asked::Null))
            .fold(0, |set, (at, _)| set | 1 << at)
    }

    /// Values of a field with which these of its atoms hold and those do not.
    fn of_field(&self, field: usize, yes: Set, no: Set) -> Option<Vec<&Candidate>> {
        let own = self.of_values(field);
        let (yes, no) = (yes & own, no & own);
        if yes & !self.nulls() == 0 && no & self.nulls() == 0 {
            return Some(Vec::new());
        }
        let candidates = self.candidates.get(field)?;
        let allowed = || {
            candidates
                .iter()
                .filter(|candidate| candidate.holds & no == 0)
        };
        if let Some(one) = allowed().find(|candidate| candidate.holds & yes == yes) {
            return Some(vec![one]);
        }
        if !self.several {
            return None;
        }
        let (mut chosen, mut left) = (Vec::new(), yes);
        while left != 0 {
            let best = allowed().max_by_key(|candidate| (candidate.holds & left).count_ones())?;
            if best.holds & left == 0 {
                return None;
            }
            left &= !best.holds;
            chosen.push(best);
        }
        Some(chosen)
    }

    /// Gives two fields a value that both may have.
    fn share<'c>(
        &'c self,
        one: usize,
        other: usize,
        (yes, no): (Set, Set),
        chosen: &mut [Vec<&'c Candidate>],
    ) -> Option<()> {
        let allowed = |candidate: &&Candidate, field: usize| {
            let own = self.of_values(field);
            let enough = self.several || candidate.holds & own & yes == yes & own;
            candidate.holds & own & no == 0 && enough && candidate.value.is_string()
        };
        let firsts = self
            .candidates
            .get(one)?
            .iter()
            .filter(|candidate| allowed(candidate, one));
        let others: Vec<&Candidate> = self
            .candidates
            .get(other)?
            .iter()
            .filter(|candidate| allowed(candidate, other))
            .collect();
        let mut pairs = firsts.filter_map(|first| {
            let twin = others.iter().find(|twin| twin.value == first.value)?;
            Some((first, *twin))
        });
        let (first, second) = pairs.next()?;
        for (field, value) in [(one, first), (other, second)] {
            let values = chosen.get_mut(field)?;
            if !self.several {
                values.clear();
            }
            values.push(value);
        }
        Some(())
    }
}

/// Where keywords stand that need a place; its name is not Okta's, so that no rule reads it.
const KEYWORDS: &str = "keywords";

/// The event that has these values; `None` where one stands in the way of another.
fn made(atoms: &Atoms, values: &[Vec<Value>]) -> Option<Value> {
    let mut event = Map::new();
    for (field, values) in atoms.fields.iter().zip(values) {
        let value = match values.as_slice() {
            [] => continue,
            [one] => one.clone(),
            several => several.to_vec().into(),
        };
        match field {
            Some(path) => place(&mut event, &path.steps().collect::<Vec<_>>(), value)?,
            None => place(&mut event, &[KEYWORDS], value)?,
        }
    }
    Some(event.into())
}

fn place(event: &mut Map<String, Value>, steps: &[&str], value: Value) -> Option<()> {
    match steps {
        [] => None,
        [last] => event
            .insert((*last).to_owned(), value)
            .is_none()
            .then_some(()),
        [first, rest @ ..] => {
            let inner = event.entry(*first).or_insert_with(|| Map::new().into());
            place(inner.as_object_mut()?, rest, value)
        }
    }
}
