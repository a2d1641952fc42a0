//! What tests found and reach, as a page: one file that opens anywhere and loads nothing.

use std::path::Path;

use maud::{Markup, html};

use crate::diag::counted;
use crate::lab::{CaseResult, Coverage, Item, Suite};
use crate::render::report::page::{ROWS, Said, document, section, table};
use crate::render::report::tested::{Tested, told};

/// The cases, those that failed first and with what came out, and what they reach of the policy.
#[must_use]
pub fn tested_page(policy: &Path, results: &[Tested<'_>], coverage: Option<&Coverage>) -> String {
    let failed = results
        .iter()
        .filter(|(_, result)| !result.passed())
        .count();
    let passed = results.len() - failed;
    let tone = if failed > 0 { "bad" } else { "good" };
    let said = format!("{} passed, {failed} failed", counted(passed as u64, "case"));
    let head = html! {
        h1 { "rulectl test" }
        div class={ "verdict " (tone) } {
            p { strong { (said) "." } }
            @if let Some(coverage) = coverage { p { (reach(coverage)) "." } }
        }
    };
    let body = html! {
        (cases(policy, "Failed", results, false))
        @if let Some(coverage) = coverage {
            (items("Never", coverage, false))
            (items("Reached", coverage, true))
        }
        (cases(policy, "Passed", results, true))
    };
    document(&html! { "rulectl test" }, &head, &body)
}

fn reach(coverage: &Coverage) -> String {
    let (reached, all) = (coverage.reached(), coverage.items.len());
    let percent = coverage.percent();
    format!("Coverage: {reached} of {all}, {percent:.1} %")
}

fn cases(policy: &Path, heading: &str, results: &[Tested<'_>], passed: bool) -> Markup {
    let of = results
        .iter()
        .filter(|(_, result)| result.passed() == passed);
    let rows = html! {
        @for tested in of.clone().take(ROWS) { (case(policy, tested)) }
    };
    let body = table(&["suite", "case", "where"], &rows);
    section(heading, of.count(), 0, &body)
}

fn case(policy: &Path, (suite, result): &(&Suite, CaseResult)) -> Markup {
    let place = format!("{}:{}", suite.file, result.line);
    html! {
        tr data-row {
            td { (Said(&suite.name)) }
            td.what {
                @if result.passed() { (Said(&result.name)) } @else {
                    details {
                        summary { (Said(&result.name)) }
                        div.inside {
                            @for line in told(policy, suite, result).lines() {
                                div { code { (Said(line)) } }
                            }
                        }
                    }
                }
            }
            td { code { (Said(&place)) } }
        }
    }
}

fn items(heading: &str, coverage: &Coverage, reached: bool) -> Markup {
    let of = coverage.items.iter().filter(|item| item.reached == reached);
    let rows = html! {
        @for item in of.clone().take(ROWS) { (reached_of(item)) }
    };
    let body = table(&["what", "name", "must", "where"], &rows);
    section(heading, of.count(), 0, &body)
}

fn reached_of(item: &Item) -> Markup {
    html! {
        tr data-row {
            td { (item.kind) }
            td { code { (Said(&item.name)) } }
            td { (item.wanted) }
            td { @if let Some(place) = &item.place { code { (Said(place)) } } }
        }
    }
}
