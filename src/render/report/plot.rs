//! The days of a log with what differs on each, as a drawing.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use crate::lab::diff::Effect;
use crate::lab::diff::effect::{Differing, Signed};

/// A drawing has this many bars at the most; one stands for several days where there are more.
const BARS: usize = 120;

const WIDTH: usize = 960;
const HEIGHT: usize = 180;
/// Above the bars, below them, and beside them.
const TOP: usize = 10;
const BOTTOM: usize = 22;
const LEFT: usize = 44;

/// What differs on each day, as bars: what came above the line, what went below it. Nothing where
/// no day is known.
pub(super) fn plot(effect: &Effect) -> Option<Markup> {
    let (what, of) = plotted(effect)?;
    let bars = bars(effect, of)?;
    let up = most(&bars, |signs| signs.added.saturating_add(signs.changed));
    let down = most(&bars, |signs| signs.removed);
    let scale = Scale::new(up, down, bars.len());
    let label = format!(
        "{what} added, changed and removed by day, from {} to {}",
        bars.first()?.from,
        bars.last()?.to
    );
    Some(html! {
        figure {
            figcaption {
                (what) " by day: "
                span.key.added { "added" } " " span.key.changed { "changed" } " " span.key.removed { "removed" }
            }
            svg role="img" aria-label=(label) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } {
                line.axis x1=(LEFT) y1=(scale.zero) x2=(WIDTH) y2=(scale.zero) {}
                text.tick x=(LEFT - 6) y=(TOP + 8) text-anchor="end" { "+" (up) }
                text.tick x=(LEFT - 6) y=(HEIGHT - BOTTOM) text-anchor="end" { "-" (down) }
                @for (at, bar) in bars.iter().enumerate() { (drawn(&scale, at, bar)) }
                @for (at, anchor, day) in ends(&bars) {
                    text.tick x=(at) y=(HEIGHT - 6) text-anchor=(anchor) { (day) }
                }
            }
        }
    })
}

/// One kind of records, as its counts are kept.
type Of = fn(&Differing) -> &Signed;

/// What is drawn: findings, or what follows from them where no finding differs.
fn plotted(effect: &Effect) -> Option<(&'static str, Of)> {
    let kinds: [(&'static str, Of); 3] = [
        ("Findings", |differing| &differing.findings),
        ("Incidents", |differing| &differing.incidents),
        ("What follows from incidents", |differing| &differing.others),
    ];
    kinds.into_iter().find(|(_, of)| {
        let mut days = effect.by_day.values().map(of);
        days.any(|signs| [signs.added, signs.removed, signs.changed] != [0; 3])
    })
}

/// Some days, and what differs on them.
struct Bar {
    from: NaiveDate,
    to: NaiveDate,
    signs: Signed,
}

/// A bar for each of the days of the log, or for as many as it takes.
fn bars(effect: &Effect, of: Of) -> Option<Vec<Bar>> {
    let days: BTreeMap<NaiveDate, &Signed> = effect
        .by_day
        .iter()
        .filter_map(|(day, differing)| Some((day.parse().ok()?, of(differing))))
        .collect();
    let read = [effect.read.first, effect.read.last];
    let read = read.into_iter().flatten();
    let read = read.filter_map(|time| time.to_string().get(..10)?.parse().ok());
    let all: Vec<NaiveDate> = days.keys().copied().chain(read).collect();
    let (first, last) = (*all.iter().min()?, *all.iter().max()?);
    let count = usize::try_from((last - first).num_days()).ok()? + 1;
    let together = count.div_ceil(BARS);
    let starts = (0..count).step_by(together);
    let bars = starts.map(|at| {
        let from = first.checked_add_days(Days::new(at as u64))?;
        let to = from.checked_add_days(Days::new(together as u64 - 1))?;
        let to = to.min(last);
        let mut signs = Signed::default();
        for (_, of_day) in days.range(from..=to) {
            signs.added = signs.added.saturating_add(of_day.added);
            signs.removed = signs.removed.saturating_add(of_day.removed);
            signs.changed = signs.changed.saturating_add(of_day.changed);
        }
        Some(Bar { from, to, signs })
    });
    bars.collect()
}

fn most(bars: &[Bar], of: impl Fn(&Signed) -> u64) -> u64 {
    bars.iter().map(|bar| of(&bar.signs)).max().unwrap_or(0)
}

/// Where things stand in the drawing.
struct Scale {
    /// The height of the line between what came and what went.
    zero: usize,
    /// What a whole side stands for.
    most: u128,
    /// From one bar to the next.
    step: usize,
    height: usize,
}

impl Scale {
    fn new(up: u64, down: u64, bars: usize) -> Self {
        let height = HEIGHT - TOP - BOTTOM;
        let most = (u128::from(up) + u128::from(down)).max(1);
        Self {
            zero: TOP + part(up, most, height),
            most,
            step: ((WIDTH - LEFT) / bars.max(1)).clamp(1, 120),
            height,
        }
    }

    /// How high a number is; what is there is seen.
    fn of(&self, count: u64) -> usize {
        match count {
            0 => 0,
            count => part(count, self.most, self.height).max(2),
        }
    }
}

/// A part of a height, without overflowing.
fn part(count: u64, most: u128, height: usize) -> usize {
    let scaled = u128::from(count) * height as u128 / most.max(1);
    usize::try_from(scaled).unwrap_or(height)
}

fn drawn(scale: &Scale, at: usize, bar: &Bar) -> Markup {
    let signs = &bar.signs;
    let x = LEFT + at * scale.step + 1;
    let width = scale.step.saturating_sub(2).max(1);
    let [added, changed, removed] =
        [signs.added, signs.changed, signs.removed].map(|count| scale.of(count));
    let top = scale.zero.saturating_sub(added);
    html! {
        @if added + changed + removed > 0 {
            g {
                title { (days(bar)) ": +" (signs.added) " -" (signs.removed) " ~" (signs.changed) }
                rect.added x=(x) y=(top) width=(width) height=(added) {}
                rect.changed x=(x) y=(top.saturating_sub(changed)) width=(width) height=(changed) {}
                rect.removed x=(x) y=(scale.zero + 1) width=(width) height=(removed) {}
            }
        }
    }
}

fn days(bar: &Bar) -> String {
    match bar.from == bar.to {
        true => bar.from.to_string(),
        false => format!("{} to {}", bar.from, bar.to),
    }
}

/// The first and the last day, below their bars.
fn ends(bars: &[Bar]) -> Vec<(usize, &'static str, NaiveDate)> {
    let step = Scale::new(0, 0, bars.len()).step;
    let first = bars.first().map(|bar| (LEFT, "start", bar.from));
    let last = bars.last().filter(|_| bars.len() > 1);
    let last = last.map(|bar| {
        let end = LEFT + bars.len() * step;
        (end.max(LEFT + 180), "end", bar.to)
    });
    first.into_iter().chain(last).collect()
}
