//! The faces: values as text for a person. They show results and decide nothing.

mod answer;
mod asked;
mod audit;
mod audits;
mod codes;
mod decided;
mod diagnostics;
mod diff;
mod effect;
mod explained;
mod fills;
mod finding;
mod gate;
mod hostile;
mod lines;
mod lists;
mod pack;
mod replay;
mod report;
mod restored;
mod saved;
mod status;
mod style;
mod summary;
mod test;
mod told;
mod tools;

pub use self::answer::{
    answered, answered_as_csv, answered_rows, changed_questions, history, questions_as_markdown,
};
pub use self::audit::{CSV_HEADER, as_csv, pruned, recorded, recovered, verified};
pub use self::codes::{CodePage, code_page, code_pages, codes_beside, nearest_code};
pub use self::decided::{explained_finding, explained_incident};
pub use self::diagnostics::{
    fix_as_text, problems_as_text, problems_as_values, suppressed_as_text,
};
pub use self::diff::{changed, changed_in_audits, text_diff};
pub use self::explained::explained;
pub use self::fills::{filled, filled_by_slot};
pub use self::finding::{explain_finding, explain_incident, explain_plan};
pub use self::hostile::attacked;
pub use self::lines::{Lines, detected};
pub use self::lists::{commands, drafts, findings, incidents, plans};
pub use self::pack::{CoverageBy, WRITTEN, coverage, navigator, pages};
pub use self::replay::{decided_again, replayed};
pub use self::report::{
    Actors, Diffed, MARKER, junit, markdown, page, problems_as_commands, problems_as_sarif, sarif,
    tested_annotations, tested_junit, tested_page, tested_sarif,
};
pub use self::restored::{handed_over, restored};
pub use self::saved::after_save;
pub use self::status::{status_changed, status_set};
pub use self::style::Styles;
pub use self::summary::{Collected, outcome_line, summary};
pub use self::test::{DEFAULT_POLICY, covered, failed_case};
pub use self::told::told;
pub use self::tools::{Listed, drift, tool, tools};
