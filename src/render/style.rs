//! Colours and the few shapes that every text shares.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::detect::Severity;
use crate::event::Time;
use crate::visible::visible;

/// The styles of a text. The stream that it is written to drops them where there is no colour.
pub struct Styles;

impl Styles {
    /// Headings.
    pub const HEADING: Style = Style::new().bold();
    /// What is beside the point.
    pub const QUIET: Style = Style::new().dimmed();
    /// What went well.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// What went wrong.
    pub const BAD: Style = AnsiColor::Red.on_default().bold();

    /// The style of a severity.
    #[must_use]
    pub fn severity(severity: Severity) -> Style {
        match severity {
            Severity::Low => AnsiColor::Blue.on_default(),
            Severity::Medium => AnsiColor::Yellow.on_default(),
            Severity::High => AnsiColor::Red.on_default(),
            Severity::Critical => AnsiColor::Magenta.on_default().bold(),
        }
    }
}

/// Untrusted text in a style: made visible first, so that it cannot end the style.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{}{style:#}", visible(text))
}

/// A severity in capitals, padded to the widest.
pub(super) fn severity(severity: Severity) -> String {
    let text = format!("{:<8}", severity.as_str().to_uppercase());
    styled(Styles::severity(severity), &text)
}

/// A time for a person: to the second, UTC.
pub(super) fn time(time: Option<Time>) -> String {
    time.map_or_else(
        || "no readable time".to_owned(),
        |time| {
            let text = time.to_string();
            let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
            format!("{date} {}", rest.get(..8).unwrap_or(rest))
        },
    )
}

/// The first eight digits of an id: enough for `show`.
pub(super) fn short(id: uuid::Uuid) -> String {
    id.to_string().chars().take(8).collect()
}

/// `label` in a column of its own, then untrusted text.
pub(super) fn field(out: &mut String, label: &str, text: &str) {
    raw_field(out, label, &visible(text));
}

/// The same for text that is already safe.
pub(super) fn raw_field(out: &mut String, label: &str, text: &str) {
    let quiet = Styles::QUIET;
    // Writing to a String cannot fail.
    let _ = writeln!(out, "    {quiet}{label:<9}{quiet:#} {text}");
}
