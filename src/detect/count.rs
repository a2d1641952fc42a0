//! `event_count`: so many events of a group in a window.

use std::sync::Arc;

use crate::detect::bounds::{Bounds, decode_count};
use crate::detect::compile::Scope;
use crate::detect::correlation::{Asked, Condition, Reached, Written};
use crate::detect::groups::Window;
use crate::detect::seen::Member;
use crate::diag::{Problems, noun};
use crate::event::Nanos;

/// Bounds that the number of events must keep.
#[derive(Clone, Debug)]
struct EventCount {
    bounds: Bounds,
    timespan: Nanos,
}

/// Reads `condition: {gte: 5}`.
pub(super) fn decode_event_count(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let node = written.needed(problems)?;
    Some(Arc::new(EventCount {
        bounds: decode_count(node, problems)?,
        timespan: written.timespan,
    }))
}

impl Asked for EventCount {
    fn compile(&self, _: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(self.clone())
    }
}

impl Condition for EventCount {
    fn hit(&self, window: &Window) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        let count = window.len() as f64;
        self.bounds.hold(count).then_some(count)
    }

    fn reached(&self, window: &Window) -> Reached {
        #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        Reached::within(window.len() as f64, &self.bounds)
    }

    fn reason(&self, count: f64, _: Option<&(Member, Member)>) -> String {
        let (within, bounds) = (self.timespan, &self.bounds);
        let events = noun(count, "event");
        format!("{count} {events} within {within}, where {bounds} is asked")
    }
}
