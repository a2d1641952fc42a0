//! What a replay came to, as text.

use std::fmt::Write;

use crate::diag::counted;
use crate::lab::replay::{Changed, Difference, How, Origin, RecordedFinding, Report, RunReport};
use crate::render::style::{Styles, field, raw_field, short, styled};
use crate::visible::visible;

/// What came of replaying runs.
#[must_use]
pub fn replayed(report: &Report) -> String {
    let mut out = String::new();
    for run in &report.runs {
        let heading = styled(Styles::HEADING, &format!("run {}", short(run.run)));
        let _ = writeln!(out, "{heading}  record {}, {}", run.seq, run.time);
        verdict(&mut out, run);
    }
    let (recorded, same) = report.runs.iter().fold((0, 0), |(recorded, same), run| {
        (recorded + run.recorded, same + run.same)
    });
    let _ = writeln!(
        out,
        "\n{} of {} in {} came out the same, byte for byte. Nothing was executed.",
        same,
        counted(recorded, "recorded decision"),
        counted(report.runs.len() as u64, "run")
    );
    out
}

/// What came of replaying one finding, and where its events came from.
#[must_use]
pub fn decided_again(recorded: &RecordedFinding, origins: &[Origin], report: &Report) -> String {
    let mut out = String::new();
    let style = Styles::HEADING;
    let _ = writeln!(out, "\n  {style}From what, and again{style:#}");
    field(
        &mut out,
        "records",
        &format!("{} to {} of the audit", recorded.seq, recorded.last),
    );
    for (at, origin) in origins.iter().enumerate() {
        let label = if at == 0 { "events" } else { "" };
        let input = origin.input.as_deref().unwrap_or("an input");
        let digest: String = origin.digest.to_string().chars().take(12).collect();
        let text = format!("{digest}  {}, line {}", visible(input), origin.line);
        raw_field(&mut out, label, &text);
    }
    for run in &report.runs {
        verdict(&mut out, run);
    }
    out
}

fn verdict(out: &mut String, run: &RunReport) {
    let same = format!(
        "{} of {} came out the same, byte for byte",
        run.same,
        counted(run.recorded, "recorded decision")
    );
    field(out, "replayed", &same);
    if let Some(why) = &run.inconclusive {
        field(out, "cut short", why);
    }
    for unanswered in &run.unanswered {
        field(out, "no answer", unanswered);
    }
    if run.cut_short {
        field(out, "ended", "never: the run was cut short");
    }
    if run.beyond > 0 {
        let beyond = counted(run.beyond, "decision");
        let text = format!("{beyond} more, which were not recorded since the run was cut short");
        field(out, "beyond", &text);
    }
    if run.different > 0 {
        run.changed.iter().for_each(|changed| cause(out, changed));
        if run.changed.is_empty() && run.inconclusive.is_none() {
            let text = "policy and program are the same as then: the record was not made by them";
            field(out, "cause", text);
        }
    }
    for difference in &run.differences {
        told(out, difference);
    }
    let left = run.different.saturating_sub(run.differences.len() as u64);
    if left > 0 {
        raw_field(out, "", &format!("… and {left} more"));
    }
}

fn cause(out: &mut String, changed: &Changed) {
    let text = match changed {
        Changed::Policy { recorded, now } => {
            let digits = |digest: &crate::event::Digest| -> String {
                digest.to_string().chars().take(12).collect()
            };
            format!(
                "the policy is another: it was {}, this is {}",
                digits(recorded),
                digits(now)
            )
        }
        Changed::Engine { recorded, now } => format!(
            "the program is another: it was {} from source {}, this is {} from source {}",
            visible(&recorded.version),
            visible(&recorded.source),
            now.version,
            now.source
        ),
    };
    field(out, "cause", &text);
}

fn told(out: &mut String, difference: &Difference) {
    let about = difference.subject.as_deref().unwrap_or("the run");
    let record = match difference.seq {
        Some(seq) => format!("record {seq}"),
        None => "no record".to_owned(),
    };
    let text = format!("{record}, {} of {}", difference.kind, visible(about));
    let how = match &difference.how {
        How::Changed { at, recorded, now } => format!(
            "`{}` was {}, and is {}",
            visible(at),
            value(recorded),
            value(now)
        ),
        How::NotMade => "is not made any more".to_owned(),
        How::NotRecorded => "was not made then".to_owned(),
    };
    field(out, "differs", &format!("{text}: {how}"));
}

/// A value on one line, cut to what a line takes.
fn value(value: &serde_json::Value) -> String {
    const WIDTH: usize = 120;
    let text = visible(&value.to_string());
    if text.chars().count() <= WIDTH {
        return text;
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}
