//! `rulectl test`: the suites of the policy folder.

use std::path::Path;
use std::str::FromStr;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::databases::DatabaseArgs;
use crate::cli::output::{UsageError, bad, out, out_json, talk, talk_problems};
use crate::cli::reports::{Report, ReportFormat, placed, root_of, write};
use crate::cli::slots::SlotArgs;
use crate::cli::{Common, Exit, Format};
use crate::lab::diff::SideError;
use crate::lab::explain::Explanation;
use crate::lab::{
    Case, CaseResult, Coverage, Mismatch, Project, Rig, Suite, changed_since, cover, run_all,
};
use crate::render::{
    covered, failed_case, tested_annotations, tested_junit, tested_page, tested_sarif,
};
use crate::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only cases whose `SUITE: CASE` holds one of these texts
    names: Vec<String>,
    /// Only suites whose files or whose rules are others than in a revision, such as `main`
    #[arg(long, value_name = "REV")]
    changed_since: Option<String>,
    /// Write a report too: html=, junit=, sarif= or json=FILE, or `github` for annotations on standard output; several at once
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    reports: Vec<Asked>,
    /// Say what the cases reach of the policy, and what they never do
    #[arg(long)]
    coverage: bool,
    /// End with 1 where the cases reach less of the policy, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_under: Option<f64>,
    #[command(flatten)]
    databases: DatabaseArgs,
    #[command(flatten)]
    slots: SlotArgs,
}

/// A report that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// Commands of a workflow, on stdout.
    Github,
    /// A file.
    File(Report),
}

/// The reports that are files.
const FORMATS: [ReportFormat; 4] = [
    ReportFormat::Html,
    ReportFormat::Junit,
    ReportFormat::Sarif,
    ReportFormat::Json,
];

impl FromStr for Asked {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "github" {
            return Ok(Self::Github);
        }
        let report = Report::one_of(word, &FORMATS);
        report
            .map(Self::File)
            .map_err(|reason| reason + "; or `github` alone")
    }
}

fn percent(word: &str) -> Result<f64, String> {
    let percent = word.parse().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected a number from 0 to 100, such as 90".to_owned())
}

impl Args {
    fn covers(&self) -> bool {
        self.coverage || self.fail_under.is_some()
    }

    fn files(&self) -> Vec<Report> {
        let files = self.reports.iter().filter_map(|asked| match asked {
            Asked::Github => None,
            Asked::File(report) => Some(report.clone()),
        });
        files.collect()
    }

    fn annotates(&self) -> bool {
        self.reports.contains(&Asked::Github)
    }
}

/// Runs the command.
pub fn test(common: &Common, args: &Args) -> Result<Exit> {
    let reports = args.files();
    placed(&reports)?;
    if args.annotates() && common.format != Format::Text {
        let message = "`--report github` writes to standard output, as `--format` does: leave one of them out, or write the JSON with `--report json=FILE`";
        return Err(UsageError(message.to_owned()).into());
    }
    let databases = args.databases.open();
    let mut project = Project::read(&common.policy);
    talk_problems(&project.loaded.problems);
    let Some(databases) = databases else {
        return Ok(Exit::Broken);
    };
    let Some(policy) = project.take_policy(&databases) else {
        return Ok(Exit::Broken);
    };
    let Project { loaded, mut suites } = project;
    if let Some(word) = &args.changed_since {
        let changed = changed_since(word, &common.policy, (&policy, &loaded.files), &suites);
        let mut changed = changed.map_err(in_words)?.into_iter();
        suites.retain(|_| changed.next().unwrap_or(true));
        if suites.is_empty() {
            talk(&format!(
                "no suite is concerned by what changed since `{}`",
                visible::visible(word)
            ));
            return none_ran(common, &reports).map(|()| Exit::Done);
        }
    }
    let selected = selected(&suites, &args.names);
    if selected.is_empty() {
        bad(&nothing_selected(&suites, &args.names));
        return none_ran(common, &reports).map(|()| Exit::Negative);
    }
    let cases: Vec<&Case> = selected.iter().map(|(_, case)| *case).collect();
    let filler = match args.slots.filler(&args.slots.config()?, &common.policy)? {
        Ok(filler) => filler,
        Err(exit) => return Ok(exit),
    };
    let rig = Rig::new(&policy, &databases).explaining(&loaded.problems);
    let results = run_all(&rig.asking(filler.model()), &cases);
    let recorded = filler.finish()?;
    let suites = selected.iter().map(|(suite, _)| *suite);
    let reached = results.iter().map(|result| &result.reached);
    let told = Told {
        policy: &common.policy,
        coverage: args.covers().then(|| cover(&policy, reached)),
        least: args.fail_under,
        results: suites.zip(results).collect(),
    };
    let root = root_of(&common.policy);
    told.show(common.format)?;
    if args.annotates() {
        out(&tested_annotations(&common.policy, &told.results, &root))?;
    }
    write(&reports, |format| told.report(format, &root))?;
    Ok(told.exit().or(recorded))
}

/// What is told where no case ran: a report of an earlier run must not stay as if it were of this one.
fn none_ran(common: &Common, reports: &[Report]) -> Result<()> {
    let told = Told {
        policy: &common.policy,
        results: Vec::new(),
        coverage: None,
        least: None,
    };
    if common.format != Format::Text {
        told.show(common.format)?;
    }
    let root = root_of(&common.policy);
    write(reports, |format| told.report(format, &root))
}

/// A revision that is not there is a mistake of who named it.
fn in_words(error: SideError) -> anyhow::Error {
    match error {
        SideError::Named(text) => UsageError(text).into(),
        error => error.into(),
    }
}

/// The cases that are asked for, each with its suite.
fn selected<'s>(suites: &'s [Suite], names: &[String]) -> Vec<(&'s Suite, &'s Case)> {
    let cases = suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)));
    cases
        .filter(|(suite, case)| is_named(suite, &case.name, names))
        .collect()
}

fn is_named(suite: &Suite, case: &str, names: &[String]) -> bool {
    let full = format!("{}: {case}", suite.name).to_lowercase();
    names.is_empty() || names.iter().any(|name| full.contains(&name.to_lowercase()))
}

fn nothing_selected(suites: &[Suite], names: &[String]) -> String {
    if suites.is_empty() {
        return "the policy has no suites; write one as `fixtures/NAME.test.yml`, or `tests` in the `rulectl` block of a rule".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("no case is called {}", names.join(" or "))
}

/// What the form of the JSON is called; another form has another number.
const SCHEMA: &str = "rulectl.test/1";

/// All that is told.
struct Told<'s> {
    policy: &'s Path,
    results: Vec<(&'s Suite, CaseResult)>,
    coverage: Option<Coverage>,
    least: Option<f64>,
}

impl Told<'_> {
    fn failed(&self) -> impl Iterator<Item = &(&Suite, CaseResult)> {
        self.results.iter().filter(|(_, result)| !result.passed())
    }

    fn show(&self, format: Format) -> Result<()> {
        match format {
            Format::Json => out_json(&self.document()),
            Format::Ndjson => self.lines(),
            Format::Text => self.text(),
        }
    }

    fn text(&self) -> Result<()> {
        let mut failed = 0;
        for (suite, result) in self.failed() {
            out(&failed_case(self.policy, suite, result))?;
            failed += 1;
        }
        let passed = self.results.len() - failed;
        out(&format!("{passed} passed, {failed} failed\n"))?;
        let Some(coverage) = &self.coverage else {
            return Ok(());
        };
        out(&covered(coverage))?;
        match self.least.filter(|_| self.covers_too_little()) {
            Some(least) => out(&format!(
                "that is less than the {least} % of --fail-under\n"
            )),
            None => Ok(()),
        }
    }

    fn lines(&self) -> Result<()> {
        self.shown().try_for_each(|shown| out_json(&shown))?;
        let items = self.coverage.iter().flat_map(|coverage| &coverage.items);
        items
            .map(|item| json!({"coverage": item}))
            .try_for_each(|item| out_json(&item))
    }

    fn covers_too_little(&self) -> bool {
        let (coverage, least) = (self.coverage.as_ref(), self.least);
        coverage
            .zip(least)
            .is_some_and(|(coverage, least)| coverage.percent() < least)
    }

    fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        let results = self.results.iter();
        results.map(|(suite, result)| Shown::new(suite, result))
    }

    fn document(&self) -> Value {
        let failed = self.failed().count();
        let mut document = json!({
            "schema": SCHEMA,
            "passed": self.results.len() - failed,
            "failed": failed,
            "cases": self.shown().collect::<Vec<_>>(),
        });
        if let (Value::Object(map), Some(coverage)) = (&mut document, &self.coverage) {
            let coverage = json!({
                "reached": coverage.reached(),
                "percent": coverage.percent(),
                "items": coverage.items,
            });
            map.insert("coverage".to_owned(), coverage);
        }
        document
    }

    /// The text of a report.
    fn report(&self, format: ReportFormat, root: &str) -> Result<String> {
        Ok(match format {
            ReportFormat::Html => tested_page(self.policy, &self.results, self.coverage.as_ref()),
            ReportFormat::Junit => tested_junit(self.policy, &self.results),
            ReportFormat::Sarif => {
                visible::json(&tested_sarif(self.policy, &self.results, root))? + "\n"
            }
            _ => visible::json(&self.document())? + "\n",
        })
    }

    fn exit(&self) -> Exit {
        match self.failed().next() {
            Some(_) => Exit::Negative,
            None if self.covers_too_little() => Exit::Negative,
            None => Exit::Done,
        }
    }
}

/// A case for a machine.
#[derive(Serialize)]
struct Shown<'r> {
    suite: &'r str,
    file: &'r str,
    line: usize,
    case: &'r str,
    passed: bool,
    mismatches: &'r [Mismatch],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    explained: &'r [Explanation],
}

impl<'r> Shown<'r> {
    fn new(suite: &'r Suite, result: &'r CaseResult) -> Self {
        Self {
            suite: &suite.name,
            file: &suite.file,
            line: result.line,
            case: &result.name,
            passed: result.passed(),
            mismatches: &result.mismatches,
            explained: &result.explained,
        }
    }
}
