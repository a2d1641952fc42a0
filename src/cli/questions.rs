//! `rulectl ask`: a question about the tenant, and `rulectl tools call`: the same by hand.

mod store;

use std::path::Path;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use self::store::{SAVED, SESSIONS, SavedQuestion, Session, folder, kept, read, stored};
use crate::ask::{
    ACCOUNTED, Asking, Before, Decided, Deciding, End, Fetch, Fetched, Limits, Plan, Record,
    Refused, Request, Unanswered, Verdict, Wanted, execute, plan_of, planned, verify,
};
use crate::audit::{Audit, Options};
use crate::cli::fetcher::{Fetcher, registry};
use crate::cli::output::{UsageError, bad, out, out_json, talk};
use crate::cli::slots::SlotArgs;
use crate::cli::tools::{loaded, unknown};
use crate::cli::{Common, Exit, Format, okta};
use crate::config::Config;
use crate::event::{Digest, Time};
use crate::lab::diff::PastQuestion;
use crate::okta::client::Credentials;
use crate::policy::Policy;
use crate::record::{RequestGate, kinds};
use crate::render;
use crate::slots::ASK;
use crate::store::RunLock;
use crate::tools::{Catalogue, Operator, Param, Tool};
use crate::visible::visible;
use crate::world::World;

/// The words of `rulectl ask`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a model a question is answered when the form of one tool or recipe accounts for every word of it; `rulectl tools list` has them. Exit codes: 0 an answer, 1 none or a refusal, 2 the tenant failed."
)]
pub struct Args {
    /// The question, in plain English
    #[arg(required_unless_present_any = ["history", "repeat", "accept", "saved"])]
    question: Option<String>,
    /// These tools and recipes alone
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tools: Vec<String>,
    #[command(flatten)]
    how: How,
    /// List the questions that were asked, with `--session` those of the session
    #[arg(long, conflicts_with_all = ["question", "repeat"])]
    history: bool,
    /// Keep the answer in a session, whose last answer the question may be about: `which of them have no MFA`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["saved", "accept", "repeat"])]
    session: Option<String>,
    /// The answer that the question may be about
    #[arg(long, value_name = "ID", conflicts_with = "session")]
    after: Option<String>,
    /// Keep what is asked under a name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["saved", "accept", "repeat", "history"])]
    save: Option<String>,
    /// Ask what was kept under a name; without one, list the names
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["question", "history", "repeat", "accept", "after"])]
    saved: Option<String>,
    /// Ask what a model chose for an earlier question, which was refused because nothing accounts for it
    #[arg(long, value_name = "ID", conflicts_with_all = ["question", "history", "repeat"])]
    accept: Option<String>,
    /// Ask what an earlier question asked again, and compare
    #[arg(long, value_name = "ID", conflicts_with = "question")]
    repeat: Option<String>,
    #[command(flatten)]
    slots: SlotArgs,
}

/// What is shown of an answer.
#[derive(Debug, clap::Args)]
struct How {
    /// Show what is wanted and each check, before the answer
    #[arg(long)]
    show_plan: bool,
    /// Check and plan, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Rows as CSV
    #[arg(long)]
    csv: bool,
}

/// The words of `rulectl tools call`.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    /// The tool or recipe
    name: String,
    /// Its parameters
    #[arg(value_name = "NAME=VALUE")]
    params: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    slots: SlotArgs,
}

/// Runs `rulectl ask`.
pub fn ask(common: &Common, args: &Args) -> Result<Exit> {
    let session = args.session.as_deref();
    let kept = session.map(|name| store::named::<Session>(common, SESSIONS, name));
    let kept = kept.transpose()?.flatten();
    if args.history {
        let of = session.map(|_| kept.unwrap_or_default());
        return store::history(common, of.as_ref()).map(|()| Exit::Done);
    }
    if args.saved.as_deref() == Some("") {
        return store::list_saved(common).map(|()| Exit::Done);
    }
    let Some(policy) = loaded(common) else {
        return Ok(Exit::Broken);
    };
    if let Some(id) = &args.repeat {
        return repeat(common, &policy, id, args);
    }
    if let Some(id) = &args.accept {
        let before = read(common, id)?;
        let (question, wanted) = said_before(id, &before)?;
        let record = by_hand(common, &policy, args, question, wanted)?;
        return show(common, &record, &args.how);
    }
    if let Some(name) = &args.saved {
        let found = store::named::<SavedQuestion>(common, SAVED, name)?;
        let found = found.ok_or_else(|| {
            let message = "no question was kept under that name: `rulectl ask --saved` lists them";
            UsageError(message.to_owned())
        })?;
        let record = by_hand(common, &policy, args, &found.question, &found.wanted)?;
        return show(common, &record, &args.how);
    }
    known(&policy.tools, &args.tools)?;
    if let Some(name) = &args.save {
        store::check_name(name)?;
    }
    let after = match (&args.after, &kept) {
        (Some(id), _) => vec![store::after(common, id)?],
        (None, Some(session)) => store::in_session(common, session),
        (None, None) => Vec::new(),
    };
    let text = args.question.clone().unwrap_or_default();
    let config = args.slots.config()?;
    let filler = match args.slots.filler(&config, &common.policy)? {
        Ok(filler) => filler,
        Err(exit) => return Ok(exit),
    };
    let prompt = policy.prompts.get(ASK);
    if filler.model().is_some() && prompt.is_none() {
        talk("no model is asked: `routing.toml` has no table `[slots.ask]`");
    }
    let deciding = Deciding {
        only: &args.tools,
        after: &after,
        model: prompt.zip(filler.model()),
        ..deciding(&policy, &config)
    };
    let decided = deciding.decide(&text);
    let record = Record::new(&text, now(), policy.digest);
    let record = record.decided(&decided, prompt.map(|prompt| prompt.digest));
    let record = answer(common, &policy, &config, record, decided.outcome, &args.how);
    // What was recorded is kept whatever came of the rest.
    let recorded = filler.finish();
    let record = record?;
    if let Some(name) = session.filter(|_| !args.how.dry_run) {
        store::add_to_session(common, name, &record)?;
    }
    let exit = show(common, &record, &args.how)?;
    if let Some(name) = &args.save {
        save(common, name, &record)?;
    }
    Ok(exit.or(recorded?))
}

/// Keeps what a question asks for under a name.
fn save(common: &Common, name: &str, record: &Record) -> Result<()> {
    let wanted = match (&record.wanted, &record.refused) {
        (
            Some(Wanted::Call {
                after: Some(id), ..
            }),
            _,
        ) => {
            let message = format!("it is about the answer to `{id}`, and is not kept under a name");
            return Err(UsageError(message).into());
        }
        (Some(_), None) if record.unaccounted.is_some() => {
            let message =
                "nothing accounts for what a model chose, and it is not kept under a name";
            return Err(UsageError(message.to_owned()).into());
        }
        (Some(wanted), None) => wanted.clone(),
        _ => {
            let message = "it was refused, and is not kept under a name";
            return Err(UsageError(message.to_owned()).into());
        }
    };
    let saved = SavedQuestion {
        question: record.question.clone(),
        wanted,
    };
    store::keep_named(common, SAVED, name, &saved)?;
    talk(&format!("kept as `{name}`: rulectl ask --saved {name}"));
    Ok(())
}

/// Who decides without a model.
fn deciding<'p>(policy: &'p Policy, config: &'p Config) -> Deciding<'p> {
    Deciding {
        catalogue: &policy.tools,
        only: &[],
        after: &[],
        settings: policy.ask,
        granted: granted(config),
        model: None,
    }
}

fn now() -> Time {
    (World::live().now)()
}

/// The words of an earlier question, and what it asked for.
fn said_before<'r>(id: &str, before: &'r Record) -> Result<(&'r str, &'r Wanted)> {
    let wanted = before.wanted.as_ref();
    let wanted = wanted.ok_or_else(|| UsageError(format!("`{id}` asked for nothing")))?;
    Ok((&before.question, wanted))
}

/// Asks for what a person says is wanted.
fn by_hand(
    common: &Common,
    policy: &Policy,
    args: &Args,
    question: &str,
    wanted: &Wanted,
) -> Result<Record> {
    let config = args.slots.config()?;
    let decided = Decided {
        by: "hand",
        ..deciding(policy, &config).checked(question, wanted.clone())
    };
    let record = Record::new(question, now(), policy.digest).decided(&decided, None);
    answer(common, policy, &config, record, decided.outcome, &args.how)
}

/// Runs `rulectl tools call`.
pub fn call(common: &Common, args: &CallArgs) -> Result<Exit> {
    let Some(policy) = loaded(common) else {
        return Ok(Exit::Broken);
    };
    let catalogue = &policy.tools;
    let declared = match (catalogue.recipe(&args.name), catalogue.tool(&args.name)) {
        (Some(recipe), _) => &recipe.params,
        (None, Some(tool)) => &tool.params,
        (None, None) => return Err(unknown(catalogue, &args.name).into()),
    };
    let mut params = BTreeMap::new();
    for word in &args.params {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| UsageError(format!("`{}` is no `NAME=VALUE`", visible(word))))?;
        params.insert(name.to_owned(), typed(name, value, declared));
    }
    // What is said by hand is what the question says.
    let text = format!("{} {}", args.name, args.params.join(" "));
    let wanted = Wanted::Call {
        tool: args.name.clone(),
        by_form: params.keys().cloned().collect(),
        after: None,
        params,
    };
    let config = args.slots.config()?;
    let decided = Decided {
        by: "hand",
        ..deciding(&policy, &config).checked(text.trim_end(), wanted)
    };
    let record = Record::new(text.trim_end(), now(), policy.digest).decided(&decided, None);
    let record = answer(common, &policy, &config, record, decided.outcome, &args.how)?;
    show(common, &record, &args.how)
}

fn typed(name: &str, value: &str, declared: &[Param]) -> Value {
    let param = declared.iter().find(|param| param.name == name);
    let kind = param.and_then(|param| param.schema.get("type")?.as_str());
    let parsed = match kind {
        Some("integer" | "number" | "boolean") => serde_json::from_str(value).ok(),
        _ => None,
    };
    parsed.unwrap_or_else(|| value.into())
}

/// Tools or recipes that are named, and are there.
fn known(catalogue: &Catalogue, names: &[String]) -> Result<()> {
    let is_there = |name: &str| catalogue.tool(name).is_some() || catalogue.recipe(name).is_some();
    match names.iter().find(|name| !is_there(name)) {
        Some(name) => Err(unknown(catalogue, name).into()),
        None => Ok(()),
    }
}

/// The scopes of the credentials; tokens of people have none.
pub(super) fn granted(config: &Config) -> Option<&[String]> {
    let settings = config.tenant()?;
    match settings.client.credentials.as_ref()? {
        Credentials::ServiceApp(app) => Some(app.scopes.as_slice()),
        Credentials::Token(_) => None,
    }
}

/// What the registry says of answers to this.
fn notes(catalogue: &Catalogue, wanted: &Wanted) -> Option<String> {
    let Wanted::Call { tool: name, .. } = wanted else {
        return None;
    };
    match (catalogue.recipe(name), catalogue.tool(name)) {
        (Some(recipe), _) => recipe.notes.clone(),
        (None, tool) => tool.and_then(|tool| tool.notes.clone()),
    }
}

/// Asks, verifies and keeps what was decided.
fn answer(
    common: &Common,
    policy: &Policy,
    config: &Config,
    mut record: Record,
    outcome: Result<Plan, Refused>,
    how: &How,
) -> Result<Record> {
    record.limits = policy.ask.limits;
    let Some(wanted) = &record.wanted else {
        return kept(common, record);
    };
    record.notes = notes(&policy.tools, wanted);
    let Ok(plan) = outcome else {
        // What a model wrote is shown where nothing but the form is missing.
        let is_told = record.by != "model" || record.checks.iter().any(|it| it.check == ACCOUNTED);
        if let Some(plan) = plan_of(wanted, &policy.tools).ok().filter(|_| is_told) {
            record.not_sent = planned(&plan, &policy.tools, record.asked_at);
        }
        return kept(common, record);
    };
    if how.dry_run {
        record.not_sent = planned(&plan, &policy.tools, record.asked_at);
        return Ok(record);
    }
    send(common, policy, config, record, &plan)
}

fn send(
    common: &Common,
    policy: &Policy,
    config: &Config,
    mut record: Record,
    plan: &Plan,
) -> Result<Record> {
    let limits = record.limits;
    let whole = store::whole(common, policy, &record, plan.clone())?;
    record.as_of = (whole.now != record.asked_at).then_some(whole.now);
    let is_asked = plan
        .steps
        .iter()
        .any(|step| matches!(step.operator, Operator::Call { .. }));
    let settings = match okta::configured(config) {
        // What follows from rows that are there needs no tenant.
        Err(_) if !is_asked => None,
        Ok(settings) => Some(settings).filter(|_| is_asked),
        Err(error) => {
            for request in planned(plan, &policy.tools, record.asked_at) {
                talk(&format!("not sent: {}", visible(&request)));
            }
            return Err(error);
        }
    };
    let origin = settings
        .as_ref()
        .map(|settings| settings.client.origin.to_string());
    if let (Some(then), Some(now)) = (&whole.tenant, &origin)
        && then != now
    {
        let message = format!("the earlier answer is of {then}, and {now} is configured");
        return Err(UsageError(message).into());
    }
    record.tenant = origin.or(whole.tenant);
    let data = folder(common);
    let _lock = RunLock::take(&data)?;
    let (audit, _) = Audit::open(&data.join("audit"), Options::live(None))?;
    let audit = Arc::new(audit);
    audit.append(
        kinds::QUESTION,
        json!({"id": record.id, "question": record.question, "wanted": record.wanted, "checks": record.checks, "consulted": record.consulted, "said": record.said, "policy": record.policy}),
    )?;
    let gate = RequestGate::new(
        registry(&policy.tools),
        Some(Arc::clone(&audit)),
        Box::new(|_| {}),
    );
    let max = Duration::from_millis(limits.max_execution_ms);
    let start = |settings| {
        let secrets = policy.audit.secrets.clone();
        Fetcher::start(settings, &policy.tools, Arc::new(gate), max, secrets, talk)
    };
    let mut fetcher = settings.as_ref().map(start).transpose()?;
    let asking = asking(policy, limits, whole.now);
    let mut nobody = Nobody;
    let live: &mut dyn Fetch = match &mut fetcher {
        Some(fetcher) => fetcher,
        None => &mut nobody,
    };
    let (answer, bodies) = execute(&whole.plan, &asking, &mut Before::new(whole.calls, live));
    let given = fetcher.iter().flat_map(|fetcher| &fetcher.given);
    let given = given.filter(|given| !given.is_enforced);
    record.not_enforced = given.map(|given| given.what.clone()).collect();
    drop(fetcher);
    // What is told is what is kept, byte for byte.
    for (call, pages) in answer.calls.iter().zip(&bodies) {
        for (page, bytes) in call.pages.iter().zip(pages) {
            let kept = audit.keep(bytes)?;
            anyhow::ensure!(
                kept.sha256.to_string() == page.sha256,
                "a body is not what it was"
            );
        }
    }
    audit.commit()?;
    let wrong = verify(&whole.plan, &asking, &answer, &|sha256| {
        stored(&data, &answer, sha256)
    });
    record.answer = Some(answer);
    if !wrong.is_empty() {
        audit.append(kinds::ANSWER, json!({"id": record.id, "wrong": wrong}))?;
        audit.close()?;
        for difference in &wrong {
            bad(&visible(difference));
        }
        anyhow::bail!(
            "the answer does not agree with what was received, and is not shown; this is an error of the program"
        );
    }
    let digest = Digest::of(&serde_json::to_vec(&record)?);
    audit.append(kinds::ANSWER, json!({"id": record.id, "sha256": digest}))?;
    audit.close()?;
    kept(common, record)
}

/// Who is asked where nothing is left to ask.
struct Nobody;

impl Fetch for Nobody {
    fn fetch(
        &mut self,
        tool: &Tool,
        _request: &Request,
        _next: Option<&str>,
    ) -> Result<Fetched, Unanswered> {
        let why = format!("the earlier answer has no such call of `{}`", tool.name);
        Err(Unanswered::Failed(why))
    }
}

fn asking(policy: &Policy, limits: Limits, now: Time) -> Asking<'_> {
    Asking {
        catalogue: &policy.tools,
        lists: &policy.lists,
        limits,
        now,
    }
}

/// Shows a recorded answer again, from what was kept; no network is used.
pub(super) fn replay(common: &Common, id: &str) -> Result<Exit> {
    let record = read(common, id)?;
    let (Some(answer), Some(wanted)) = (&record.answer, &record.wanted) else {
        return show(common, &record, &How::plain());
    };
    let Some(policy) = loaded(common) else {
        return Ok(Exit::Broken);
    };
    if policy.digest != record.policy {
        talk(
            "the policy is another one now: whether the answer follows from the bytes is held against it as it is",
        );
    }
    let plan = plan_of(wanted, &policy.tools)
        .map_err(|why| anyhow::anyhow!("the tools of this question are gone: {why}"))?;
    let data = folder(common);
    let whole = store::whole(common, &policy, &record, plan)?;
    let asking = asking(&policy, record.limits, whole.now);
    let wrong = verify(&whole.plan, &asking, answer, &|sha256| {
        stored(&data, answer, sha256)
    });
    if !wrong.is_empty() {
        for difference in &wrong {
            bad(&visible(difference));
        }
        talk("the recorded answer does not follow from what was recorded");
        return Ok(Exit::Negative);
    }
    show(common, &record, &How::plain())
}

/// The questions that are kept in a data folder, the oldest first; a follow-up is no question of
/// its own.
pub(super) fn past_questions(data: &Path) -> Result<Vec<PastQuestion>> {
    let mut records = store::records(&data.join("questions"))?;
    records.retain(|record| !matches!(&record.wanted, Some(Wanted::Call { after: Some(_), .. })));
    let past = records.into_iter().map(|record| PastQuestion {
        id: Some(record.id),
        wanted: record.wanted.filter(|_| record.by != "form"),
        by_model: record.by == "model",
        question: record.question,
    });
    Ok(past.collect())
}

/// Who asks where tools are checked: no question of anybody's.
const CHECK: &str = "check";

/// The rows of the first page of a tool that needs no parameter, or why there are none.
pub(super) fn first_page(
    common: &Common,
    policy: &Policy,
    config: &Config,
    name: &str,
) -> Result<Result<Vec<Value>, String>> {
    let wanted = Wanted::Call {
        tool: name.to_owned(),
        params: BTreeMap::new(),
        by_form: Vec::new(),
        after: None,
    };
    let decided = Decided {
        by: CHECK,
        ..deciding(policy, config).checked(name, wanted)
    };
    let record = Record::new(name, now(), policy.digest).decided(&decided, None);
    let record = answer(
        common,
        policy,
        config,
        record,
        decided.outcome,
        &How::plain(),
    )?;
    if let Some(refused) = record.refused {
        return Ok(Err(refused.why));
    }
    let answered = answered_rows(common, &policy.tools, &record.id)?;
    let ended = record.answer.iter().flat_map(|answer| &answer.calls);
    let why = ended.map(|call| match &call.end {
        End::Complete | End::Cut { .. } => None,
        End::NotFound { said } => Some(said.clone()),
        End::Failed { why } => Some(why.clone()),
    });
    if let Some(why) = why.flatten().next() {
        return Ok(Err(why));
    }
    Ok(Ok(answered
        .into_iter()
        .flat_map(|(_, rows)| rows)
        .collect()))
}

/// The rows that Okta answered to a question, by the tools that asked for them.
pub(super) fn answered_rows<'c>(
    common: &Common,
    catalogue: &'c Catalogue,
    id: &str,
) -> Result<Vec<(&'c Tool, Vec<Value>)>> {
    let record = read(common, id)?;
    let Some(answer) = &record.answer else {
        return Err(UsageError(format!("`{id}` was not answered: nothing came for it")).into());
    };
    let data = folder(common);
    let mut found: Vec<(&Tool, Vec<Value>)> = Vec::new();
    for call in &answer.calls {
        let Some(tool) = catalogue.tool(&call.tool) else {
            continue;
        };
        let mut rows = Vec::new();
        for page in &call.pages {
            let bytes = stored(&data, answer, &page.sha256);
            let body: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match body.as_ref().and_then(|body| body.pointer(&tool.rows)) {
                Some(Value::Array(items)) => rows.extend(items.iter().cloned()),
                Some(one) => rows.push(one.clone()),
                None => {}
            }
        }
        match found.iter_mut().find(|(known, _)| known.name == tool.name) {
            Some((_, known)) => known.extend(rows),
            None => found.push((tool, rows)),
        }
    }
    Ok(found)
}

/// Asks again what an earlier question asked, and says what differs.
fn repeat(common: &Common, policy: &Policy, id: &str, args: &Args) -> Result<Exit> {
    let before = read(common, id)?;
    let (question, wanted) = said_before(id, &before)?;
    let record = by_hand(common, policy, args, question, wanted)?;
    let exit = show(common, &record, &args.how)?;
    let is_whole = |record: &Record| store::is_whole(record);
    if !is_whole(&before) || !is_whole(&record) {
        talk("not compared: only whole answers can be");
        return Ok(exit);
    }
    let values = |record: &Record| {
        let rows = record.answer.as_ref().map(|answer| {
            let rows = answer.rows.iter().map(|row| {
                row.cells
                    .iter()
                    .map(|cell| cell.value.clone())
                    .collect::<Vec<_>>()
            });
            (answer.columns.clone(), rows.collect::<Vec<_>>())
        });
        rows.unwrap_or_default()
    };
    let ((_, then), (_, now)) = (values(&before), values(&record));
    let gone = then.iter().filter(|row| !now.contains(row)).count();
    let new = now.iter().filter(|row| !then.contains(row)).count();
    match (gone, new) {
        (0, 0) => talk(&format!("the same rows as {id}")),
        (gone, new) => talk(&format!(
            "{gone} rows of {id} are gone or different, {new} are new or different"
        )),
    }
    Ok(exit)
}

impl How {
    fn plain() -> Self {
        Self {
            show_plan: false,
            dry_run: false,
            csv: false,
        }
    }
}

fn show(common: &Common, record: &Record, how: &How) -> Result<Exit> {
    if how.show_plan {
        if let Some(form) = &record.form {
            talk(&format!("form: {}", visible(form)));
        }
        if let Some(wanted) = &record.wanted {
            talk(&format!(
                "wanted: {}",
                visible(&serde_json::to_string(wanted)?)
            ));
        }
        for check in &record.checks {
            let word = if check.holds { "ok" } else { "NO" };
            talk(&format!(
                "check {}: {word}: {}",
                check.check,
                visible(&check.found)
            ));
        }
    }
    for what in &record.not_enforced {
        talk(&format!(
            "not enforced by the kernel: {what}; `rulectl doctor` says why"
        ));
    }
    match (&record.answer, common.format) {
        (Some(answer), _) if how.csv => out(&render::answered_as_csv(answer))?,
        (_, Format::Text) => out(&render::answered(record))?,
        (_, Format::Json) => out_json(record)?,
        (_, Format::Ndjson) => render::answered_rows(record)
            .iter()
            .try_for_each(out_json)?,
    }
    let has_rows = record
        .answer
        .as_ref()
        .is_some_and(|answer| !answer.rows.is_empty());
    if has_rows && common.format == Format::Text {
        talk(&format!(
            "every value is in these answers; `rulectl replay {}` shows it again",
            record.id
        ));
    }
    Ok(match (&record.answer, &record.refused) {
        (Some(answer), _) => match &answer.verdict {
            Verdict::Rows | Verdict::Empty { .. } => Exit::Done,
            Verdict::Incomplete { .. } => Exit::Inconclusive,
            Verdict::Unknown { code, .. } if code == "failed" => Exit::Broken,
            Verdict::Unknown { .. } => Exit::Negative,
        },
        (None, Some(_)) => Exit::Negative,
        (None, None) => Exit::Done,
    })
}
