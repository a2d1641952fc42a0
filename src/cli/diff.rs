//! `rulectl diff`: what a change of the policy means and does to logs, before it is merged.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::audit::AuditError;
use crate::cli::events::{ReadingArgs, inputs};
use crate::cli::output::{UsageError, out, out_json, talk, talk_problems};
use crate::cli::progress::Meter;
use crate::cli::questions::past_questions;
use crate::cli::reports::{Report, ReportFormat, placed, root_of, write};
use crate::cli::slots::SlotArgs;
use crate::cli::{Common, Exit, Format};
use crate::lab::diff::audits::{Audits, AuditsError, Range, audits, survey};
use crate::lab::diff::{
    Changes, Effect, Found, Outcome, PastQuestion, Questions, Side, SideError, TextDiff, Verdict,
    changes, effect_with, find, folder, judge, questions, revision, text_diffs,
};
use crate::lab::{Events, Project};
use crate::okta::ADDRESS_FIELDS;
use crate::render::{
    Actors, Diffed, changed, changed_in_audits, changed_questions, junit, markdown, page,
    questions_as_markdown, sarif, text_diff,
};
use crate::source::{Input, Reader};
use crate::visible::{json, visible};
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to compare with: a folder, a revision such as `main`, or `generation:3`
    #[arg(default_value = "HEAD")]
    base: String,
    /// What is compared: the same; the policy folder as it is, unless given
    head: Option<String>,
    /// Files of events, globs, or `-` for stdin; `fixtures/logs/*.ndjson` of the policy folder unless given
    #[arg(long, num_args = 1.., value_name = "FILE")]
    logs: Vec<String>,
    /// The data folder of past runs, or its audit: follow what they found again, with what the model proposed then
    #[arg(long, value_name = "DIR", conflicts_with_all = ["mapping", "strict", "geoip", "asn", "slots", "recording"])]
    audits: Option<PathBuf>,
    /// One run of the audit alone
    #[arg(long, value_name = "ID", requires = "audits")]
    run: Option<Uuid>,
    /// The data folder of past questions: say which of them would be refused, answered, or answered by something else; the questions of the suites are always asked
    #[arg(long, value_name = "DIR")]
    questions: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    slots: SlotArgs,
    /// Show each changed file line by line too
    #[arg(long)]
    text_diff: bool,
    /// Write a report too: markdown=, html=, junit=, sarif= or json=FILE; several at once
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    reports: Vec<Report>,
    /// Name accounts and addresses in reports, and what findings say; else they are numbered
    #[arg(long)]
    actors: bool,
}

/// What the form of the JSON is called; another form has another number.
const SCHEMA: &str = "rulectl.diff/1";

/// Runs the command.
pub fn diff(common: &Common, args: &Args) -> Result<Exit> {
    placed(&args.reports)?;
    let base = base(common, args)?;
    let head = match &args.head {
        Some(word) => named(common, word)?,
        None => folder(&common.policy.display().to_string(), &common.policy),
    };
    // Both are told before either ends the command.
    let (Some(base), Some(head)) = (side(base, "base"), side(head, "head")) else {
        return Ok(Exit::Broken);
    };
    let names = [base.name.clone(), head.name.clone()];
    let about = [&base, &head].map(about);
    let changes = changes(&base, &head);
    let asked = past(common, args, &base, &head)?;
    let asked = asked.map(|asked| questions(&base, &head, &asked));
    let texts = if args.text_diff {
        text_diffs(&base, &head)
    } else {
        Vec::new()
    };
    let (sides, effect, audits) = match &args.audits {
        Some(folder) => {
            let audits = followed(args, folder, [&base, &head])?;
            ([base, head], None, Some(audits))
        }
        None => match replayed(common, args, [base, head])? {
            Ok((sides, effect)) => (sides, effect, None),
            Err(exit) => return Ok(exit),
        },
    };
    let mut told = Told {
        names,
        about,
        changes,
        texts,
        effect,
        audits,
        questions: asked,
        verdict: None,
    };
    let today = (World::live().now)().day();
    told.verdict = judge(sides.each_ref(), &told.changes, told.told_effect(), today);
    told.show(common.format)?;
    let root = root(common, args);
    write(&args.reports, |format| told.report(format, args, &root))?;
    Ok(told.exit())
}

/// The questions that are held against both sides, where something differs that answers them.
fn past(
    common: &Common,
    args: &Args,
    base: &Side,
    head: &Side,
) -> Result<Option<Vec<PastQuestion>>> {
    let text = |side: &Side| {
        let mut files = side.files.iter();
        let file = files.find(|file| file.path == "tools.yaml");
        file.map(|file| file.text.clone())
    };
    let is_same = text(base) == text(head) && base.policy.ask == head.policy.ask;
    if is_same && args.questions.is_none() {
        return Ok(None);
    }
    let mut asked = match &args.questions {
        Some(folder) => past_questions(folder)?,
        None => Vec::new(),
    };
    let mut project = Project::read(&common.policy);
    let cases = project.suites.drain(..).flat_map(|suite| suite.cases);
    asked.extend(cases.filter_map(|case| match case.events {
        Events::Question(question) => Some(PastQuestion {
            id: None,
            question,
            wanted: None,
            by_model: false,
        }),
        _ => None,
    }));
    Ok((!asked.is_empty() || args.questions.is_some()).then_some(asked))
}

/// The base; the default is a revision also where a folder has its name.
fn base(common: &Common, args: &Args) -> Result<Found> {
    if args.base == "HEAD" {
        return revision(&args.base, &common.policy).map_err(told);
    }
    named(common, &args.base)
}

fn named(common: &Common, word: &str) -> Result<Found> {
    find(word, &common.policy, &common.data).map_err(told)
}

fn told(error: SideError) -> anyhow::Error {
    match error {
        SideError::Named(text) => UsageError(text).into(),
        error => error.into(),
    }
}

/// A side without errors; else they are told.
fn side(found: Found, which: &str) -> Option<Side> {
    if found.loaded.policy.is_none() {
        talk(&format!(
            "the {which}, `{}`, is no policy:",
            visible(&found.name)
        ));
        talk_problems(&found.loaded.problems);
    }
    found.side()
}

/// The logs that were named, or else those of the fixtures; reports the words that name none.
fn logs(common: &Common, args: &Args) -> Option<Vec<Input>> {
    if args.logs.is_empty() {
        Some(fixture_logs(&common.policy))
    } else {
        inputs(&args.logs)
    }
}

/// The logs of the fixtures of a policy folder, by name; it need not have any.
pub(super) fn fixture_logs(policy: &Path) -> Vec<Input> {
    let entries = fs::read_dir(policy.join("fixtures/logs"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "ndjson")
    });
    files.sort();
    files.into_iter().map(Input::File).collect()
}

/// The sides as they read events, and what the change does to these.
type Replayed = ([Side; 2], Option<Effect>);

/// What the change does to what an audit records.
fn followed(args: &Args, folder: &Path, [base, head]: [&Side; 2]) -> Result<Audits> {
    if !args.logs.is_empty() {
        bail!(UsageError(
            "`--logs` asks what would be found, and `--audits` what would become of what was found: choose one of the two"
                .to_owned()
        ));
    }
    let within = folder.join("audit");
    let folder = if within.is_dir() { &within } else { folder };
    let survey = survey(folder, args.run).map_err(in_words)?;
    let newest = || match survey.newest {
        Some(newest) => Ok(newest),
        None => bail!(
            "the audit records no finding with a time, so --hours has nothing to count back from"
        ),
    };
    let (since, until) = args.reading.range(newest)?;
    let range = Range { since, until };
    audits(base, head, folder, &survey, range).map_err(in_words)
}

/// What is wrong with the words of the command is told so.
fn in_words(error: AuditsError) -> anyhow::Error {
    match error {
        AuditsError::NoRun(_) => UsageError(error.to_string()).into(),
        AuditsError::Audit(AuditError::NoLog(folder)) => UsageError(format!(
            "`{}` holds no audit; name the data folder of past runs, as `--data` of `rulectl run` does, or its folder `audit`",
            visible(&folder.display().to_string())
        ))
        .into(),
        error => error.into(),
    }
}

/// What the change does to the logs; nothing where there are none.
fn replayed(common: &Common, args: &Args, mut sides: [Side; 2]) -> Result<Result<Replayed, Exit>> {
    let Some(inputs) = logs(common, args) else {
        return Ok(Err(Exit::Broken));
    };
    if inputs.is_empty() {
        talk("no logs were replayed: `--logs FILE` names some");
        return Ok(Ok((sides, None)));
    }
    let Some(databases) = args.reading.databases.open() else {
        return Ok(Err(Exit::Broken));
    };
    let supplied = databases.paths(&ADDRESS_FIELDS);
    for side in &mut sides {
        side.policy.detector.note_supplied(&supplied);
    }
    let mut fills = match args.slots.known(&common.policy)? {
        Ok(fills) => fills,
        Err(exit) => return Ok(Err(exit)),
    };
    let settings = args.reading.settings(&inputs, databases, World::live())?;
    let meter = Meter::new(Reader::new(inputs.clone()).total());
    let show = |progress| meter.show(progress);
    let [base, head] = &sides;
    let effect = effect_with(base, head, inputs, &settings, fills.answers(), &show);
    meter.finish(effect.as_ref().map_or(0, |effect| effect.read.events));
    Ok(Ok((sides, Some(effect?))))
}

/// Where the policy that is told of stands in the repository, as forges name its files.
fn root(common: &Common, args: &Args) -> String {
    let head = args.head.as_ref().map(Path::new);
    root_of(head.filter(|head| head.is_dir()).unwrap_or(&common.policy))
}

/// All that is told.
struct Told {
    names: [String; 2],
    about: [Value; 2],
    changes: Changes,
    texts: Vec<TextDiff>,
    effect: Option<Effect>,
    verdict: Option<Verdict>,
    audits: Option<Audits>,
    questions: Option<Questions>,
}

impl Told {
    fn show(&self, format: Format) -> Result<()> {
        match format {
            Format::Text => self.text(),
            Format::Json => self.json(),
            Format::Ndjson => self.lines(),
        }
    }

    fn text(&self) -> Result<()> {
        let [base, head] = &self.names;
        let (names, changes) = ((base.as_str(), head.as_str()), &self.changes);
        let verdict = self.verdict.as_ref();
        out(&match &self.audits {
            Some(audits) => changed_in_audits(names, changes, audits, verdict),
            None => changed(names, changes, self.effect.as_ref(), verdict),
        })?;
        if let Some(questions) = &self.questions {
            out(&changed_questions(questions))?;
        }
        self.texts.iter().try_for_each(|text| out(&text_diff(text)))
    }

    fn json(&self) -> Result<()> {
        out_json(&self.document()?)
    }

    fn document(&self) -> Result<Value> {
        let [base, head] = &self.about;
        let mut value = serde_json::json!({
            "schema": SCHEMA,
            "base": base,
            "head": head,
            "gate": self.verdict,
            "changes": self.changes,
            "effect": self.effect,
        });
        if let Value::Object(map) = &mut value {
            if let Some(audits) = &self.audits {
                map.insert("audits".to_owned(), serde_json::to_value(audits)?);
            }
            if let Some(questions) = &self.questions {
                map.insert("questions".to_owned(), serde_json::to_value(questions)?);
            }
            if !self.texts.is_empty() {
                map.insert("texts".to_owned(), serde_json::to_value(&self.texts)?);
            }
        }
        Ok(value)
    }

    /// The text of a report.
    fn report(&self, format: ReportFormat, args: &Args, root: &str) -> Result<String> {
        let [base, head] = &self.names;
        let diffed = Diffed {
            names: [base, head],
            changes: &self.changes,
            effect: self.told_effect(),
            audits: self.audits.as_ref(),
            gate: self.verdict.as_ref(),
            actors: if args.actors {
                Actors::Named
            } else {
                Actors::Numbered
            },
        };
        Ok(match format {
            ReportFormat::Markdown => {
                let mut text = markdown(&diffed);
                let questions = self.questions.as_ref().map(questions_as_markdown);
                text.extend(questions);
                text
            }
            ReportFormat::Html => page(&diffed),
            ReportFormat::Junit => junit(&diffed),
            ReportFormat::Sarif => json(&sarif(&diffed, root))? + "\n",
            ReportFormat::Json => json(&self.document()?)? + "\n",
        })
    }

    fn lines(&self) -> Result<()> {
        if let Some(verdict) = &self.verdict {
            each("gate", &verdict.clauses)?;
        }
        each("guardrail", &self.changes.guardrails)?;
        each("change", &self.changes.items)?;
        if let Some(audits) = &self.audits {
            out_json(&serde_json::json!({"read": audits.read}))?;
        }
        if let Some(questions) = &self.questions {
            each("question", &questions.changed)?;
        }
        let Some(effect) = self.told_effect() else {
            return Ok(());
        };
        each("lost", &effect.lost)?;
        for (kind, delta) in effect.deltas() {
            out_json(&serde_json::json!({"kind": kind, "delta": delta}))?;
        }
        each("rule", &effect.by_rule)?;
        if let Some(Audits { routing, .. }) = &self.audits {
            out_json(
                &serde_json::json!({"agents": routing.agents, "proposals": routing.proposals}),
            )?;
            each("proposal", &routing.otherwise)?;
            each("route", &routing.changed)?;
            each("same_route", &routing.same)?;
            each("gained", &routing.gained)?;
            each("lost_promotion", &routing.lost)?;
        }
        each("doubt", &effect.doubts)
    }

    /// What the change does, to logs or to what an audit records.
    fn told_effect(&self) -> Option<&Effect> {
        let of_audits = self.audits.as_ref().map(|audits| &audits.effect);
        self.effect.as_ref().or(of_audits)
    }

    /// What is not certain is no answer, also where a clause of the gate fails.
    fn exit(&self) -> Exit {
        let clauses = self.verdict.iter().flat_map(|verdict| &verdict.clauses);
        let mut outcomes = clauses.map(|judged| judged.outcome);
        let is_uncertain = self.told_effect().is_some_and(|effect| !effect.conclusive);
        let mut unjudged = outcomes.clone();
        if is_uncertain || unjudged.any(|outcome| outcome == Outcome::NotJudged) {
            Exit::Inconclusive
        } else if outcomes.any(|outcome| outcome == Outcome::Failed) {
            Exit::Negative
        } else {
            Exit::Done
        }
    }
}

/// A line for each of a list.
fn each(name: &str, list: &[impl Serialize]) -> Result<()> {
    list.iter()
        .try_for_each(|one| out_json(&serde_json::json!({ name: one })))
}

fn about(side: &Side) -> Value {
    serde_json::json!({"name": side.name, "policy": side.policy.digest})
}
