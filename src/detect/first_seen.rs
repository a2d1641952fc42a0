//! `first_seen`: a value that a group has not had for a long time, or never.
//!
//! The window is the newest event alone. What is kept of the history is each
//! value with the time at which it was seen last.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::capture::CaptureId;
use crate::detect::compile::Scope;
use crate::detect::correlation::{Account, Asked, Condition, Reached, Written};
use crate::detect::groups::Window;
use crate::detect::limits::VALUE;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::detect::value::{decode_fields, shown_fields, texts};
use crate::diag::Problems;
use crate::event::{FieldPath, Nanos, Time};

/// The condition, over fields as written or as resolved.
#[derive(Clone, Debug)]
struct FirstSeen<F> {
    fields: Vec<F>,
    /// The fields in the words of a reason.
    shown: String,
    /// A value that was seen so long ago is new again, and a group of which
    /// nothing was seen for so long is unknown again.
    history: Nanos,
    /// How long a group is known before a value of it can be new.
    warm_up: Nanos,
}

/// Reads `condition: {field: PATH, warm-up: 7d}`; the field may be a list.
pub(super) fn decode_first_seen(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let errors = problems.counts().0;
    let mut table = written.needed(problems)?.table(problems)?;
    let fields = table
        .require("field", problems)
        .map(|node| decode_fields(node, problems))
        .unwrap_or_default();
    let warm_up = table
        .get("warm-up")
        .and_then(|node| node.span_of_time(problems));
    table.finish(problems);
    if problems.counts().0 > errors {
        return None;
    }
    let shown = shown_fields(&fields);
    let paths = fields.iter().map(|(text, _)| FieldPath::new(text));
    let paths = paths.collect();
    written.fields.extend(fields);
    Some(Arc::new(FirstSeen {
        fields: paths,
        shown,
        history: written.timespan,
        warm_up: warm_up.unwrap_or(written.timespan),
    }))
}

impl Asked for FirstSeen<FieldPath> {
    /// What a group has alone is never new to it.
    fn varied(&self) -> &[FieldPath] {
        &self.fields
    }

    fn compile(&self, scope: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(FirstSeen {
            fields: self.fields.iter().map(|path| scope.id(path)).collect(),
            shown: self.shown.clone(),
            history: self.history,
            warm_up: self.warm_up,
        })
    }
}

impl Condition for FirstSeen<CaptureId> {
    /// An event without a value says nothing of what is usual.
    fn admits(&self, member: &Member) -> bool {
        !texts(&self.fields, member).is_empty()
    }

    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        Some(Box::new(History {
            asked: self,
            since: Time(i64::MIN),
            newest: None,
            last_seen: HashMap::new(),
            weight: 0,
            kept: 0,
            is_new: false,
        }))
    }

    fn so_far(&self, reached: &Reached, _: &Window) -> String {
        let (shown, history, warm_up) = (&self.shown, self.history, self.warm_up);
        if reached.lacks >= 2.0 {
            return format!("its value of {shown} was seen in the {history} before");
        }
        #[expect(clippy::cast_possible_truncation, reason = "a span of nanoseconds")]
        let known = Nanos((reached.number * 1e9) as i64);
        format!(
            "a new value of {shown}, of a group that is known for {known}, where {warm_up} is asked"
        )
    }

    fn reason(&self, _: f64, _: Option<&(Member, Member)>) -> String {
        let (shown, history) = (&self.shown, self.history);
        format!("a value of {shown} that was not seen in the {history} before")
    }
}

/// How many bytes a value of a history takes.
fn weight_of(text: &str) -> usize {
    text.len() + VALUE
}

/// There is no number to a new value.
const NEW: f64 = 1.0;

/// The values of a group.
struct History {
    asked: Arc<FirstSeen<CaptureId>>,
    /// Since when the group is known.
    since: Time,
    newest: Option<Time>,
    last_seen: HashMap<Box<str>, Time>,
    /// How many bytes the values take.
    weight: usize,
    /// How many values were left when old ones were let go.
    kept: usize,
    /// Whether the newest event has a new value.
    is_new: bool,
}

impl Account for History {
    fn enter(&mut self, member: &Member, _: Rules) {
        let edge = member.time.minus(self.asked.history);
        if self.newest.is_none_or(|newest| newest <= edge) {
            self.last_seen.clear();
            self.weight = 0;
            self.since = member.time;
        }
        self.newest = Some(member.time);
        self.is_new = false;
        for text in texts(&self.asked.fields, member) {
            let bytes = weight_of(&text);
            let before = self.last_seen.insert(text.into(), member.time);
            self.weight += before.map_or(bytes, |_| 0);
            self.is_new |= before.is_none_or(|before| before <= edge);
        }
        self.forget(edge);
    }

    fn leave(&mut self, _: &Member) {}

    fn hit(&self) -> Option<f64> {
        let known = self.newest?.since(self.since);
        (self.is_new && known >= self.asked.warm_up).then_some(NEW)
    }

    fn reached(&self) -> Reached {
        let known = self.newest.map(|newest| newest.since(self.since));
        let (known, warm_up) = (known.unwrap_or_default(), self.asked.warm_up);
        let is_known = known >= warm_up;
        // A new value is nearer than a group that is known for long enough.
        let old = if self.is_new { 0.0 } else { 2.0 };
        let young = if is_known {
            0.0
        } else {
            1.0 - known.seconds() / warm_up.seconds()
        };
        Reached {
            number: known.seconds(),
            lacks: old + young,
        }
    }

    fn save(&self, saving: &mut Saving<'_>) {
        saving.time(self.since);
        saving.option(self.newest, Saving::time);
        saving.number(self.kept as u64);
        let mut values: Vec<_> = self.last_seen.iter().collect();
        values.sort_unstable();
        saving.each(values.into_iter(), |saving, (text, last)| {
            saving.text(text);
            saving.time(*last);
        });
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, _: &VecDeque<Member>) -> Option<()> {
        self.since = saved.time()?;
        self.newest = saved.option(Restoring::time)?;
        self.kept = usize::try_from(saved.count()?).ok()?;
        self.last_seen = saved.each(|saved| Some((saved.text()?.into(), saved.time()?)))?;
        self.weight = self.last_seen.keys().map(|text| weight_of(text)).sum();
        Some(())
    }

    fn is_over(&self) -> bool {
        true
    }

    fn values(&self) -> usize {
        self.last_seen.len()
    }

    fn weight(&self) -> usize {
        self.weight
    }

    /// Of a value that is let go nobody knows any more that it is not new, so
    /// that the group is known from now on only.
    fn cut(&mut self, left: usize) -> usize {
        let Some(newest) = self.newest else { return 0 };
        if self.weight > left {
            self.forget_until(newest.minus(self.asked.history));
        }
        if self.weight <= left {
            return 0;
        }
        self.since = newest;
        let mut oldest: Vec<(Time, &str)> = self
            .last_seen
            .iter()
            .map(|(text, last)| (*last, &**text))
            .collect();
        oldest.sort_unstable();
        let mut weight = self.weight;
        let oldest = oldest.into_iter().take_while(|(_, text)| {
            let is_over = weight > left;
            weight -= if is_over { weight_of(text) } else { 0 };
            is_over
        });
        let gone: HashSet<Box<str>> = oldest.map(|(_, text)| text.into()).collect();
        self.last_seen.retain(|text, _| !gone.contains(text));
        self.weight = weight;
        gone.len()
    }
}

impl History {
    /// Lets go of the values that were seen last at the edge or before, once
    /// there are twice as many values as there were left the last time.
    fn forget(&mut self, edge: Time) {
        const FEW: usize = 8;
        if self.last_seen.len() > FEW.max(2 * self.kept) {
            self.forget_until(edge);
        }
    }

    /// Lets go of the values that were seen last at the edge or before.
    fn forget_until(&mut self, edge: Time) {
        self.last_seen.retain(|_, last| *last > edge);
        self.weight = self.last_seen.keys().map(|text| weight_of(text)).sum();
        self.kept = self.last_seen.len();
        self.last_seen.shrink_to(2 * self.kept);
    }
}
