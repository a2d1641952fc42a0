//! The events of a window, and what is kept of them beside.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::detect::correlation::{Account, Condition, Reached};
use crate::detect::events::{Telling, Told};
use crate::detect::limits::left_of;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::detect::{Consumer, ConsumerKind, Rules};
use crate::event::Time;
use crate::script::Failure;

/// The events of a window, in order.
pub(in crate::detect) enum Window {
    One(Member),
    Many(Box<Many>),
}

/// A window of any number of events, and what few groups have.
#[derive(Default)]
pub(in crate::detect) struct Many {
    members: VecDeque<Member>,
    /// How many bytes the events take.
    weight: usize,
    account: Option<Box<dyn Account>>,
    /// For findings that are made of a whole window at each hit.
    telling: Option<Box<Telling>>,
    /// A finding that was closed for its age alone, and when it had its last
    /// hit: the next one goes on from it.
    aged: Option<(Uuid, Time)>,
}

impl Window {
    pub(super) fn save(&self, saving: &mut Saving<'_>) {
        let many = match self {
            Self::One(member) => {
                saving.flag(false);
                return saving.member(member);
            }
            Self::Many(many) => many,
        };
        saving.flag(true);
        saving.each(many.members.iter(), Saving::member);
        if let Some(account) = &many.account {
            account.save(saving);
        }
        saving.option(many.aged, |saving, (finding, last)| {
            saving.uuid(finding);
            saving.time(last);
        });
    }

    pub(super) fn restore(saved: &mut Restoring<'_>, consumer: &Consumer) -> Option<Self> {
        let (account, mut telling) = kept_of(consumer);
        if !saved.flag()? {
            let is_bare = account.is_none() && telling.is_none();
            return saved.member().filter(|_| is_bare).map(Self::One);
        }
        let members: VecDeque<Member> = saved.each(Restoring::member)?;
        let account = match account {
            Some(mut account) => {
                account.restore(saved, &members)?;
                Some(account)
            }
            None => None,
        };
        if let Some(telling) = &mut telling {
            let enter = |member: &Member| telling.enter(member, &consumer.reporter);
            members.iter().for_each(enter);
        }
        let aged = saved.option(|saved| Some((saved.uuid()?, saved.time()?)))?;
        Some(Self::Many(Box::new(Many {
            weight: weight_of(&members),
            members,
            account,
            telling,
            aged,
        })))
    }

    /// The window of a group's first event.
    pub(in crate::detect) fn new(consumer: &Consumer, member: &Member, rules: Rules) -> Self {
        let (account, telling) = kept_of(consumer);
        if account.is_none() && telling.is_none() {
            return Self::One(member.clone());
        }
        let mut many = Many {
            account,
            telling,
            ..Many::default()
        };
        many.enter(consumer, member, rules);
        many.push(member);
        Self::Many(Box::new(many))
    }

    /// Moves the window on to an event: what is not within `(t − span, t]` leaves.
    pub(in crate::detect) fn slide(&mut self, consumer: &Consumer, member: &Member, rules: Rules) {
        let edge = member.time.minus(consumer.timespan);
        let many = match self {
            Self::One(only) if only.time <= edge => {
                *only = member.clone();
                return;
            }
            Self::One(only) => {
                *self = Self::list([only.clone(), member.clone()].into());
                return;
            }
            Self::Many(many) => many,
        };
        let is_over = many.account.as_ref().is_some_and(|kept| kept.is_over());
        let leaves = |oldest: &Member| is_over || oldest.time <= edge;
        while many.members.front().is_some_and(leaves) {
            many.leave(consumer);
        }
        many.enter(consumer, member, rules);
        if many.is_bare() {
            *self = Self::One(member.clone());
        } else {
            many.push(member);
        }
    }

    /// Whether the condition holds over the window, and at which number.
    pub(in crate::detect) fn hit(&self, condition: &dyn Condition) -> Option<f64> {
        match self {
            Self::Many(many) if many.account.is_some() => many.account.as_ref()?.hit(),
            _ => condition.hit(self),
        }
    }

    /// How far it has come.
    pub(in crate::detect) fn reached(&self, condition: &dyn Condition) -> Reached {
        match self {
            Self::Many(many) => {
                let account = many.account.as_ref();
                account.map_or_else(|| condition.reached(self), |kept| kept.reached())
            }
            Self::One(_) => condition.reached(self),
        }
    }

    /// Why the script that was asked of it gave no answer.
    pub(in crate::detect) fn failure(&mut self) -> Option<Failure> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.account.as_mut()?.failure(),
        }
    }

    /// What its events say, where that is kept.
    pub(in crate::detect) fn told(&self) -> Option<Told> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.telling.as_ref().map(|telling| telling.told()),
        }
    }

    /// How many events and values it keeps.
    pub(super) fn count(&self) -> usize {
        let values = match self {
            Self::One(_) => 0,
            Self::Many(many) => many.account.as_ref().map_or(0, |kept| kept.values()),
        };
        self.len() + values
    }

    /// How many bytes it keeps.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::One(only) => only.weight(),
            Self::Many(many) => many.weight(),
        }
    }

    /// Lets go of what is the oldest where there are more bytes than this, and
    /// says of how many events and values. The newest event stays.
    pub(in crate::detect) fn cut(&mut self, most: usize, consumer: &Consumer) -> usize {
        let Self::Many(many) = self else { return 0 };
        if many.weight() <= most {
            return 0;
        }
        let (had, left) = (many.members.len(), left_of(most));
        while many.members.len() > 1 && many.weight() > left {
            many.leave(consumer);
        }
        let gone = had - many.members.len();
        let others = many.weight() - many.account_weight();
        let account = many.account.as_mut();
        gone + account.map_or(0, |kept| kept.cut(left.saturating_sub(others)))
    }

    pub(in crate::detect) fn len(&self) -> usize {
        let (front, back) = self.slices();
        front.len() + back.len()
    }

    pub(in crate::detect) fn first(&self) -> Option<&Member> {
        self.slices().0.first()
    }

    pub(in crate::detect) fn last(&self) -> Option<&Member> {
        let (front, back) = self.slices();
        back.last().or(front.last())
    }

    /// The events from the given one on.
    pub(in crate::detect) fn from(&self, at: usize) -> impl DoubleEndedIterator<Item = &Member> {
        let (front, back) = self.slices();
        let (left, right) = (at.min(front.len()), at.saturating_sub(front.len()));
        let front = front.get(left..).unwrap_or_default();
        front.iter().chain(back.get(right..).unwrap_or_default())
    }

    fn slices(&self) -> (&[Member], &[Member]) {
        match self {
            Self::One(only) => (std::slice::from_ref(only), &[]),
            Self::Many(many) => many.members.as_slices(),
        }
    }

    /// Two events.
    pub(in crate::detect) fn pair(earlier: Member, later: Member) -> Self {
        Self::list([earlier, later].into())
    }

    fn list(members: VecDeque<Member>) -> Self {
        Self::Many(Box::new(Many {
            weight: weight_of(&members),
            members,
            ..Many::default()
        }))
    }

    /// Leaves these events alone, of which there are few.
    pub(in crate::detect) fn keep(&mut self, members: impl IntoIterator<Item = Member>) {
        match self {
            Self::One(_) => *self = Self::list(members.into_iter().collect()),
            Self::Many(many) => {
                many.members.clear();
                many.members.extend(members);
                many.weight = weight_of(&many.members);
            }
        }
    }

    /// One more event waits.
    pub(in crate::detect) fn wait(&mut self, member: &Member) {
        match self {
            Self::One(only) => *self = Self::list([only.clone(), member.clone()].into()),
            Self::Many(many) => many.push(member),
        }
    }

    /// What waits and came before this time waits no more.
    pub(in crate::detect) fn answer(&mut self, at: Time) {
        let left: Vec<Member> = self.from(0).filter(|m| m.time >= at).cloned().collect();
        if left.len() < self.len() {
            self.keep(left);
        }
    }

    /// The first event that waits, if it came at this time; it waits no more.
    pub(in crate::detect) fn end_wait(&mut self, since: Time) -> Option<Member> {
        let first = self.first().filter(|first| first.time == since)?.clone();
        match self {
            Self::One(_) => self.keep([]),
            Self::Many(many) => {
                many.pop();
            }
        }
        Some(first)
    }

    /// Leaves one event alone.
    pub(in crate::detect) fn renew(&mut self, member: &Member) {
        match self {
            Self::One(only) => *only = member.clone(),
            Self::Many(_) => self.keep([member.clone()]),
        }
    }

    /// Remembers the finding that was closed for its age alone, and its last hit.
    pub(in crate::detect) fn age(&mut self, finding: Option<(Uuid, Time)>) {
        match self {
            Self::Many(many) => many.aged = finding,
            Self::One(only) if finding.is_some() => {
                let members = [only.clone()].into();
                *self = Self::Many(Box::new(Many {
                    weight: weight_of(&members),
                    members,
                    aged: finding,
                    ..Many::default()
                }));
            }
            Self::One(_) => {}
        }
    }

    /// The finding that was closed for its age alone, and its last hit; from now on there is none.
    pub(super) fn take_aged(&mut self) -> Option<(Uuid, Time)> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.aged.take(),
        }
    }
}

impl Many {
    fn push(&mut self, member: &Member) {
        self.weight += member.weight();
        self.members.push_back(member.clone());
    }

    fn pop(&mut self) -> Option<Member> {
        let oldest = self.members.pop_front()?;
        self.weight -= oldest.weight();
        Some(oldest)
    }

    /// How many bytes it keeps.
    fn weight(&self) -> usize {
        let telling = self.telling.as_ref().map_or(0, |telling| telling.weight());
        size_of::<Self>() + self.weight + self.account_weight() + telling
    }

    fn account_weight(&self) -> usize {
        self.account.as_ref().map_or(0, |kept| kept.weight())
    }

    fn enter(&mut self, consumer: &Consumer, member: &Member, rules: Rules) {
        if let Some(account) = &mut self.account {
            account.enter(member, rules);
        }
        if let Some(telling) = &mut self.telling {
            telling.enter(member, &consumer.reporter);
        }
    }

    /// The oldest event goes.
    fn leave(&mut self, consumer: &Consumer) {
        let Some(oldest) = self.pop() else {
            return;
        };
        if let Some(account) = &mut self.account {
            account.leave(&oldest);
        }
        if let Some(telling) = &mut self.telling {
            telling.leave(&oldest, &consumer.reporter);
        }
    }

    /// Whether there is nothing but an empty list.
    fn is_bare(&self) -> bool {
        self.members.is_empty()
            && self.account.is_none()
            && self.telling.is_none()
            && self.aged.is_none()
    }
}

/// What is kept of each window of a consumer beside its events, when there are none yet.
fn kept_of(consumer: &Consumer) -> (Option<Box<dyn Account>>, Option<Box<Telling>>) {
    let account = match &consumer.kind {
        ConsumerKind::Over(condition) => condition.clone().account(),
        ConsumerKind::Each => None,
    };
    (account, consumer.tells_windows().then(Box::default))
}

fn weight_of(members: &VecDeque<Member>) -> usize {
    members.iter().map(|member| member.weight()).sum()
}
