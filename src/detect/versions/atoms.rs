//! Two detections as formulas over the same atoms.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::detect::condition::Condition;
use crate::detect::modifiers::{Test, TestKey};
use crate::detect::pattern::{Anchor, Pattern, Plain};
use crate::detect::predicate::Predicate;
use crate::detect::search::Detection;
use crate::event::FieldPath;

/// So many atoms are searched through at the most: one bit each.
const MOST_ATOMS: usize = 60;

/// So many pairs of values are compared for one pair of atoms.
const MOST_PAIRS: usize = 1 << 20;

/// A set of atoms.
pub(super) type Set = u64;

/// A formula over atoms.
#[derive(Clone, Debug)]
pub(super) enum Formula {
    /// Always so, or never.
    Is(bool),
    /// The atom holds.
    Atom(usize),
    /// It does not hold.
    Not(Box<Formula>),
    /// Each holds.
    All(Vec<Formula>),
    /// One at least holds.
    Any(Vec<Formula>),
}

impl Formula {
    /// Whether it holds, given which atoms do and which do not; `None` where that does not say.
    pub(super) fn holds(&self, yes: Set, no: Set) -> Option<bool> {
        match self {
            Self::Is(value) => Some(*value),
            Self::Atom(at) if yes >> at & 1 == 1 => Some(true),
            Self::Atom(at) if no >> at & 1 == 1 => Some(false),
            Self::Atom(_) => None,
            Self::Not(inner) => inner.holds(yes, no).map(|holds| !holds),
            Self::All(parts) => joined(parts, yes, no, false),
            Self::Any(parts) => joined(parts, yes, no, true),
        }
    }
}

/// Several formulas of which one decides that has this value.
fn joined(parts: &[Formula], yes: Set, no: Set, decisive: bool) -> Option<bool> {
    let mut all_known = true;
    for part in parts {
        match part.holds(yes, no) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(!decisive)
}

/// What is asked of a field, or of all scalars of a record without one.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub(super) field: usize,
    pub(super) asked: Asked,
}

#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Some value of it passes the test.
    Value(Test),
    /// It is missing or null.
    Null,
    /// Its key is there.
    Exists,
    /// A text of another field, by its number, stands in it.
    SameAs(usize),
}

/// The atoms of two detections.
#[derive(Debug, Default)]
pub(super) struct Atoms {
    /// The fields; `None` for all scalars of the record.
    pub(super) fields: Vec<Option<FieldPath>>,
    pub(super) atoms: Vec<Atom>,
    /// For each atom those that hold where it does.
    follows: Vec<Set>,
}

/// What tells an element of a line from others.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Test(TestKey),
    Null,
    Exists,
    SameAs(FieldPath, Anchor, bool),
}

/// A test of one value, and the slots of formulas that it stands in.
struct Element {
    field: usize,
    asked: Asked,
    slots: BTreeSet<usize>,
}

/// Collects the elements of two detections; a leaf of its formulas is a slot.
#[derive(Default)]
struct Collector {
    fields: Vec<Option<FieldPath>>,
    elements: Vec<Element>,
    known: HashMap<(usize, Key), usize>,
    slots: usize,
}

impl Atoms {
    /// The atoms of two detections, and their formulas; `None` where there are too many.
    pub(super) fn of(
        base: Option<&Detection>,
        head: Option<&Detection>,
    ) -> Option<(Self, Formula, Formula)> {
        let mut collector = Collector::default();
        let mut formula = |detection: Option<&Detection>| {
            detection.map_or(Formula::Is(false), |detection| {
                collector.detection(detection)
            })
        };
        let (base, head) = (formula(base), formula(head));
        let (mut atoms, slots) = grouped(collector)?;
        atoms.relate();
        Some((atoms, in_atoms(base, &slots), in_atoms(head, &slots)))
    }

    /// The atoms of some lines, and a formula for each; `None` where there are too many.
    pub(super) fn of_lines(lines: &[&Predicate]) -> Option<(Self, Vec<Formula>)> {
        let mut collector = Collector::default();
        let formulas: Vec<Formula> = lines.iter().map(|line| collector.line(line)).collect();
        let (mut atoms, slots) = grouped(collector)?;
        atoms.relate();
        let formulas = formulas
            .into_iter()
            .map(|formula| in_atoms(formula, &slots));
        Some((atoms, formulas.collect()))
    }

    /// Notes of each pair of atoms of one field whether one follows from the other.
    fn relate(&mut self) {
        let follows = self.atoms.iter().enumerate().map(|(at, atom)| {
            let others = self.atoms.iter().enumerate();
            let following =
                others.filter(|(other_at, other)| at == *other_at || self.implies(atom, other));
            following.fold(0, |set, (at, _)| set | 1 << at)
        });
        self.follows = follows.collect();
        // What follows from what follows does too.
        for _ in 0..self.follows.len() {
            let next: Vec<Set> = self.follows.iter().map(|set| self.union(*set)).collect();
            if next == self.follows {
                break;
            }
            self.follows = next;
        }
    }

    fn union(&self, set: Set) -> Set {
        let followed = self.follows.iter().enumerate();
        followed
            .filter(|(at, _)| set >> at & 1 == 1)
            .fold(set, |all, (_, follows)| all | follows)
    }

    fn implies(&self, one: &Atom, other: &Atom) -> bool {
        let same_field = one.field == other.field;
        match (&one.asked, &other.asked) {
            (Asked::Value(test), Asked::Value(wider)) if same_field => implies(test, wider),
            (Asked::Value(_), Asked::Exists) => same_field && self.is_field(one.field),
            (Asked::SameAs(compared), Asked::Exists) => same_field || *compared == other.field,
            _ => false,
        }
    }

    pub(super) fn is_field(&self, field: usize) -> bool {
        self.fields.get(field).is_some_and(Option::is_some)
    }

    /// What is decided once these atoms hold and those do not; `None` where that cannot be.
    pub(super) fn closed(&self, mut yes: Set, mut no: Set) -> Option<(Set, Set)> {
        loop {
            let (before_yes, before_no) = (yes, no);
            yes = self.union(yes);
            for (at, follows) in self.follows.iter().enumerate() {
                if follows & no != 0 {
                    no |= 1 << at;
                }
            }
            for (at, atom) in self.atoms.iter().enumerate() {
                let twin = |wanted: fn(&Asked) -> bool| {
                    let mut atoms = self.atoms.iter();
                    let twin =
                        atoms.position(|other| other.field == atom.field && wanted(&other.asked));
                    twin.map_or(0, |at| 1 << at)
                };
                // A field that is not there is null, and one that is not null is there.
                let is_no = no >> at & 1 == 1;
                match atom.asked {
                    Asked::Exists if is_no => yes |= twin(|asked| matches!(asked, Asked::Null)),
                    Asked::Null if is_no => yes |= twin(|asked| matches!(asked, Asked::Exists)),
                    _ => {}
                }
            }
            if yes & no != 0 {
                return None;
            }
            if (yes, no) == (before_yes, before_no) {
                return Some((yes, no));
            }
        }
    }
}

/// The atoms, and for each slot those that it holds by: elements of the same slots are one
/// where they are alternatives of one kind.
fn grouped(collector: Collector) -> Option<(Atoms, Vec<Vec<usize>>)> {
    let mut atoms: Vec<Atom> = Vec::new();
    let mut slots: Vec<Vec<usize>> = vec![Vec::new(); collector.slots];
    let mut groups: HashMap<(usize, bool, BTreeSet<usize>), usize> = HashMap::new();
    for element in collector.elements {
        let kind = match &element.asked {
            Asked::Value(Test::Text(_)) => Some(true),
            Asked::Value(Test::Cidr(_)) => Some(false),
            _ => None,
        };
        let key = kind.map(|kind| (element.field, kind, element.slots.clone()));
        let known = key.as_ref().and_then(|key| groups.get(key)).copied();
        if let (Some(at), Asked::Value(test)) = (known, &element.asked) {
            if let Some(Atom {
                asked: Asked::Value(group),
                ..
            }) = atoms.get_mut(at)
            {
                // Texts join texts, and networks networks.
                let _ = group.join(test.clone());
            }
            continue;
        }
        if atoms.len() == MOST_ATOMS {
            return None;
        }
        groups.extend(key.map(|key| (key, atoms.len())));
        for slot in &element.slots {
            slots.get_mut(*slot)?.push(atoms.len());
        }
        atoms.push(Atom {
            field: element.field,
            asked: element.asked,
        });
    }
    let atoms = Atoms {
        fields: collector.fields,
        atoms,
        follows: Vec::new(),
    };
    Some((atoms, slots))
}

/// A formula over slots as one over atoms.
fn in_atoms(formula: Formula, slots: &[Vec<usize>]) -> Formula {
    let all = |parts: Vec<Formula>| {
        parts
            .into_iter()
            .map(|part| in_atoms(part, slots))
            .collect()
    };
    match formula {
        Formula::Atom(slot) => {
            let atoms = slots.get(slot).into_iter().flatten();
            Formula::Any(atoms.map(|at| Formula::Atom(*at)).collect())
        }
        Formula::Not(inner) => Formula::Not(Box::new(in_atoms(*inner, slots))),
        Formula::All(parts) => Formula::All(all(parts)),
        Formula::Any(parts) => Formula::Any(all(parts)),
        is @ Formula::Is(_) => is,
    }
}

impl Collector {
    fn detection(&mut self, detection: &Detection) -> Formula {
        let (searches, condition, filters) = detection.parts();
        let searches: Vec<Formula> = searches
            .iter()
            .map(|search| {
                let lines = search.alternatives.iter();
                Formula::Any(lines.map(|lines| self.lines(lines)).collect())
            })
            .collect();
        let mut parts = vec![condition_over(condition, &searches)];
        parts.extend(filters.iter().map(|(_, filter)| self.detection(filter)));
        Formula::All(parts)
    }

    fn lines(&mut self, lines: &[Predicate]) -> Formula {
        Formula::All(lines.iter().map(|line| self.line(line)).collect())
    }

    fn line(&mut self, line: &Predicate) -> Formula {
        let field = self.field(line.field.as_ref());
        let result = if line.all {
            let parts = line
                .tests
                .iter()
                .map(|test| self.slot(field, std::slice::from_ref(test)));
            Formula::All(parts.collect())
        } else {
            self.slot(field, &line.tests)
        };
        if line.negated {
            Formula::Not(Box::new(result))
        } else {
            result
        }
    }

    /// A leaf that holds where one of the tests does.
    fn slot(&mut self, field: usize, tests: &[Test]) -> Formula {
        let slot = self.slots;
        self.slots += 1;
        let mut parts = vec![Formula::Atom(slot)];
        for test in tests {
            match test {
                Test::Text(patterns) => {
                    for pattern in patterns {
                        let one = Test::Text(vec![pattern.clone()]);
                        self.value(field, one, slot);
                    }
                }
                Test::Cidr(nets) => {
                    for net in nets {
                        self.value(field, Test::Cidr(vec![*net]), slot);
                    }
                }
                Test::Null => self.element(field, Key::Null, Asked::Null, slot),
                Test::SameAs(other, anchor, cased) => {
                    let compared = self.field(Some(other));
                    let key = Key::SameAs(other.clone(), *anchor, *cased);
                    self.element(field, key, Asked::SameAs(compared), slot);
                }
                Test::Exists(wanted) => {
                    let slot = self.slots;
                    self.slots += 1;
                    self.element(field, Key::Exists, Asked::Exists, slot);
                    let leaf = Formula::Atom(slot);
                    parts.push(if *wanted {
                        leaf
                    } else {
                        Formula::Not(Box::new(leaf))
                    });
                }
                test => self.value(field, test.clone(), slot),
            }
        }
        Formula::Any(parts)
    }

    fn value(&mut self, field: usize, test: Test, slot: usize) {
        if let Some(key) = test.key() {
            self.element(field, Key::Test(key), Asked::Value(test), slot);
        }
    }

    fn element(&mut self, field: usize, key: Key, asked: Asked, slot: usize) {
        let new = self.elements.len();
        let at = *self.known.entry((field, key)).or_insert(new);
        if at == new {
            self.elements.push(Element {
                field,
                asked,
                slots: BTreeSet::new(),
            });
        }
        if let Some(element) = self.elements.get_mut(at) {
            element.slots.insert(slot);
        }
    }

    fn field(&mut self, path: Option<&FieldPath>) -> usize {
        let known = self.fields.iter().position(|known| known.as_ref() == path);
        known.unwrap_or_else(|| {
            self.fields.push(path.cloned());
            self.fields.len() - 1
        })
    }
}

fn condition_over(condition: &Condition, searches: &[Formula]) -> Formula {
    let all = |parts: &[Condition]| {
        parts
            .iter()
            .map(|part| condition_over(part, searches))
            .collect()
    };
    match condition {
        Condition::Search(at) => searches.get(*at).cloned().unwrap_or(Formula::Is(false)),
        Condition::All(parts) => Formula::All(all(parts)),
        Condition::Any(parts) => Formula::Any(all(parts)),
        Condition::Not(inner) => Formula::Not(Box::new(condition_over(inner, searches))),
    }
}

/// Whether every value that passes one test passes the other, as far as that is plain.
pub(super) fn implies(one: &Test, other: &Test) -> bool {
    if let Test::Text(wider) = other
        && wider.iter().any(is_any_text)
    {
        return true;
    }
    match (one, other) {
        (Test::Text(texts), Test::Text(wider)) => {
            few(texts.len(), wider.len())
                && texts
                    .iter()
                    .all(|text| wider.iter().any(|wider| text_implies(text, wider)))
        }
        (Test::Cidr(nets), Test::Cidr(wider)) => {
            few(nets.len(), wider.len())
                && nets
                    .iter()
                    .all(|net| wider.iter().any(|wider| wider.contains(net)))
        }
        (Test::Text(texts), Test::Cidr(nets)) => {
            let within = |text: &str| {
                let address: Option<std::net::IpAddr> = text.parse().ok();
                address.is_some_and(|address| nets.iter().any(|net: &IpNet| net.contains(&address)))
            };
            few(texts.len(), nets.len()) && texts.iter().all(|text| whole(text).is_some_and(within))
        }
        (Test::Text(texts), Test::Number(number)) => {
            let shown = number.to_string();
            let is_plain = shown
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
            is_plain && texts.iter().all(|text| whole(text) == Some(shown.as_str()))
        }
        (
            Test::Compare(part, order, bound),
            Test::Compare(other_part, other_order, other_bound),
        ) => {
            let read = |part: &Option<crate::detect::modifiers::PartOfTime>| {
                part.map(|part| part.read as usize)
            };
            read(part) == read(other_part)
                && order_implies(kind_of(*order), *bound, kind_of(*other_order), *other_bound)
        }
        (Test::Number(number), Test::Compare(None, order, bound)) => {
            number.as_f64().is_some_and(|number| order(number, *bound))
        }
        _ => false,
    }
}

pub(super) fn few(one: usize, other: usize) -> bool {
    one.saturating_mul(other) <= MOST_PAIRS
}

/// Whether each value that is a text or has one passes.
fn is_any_text(pattern: &Pattern) -> bool {
    pattern
        .as_plain()
        .is_some_and(|plain| plain.text.is_empty() && plain.anchor != Anchor::Whole)
}

/// The whole text that a value must be, where case is no question.
pub(super) fn whole(pattern: &Pattern) -> Option<&str> {
    let plain = pattern.as_plain()?;
    (plain.anchor == Anchor::Whole).then_some(plain.text)
}

fn text_implies(one: &Pattern, other: &Pattern) -> bool {
    if one == other {
        return true;
    }
    let Some(Plain {
        text,
        anchor,
        cased,
    }) = one.as_plain()
    else {
        return false;
    };
    let has_case = !text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_alphabetic());
    let Some(wider) = other.as_plain() else {
        // A pattern with wildcards is asked whether it fits the one value there is.
        return anchor == Anchor::Whole && (!has_case || is_folded(other)) && other.matches(text);
    };
    if wider.cased && !cased && has_case {
        return false;
    }
    let folded = crate::event::fold(text);
    let text = if wider.cased { text } else { &folded };
    match (anchor, wider.anchor) {
        (Anchor::Whole, anchor) => anchor.fits(wider.text, text),
        (Anchor::Start, Anchor::Start) => text.starts_with(wider.text),
        (Anchor::End, Anchor::End) => text.ends_with(wider.text),
        (_, Anchor::Anywhere) => text.contains(wider.text),
        _ => false,
    }
}

/// Whether a pattern does not mind case.
pub(super) fn is_folded(pattern: &Pattern) -> bool {
    !pattern.is_cased()
}

/// What an order says, told by what it says of three numbers: below, at and above the bound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) below: bool,
    pub(super) at: bool,
    pub(super) above: bool,
}

pub(super) fn kind_of(order: fn(f64, f64) -> bool) -> Order {
    Order {
        below: order(0.0, 1.0),
        at: order(1.0, 1.0),
        above: order(2.0, 1.0),
    }
}

/// Whether each number that keeps one bound keeps the other.
fn order_implies(one: Order, bound: f64, other: Order, wider: f64) -> bool {
    let keeps = |order: Order, bound: f64, number: f64| match number.total_cmp(&bound) {
        std::cmp::Ordering::Less => order.below,
        std::cmp::Ordering::Equal => order.at,
        std::cmp::Ordering::Greater => order.above,
    };
    // Between two neighbouring bounds nothing changes: these five stand for all numbers.
    let (low, high) = (bound.min(wider) + 0.0, bound.max(wider) + 0.0);
    let between = low / 2.0 + high / 2.0;
    let numbers = [low.next_down(), low, between, high, high.next_up()];
    let mut all = numbers.into_iter();
    all.all(|number| !keeps(one, bound + 0.0, number) || keeps(other, wider + 0.0, number))
}
