//! What became of a saved state, rule by rule.

use crate::detect::{Fate, Restored};
use crate::diag::counted;

use crate::visible::visible;

/// A line for the rules that go on, and one for each that begins anew or is gone.
#[must_use]
pub fn restored(restored: &Restored) -> Vec<String> {
    let kept = restored
        .rules
        .iter()
        .filter(|(_, fate)| *fate == Fate::Kept);
    let kept: Vec<String> = kept.map(|(rule, _)| visible(rule)).collect();
    let first = match kept.as_slice() {
        [] => "restored: no rule".to_owned(),
        kept => format!("restored: {}", kept.join(", ")),
    };
    let others = restored.rules.iter().filter_map(|(rule, fate)| {
        let rule = visible(rule);
        Some(match fate {
            Fate::Kept => return None,
            Fate::New => format!("begins anew: {rule}, which the state does not know"),
            Fate::Changed(open) => format!(
                "begins anew: {rule}, which does something else now{}",
                lost(*open)
            ),
            Fate::Rewired(open) => format!(
                "begins anew: {rule}, since it gives findings now and did not, or the other way round{}",
                lost(*open)
            ),
            Fate::Gone(open) => format!("let go: {rule}, which is gone{}", lost(*open)),
        })
    });
    std::iter::once(first).chain(others).collect()
}

/// A line for each rule that does not go on under another policy, and for each that is new.
#[must_use]
pub fn handed_over(restored: &Restored) -> Vec<String> {
    let lines = restored.rules.iter().filter_map(|(rule, fate)| {
        let rule = visible(rule);
        Some(match fate {
            Fate::Kept => return None,
            Fate::New => format!("begins: {rule}, which is new"),
            Fate::Changed(open) => {
                format!("begins anew: {rule}, which does something else now{}", closed(*open))
            }
            Fate::Rewired(open) => format!(
                "begins anew: {rule}, since it gives findings now and did not, or the other way round{}",
                closed(*open)
            ),
            Fate::Gone(open) => format!("let go: {rule}, which is gone{}", closed(*open)),
        })
    });
    lines.collect()
}

fn closed(open: u64) -> String {
    if open == 0 {
        String::new()
    } else {
        format!("; {} closed", counted(open, "open finding"))
    }
}

fn lost(open: u64) -> String {
    if open == 0 {
        String::new()
    } else {
        format!("; {} lost", counted(open, "open finding"))
    }
}
