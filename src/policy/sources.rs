//! Log sources: a rule or filter for another product's log is kept and not run.

use crate::detect::{Filter, LogSource, Logic, Rule, rule_codes};
use crate::diag::Problems;
use crate::okta;

/// Takes the rules and filters whose log source is not Okta's out of detection, each with a warning.
pub(super) fn leave_out_others(
    rules: &mut [Rule],
    filters: &mut Vec<Filter>,
    problems: &mut Problems,
) {
    filters.retain(|filter| !report_other(&filter.source, "filter", problems));
    for rule in rules {
        let Some(source) = &rule.source else {
            continue;
        };
        if report_other(source, "rule", problems) && matches!(rule.logic, Logic::Detection(_)) {
            rule.logic = Logic::Inactive;
        }
    }
}

/// Whether a log source is not Okta's, with a warning.
fn report_other(source: &LogSource, what: &str, problems: &mut Problems) -> bool {
    let LogSource {
        product,
        category,
        service,
        span,
    } = source;
    let other = okta::not_ours(product.as_deref(), category.as_deref(), service.as_deref());
    if let Some((attribute, value)) = other {
        let message = format!("this {what} is for the {attribute} `{value}` and is not run");
        problems
            .warn(rule_codes::OTHER_PRODUCT, *span, message)
            .help("a log source of Okta is `{product: okta, service: okta}`");
    }
    other.is_some()
}
