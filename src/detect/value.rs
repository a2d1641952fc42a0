//! `value_count`, `value_sum`, `value_avg`, `value_percentile` and `value_median`:
//! a number made of the values of a field over the events of a window.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::bounds::{Bounds, FARTHEST, Kind, decode_bounds};
use crate::detect::capture::{CaptureId, MAX_VALUES};
use crate::detect::compile::Scope;
use crate::detect::correlation::{Account, Asked, Condition, Reached, Written, codes};
use crate::detect::groups::Window;
use crate::detect::limits::{NUMBER, VALUE};
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::diag::{Problems, Span, noun};
use crate::document::{Kind as Shape, Node, codes as shape};
use crate::event::{FieldPath, Nanos, fold};

/// The condition, over fields as written or as resolved.
#[derive(Clone, Debug)]
struct Value<F> {
    of: Of,
    fields: Vec<F>,
    /// The fields in the words of a reason.
    shown: String,
    bounds: Bounds,
    timespan: Nanos,
}

/// What is made of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// How many distinct ones there are.
    Count,
    Sum,
    Average,
    /// By nearest rank, in thousandths of a percent.
    Percentile(u64),
    /// The percentile of the half.
    Median,
}

/// So many of the values that were counted are said.
const SAID: usize = 5;

/// Thousandths of a percent in the whole.
const WHOLE: u64 = 100_000;

/// Thousandths of a percent in the half.
const HALF: u64 = WHOLE / 2;

/// Reads `condition: {field: PATH, gte: 5}`; the field may be a list.
pub(super) fn decode_value_count(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    decode(written, Of::Count, problems)
}

/// Reads `condition: {field: PATH, gt: 1.5}`.
pub(super) fn decode_value_sum(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    decode(written, Of::Sum, problems)
}

/// Reads `condition: {field: PATH, gt: 1.5}`.
pub(super) fn decode_value_avg(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    decode(written, Of::Average, problems)
}

/// Reads `condition: {field: PATH, percentile: 95, gt: 1.5}`; without `percentile` it is the median.
pub(super) fn decode_value_percentile(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    decode(written, Of::Percentile(HALF), problems)
}

/// Reads `condition: {field: PATH, gt: 1.5}`.
pub(super) fn decode_value_median(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    decode(written, Of::Median, problems)
}

fn decode(
    written: &mut Written<'_>,
    mut of: Of,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let errors = problems.counts().0;
    let node = written.needed(problems)?;
    let mut table = node.table(problems)?;
    let fields: Vec<(String, Span)> = table
        .require("field", problems)
        .map(|node| match of {
            Of::Count => decode_fields(node, problems),
            _ => decode_field(node, problems).into_iter().collect(),
        })
        .unwrap_or_default();
    let kind = if of == Of::Count {
        Kind::Count
    } else {
        Kind::Number
    };
    if let Of::Percentile(share) = &mut of
        && let Some(node) = table.get("percentile")
    {
        *share = decode_percentile(node, problems).unwrap_or_default();
    }
    let bounds = decode_bounds(node, &mut table, kind, &["field", "percentile"], problems);
    table.finish(problems);
    let shown = shown_fields(&fields);
    let paths = fields
        .iter()
        .map(|(text, _)| FieldPath::new(text))
        .collect();
    written.fields.extend(fields);
    if problems.counts().0 > errors {
        return None;
    }
    Some(Arc::new(Value {
        of,
        fields: paths,
        shown,
        bounds: bounds?,
        timespan: written.timespan,
    }))
}

/// Reads `field: PATH` or `field: [PATH, PATH]`.
pub(super) fn decode_fields(node: &Node, problems: &mut Problems) -> Vec<(String, Span)> {
    if !matches!(node.kind, Shape::List(_)) {
        return decode_field(node, problems).into_iter().collect();
    }
    let texts = node.texts(problems);
    if texts.is_empty() {
        problems.error(shape::BAD_VALUE, node.span, "no field is named");
    }
    texts
        .into_iter()
        .map(|(text, span)| (text.to_owned(), span))
        .collect()
}

fn decode_field(node: &Node, problems: &mut Problems) -> Option<(String, Span)> {
    Some((node.text(problems)?.to_owned(), node.span))
}

/// Fields in the words of a reason.
pub(super) fn shown_fields(fields: &[(String, Span)]) -> String {
    let shown: Vec<String> = fields.iter().map(|(text, _)| format!("`{text}`")).collect();
    shown.join(" and ")
}

/// A percentile in thousandths of a percent, so that ranks are whole numbers and exact.
fn decode_percentile(node: &Node, problems: &mut Problems) -> Option<u64> {
    let scaled = node.number(0.0, 100.0, problems)? * 1_000.0;
    let whole = scaled.round();
    if (scaled - whole).abs() > 1e-6 {
        problems.error(
            codes::CONDITION,
            node.span,
            "a percentile has at most three digits after the point",
        );
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 100,000"
    )]
    Some(whole as u64)
}

impl Asked for Value<FieldPath> {
    fn varied(&self) -> &[FieldPath] {
        if self.of == Of::Count && !self.bounds.hold(1.0) {
            &self.fields
        } else {
            &[]
        }
    }

    fn compile(&self, scope: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(Value {
            of: self.of,
            fields: self.fields.iter().map(|path| scope.id(path)).collect(),
            shown: self.shown.clone(),
            bounds: self.bounds.clone(),
            timespan: self.timespan,
        })
    }
}

impl Condition for Value<CaptureId> {
    /// An event without a value counts nowhere.
    fn admits(&self, member: &Member) -> bool {
        match self.of {
            Of::Count => !texts(&self.fields, member).is_empty(),
            _ => self.numbers(member).next().is_some(),
        }
    }

    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        Some(match self.of {
            Of::Count => Box::new(Distinct {
                times: HashMap::new(),
                weight: 0,
                asked: self,
            }),
            Of::Sum | Of::Average => Box::new(Total {
                sum: Exact::default(),
                values: 0,
                asked: self,
            }),
            Of::Percentile(share) => Ranked::boxed(share, self),
            Of::Median => Ranked::boxed(HALF, self),
        })
    }

    fn so_far(&self, reached: &Reached, window: &Window) -> String {
        let said = self.reason(reached.number, None);
        if self.of != Of::Count || self.fields.len() != 1 {
            return said;
        }
        let values = window
            .from(0)
            .flat_map(|member| texts(&self.fields, member));
        let values: BTreeSet<String> = values.collect();
        let first: Vec<&str> = values.iter().take(SAID).map(String::as_str).collect();
        let more = match values.len().saturating_sub(SAID) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{said}: {}{more}", first.join(", "))
    }

    fn reason(&self, number: f64, _: Option<&(Member, Member)>) -> String {
        let (shown, within, bounds) = (&self.shown, self.timespan, &self.bounds);
        let what = match self.of {
            Of::Count => format!("{number} {} of {shown}", noun(number, "value")),
            Of::Sum => format!("a sum of {shown} of {number}"),
            Of::Average => format!("an average of {shown} of {number}"),
            Of::Median => format!("a median of {shown} of {number}"),
            #[expect(clippy::cast_precision_loss, reason = "at most 100,000")]
            Of::Percentile(share) => {
                format!("percentile {} of {shown} at {number}", share as f64 / 1e3)
            }
        };
        format!("{what} within {within}, where {bounds} is asked")
    }
}

impl Value<CaptureId> {
    /// The event's values that are numbers.
    fn numbers<'m>(&self, member: &'m Member) -> impl Iterator<Item = f64> + use<'m> {
        let field = self.fields.first().copied();
        let texts = field.into_iter().flat_map(|id| member.values().all(id));
        texts.filter_map(|text| {
            let number: f64 = text.trim().parse().ok()?;
            (number.abs() <= FARTHEST).then_some(number)
        })
    }

    fn held(&self, number: f64) -> Option<f64> {
        self.bounds.hold(number).then_some(number)
    }
}

/// The event's values, folded; of several fields, all mixes of theirs.
pub(super) fn texts(fields: &[CaptureId], member: &Member) -> Vec<String> {
    if let [field] = fields {
        return member.values().all(*field).map(fold).collect();
    }
    let mut mixes = vec![String::new()];
    for field in fields {
        let values: Vec<String> = member.values().all(*field).map(fold).collect();
        // The length keeps the parts apart whatever they hold.
        let with = |mix: &String| -> Vec<String> {
            let one = |value: &String| format!("{mix}{}:{value}", value.len());
            values.iter().map(one).collect()
        };
        mixes = mixes.iter().flat_map(with).take(MAX_VALUES).collect();
    }
    mixes
}

/// How often each value stands in the window.
struct Distinct {
    times: HashMap<String, u32>,
    /// How many bytes the values take.
    weight: usize,
    asked: Arc<Value<CaptureId>>,
}

impl Account for Distinct {
    fn enter(&mut self, member: &Member, _: Rules) {
        for text in texts(&self.asked.fields, member) {
            let bytes = text.len() + VALUE;
            let times = self.times.entry(text).or_default();
            self.weight += if *times == 0 { bytes } else { 0 };
            *times += 1;
        }
    }

    fn leave(&mut self, member: &Member) {
        for text in texts(&self.asked.fields, member) {
            if let Some(times) = self.times.get_mut(&text) {
                *times -= 1;
                if *times == 0 {
                    self.times.remove(&text);
                    self.weight -= text.len() + VALUE;
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 values")]
    fn hit(&self) -> Option<f64> {
        self.asked.held(self.times.len() as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 values")]
    fn reached(&self) -> Reached {
        Reached::within(self.times.len() as f64, &self.asked.bounds)
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn save(&self, _: &mut Saving<'_>) {}

    fn restore(&mut self, _: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        members.iter().for_each(|member| self.enter(member, 0));
        Some(())
    }
}

/// The sum of the window and the number of its values.
struct Total {
    sum: Exact,
    values: u64,
    asked: Arc<Value<CaptureId>>,
}

impl Account for Total {
    fn enter(&mut self, member: &Member, _: Rules) {
        for number in self.asked.numbers(member) {
            self.sum.add(number);
            self.values += 1;
        }
    }

    fn leave(&mut self, member: &Member) {
        for number in self.asked.numbers(member) {
            self.sum.add(-number);
            self.values -= 1;
        }
    }

    fn hit(&self) -> Option<f64> {
        self.asked.held(self.number())
    }

    fn reached(&self) -> Reached {
        Reached::within(self.number(), &self.asked.bounds)
    }

    fn save(&self, _: &mut Saving<'_>) {}

    fn restore(&mut self, _: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        members.iter().for_each(|member| self.enter(member, 0));
        Some(())
    }
}

impl Total {
    /// The sum or the average.
    #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 values")]
    fn number(&self) -> f64 {
        let sum = self.sum.rounded();
        if self.asked.of == Of::Average {
            sum / self.values as f64
        } else {
            sum
        }
    }
}

/// An exact sum of doubles, so that what leaves a window leaves no trace and
/// no order matters: parts that do not overlap, small to large, after
/// Shewchuk, *Adaptive Precision Floating-Point Arithmetic* (1997).
#[derive(Default)]
struct Exact {
    parts: Vec<f64>,
}

impl Exact {
    fn add(&mut self, number: f64) {
        let mut carried = number;
        self.parts.retain_mut(|part| {
            let (large, small) = if carried.abs() < part.abs() {
                (*part, carried)
            } else {
                (carried, *part)
            };
            carried = large + small;
            *part = small - (carried - large);
            *part != 0.0
        });
        if carried != 0.0 {
            self.parts.push(carried);
        }
    }

    /// The nearest double, the even one of two.
    #[expect(clippy::float_cmp, reason = "whether a sum of two is exact")]
    fn rounded(&self) -> f64 {
        let mut parts = self.parts.iter().rev();
        let mut sum = 0.0;
        while let Some(part) = parts.next() {
            let before: f64 = sum;
            sum = before + part;
            let lost = part - (sum - before);
            if lost == 0.0 {
                continue;
            }
            let away = parts
                .next()
                .is_some_and(|next| (*next < 0.0) == (lost < 0.0));
            let other = sum + 2.0 * lost;
            if away && other - sum == 2.0 * lost {
                sum = other;
            }
            break;
        }
        sum
    }
}

/// The values of the window in order.
struct Ranked {
    split: Split,
    asked: Arc<Value<CaptureId>>,
}

impl Ranked {
    fn boxed(share: u64, asked: Arc<Value<CaptureId>>) -> Box<Self> {
        let split = Split::new(share);
        Box::new(Self { split, asked })
    }
}

impl Account for Ranked {
    fn enter(&mut self, member: &Member, _: Rules) {
        for number in self.asked.numbers(member) {
            self.split.insert(Ordered(number + 0.0));
        }
    }

    fn leave(&mut self, member: &Member) {
        for number in self.asked.numbers(member) {
            self.split.remove(Ordered(number + 0.0));
        }
    }

    fn hit(&self) -> Option<f64> {
        self.asked.held(self.split.at_rank()?)
    }

    fn reached(&self) -> Reached {
        let number = self.split.at_rank().unwrap_or_default();
        Reached::within(number, &self.asked.bounds)
    }

    fn weight(&self) -> usize {
        NUMBER * (self.split.low.times.len() + self.split.high.times.len())
    }

    fn save(&self, _: &mut Saving<'_>) {}

    fn restore(&mut self, _: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        members.iter().for_each(|member| self.enter(member, 0));
        Some(())
    }
}

/// Numbers, split so that the one of the rank is the greatest of the low ones:
/// a number that comes or goes moves one across at most.
struct Split {
    share: u64,
    low: Heap,
    high: Heap,
}

/// Numbers in order with how often each is there.
#[derive(Default)]
struct Heap {
    times: BTreeMap<Ordered, u32>,
    len: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ordered(f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Split {
    fn new(share: u64) -> Self {
        Self {
            share,
            low: Heap::default(),
            high: Heap::default(),
        }
    }

    fn insert(&mut self, number: Ordered) {
        let low = self.low.times.last_key_value();
        if low.is_some_and(|(greatest, _)| number <= *greatest) {
            self.low.insert(number);
        } else {
            self.high.insert(number);
        }
        self.balance();
    }

    fn remove(&mut self, number: Ordered) {
        if !self.low.remove(number) {
            self.high.remove(number);
        }
        self.balance();
    }

    /// The nearest rank: the smallest number that at least the share of all do not exceed.
    fn at_rank(&self) -> Option<f64> {
        self.low.times.last_key_value().map(|(number, _)| number.0)
    }

    fn balance(&mut self) {
        let len = self.low.len + self.high.len;
        let rank = (len * self.share).div_ceil(WHOLE).max(1).min(len);
        while self.low.len < rank {
            let Some((number, _)) = self.high.times.first_key_value() else {
                return;
            };
            let number = *number;
            self.high.remove(number);
            self.low.insert(number);
        }
        while self.low.len > rank {
            let Some((number, _)) = self.low.times.last_key_value() else {
                return;
            };
            let number = *number;
            self.low.remove(number);
            self.high.insert(number);
        }
    }
}

impl Heap {
    fn insert(&mut self, number: Ordered) {
        *self.times.entry(number).or_default() += 1;
        self.len += 1;
    }

    /// Whether it was there.
    fn remove(&mut self, number: Ordered) -> bool {
        let Some(times) = self.times.get_mut(&number) else {
            return false;
        };
        *times -= 1;
        if *times == 0 {
            self.times.remove(&number);
        }
        self.len -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest_ranks() {
        #[rustfmt::skip]
        let cases: [(&[f64], u64, f64); 8] = [
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 5_000, 15.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 30_000, 20.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 40_000, 20.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 40_001, 35.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 100_000, 50.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 0, 15.0),
            (&[2.0, 1.0], 50_000, 1.0),
            (&[7.0, 7.0, 7.0, -1.0], 25_000, -1.0),
        ];
        for (numbers, share, expected) in cases {
            let mut split = Split::new(share);
            numbers.iter().for_each(|n| split.insert(Ordered(*n)));
            assert_eq!(split.at_rank(), Some(expected), "{numbers:?} {share}");
        }
    }

    #[test]
    fn what_leaves_a_sum_leaves_no_trace() {
        let mut sum = Exact::default();
        for number in [1e290, 0.1, 1e-300, -1e290, 0.2] {
            sum.add(number);
        }
        sum.add(-1e-300);
        assert_eq!(sum.rounded(), 0.1 + 0.2);
        sum.add(-0.1);
        assert_eq!(sum.rounded(), 0.2);
        sum.add(-0.2);
        assert!(sum.parts.is_empty());
    }

    proptest::proptest! {
        /// A sliding window agrees with sorting and counting its list.
        #[test]
        fn accounts_agree_with_the_list(
            numbers in proptest::collection::vec(-5..5_i32, 1..60),
            width in 1..20_usize,
            share in 0..=100_u64,
        ) {
            let (mut sum, mut split) = (Exact::default(), Split::new(share * 1_000));
            for (at, number) in numbers.iter().enumerate() {
                sum.add(f64::from(*number) / 10.0);
                split.insert(Ordered(f64::from(*number)));
                if let Some(old) = at.checked_sub(width) {
                    sum.add(-f64::from(numbers[old]) / 10.0);
                    split.remove(Ordered(f64::from(numbers[old])));
                }
                let mut list: Vec<i32> = numbers[(at + 1).saturating_sub(width)..=at].to_vec();
                let mut fresh = Exact::default();
                list.iter().for_each(|n| fresh.add(f64::from(*n) / 10.0));
                proptest::prop_assert_eq!(sum.rounded(), fresh.rounded());
                list.sort_unstable();
                let rank = (list.len() * share as usize).div_ceil(100).max(1);
                proptest::prop_assert_eq!(split.at_rank(), Some(f64::from(list[rank - 1])));
            }
        }
    }
}
