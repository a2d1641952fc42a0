//! The command line: a file a command, each parsing its words, calling the
//! library, rendering what comes back, and ending with an exit code that means the same for every command.

mod audit;
mod check;
mod databases;
mod detect;
mod dev;
mod diff;
mod doctor;
mod events;
mod explain;
mod faces;
mod fetcher;
mod fix;
mod fmt;
mod hostile;
mod import;
mod incident;
mod init;
mod live;
mod lsp;
mod okta;
mod output;
mod pack;
mod progress;
mod questions;
mod replay;
mod reports;
mod run;
mod schema;
mod show;
mod slots;
mod so_far;
mod state;
mod tenant;
mod test;
mod tools;
mod watching;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::render::DEFAULT_POLICY;

/// How a command ended: the same numbers for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: a negative answer, such as a failed test.
    Negative,
    /// 2: a broken policy or input, or an outside service that failed, such as a model.
    Broken,
    /// 3: wrong usage or configuration.
    Usage,
    /// 4: inconclusive, such as a recording that is gone.
    Inconclusive,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Negative => 1,
            Self::Broken => 2,
            Self::Usage => 3,
            Self::Inconclusive => 4,
        }
    }

    /// How much it counts beside others.
    fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Negative => 1,
            Self::Inconclusive => 2,
            Self::Broken => 3,
            Self::Usage => 4,
        }
    }

    /// The one of two that counts: 3 over 2 over 4 over 1.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if other.weight() > self.weight() {
            other
        } else {
            self
        }
    }
}

/// Runs the security operations of an Okta tenant from a folder of rule files.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done; 1 a negative answer, such as a failed test; 2 a broken policy or input, or a model that failed; 3 wrong usage; 4 inconclusive, such as a recording that is gone."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// The policy folder
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_POLICY)]
    pub policy: PathBuf,
    /// The data folder, for artifacts and archived policies
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
    /// How results are written to standard output: text, json or ndjson
    #[arg(
        long = "format",
        global = true,
        value_enum,
        hide_possible_values = true,
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub face: Face,
    /// The same for commands that have no other faces
    #[arg(skip)]
    pub format: Format,
    /// When to use colour; NO_COLOR is obeyed
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
}

impl Common {
    /// The policy folder as the beginning of the paths of its files: none for the working directory.
    fn beginning(&self) -> &Path {
        match self.policy == Path::new(".") {
            true => Path::new(""),
            false => &self.policy,
        }
    }
}

/// How results are written, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Face {
    /// For a person
    Text,
    /// One JSON document
    Json,
    /// One JSON value a line
    Ndjson,
    /// Of `check`: what forges show beside the lines of files
    Sarif,
    /// Of `check`: commands of a workflow of GitHub's
    Github,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a person
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One JSON value a line
    Ndjson,
}

impl Face {
    /// The format, where it is one that every command has.
    fn format(self) -> Option<Format> {
        match self {
            Self::Text => Some(Format::Text),
            Self::Json => Some(Format::Json),
            Self::Ndjson => Some(Format::Ndjson),
            Self::Sarif | Self::Github => None,
        }
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the pipeline over Okta System Log events
    Run(run::Args),
    /// Detect alone: any Sigma rules over events, one JSON line a match or finding
    Detect(detect::Args),
    /// Attack the policy: payloads in every field, and a model that obeys each of them
    Hostile(hostile::Args),
    /// Set how far an incident has been dealt with: open, triaged or closed
    Incident(incident::Args),
    /// Make the decisions that the audit records again, and compare them byte for byte
    Replay(replay::Args),
    /// Say what a change of the policy means and does to logs, before it is merged
    Diff(diff::Args),
    /// Show the findings, incidents, plans and commands of the last run
    Show(show::Args),
    /// Say why a rule holds for an event or does not, clause by clause, or where the events of a log stop
    Explain(explain::Args),
    /// Report every problem of the policy folder
    Check(check::Args),
    /// Write a folder to begin with: a rule, its tests, and all that a policy needs
    Init(init::Args),
    /// What works here and what does not: tenant, credentials, clock, model, sandbox, each with what to do
    Doctor(doctor::Args),
    /// An emulated Okta tenant on this machine, to try and to test with
    Tenant(tenant::Args),
    /// Ask about the tenant in plain English: rows of Okta's answers, each value with its place
    Ask(questions::Args),
    /// What may be asked of Okta: list, show, call, check and import tools
    Tools(tools::Args),
    /// Bring in rules of others: those that can run, and why the rest cannot
    Import(import::Args),
    /// Lay out YAML and TOML: keys in their order, comments kept, the meaning unchanged
    Fmt(fmt::Args),
    /// Verify, show, export and prune the audit: what came in, was decided and was done
    Audit(audit::Args),
    /// Run the suites `fixtures/**/*.test.yml` of the policy folder
    Test(test::Args),
    /// Check, test and compare with the last commit at each save
    Dev(dev::Args),
    /// Serve an editor over standard input and output: problems, completion, explanations, definitions
    Lsp(lsp::Args),
    /// Print a format of the policy as JSON Schema, for editors
    Schema(schema::Args),
    /// Say which behaviours and ATT&CK techniques the rules cover, and how many cases hold each
    Coverage(pack::CoverageArgs),
    /// The process that asks a tenant for a question; it is started by `ask`, and speaks in pipes
    #[command(name = "__fetch", hide = true)]
    Fetch,
    /// Write a page for each rule, from the rule and its cases
    Docs(pack::DocsArgs),
}

/// Parses the words of a command line and runs the command.
#[must_use]
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Nothing is left to do about a closed stream.
            let _ = error.print();
            return ExitCode::from(exit.code());
        }
    };
    output::set_color(cli.common.color);
    let is_check = matches!(cli.command, Command::Check(_));
    match cli.common.face.format() {
        Some(format) => cli.common.format = format,
        None if is_check => {}
        None => {
            let message = "`--format sarif` and `--format github` are for `rulectl check`; other commands have `text`, `json` and `ndjson`";
            let exit = output::report(&output::UsageError(message.to_owned()).into());
            return ExitCode::from(exit.code());
        }
    }
    let result = match &cli.command {
        Command::Run(args) => run::run(&cli.common, args),
        Command::Detect(args) => detect::detect(&cli.common, args),
        Command::Hostile(args) => hostile::hostile(&cli.common, args),
        Command::Incident(args) => incident::run(&cli.common, args),
        Command::Replay(args) => replay::run(&cli.common, args),
        Command::Diff(args) => diff::diff(&cli.common, args),
        Command::Show(args) => show::show(&cli.common, args),
        Command::Audit(args) => audit::audit(&cli.common, args),
        Command::Explain(args) => explain::explain(&cli.common, args),
        Command::Check(args) => check::check(&cli.common, args),
        Command::Init(args) => init::init(&cli.common, args),
        Command::Doctor(args) => doctor::doctor(&cli.common, args),
        Command::Tenant(args) => tenant::tenant(args),
        Command::Ask(args) => questions::ask(&cli.common, args),
        Command::Tools(args) => tools::tools(&cli.common, args),
        Command::Fetch => fetcher::child(),
        Command::Import(args) => import::run(&cli.common, args),
        Command::Fmt(args) => fmt::fmt(&cli.common, args),
        Command::Test(args) => test::test(&cli.common, args),
        Command::Dev(args) => dev::dev(&cli.common, args),
        Command::Lsp(args) => lsp::lsp(args),
        Command::Schema(args) => schema::run(args),
        Command::Coverage(args) => pack::coverage_of(&cli.common, args),
        Command::Docs(args) => pack::docs(&cli.common, args),
    };
    let exit = result.unwrap_or_else(|error| output::report(&error));
    ExitCode::from(exit.code())
}
