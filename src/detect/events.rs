//! The events of a finding: the first and last hundred are listed, and the
//! first and last ten of those are shown with their values.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::detect::Reporter;
use crate::detect::groups::Window;
use crate::detect::limits::{NUMBER, VALUE};
use crate::detect::seen::{Member, Seen};
use crate::detect::state::{Restoring, Saving};

/// The events of a finding, in order. Most findings have few, and then these
/// are all there is: what all events say is read from them when it is asked.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The first of the timeline.
    first: Vec<Member>,
    more: Option<Box<More>>,
}

/// What follows the first events.
#[derive(Debug, Default)]
struct More {
    /// Of the listed ones between those of the timeline, without their values: the first, and the last.
    early: Vec<Member>,
    late: VecDeque<Member>,
    /// The last of the timeline.
    last: VecDeque<Member>,
    /// What is said by the events before the last of the timeline, once some of them have no values any more.
    told: Option<Told>,
    /// How many bytes its events take.
    weight: usize,
}

/// The first and last so many events are listed.
const LISTED: usize = 100;
/// The first and last so many events make the timeline.
const TIMELINE: usize = 10;
/// So many events at each end are listed and not in the timeline.
const BETWEEN: usize = LISTED - TIMELINE;
/// So many distinct values of a field are listed.
const DISTINCT: usize = 10;

impl Events {
    /// The events of a window, however many, of which it is known what they say.
    pub(super) fn of_window(window: &Window, told: Told) -> Self {
        let len = window.len();
        Self {
            first: window.from(0).take(TIMELINE).cloned().collect(),
            more: (len > TIMELINE).then(|| {
                let last = len.saturating_sub(TIMELINE).max(TIMELINE);
                let late = len.saturating_sub(LISTED).clamp(LISTED, last.max(LISTED));
                let bare = |from: usize, to: usize| {
                    let between = window.from(from).take(to.saturating_sub(from));
                    between.map(Member::bare)
                };
                Box::new(More::weighed(
                    bare(TIMELINE, last.min(LISTED)).collect(),
                    bare(late, last).collect(),
                    window.from(last).cloned().collect(),
                    Some(told),
                ))
            }),
        }
    }

    /// Adds so many events that follow.
    pub(super) fn extend<'m>(
        &mut self,
        members: impl Iterator<Item = &'m Member>,
        count: usize,
        reporter: &Reporter,
    ) {
        if self.first.is_empty() {
            // Most findings never see another hit.
            self.first.reserve_exact(count.min(TIMELINE));
        }
        for (at, member) in members.enumerate() {
            if self.first.len() < TIMELINE {
                self.first.push(member.clone());
                continue;
            }
            let more = self.more.get_or_insert_default();
            more.last.push_back(member.clone());
            more.weight += member.weight();
            if more.last.len() > TIMELINE {
                let told = more
                    .told
                    .get_or_insert_with(|| Told::of(&self.first, reporter));
                if let Some(entry) = more.last.pop_front() {
                    more.weight -= entry.weight();
                    told.hear(&entry.seen, reporter);
                    more.pass(&entry, count - at - 1);
                }
            }
        }
    }

    /// How many bytes they take.
    pub(super) fn weight(&self) -> usize {
        let first: usize = self.first.iter().map(|member| member.weight()).sum();
        first + self.more.as_ref().map_or(0, |more| more.weight())
    }

    pub(super) fn first(&self) -> Option<&Member> {
        self.first.first()
    }

    pub(super) fn last(&self) -> Option<&Member> {
        let more = self.more.as_ref().and_then(|more| more.last.back());
        more.or(self.first.last())
    }

    /// The first and last hundred.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Member> {
        let more = self.more.iter();
        let more = more.flat_map(|more| more.early.iter().chain(&more.late).chain(&more.last));
        self.first.iter().chain(more)
    }

    /// The first and last ten.
    pub(super) fn timeline(&self) -> impl Iterator<Item = &Member> {
        let more = self.more.iter();
        self.first.iter().chain(more.flat_map(|more| &more.last))
    }

    /// What all events say.
    pub(super) fn told(&self, reporter: &Reporter) -> Told {
        let Some(more) = &self.more else {
            return Told::of(&self.first, reporter);
        };
        let told = more.told.clone();
        let mut told = told.unwrap_or_else(|| Told::of(&self.first, reporter));
        more.last
            .iter()
            .for_each(|entry| told.hear(&entry.seen, reporter));
        told
    }
}

impl Events {
    pub(super) fn save(&self, saving: &mut Saving<'_>) {
        saving.each(self.first.iter(), Saving::member);
        saving.option(self.more.as_deref(), |saving, more| {
            saving.each(more.early.iter(), Saving::member);
            saving.each(more.late.iter(), Saving::member);
            saving.each(more.last.iter(), Saving::member);
            saving.option(more.told.as_ref(), |saving, told| told.save(saving));
        });
    }

    pub(super) fn restore(saved: &mut Restoring<'_>, reporter: &Reporter) -> Option<Self> {
        let first: Vec<Member> = saved.each(Restoring::member)?;
        let more = saved.option(|saved| {
            let more = More::weighed(
                saved.each(Restoring::member)?,
                saved.each(Restoring::member)?,
                saved.each(Restoring::member)?,
                saved.option(|saved| Told::restore(saved, reporter))?,
            );
            let between = more.early.len().max(more.late.len());
            (between <= BETWEEN && more.last.len() <= TIMELINE).then(|| Box::new(more))
        })?;
        (first.len() <= TIMELINE).then_some(Self { first, more })
    }
}

impl More {
    fn weighed(
        early: Vec<Member>,
        late: VecDeque<Member>,
        last: VecDeque<Member>,
        told: Option<Told>,
    ) -> Self {
        let events = early.iter().chain(&late).chain(&last);
        Self {
            weight: events.map(|member| member.weight()).sum(),
            early,
            late,
            last,
            told,
        }
    }

    /// How many bytes it takes.
    fn weight(&self) -> usize {
        self.weight + self.told.as_ref().map_or(0, |told| told.weight)
    }

    /// Lists an event that is not of the timeline any more, unless so many
    /// follow at once that it will not be one of the last.
    fn pass(&mut self, entry: &Member, to_follow: usize) {
        if self.early.len() >= BETWEEN && to_follow >= BETWEEN {
            let gone = self.late.drain(..).map(|member| member.weight());
            self.weight -= gone.sum::<usize>();
            return;
        }
        let entry = entry.bare();
        self.weight += entry.weight();
        if self.early.len() < BETWEEN {
            self.early.push(entry);
            return;
        }
        if self.late.len() == BETWEEN {
            let gone = self.late.pop_front();
            self.weight -= gone.map_or(0, |member| member.weight());
        }
        self.late.push_back(entry);
    }
}

/// What events say of the account and of the fields that the rule lists.
#[derive(Clone, Debug)]
pub(super) struct Told {
    user: User,
    /// The first distinct values of each field.
    pub(super) metadata: Vec<Vec<String>>,
    /// How many bytes the values take.
    weight: usize,
}

/// What the events say of the account they are about.
#[derive(Clone, Debug)]
enum User {
    Unknown,
    One(String),
    Disputed,
}

impl Told {
    fn save(&self, saving: &mut Saving<'_>) {
        let (disputed, user) = match &self.user {
            User::Unknown => (false, None),
            User::One(user) => (false, Some(user)),
            User::Disputed => (true, None),
        };
        saving.flag(disputed);
        saving.option(user, |saving, user| saving.text(user));
        saving.each(self.metadata.iter(), |saving, values| {
            saving.each(values.iter(), |saving, value| saving.text(value));
        });
    }

    fn restore(saved: &mut Restoring<'_>, reporter: &Reporter) -> Option<Self> {
        let disputed = saved.flag()?;
        let user = saved.option(|saved| saved.text().map(str::to_owned))?;
        let texts = |saved: &mut Restoring<'_>| -> Option<Vec<String>> {
            saved.each(|saved| saved.text().map(str::to_owned))
        };
        let metadata: Vec<Vec<String>> = saved.each(texts)?;
        (metadata.len() == reporter.metadata.len()).then_some(Self {
            user: match user {
                Some(user) => User::One(user),
                None if disputed => User::Disputed,
                None => User::Unknown,
            },
            weight: weight_of(&metadata),
            metadata,
        })
    }

    fn of(entries: &[Member], reporter: &Reporter) -> Self {
        let mut told = Self {
            user: User::Unknown,
            metadata: vec![Vec::new(); reporter.metadata.len()],
            weight: 0,
        };
        entries
            .iter()
            .for_each(|entry| told.hear(&entry.seen, reporter));
        told
    }

    fn hear(&mut self, seen: &Seen, reporter: &Reporter) {
        let captured = seen.values();
        for ((_, id), known) in reporter.metadata.iter().zip(&mut self.metadata) {
            if known.len() == DISTINCT {
                continue;
            }
            for value in captured.all(*id) {
                if known.len() < DISTINCT && !known.iter().any(|known| known == value) {
                    known.push(value.to_owned());
                    self.weight += value.len() + VALUE;
                }
            }
        }
        if let Some(id) = reporter.user {
            captured.all(id).for_each(|user| self.user.hears(user));
        }
    }

    /// The account; none where the events disagree.
    pub(super) fn user(&self) -> Option<String> {
        match &self.user {
            User::One(user) => Some(user.clone()),
            User::Unknown | User::Disputed => None,
        }
    }
}

fn weight_of(metadata: &[Vec<String>]) -> usize {
    let values = metadata.iter().flatten();
    values.map(|value| value.len() + VALUE).sum()
}

/// What the events of a window say, kept as they come and go, for findings
/// that are made of a whole window at each of its hits.
#[derive(Default)]
pub(super) struct Telling {
    /// How often each account is named.
    users: HashMap<String, u32>,
    fields: Vec<Field>,
    entered: u64,
    /// How many bytes the accounts and values take.
    weight: usize,
}

/// Where a value stands: in which event, and there as which value.
type Place = (u64, usize);

/// The values of a field.
#[derive(Default)]
struct Field {
    places: HashMap<Arc<str>, VecDeque<Place>>,
    /// The values by where each stands first.
    firsts: BTreeMap<Place, Arc<str>>,
}

impl Telling {
    pub(super) fn enter(&mut self, seen: &Seen, reporter: &Reporter) {
        let captured = seen.values();
        self.fields
            .resize_with(reporter.metadata.len(), Field::default);
        for ((_, id), field) in reporter.metadata.iter().zip(&mut self.fields) {
            for (at, value) in captured.all(*id).enumerate() {
                self.weight += field.enter(value, (self.entered, at));
            }
        }
        for user in reporter.user.iter().flat_map(|id| captured.all(*id)) {
            let times = self.users.entry(user.to_owned()).or_default();
            self.weight += if *times == 0 { user.len() + VALUE } else { 0 };
            *times += 1;
        }
        self.entered += 1;
    }

    /// The oldest event goes.
    pub(super) fn leave(&mut self, seen: &Seen, reporter: &Reporter) {
        let captured = seen.values();
        for ((_, id), field) in reporter.metadata.iter().zip(&mut self.fields) {
            let gone = captured.all(*id).map(|value| field.leave(value));
            self.weight -= gone.sum::<usize>();
        }
        for user in reporter.user.iter().flat_map(|id| captured.all(*id)) {
            if let Some(times) = self.users.get_mut(user) {
                *times -= 1;
                if *times == 0 {
                    self.users.remove(user);
                    self.weight -= user.len() + VALUE;
                }
            }
        }
    }

    /// How many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn told(&self) -> Told {
        let mut users = self.users.keys();
        let values = |field: &Field| {
            let firsts = field.firsts.values().take(DISTINCT);
            firsts.map(|value| value.to_string()).collect()
        };
        let metadata: Vec<Vec<String>> = self.fields.iter().map(values).collect();
        Told {
            user: match (users.next(), users.next()) {
                (None, _) => User::Unknown,
                (Some(user), None) => User::One(user.clone()),
                (Some(_), Some(_)) => User::Disputed,
            },
            weight: weight_of(&metadata),
            metadata,
        }
    }
}

impl Field {
    /// Takes a value at its place, and says how many bytes that takes.
    fn enter(&mut self, value: &str, place: Place) -> usize {
        if let Some(places) = self.places.get_mut(value) {
            places.push_back(place);
            return NUMBER;
        }
        let weight = NUMBER + weight_in_field(value);
        let value: Arc<str> = value.into();
        self.firsts.insert(place, value.clone());
        self.places.insert(value, VecDeque::from([place]));
        weight
    }

    /// The first place of a value goes; says how many bytes that took.
    fn leave(&mut self, value: &str) -> usize {
        let Some(places) = self.places.get_mut(value) else {
            return 0;
        };
        let first = places.pop_front();
        let value = first.and_then(|first| self.firsts.remove(&first));
        match (places.front(), value) {
            (Some(next), Some(value)) => {
                self.firsts.insert(*next, value);
                NUMBER
            }
            (_, Some(value)) => {
                self.places.remove(&value);
                NUMBER + weight_in_field(&value)
            }
            (_, None) => 0,
        }
    }
}

/// A value of a field stands in two tables.
fn weight_in_field(value: &str) -> usize {
    value.len() + 2 * VALUE
}

impl User {
    fn hears(&mut self, user: &str) {
        match self {
            Self::Unknown => *self = Self::One(user.to_owned()),
            Self::One(known) if known == user => {}
            Self::One(_) | Self::Disputed => *self = Self::Disputed,
        }
    }
}
