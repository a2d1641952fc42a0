//! An event shown to one consumer: into which groups it goes, and whether it makes a hit there.

use std::sync::Arc;

use crate::detect::Consumer;
use crate::detect::absent::{answers, begins};
use crate::detect::correlation::Condition;
use crate::detect::finding::Why;
use crate::detect::groups::{Groups, Window};
use crate::detect::windows::ledger::Ledger;
use crate::detect::windows::membership::{Passed, Sighting, groups_of, memberships};
use crate::detect::windows::watch::Watch;
use crate::event::Nanos;

/// There is no number to a pair.
const PAIR: f64 = 2.0;

/// Takes a match of a rule whose every match is a hit.
pub(super) fn report(
    ledger: &mut Ledger,
    groups: &mut Groups,
    at: usize,
    consumer: &Consumer,
    sighting: &Sighting,
) {
    let (keys, cut) = groups_of(consumer, &sighting.member);
    ledger.tally.cut_groups += u64::from(cut);
    if keys.is_empty() {
        ledger.tally.without_group += 1;
    }
    if keys.is_empty() || sighting.time.is_none() || consumer.reporter.suppress == Nanos(0) {
        ledger.report_alone(at, consumer, sighting);
        return;
    }
    let member = &sighting.member;
    for key in keys {
        let known = |window: &mut Window| window.renew(member);
        let number = groups.enter(&key, known, || Window::One(member.clone()));
        ledger.join_window((at, number), consumer, &key, groups, None, &sighting.why);
    }
}

/// Shows one event to a correlation, in all groups it belongs to, and gives its hits to pass on.
pub(super) fn correlate(
    ledger: &mut Ledger,
    groups: &mut Groups,
    (at, consumer): (usize, &Consumer),
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
    most: usize,
    mut watch: Option<&mut Watch>,
) -> Vec<Passed> {
    let mut hits = Vec::new();
    if let Some(watch) = &mut watch {
        watch.comes(at, consumer, condition, sightings);
    }
    for (key, member, rules) in memberships(ledger, consumer, condition, sightings) {
        if !condition.opens(rules) && groups.find(&key).is_none() {
            if let Some(watch) = &mut watch {
                watch.begins_nothing(at);
            }
            continue;
        }
        let mut evicted = 0;
        let slide = |window: &mut Window| {
            window.slide(consumer, &member, rules);
            evicted = window.cut(most, consumer);
        };
        let number = groups.enter(&key, slide, || Window::new(consumer, &member, rules));
        ledger.tally.evicted += evicted as u64;
        let glimpse = watch.as_mut().and_then(|watch| {
            let window = &groups.get(number)?.window;
            let entered = (&key, &member, rules);
            watch.entered((at, consumer), condition, entered, window)
        });
        let met = groups.change(number, |group| condition.meet(&mut group.window));
        let met = met.flatten();
        let measure = match &met {
            Some(_) => Some(PAIR),
            None if condition.is_of_pairs() => None,
            None => groups
                .get(number)
                .and_then(|group| group.window.hit(condition.as_ref())),
        };
        if let Some(watch) = &mut watch {
            watch.decided(at, &key, glimpse, measure.is_some());
        }
        let Some(measure) = measure else {
            let failure = groups.change(number, |group| group.window.failure());
            if let Some(why) = failure.flatten() {
                let event = (Some(member.time), member.digest());
                ledger.failures.add(consumer.reporter.called(), event, &why);
            }
            continue;
        };
        if consumer.reports {
            let why = Why::Measure(measure);
            ledger.join_window((at, number), consumer, &key, groups, met, &why);
        }
        if !consumer.outer.is_empty() {
            hits.push(Passed { member, key });
        }
    }
    hits
}

/// Shows one event to a correlation in which events wait for others: it ends
/// the waits before it, or waits itself, or both.
pub(super) fn wait(
    ledger: &mut Ledger,
    groups: &mut Groups,
    (at, consumer): (usize, &Consumer),
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
    most: usize,
    mut watch: Option<&mut Watch>,
) {
    if let Some(watch) = &mut watch {
        watch.comes(at, consumer, condition, sightings);
    }
    for (key, member, rules) in memberships(ledger, consumer, condition, sightings) {
        if let Some(watch) = &mut watch {
            let comes = (&key, &member, rules);
            watch.waits((at, consumer), condition, comes, groups);
        }
        if answers(rules)
            && let Some(number) = groups.find(&key)
        {
            groups.change(number, |group| group.window.answer(member.time));
        }
        if begins(rules) {
            let first = || Window::One(member.clone());
            let mut evicted = 0;
            let wait = |window: &mut Window| {
                window.wait(&member);
                evicted = window.cut(most, consumer);
            };
            let number = groups.enter(&key, wait, first);
            groups.wait_until(member.time.plus(consumer.timespan), number);
            ledger.tally.evicted += evicted as u64;
        }
    }
}
