//! How far an incident has been dealt with, as text.

use crate::promote::IncidentStatus;
use crate::record::{StatusChange, StatusSet};
use crate::render::style::{field, short, time};
use crate::visible::visible;

/// That the status of an incident was set, for whoever set it.
#[must_use]
pub fn status_changed(change: &StatusChange) -> String {
    format!(
        "incident {} is {} (it was {})\n",
        short(change.incident),
        status(change.to),
        status(change.from)
    )
}

/// What an incident was set to last, below its explanation.
#[must_use]
pub fn status_set(set: &StatusSet) -> String {
    let StatusSet { time: at, change } = set;
    let mut out = String::new();
    let note = change
        .note
        .as_deref()
        .map_or_else(String::new, |note| format!(": {note}"));
    let text = format!(
        "{} by {}, {} UTC{note}",
        status(change.to),
        visible(&change.by),
        time(Some(*at))
    );
    field(&mut out, "status", &text);
    out
}

/// The word for a status.
pub(super) fn status(status: IncidentStatus) -> &'static str {
    match status {
        IncidentStatus::Open => "open",
        IncidentStatus::Triaged => "triaged",
        IncidentStatus::Closed => "closed",
    }
}
