//! `rulectl check`: every problem of the policy folder.

use anyhow::Result;
use chrono::NaiveDate;

use crate::cli::fix::fix_files;
use crate::cli::output::{UsageError, bad, out, out_json, talk};
use crate::cli::reports::{Report, ReportFormat, placed, root_of, write};
use crate::cli::{Common, Exit, Face};
use crate::diag::{Problems, counted};
use crate::lab::{Project, UNREACHED, report_unreached};
use crate::policy::codes::{EXPLODES, OF_OURS};
use crate::policy::{Loaded, report_unportable};
use crate::render::{
    code_page, codes_beside, nearest_code, problems_as_commands, problems_as_sarif,
    problems_as_text, problems_as_values, suppressed_as_text,
};
use crate::visible::json;
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`--format` takes `sarif` and `github` here too: the document that forges show beside the lines of files, and commands of a workflow."
)]
pub struct Args {
    /// End with 1 where there are warnings
    #[arg(long, conflicts_with = "explain")]
    deny_warnings: bool,
    /// Say what a code means, with an example and what to do; no policy is read
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
    /// Write a report too: sarif= or json=FILE; several at once
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = report)]
    reports: Vec<Report>,
    /// The day, in UTC, on which comments that suppress warnings must hold [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    today: Option<NaiveDate>,
    /// Run the cases too, and warn of rules that fire in none
    #[arg(long, conflicts_with = "explain")]
    coverage: bool,
    /// Warn of what engines of others cannot take, such as expressions that need very long there
    #[arg(long, conflicts_with = "explain")]
    portable: bool,
    /// Put right what is right whatever was meant, such as the case of a field, and show what is changed
    #[arg(long, conflicts_with = "explain")]
    fix: bool,
    /// With --fix: show it, and write nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
}

impl Args {
    /// Whether problems of a code are looked for.
    fn seeks(&self, code: &str) -> bool {
        match code {
            UNREACHED => self.coverage,
            EXPLODES | OF_OURS => self.portable,
            _ => true,
        }
    }
}

/// Runs the command.
pub fn check(common: &Common, args: &Args) -> Result<Exit> {
    match &args.explain {
        Some(code) => explain(common, code),
        None => check_policy(common, args),
    }
}

fn report(word: &str) -> Result<Report, String> {
    Report::one_of(word, &[ReportFormat::Sarif, ReportFormat::Json])
}

fn day(word: &str) -> Result<NaiveDate, String> {
    let day = NaiveDate::parse_from_str(word, "%Y-%m-%d").ok();
    day.ok_or_else(|| "expected a day, such as 2027-03-31".to_owned())
}

fn explain(common: &Common, code: &str) -> Result<Exit> {
    let Some(page) = code_page(code) else {
        return Ok(no_code(code));
    };
    match common.face {
        Face::Text => out(&page.as_text())?,
        Face::Json | Face::Ndjson => out_json(&page)?,
        Face::Sarif | Face::Github => {
            let message = "`--explain` has the formats `text`, `json` and `ndjson`";
            return Err(UsageError(message.to_owned()).into());
        }
    }
    Ok(Exit::Done)
}

/// Says that there is no such code, and which there are beside it.
fn no_code(code: &str) -> Exit {
    let near = nearest_code(code).map(|near| format!("; did you mean `{near}`?"));
    let near = near.unwrap_or_else(|| "; a code is like `RL0122`".to_owned());
    bad(&format!("there is no code `{code}`{near}"));
    let mut beside = codes_beside(code).peekable();
    if beside.peek().is_some() {
        talk("of the same hundred there are");
    }
    for page in beside {
        talk(&format!("  {}  {}", page.code, page.title()));
    }
    Exit::Usage
}

fn check_policy(common: &Common, args: &Args) -> Result<Exit> {
    placed(&args.reports)?;
    if args.fix && common.face != Face::Text {
        let message = "`--fix` shows what it changes as text; leave `--format` out, and write what is left with `--report`";
        return Err(UsageError(message.to_owned()).into());
    }
    let today = args.today.unwrap_or_else(|| (World::live().now)().day());
    let settle = |problems: &mut Problems| problems.settle(today, |code| args.seeks(code));
    let mut loaded = load(common, args, settle);
    // What only a flag looks for is not looked for again with the changes.
    let settle_fixed = |problems: &mut Problems| {
        problems.settle(today, |code| {
            ![UNREACHED, EXPLODES, OF_OURS].contains(&code)
        });
    };
    if args.fix && fix_files(common, &loaded, settle_fixed, args.dry_run)? {
        loaded = load(common, args, settle);
    }
    let root = root_of(&common.policy);
    match common.face {
        Face::Text => out(&as_text(&loaded))?,
        Face::Json => out_json(&problems_as_values(&loaded.problems))?,
        Face::Ndjson => {
            let values = problems_as_values(&loaded.problems);
            values.iter().try_for_each(out_json)?;
        }
        Face::Sarif => out_json(&problems_as_sarif(&loaded.problems, &root))?,
        Face::Github => out(&problems_as_commands(&loaded.problems, &root))?,
    }
    write(&args.reports, |format| {
        Ok(match format {
            ReportFormat::Sarif => json(&problems_as_sarif(&loaded.problems, &root))? + "\n",
            _ => json(&problems_as_values(&loaded.problems))? + "\n",
        })
    })?;
    let (errors, warnings) = loaded.problems.counts();
    Ok(match (errors, warnings) {
        (0, 0) => Exit::Done,
        (0, _) if args.deny_warnings => Exit::Negative,
        (0, _) => Exit::Done,
        _ => Exit::Broken,
    })
}

/// The policy with every problem of its files and its suites.
fn load(common: &Common, args: &Args, settle: impl Fn(&mut Problems)) -> Loaded {
    let Project { mut loaded, suites } = Project::read(&common.policy);
    let is_whole = !loaded.problems.has_errors();
    if let Some(policy) = loaded.policy.as_ref().filter(|_| is_whole) {
        if args.portable {
            report_unportable(policy, &mut loaded.problems);
        }
        if args.coverage {
            report_unreached(policy, &suites, &mut loaded.problems);
        }
    }
    settle(&mut loaded.problems);
    loaded
}

fn as_text(loaded: &Loaded) -> String {
    let clean = loaded.problems.counts() == (0, 0);
    let mut text = String::new();
    if !clean {
        text.push_str(&problems_as_text(&loaded.problems, true));
    }
    let is_whole = !loaded.problems.has_errors();
    if let Some(policy) = loaded.policy.as_ref().filter(|_| is_whole) {
        let ready = if clean {
            format!("no problems{}", suppressed_as_text(&loaded.problems))
        } else {
            "the policy can be activated".to_owned()
        };
        text.push_str(&format!(
            "{ready}: {}, {}, policy {}\n",
            counted(policy.rules.len() as u64, "rule"),
            counted(policy.tools.commands.len() as u64, "command template"),
            policy.digest
        ));
    }
    text
}
