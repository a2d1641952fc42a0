//! What a save of the policy comes to: its problems, the cases that fail, and what differs from
//! what it was.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::diag::Problems;
use crate::lab::diff::{
    Changes, Effect, Outcome, Side, SideError, Verdict, changes, effect, judge, revision,
};
use crate::lab::{Case, CaseResult, Project, Rig, Suite, run_all};
use crate::okta::ADDRESS_FIELDS;
use crate::pipeline::Settings;
use crate::source::Input;

/// What is asked of a save.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The policy folder.
    pub folder: &'a Path,
    /// The revision that it is compared with.
    pub against: &'a str,
    /// What both are held against.
    pub logs: Vec<Input>,
    /// How these are read, and what is supplied to events.
    pub settings: &'a Settings,
    /// The day on which comments that suppress warnings, and waivers, must hold.
    pub today: NaiveDate,
}

/// What a save comes to.
#[derive(Debug)]
pub struct Saved {
    /// Every problem of the files and of the suites.
    pub problems: Problems,
    /// The rest; nothing where there is an error.
    pub sound: Option<Sound>,
}

/// What comes of a policy without errors.
#[derive(Debug)]
pub struct Sound {
    /// How many rules there are.
    pub rules: usize,
    /// The suites.
    pub suites: Vec<Suite>,
    /// What came of each case, with the place of its suite.
    pub results: Vec<(usize, CaseResult)>,
    /// What differs.
    pub differs: Result<Box<Differs>, NotCompared>,
}

/// Why a policy is not compared.
#[derive(Debug)]
pub enum NotCompared {
    /// There is no last commit, or no policy in it.
    NothingYet(String),
    /// The revision that was named, or the logs, cannot be had, and why.
    Failed(String),
}

impl NotCompared {
    /// In words.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::NothingYet(reason) | Self::Failed(reason) => reason,
        }
    }
}

/// Whether a policy without errors is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As far as anybody asks.
    Good,
    /// What it is compared with cannot be had, or a clause of the gate cannot be judged.
    NotKnown,
    /// A case fails, or a clause of the gate.
    Failing,
}

/// What differs between a revision and the folder as it is.
#[derive(Debug)]
pub struct Differs {
    /// What changed in meaning.
    pub changes: Changes,
    /// What that does to the logs; nothing where there are none, or where no byte differs.
    pub effect: Option<Effect>,
    /// What the gate says; nothing where there is none.
    pub verdict: Option<Verdict>,
}

impl Sound {
    /// The cases that failed, each with its suite.
    pub fn failed(&self) -> impl Iterator<Item = (&Suite, &CaseResult)> {
        let failed = self.results.iter().filter(|(_, result)| !result.passed());
        failed.filter_map(|(suite, result)| Some((self.suites.get(*suite)?, result)))
    }

    /// The files that cases take events from, and what says which those are.
    pub fn logs(&self) -> impl Iterator<Item = &PathBuf> {
        let cases = self.suites.iter().flat_map(|suite| &suite.cases);
        cases.flat_map(|case| &case.logs)
    }

    /// Whether it is good.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let verdict = self.differs.as_ref().ok();
        let clauses = verdict.and_then(|differs| differs.verdict.as_ref());
        let clauses = clauses.into_iter().flat_map(|verdict| &verdict.clauses);
        let outcomes: Vec<Outcome> = clauses.map(|judged| judged.outcome).collect();
        if self.failed().next().is_some() || outcomes.contains(&Outcome::Failed) {
            Standing::Failing
        } else if outcomes.contains(&Outcome::NotJudged)
            || matches!(self.differs, Err(NotCompared::Failed(_)))
        {
            Standing::NotKnown
        } else {
            Standing::Good
        }
    }
}

/// Checks and tests the policy of a folder, and compares it with a revision.
#[must_use]
pub fn saved(asked: Asked<'_>) -> Saved {
    let mut project = Project::read(asked.folder);
    let databases = &asked.settings.databases;
    let policy = project.take_policy(databases);
    let Project { loaded, suites } = project;
    let mut problems = loaded.problems;
    // Whether a comment is needed is for `check` to say, which looks for everything.
    problems.settle(asked.today, |_| false);
    let Some(policy) = policy else {
        return Saved {
            problems,
            sound: None,
        };
    };
    let numbered = suites.iter().enumerate();
    let cases = numbered.flat_map(|(at, suite)| suite.cases.iter().map(move |case| (at, case)));
    let (of, cases): (Vec<usize>, Vec<&Case>) = cases.unzip();
    let ran = run_all(&Rig::new(&policy, databases), &cases);
    let results = of.into_iter().zip(ran).collect();
    let head = Side {
        name: asked.folder.display().to_string(),
        policy,
        files: loaded.files,
    };
    let sound = Sound {
        rules: head.policy.rules.len(),
        suites,
        results,
        differs: differs(asked, &head).map(Box::new),
    };
    Saved {
        problems,
        sound: Some(sound),
    }
}

/// The last commit.
const LAST: &str = "HEAD";

fn differs(asked: Asked<'_>, head: &Side) -> Result<Differs, NotCompared> {
    let found = revision(asked.against, asked.folder).map_err(|error| {
        let reason = match error {
            SideError::Named(text) => text,
            error => error.to_string(),
        };
        match asked.against {
            LAST => NotCompared::NothingYet(reason),
            _ => NotCompared::Failed(reason),
        }
    })?;
    let name = found.name.clone();
    let Some(mut base) = found.side() else {
        let reason = format!("`{name}` has errors, and is no policy");
        return Err(NotCompared::Failed(reason));
    };
    let supplied = asked.settings.databases.paths(&ADDRESS_FIELDS);
    base.policy.detector.note_supplied(&supplied);
    let changes = changes(&base, head);
    let effect = if asked.logs.is_empty() || changes.same {
        None
    } else {
        let told = effect(&base, head, asked.logs, asked.settings);
        Some(told.map_err(|error| NotCompared::Failed(error.to_string()))?)
    };
    let verdict = judge([&base, head], &changes, effect.as_ref(), asked.today);
    Ok(Differs {
        changes,
        effect,
        verdict,
    })
}
