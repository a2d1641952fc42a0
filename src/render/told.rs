//! What a model was asked of a finding, and what it answered.

use std::fmt::Write;

use crate::lab::replay::RecordedFill;
use crate::record::{Said, SlotCall};
use crate::render::asked::prose;
use crate::render::style::Styles;
use crate::visible::visible;

/// So much of a prompt's values or of a reply is shown, in characters.
const SHOWN: usize = 400;

/// A section about the slots that somebody was asked to fill; nothing where nobody was.
#[must_use]
pub fn told(fills: &[RecordedFill]) -> String {
    let mut out = String::new();
    if fills.is_empty() {
        return out;
    }
    let style = Styles::HEADING;
    let _ = writeln!(out, "\n  {style}What a model was asked{style:#}");
    for fill in fills {
        prose(&mut out, &fill.slot.slot, &verdict(fill));
        for (at, call) in fill.slot.calls.iter().enumerate() {
            called(&mut out, call, fill.said.get(at));
        }
        if let Some(gone) = &fill.gone {
            prose(
                &mut out,
                "",
                &format!("what was said is not to be had: {gone}"),
            );
        }
    }
    out
}

fn verdict(fill: &RecordedFill) -> String {
    let calls = match fill.slot.calls.len() {
        0 => "nothing was asked",
        1 => "one call",
        _ => "two calls, the second to repair the first",
    };
    match &fill.slot.refused {
        None => format!("record {}, {calls}; accepted", fill.seq),
        Some(why) => format!("record {}, {calls}; refused: {why}", fill.seq),
    }
}

fn called(out: &mut String, call: &SlotCall, said: Option<&Said>) {
    if let Some(said) = said {
        let prompt = said.request.prompt.to_string();
        let digits = prompt.get(..12).unwrap_or_default();
        let values = cut(&said.request.context.to_string());
        prose(out, "prompt", &format!("{digits} with {values}"));
    }
    if let Some(reply) = said.and_then(|said| said.reply.as_ref()) {
        prose(out, "reply", &cut(&reply.text));
    }
    if let Some(why) = &call.refused {
        prose(out, "refused", why);
    }
    if let Some(why) = &call.failure {
        prose(out, "no reply", why);
    }
}

/// A text on one line, whatever ends of lines a model likes.
fn cut(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // What is shown is made safe before it is cut, so that no escape is cut in two.
    let text = visible(&text);
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN - 1).chain(['…']).collect()
}
