//! What correlations mean, said as plainly as possible: at each event the whole
//! past is read again.

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::reference::judges::{JUDGES, described};
use crate::detect::reference::sums::{exact_sum, nearest_rank, number};
use crate::event::Digest;

/// A correlation. Times are in seconds.
#[derive(Clone, Debug)]
pub struct Correlation {
    pub name: String,
    pub kind: Kind,
    pub rules: Vec<String>,
    /// Whether it sees all rules of a high level that give findings, instead.
    pub selects: bool,
    pub is_high: bool,
    /// The field of the account.
    pub user: Option<&'static str>,
    pub group_by: Vec<&'static str>,
    pub timespan: i64,
    pub suppress: Option<i64>,
    pub generate: bool,
    /// What it calls differently: a name, and the field that each rule has for it.
    pub aliases: Vec<(&'static str, Vec<(String, &'static str)>)>,
    /// Whether a script describes its findings.
    pub describes: bool,
}

/// What it asks.
#[derive(Clone, Debug)]
pub enum Kind {
    /// At least so many events.
    EventCount(usize),
    /// At least so many distinct values, or combinations of them.
    ValueCount(Vec<&'static str>, usize),
    /// A number that is made of those of a field.
    Value(Of, &'static str, Bound),
    /// Each rule, in any order.
    Temporal,
    /// So many of the rules.
    SoMany(Bound),
    /// The rules that an expression says, by their places.
    Says(Expression),
    /// What a function of [`JUDGES`] says of the window.
    Script(usize, Option<Bound>),
    /// Each rule, in their order.
    TemporalOrdered,
    /// A value that is new, to a group that was known for so long.
    FirstSeen(Vec<&'static str>, Option<i64>),
    /// The first rule, and then none of the others.
    Absent,
    /// The first rule so often, and then one of the others.
    RepeatUntil(usize),
    /// At least so many thousandths of the first rule to the others, of which there are so many.
    Ratio(usize, usize),
    /// An event and its neighbour.
    Consecutive {
        travel: Option<Travel>,
        /// Other countries, at most so many seconds apart.
        countries: Option<i64>,
        pair: Option<PairOf>,
    },
}

/// What is made of numbers.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    Sum,
    Average,
    /// In thousandths of a percent; the half where nothing is said.
    Percentile(Option<usize>),
    Median,
}

/// A bound by its name, and the limit.
#[derive(Clone, Copy, Debug)]
pub struct Bound(pub &'static str, pub f64);

impl Bound {
    fn holds(self, number: f64) -> bool {
        let Self(name, limit) = self;
        match name {
            "gt" => number > limit,
            "gte" => number >= limit,
            "lt" => number < limit,
            "lte" => number <= limit,
            "eq" => number == limit,
            "neq" => number != limit,
            other => unreachable!("{other} is no bound"),
        }
    }
}

/// An expression over rules by their places, of which there are always fewer than are named.
#[derive(Clone, Debug)]
pub enum Expression {
    Rule(usize),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    OneOfThem,
    AllOfThem,
}

impl Expression {
    /// Whether it holds where these of so many rules are met.
    fn holds(&self, met: &BTreeSet<usize>, of: usize) -> bool {
        match self {
            Self::Rule(place) => met.contains(&(place % of)),
            Self::Not(inner) => !inner.holds(met, of),
            Self::And(one, other) => one.holds(met, of) && other.holds(met, of),
            Self::Or(one, other) => one.holds(met, of) || other.holds(met, of),
            Self::OneOfThem => !met.is_empty(),
            Self::AllOfThem => met.len() == of,
        }
    }
}

/// Latitudes are degrees on one meridian.
#[derive(Clone, Debug)]
pub struct Travel {
    pub faster_than_kmh: Option<f64>,
    pub at_least_km: Option<f64>,
    pub within: Option<i64>,
}

/// What must hold of two events.
#[derive(Clone, Debug)]
pub enum PairOf {
    /// No value of the field in common.
    Other(&'static str),
    /// A value of the field in the one, and a value of it in the other.
    FromTo(&'static str, &'static str, &'static str),
    /// The earlier one has no value of the field and the later one does.
    Appears(&'static str),
}

/// A detection: its name, the field of the account, and whether its level is high.
pub type Letter = (&'static str, Option<&'static str>, bool);

/// An event, or the hit of a correlation as one.
#[derive(Clone, Debug)]
pub struct Occurrence {
    pub at: i64,
    /// Whether it stands behind the events of its second: a wait that ended.
    pub late: bool,
    pub digest: Digest,
    /// The text of its `uuid`.
    pub id: String,
    pub values: BTreeMap<&'static str, Vec<String>>,
}

/// A moment at which a condition holds.
#[derive(Clone, Debug)]
struct Hit {
    group: Vec<String>,
    occurrence: Occurrence,
    /// What it is made of, in order.
    window: Vec<Occurrence>,
}

/// What a finding says, as far as correlations decide it. In the order of findings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub last_hit: i64,
    /// The position of the rule: its id is made so that it sorts alike.
    pub rule: usize,
    pub group: Vec<String>,
    pub anchor: Digest,
    pub ids: Vec<String>,
    pub hits: usize,
    /// How severe it is and its description, where a script says so.
    pub said: Option<(String, String)>,
}

type Key = (i64, bool, Digest);

/// An event with the rules that it satisfies, by position.
pub type Satisfying = (Occurrence, BTreeSet<usize>);

/// The rules that some event of a window satisfies.
fn met(window: &[&Satisfying]) -> BTreeSet<usize> {
    let rules = window.iter().flat_map(|(_, rules)| rules);
    rules.copied().collect()
}

impl Occurrence {
    /// The numbers among the distinct values of a field.
    fn numbers(&self, field: &str) -> Vec<f64> {
        let values: BTreeSet<&String> = self.values.get(field).into_iter().flatten().collect();
        let numbers = values.into_iter().filter_map(|text| number(text));
        numbers.filter(|number| number.abs() <= 1e290).collect()
    }

    fn key(&self) -> Key {
        (self.at, self.late, self.digest)
    }

    /// All mixes of the values of the fields, folded, in the order in which the event has them.
    fn mixes(&self, fields: &[&'static str]) -> Vec<Vec<String>> {
        let mut mixes = vec![Vec::new()];
        for field in fields {
            let mut values: Vec<String> = Vec::new();
            for value in self.values.get(field).into_iter().flatten() {
                let folded = value.to_lowercase();
                if !values.contains(&folded) {
                    values.push(folded);
                }
            }
            let longer = |mix: &Vec<String>| -> Vec<Vec<String>> {
                let with = |value: &String| [mix.clone(), vec![value.clone()]].concat();
                values.iter().map(with).collect()
            };
            mixes = mixes.iter().flat_map(longer).collect();
        }
        mixes
    }
}

/// The findings of correlations over the matches of detections, by the names of
/// those, and how many events wait past the last second.
pub fn findings(
    letters: &[Letter],
    correlations: &[Correlation],
    matches: &BTreeMap<String, Vec<Occurrence>>,
    last: i64,
) -> (Vec<Found>, u64) {
    let mut correlations = correlations.to_vec();
    resolve(letters, &mut correlations);
    let correlations = correlations.as_slice();
    let user_of = |name: &str| {
        let letter = letters.iter().find(|(letter, _, _)| *letter == name);
        let mut correlations = correlations.iter();
        let correlation = correlations.find(|correlation| correlation.name == name);
        letter
            .and_then(|(_, user, _)| *user)
            .or(correlation.and_then(|correlation| correlation.user))
    };
    let mut seen = matches.clone();
    let mut found = Vec::new();
    let mut waiting = 0;
    let mut turns: Vec<usize> = (0..correlations.len()).collect();
    turns.sort_by_key(|at| correlations[*at].depth(correlations));
    for at in turns {
        let correlation = &correlations[at];
        let mut hits = correlation.hits(&seen, &correlation.in_turn(correlations), &user_of);
        let all = hits.len();
        hits.retain(|hit| hit.occurrence.at <= last);
        waiting += (all - hits.len()) as u64;
        let named = |other: &&Correlation| other.rules.contains(&correlation.name);
        let mut by = correlations
            .iter()
            .filter(named)
            .filter(|other| !other.selects)
            .peekable();
        if by.peek().is_none() || by.any(|other| other.generate) {
            found.extend(correlation.merged(at, &hits));
        }
        let passed = hits.into_iter().map(|hit| {
            let mut occurrence = hit.occurrence;
            let fields = correlation.group_by.iter().copied();
            for (field, value) in fields.zip(hit.group) {
                // As the event spells it.
                let values = occurrence.values.entry(field).or_default();
                values.retain(|spelled| spelled.to_lowercase() == value);
                values.truncate(1);
            }
            occurrence
        });
        seen.insert(correlation.name.clone(), passed.collect());
    }
    found.sort();
    (found, waiting)
}

/// Gives correlations that select their rules the names of those: the ones of a
/// high level that no other silences, and that see no selected ones.
fn resolve(letters: &[Letter], correlations: &mut [Correlation]) {
    let all = correlations.to_vec();
    let by_name = |name: &str| all.iter().find(|correlation| correlation.name == name);
    fn sees(correlation: &Correlation, all: &[Correlation]) -> bool {
        let mut inner = all
            .iter()
            .filter(|other| correlation.rules.contains(&other.name));
        correlation.selects || inner.any(|inner| sees(inner, all))
    }
    let is_open = |name: &str| {
        let naming = |other: &&Correlation| other.rules.iter().any(|rule| rule == name);
        let mut by = all.iter().filter(naming).peekable();
        by.peek().is_none() || by.any(|other| other.generate)
    };
    let high = letters.iter().filter(|(_, _, is_high)| *is_high);
    let high = high.map(|(name, _, _)| (*name).to_owned());
    let correlated = all.iter().filter(|correlation| correlation.is_high);
    let high = high.chain(correlated.map(|correlation| correlation.name.clone()));
    let chosen = high.filter(|name| {
        is_open(name) && by_name(name).is_none_or(|correlation| !sees(correlation, &all))
    });
    let chosen: Vec<String> = chosen.collect();
    for correlation in correlations
        .iter_mut()
        .filter(|correlation| correlation.selects)
    {
        correlation.rules.clone_from(&chosen);
    }
}

impl Travel {
    fn holds(&self, from: f64, to: f64, seconds: i64, timespan: i64) -> bool {
        // A degree of a meridian.
        let km = (from - to).abs() * 111.195_08;
        let speed = km / (seconds.max(1) as f64 / 3_600.0);
        self.at_least_km.is_none_or(|least| km >= least)
            && self.faster_than_kmh.is_none_or(|limit| speed > limit)
            && seconds <= self.within.unwrap_or(timespan)
    }
}

impl PairOf {
    fn holds(&self, earlier: &Occurrence, later: &Occurrence) -> bool {
        let values = |event: &Occurrence, field: &str| -> BTreeSet<String> {
            let values = event.values.get(field).into_iter().flatten();
            values.map(|value| value.to_lowercase()).collect()
        };
        match self {
            Self::Other(field) => values(earlier, field).is_disjoint(&values(later, field)),
            Self::FromTo(field, from, to) => {
                values(earlier, field).contains(*from) && values(later, field).contains(*to)
            }
            Self::Appears(field) => {
                values(earlier, field).is_empty() && !values(later, field).is_empty()
            }
        }
    }
}

impl Correlation {
    /// How long the longest chain is that it is the end of.
    fn depth(&self, all: &[Self]) -> usize {
        let inner = all.iter().filter(|other| self.rules.contains(&other.name));
        inner.map(|inner| 1 + inner.depth(all)).max().unwrap_or(0)
    }

    /// The places of its rules: of several that tell of one event, the first has the word.
    fn in_turn(&self, all: &[Self]) -> Vec<usize> {
        let turn = |place: &usize| {
            let is_rule = |other: &&Self| other.name == self.rules[*place];
            let at = all.iter().position(|other| is_rule(&other));
            at.map_or((0, 0, self.rules[*place].clone()), |at| {
                (1 + all[at].depth(all), at, String::new())
            })
        };
        let mut places: Vec<usize> = (0..self.rules.len()).collect();
        places.sort_by_key(turn);
        places
    }

    fn hits(
        &self,
        seen: &BTreeMap<String, Vec<Occurrence>>,
        in_turn: &[usize],
        user_of: &dyn Fn(&str) -> Option<&'static str>,
    ) -> Vec<Hit> {
        let mut groups: BTreeMap<Vec<String>, BTreeMap<Key, Satisfying>> = BTreeMap::new();
        // Which group of an event comes first.
        let mut turns: BTreeMap<(Key, Vec<String>), usize> = BTreeMap::new();
        for place in in_turn {
            let rule = &self.rules[*place];
            for occurrence in seen.get(rule).into_iter().flatten() {
                let user = user_of(rule).and_then(|user| occurrence.values.get(user));
                let user = user.cloned().unwrap_or_default();
                let mut occurrence = self.as_called(rule, occurrence);
                occurrence.values.insert("rulectl.user", user);
                occurrence.values.insert("rulectl.rule", vec![rule.clone()]);
                let occurrence = &occurrence;
                if self.has_no_value(occurrence) {
                    continue;
                }
                for group in occurrence.mixes(&self.group_by) {
                    let turn = turns.len();
                    turns
                        .entry((occurrence.key(), group.clone()))
                        .or_insert(turn);
                    let events = groups.entry(group).or_default();
                    let event = events.entry(occurrence.key());
                    let (merged, rules) =
                        event.or_insert_with(|| (occurrence.clone(), BTreeSet::new()));
                    rules.insert(*place);
                    for field in ["rulectl.rule", "rulectl.user"] {
                        let others = occurrence.values.get(field).into_iter().flatten();
                        let merged = merged.values.entry(field).or_default();
                        merged.extend(others.cloned());
                    }
                }
            }
        }
        let of_group = |(group, events): (Vec<String>, BTreeMap<_, _>)| -> Vec<Hit> {
            let events: Vec<_> = events.into_values().collect();
            self.hits_of_group(&group, &events)
        };
        let mut hits: Vec<Hit> = groups.into_iter().flat_map(of_group).collect();
        hits.sort_by_key(|hit| {
            let is_wait = matches!(self.kind, Kind::Absent);
            let event = if is_wait {
                &hit.window[0]
            } else {
                &hit.occurrence
            };
            let turn = turns[&(event.key(), hit.group.clone())];
            (hit.occurrence.key(), turn)
        });
        hits
    }

    /// An event of a rule with the names that this correlation has for its fields.
    fn as_called(&self, rule: &str, occurrence: &Occurrence) -> Occurrence {
        let mut called = occurrence.clone();
        for (alias, meanings) in &self.aliases {
            let meant = meanings.iter().find(|(name, _)| name == rule);
            let values = meant.and_then(|(_, field)| occurrence.values.get(field));
            let values = values.cloned().unwrap_or_default();
            called.values.insert(alias, values);
        }
        called
    }

    fn has_no_value(&self, occurrence: &Occurrence) -> bool {
        match &self.kind {
            Kind::ValueCount(fields, _) | Kind::FirstSeen(fields, _) => {
                occurrence.mixes(fields).is_empty()
            }
            Kind::Value(_, field, _) => occurrence.numbers(field).is_empty(),
            _ => false,
        }
    }

    fn hits_of_group(&self, group: &[String], events: &[Satisfying]) -> Vec<Hit> {
        let mut hits = Vec::new();
        if matches!(self.kind, Kind::Absent) {
            return self.silences(group, events);
        }
        for at in 0..events.len() {
            if let Some(window) = self.hit_at(&events[..=at]) {
                hits.push(Hit {
                    group: group.to_vec(),
                    occurrence: events[at].0.clone(),
                    window: window.into_iter().map(|(event, _)| event.clone()).collect(),
                });
            }
        }
        hits
    }

    /// What the hit at the last of these events is made of, if there is one.
    fn hit_at<'e>(&self, past: &'e [Satisfying]) -> Option<Vec<&'e Satisfying>> {
        let now = past.last()?;
        let window: Vec<_> = past
            .iter()
            .filter(|(event, _)| event.at > now.0.at - self.timespan)
            .collect();
        let holds = match &self.kind {
            Kind::Consecutive { .. } => return self.pair_at(&window),
            Kind::EventCount(least) => window.len() >= *least,
            Kind::ValueCount(fields, least) => {
                let values = window.iter().flat_map(|(event, _)| event.mixes(fields));
                values.collect::<BTreeSet<_>>().len() >= *least
            }
            Kind::Value(of, field, bound) => {
                let numbers: Vec<f64> = window
                    .iter()
                    .flat_map(|(event, _)| event.numbers(field))
                    .collect();
                bound.holds(match of {
                    Of::Sum => exact_sum(&numbers),
                    Of::Average => exact_sum(&numbers) / numbers.len() as f64,
                    Of::Percentile(share) => nearest_rank(&numbers, share.unwrap_or(50_000)),
                    Of::Median => nearest_rank(&numbers, 50_000),
                })
            }
            Kind::SoMany(bound) => bound.holds(met(&window).len() as f64),
            Kind::Says(expression) => expression.holds(&met(&window), self.rules.len()),
            Kind::Script(judge, bound) => {
                let said = (JUDGES[*judge].means)(&window);
                said.is_some_and(|said| bound.map_or(said == 1.0, |bound| bound.holds(said)))
            }
            Kind::Temporal => (0..self.rules.len())
                .all(|rule| window.iter().any(|(_, rules)| rules.contains(&rule))),
            Kind::TemporalOrdered => self.has_row(0, &window, &mut Vec::new()),
            Kind::FirstSeen(fields, warm_up) => {
                let known = |(event, _): &Satisfying| event.mixes(fields);
                let (_, before) = window.split_last()?;
                let before: BTreeSet<_> = before.iter().copied().flat_map(known).collect();
                let is_new = known(now).iter().any(|value| !before.contains(value));
                let since = self.known_since(past)?;
                return (is_new && now.0.at - since >= warm_up.unwrap_or(self.timespan))
                    .then(|| vec![now]);
            }
            Kind::RepeatUntil(least) => {
                let is_last = |(_, rules): &&Satisfying| rules.iter().any(|rule| *rule > 0);
                if !is_last(&now) {
                    return None;
                }
                let (_, before) = window.split_last()?;
                let row = before.iter().rev().take_while(|event| !is_last(event));
                let mut row: Vec<&Satisfying> = row.copied().collect();
                row.reverse();
                let holds = row.len() >= *least && !row.is_empty();
                return holds.then(|| [row, vec![now]].concat());
            }
            Kind::Ratio(thousandths, least) => {
                let of = |wanted: fn(&usize) -> bool| {
                    let some = |(_, rules): &&&Satisfying| rules.iter().any(wanted);
                    window.iter().filter(some).count()
                };
                let (counted, compared) = (of(|rule| *rule == 0), of(|rule| *rule > 0));
                compared >= *least && counted * 1_000 >= thousandths * compared
            }
            Kind::Absent => unreachable!("its hits are at no event"),
        };
        holds.then_some(window)
    }

    /// Whether events can be found for the rules from this one on, none of them taken and
    /// none before the last that is.
    fn has_row(&self, rule: usize, window: &[&Satisfying], taken: &mut Vec<Key>) -> bool {
        if rule == self.rules.len() {
            return true;
        }
        let since = taken.last().map(|(at, ..)| *at);
        window.iter().any(|(event, rules)| {
            let is_free = !taken.contains(&event.key());
            if !rules.contains(&rule) || !is_free || Some(event.at) < since {
                return false;
            }
            taken.push(event.key());
            let found = self.has_row(rule + 1, window, taken);
            taken.pop();
            found
        })
    }

    /// Each event of the first rule that no event of the others follows.
    fn silences(&self, group: &[String], events: &[Satisfying]) -> Vec<Hit> {
        let answered = |asked: &Occurrence| {
            let until = asked.at + self.timespan;
            let mut after = events.iter().filter(|(event, _)| {
                event.at > asked.at && (event.at, event.late) <= (until, false)
            });
            after.any(|(_, rules)| rules.iter().any(|rule| *rule > 0))
        };
        let first = events.iter().filter(|(_, rules)| rules.contains(&0));
        let unanswered = first.filter(|(event, _)| !answered(event));
        let hit = |(event, _): &Satisfying| Hit {
            group: group.to_vec(),
            occurrence: Occurrence {
                at: event.at + self.timespan,
                late: true,
                ..event.clone()
            },
            window: vec![event.clone()],
        };
        unanswered.map(hit).collect()
    }

    /// The newest event and the neighbour that it does not go with.
    fn pair_at<'e>(&self, window: &[&'e Satisfying]) -> Option<Vec<&'e Satisfying>> {
        let Kind::Consecutive {
            travel,
            countries,
            pair,
        } = &self.kind
        else {
            return None;
        };
        let (newest, earlier) = window.split_last()?;
        let holds = |other: &&&Satisfying| {
            let pair = pair.as_ref();
            pair.is_none_or(|pair| pair.holds(&other.0, &newest.0))
        };
        let place = |event: &Occurrence| -> Option<f64> {
            travel.as_ref()?;
            event.values.get("lat")?.first()?.parse().ok()
        };
        let country = |event: &Occurrence| {
            countries.as_ref()?;
            event.values.get("country")?.first().cloned()
        };
        if travel.is_none() && countries.is_none() {
            let other = earlier.last().filter(holds)?;
            return Some(vec![other, newest]);
        }
        if let (Some(travel), Some(to)) = (travel, place(&newest.0)) {
            let located = |other: &&&Satisfying| place(&other.0).is_some();
            if let Some(other) = earlier.iter().rfind(located)
                && let Some(from) = place(&other.0)
                && travel.holds(from, to, newest.0.at - other.0.at, self.timespan)
                && holds(&other)
            {
                return Some(vec![other, newest]);
            }
        }
        let here = country(&newest.0)?;
        let named = |other: &&&Satisfying| country(&other.0).is_some();
        let other = earlier.iter().rfind(named)?;
        let both = place(&other.0).is_some() && place(&newest.0).is_some();
        let near = newest.0.at - other.0.at <= (*countries)?;
        let met = !both && near && country(&other.0) != Some(here) && holds(&other);
        met.then(|| vec![*other, *newest])
    }

    /// The first event after the last silence of the timespan.
    fn known_since(&self, past: &[Satisfying]) -> Option<i64> {
        let silent = |pair: &&[Satisfying]| pair[1].0.at - pair[0].0.at >= self.timespan;
        let last = past.windows(2).rfind(silent);
        Some(last.map_or(past.first()?, |pair| &pair[1]).0.at)
    }

    /// Hits at most `suppress` apart are one finding.
    fn merged(&self, rule: usize, hits: &[Hit]) -> Vec<Found> {
        let suppress = self.suppress.unwrap_or(self.timespan);
        let mut groups: BTreeMap<&[String], Vec<Vec<&Hit>>> = BTreeMap::new();
        for hit in hits {
            let findings = groups.entry(&hit.group).or_default();
            let joins = |finding: &&mut Vec<&Hit>| {
                let last = finding.last().map(|last| last.occurrence.at);
                suppress > 0 && last.is_some_and(|last| hit.occurrence.at - last <= suppress)
            };
            match findings.last_mut().filter(joins) {
                Some(finding) => finding.push(hit),
                None => findings.push(vec![hit]),
            }
        }
        let findings = groups.into_iter().flat_map(|(group, findings)| {
            findings.into_iter().map(move |hits| {
                let mut events: BTreeMap<Key, &Occurrence> = BTreeMap::new();
                for hit in &hits {
                    let last = events.last_key_value().map(|(key, _)| *key);
                    let is_pair = matches!(self.kind, Kind::Consecutive { .. });
                    let is_new = |event: &&Occurrence| !is_pair || Some(event.key()) > last;
                    let new = hit.window.iter().filter(is_new);
                    events.extend(new.map(|event| (event.key(), event)));
                }
                let events: Vec<&Occurrence> = events.into_values().collect();
                Found {
                    last_hit: hits[hits.len() - 1].occurrence.at,
                    rule,
                    group: group.to_vec(),
                    anchor: hits[0].occurrence.digest,
                    ids: events.iter().map(|event| event.id.clone()).collect(),
                    said: self.describes.then(|| described(self, &events, hits.len())),
                    hits: hits.len(),
                }
            })
        });
        findings.collect()
    }
}
