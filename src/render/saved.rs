//! What a save of the policy comes to.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::diag::counted;
use crate::lab::{Saved, Sound, Standing};
use crate::render::style::{Styles, styled};
use crate::render::{changed, failed_case, problems_as_text};
use crate::visible::visible;

/// What a save of a policy folder comes to, beside a revision: what is wrong, what differs, and last one line that
/// says whether it is good; `took` is told behind it.
#[must_use]
pub fn after_save(policy: &Path, base: &str, saved: &Saved, took: Option<Duration>) -> String {
    let mut out = String::new();
    if saved.problems.counts() != (0, 0) {
        out.push_str(&problems_as_text(&saved.problems, true));
    }
    let line = match &saved.sound {
        Some(sound) => sound_line(&mut out, policy, base, sound),
        None => {
            let text = "nothing was tested, and nothing compared";
            format!("{}: {text}", styled(Styles::BAD, "broken"))
        }
    };
    let took = took.map(|took| format!("  {:.2} s", took.as_secs_f64()));
    let took = took.unwrap_or_default();
    let _ = writeln!(out, "{line}{}", styled(Styles::QUIET, &took));
    out
}

/// Tells what comes of a policy without errors, but for the last line, which is given.
fn sound_line(out: &mut String, policy: &Path, base: &str, sound: &Sound) -> String {
    let mut failed = 0;
    for (suite, result) in sound.failed() {
        out.push_str(&failed_case(policy, suite, result));
        failed += 1;
    }
    let base = visible(base);
    let differs = match &sound.differs {
        Ok(differs) if differs.changes.same => format!("the same as in `{base}`"),
        Ok(differs) => {
            let names = (base.as_str(), "saved");
            let (effect, verdict) = (differs.effect.as_ref(), differs.verdict.as_ref());
            out.push_str(&changed(names, &differs.changes, effect, verdict));
            out.push('\n');
            format!("differs from `{base}`, as above")
        }
        Err(not) => format!("not compared with `{base}`: {}", visible(not.reason())),
    };
    let good = match sound.standing() {
        Standing::Good => styled(Styles::GOOD, "good"),
        Standing::NotKnown => styled(Styles::BAD, "not known"),
        Standing::Failing => styled(Styles::BAD, "failing"),
    };
    let passed = sound.results.len() - failed;
    let cases = match failed {
        0 => format!("{} passed", counted(passed as u64, "case")),
        _ => format!("{} failed, {passed} passed", counted(failed as u64, "case")),
    };
    let rules = counted(sound.rules as u64, "rule");
    format!("{good}: {rules}, {cases}, {differs}")
}
