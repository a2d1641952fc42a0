//! What is kept of questions: each with what came of it, sessions, and those that are asked again
//! under a name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ask::{
    After, Answer, Asking, CallRecord, Plan, Record, Verdict, Wanted, behind, plan_of, verify,
};
use crate::audit::{Body, body};
use crate::cli::output::{UsageError, out, out_json, talk};
use crate::cli::state::replace;
use crate::cli::{Common, Format};
use crate::event::{Digest, Time};
use crate::policy::Policy;
use crate::render;
use crate::store::RunLock;
use crate::visible::{reason, visible};

/// Where questions are kept.
pub(super) fn folder(common: &Common) -> PathBuf {
    common.data.join("questions")
}

/// The bytes of a page, from beside the audit.
pub(super) fn stored(data: &Path, answer: &Answer, sha256: &str) -> Option<Vec<u8>> {
    let pages = answer.calls.iter().flat_map(|call| &call.pages);
    let page = pages.into_iter().find(|page| page.sha256 == sha256)?;
    let named = Body {
        sha256: Digest::try_from(sha256.to_owned()).ok()?,
        bytes: page.bytes as u64,
    };
    body(&data.join("audit"), &named).ok()
}

/// Keeps a question with what came of it.
pub(super) fn kept(common: &Common, record: Record) -> Result<Record> {
    let data = folder(common);
    fs::create_dir_all(&data).with_context(|| format!("`{}` cannot be made", data.display()))?;
    let path = data.join(format!("{}.json", record.id));
    let text = serde_json::to_string_pretty(&record)? + "\n";
    replace(&path, text.as_bytes())
        .with_context(|| format!("`{}` cannot be written", path.display()))?;
    Ok(record)
}

/// A question that was kept.
pub(super) fn read(common: &Common, id: &str) -> Result<Record> {
    let is_id = id.strip_prefix("q-").is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let path = folder(common).join(format!("{id}.json"));
    if !is_id || !path.is_file() {
        let message = format!(
            "there is no question `{}`: `rulectl ask --history` lists them",
            visible(id)
        );
        return Err(UsageError(message).into());
    }
    record(&path)
}

/// A plan that is asked, and what of it was answered before.
pub(super) struct Whole {
    /// The plan, that of an earlier question before it.
    pub plan: Plan,
    /// The moment as of which it is answered.
    pub now: Time,
    /// The calls of the earlier answer, each with its pages.
    pub calls: Vec<(CallRecord, Vec<Vec<u8>>)>,
    /// The tenant that was asked then.
    pub tenant: Option<String>,
}

/// So many answers may follow each other.
const LONGEST: usize = 16;

/// The plan of a question, behind that of the answer that it is about.
///
/// # Errors
///
/// Why there is no such plan, or no such answer.
pub(super) fn whole(
    common: &Common,
    policy: &Policy,
    record: &Record,
    plan: Plan,
) -> Result<Whole> {
    behind_earlier(common, policy, record, plan, LONGEST)
}

fn behind_earlier(
    common: &Common,
    policy: &Policy,
    record: &Record,
    plan: Plan,
    left: usize,
) -> Result<Whole> {
    let Some(Wanted::Call {
        after: Some(id), ..
    }) = &record.wanted
    else {
        return Ok(Whole {
            plan,
            now: record.asked_at,
            calls: Vec::new(),
            tenant: None,
        });
    };
    let left = left
        .checked_sub(1)
        .ok_or_else(|| UsageError(format!("at most {LONGEST} questions follow each other")))?;
    let earlier = read(common, id)?;
    if earlier.policy != record.policy {
        let message =
            format!("the policy is another one than that of `{id}`: ask that again first");
        return Err(UsageError(message).into());
    }
    let (wanted, answer) = followed(id, &earlier)?;
    let before = plan_of(wanted, &policy.tools)
        .map_err(|why| anyhow::anyhow!("the tools of `{id}` are gone: {why}"))?;
    let whole = behind_earlier(common, policy, &earlier, before, left)?;
    let data = folder(common);
    let mut calls = Vec::new();
    for call in &answer.calls {
        let pages = call.pages.iter();
        let pages = pages.map(|page| stored(&data, answer, &page.sha256));
        let pages = pages.collect::<Option<Vec<_>>>();
        let pages = pages.with_context(|| format!("a body of `{id}` is gone or damaged"))?;
        calls.push((call.clone(), pages));
    }
    let asking = Asking {
        catalogue: &policy.tools,
        lists: &policy.lists,
        limits: earlier.limits,
        now: whole.now,
    };
    let wrong = verify(&whole.plan, &asking, answer, &|sha256| {
        stored(&data, answer, sha256)
    });
    if !wrong.is_empty() {
        anyhow::bail!(
            "the answer to `{id}` does not follow from what was recorded, and nothing follows from it: `rulectl replay {id}` says why"
        );
    }
    Ok(Whole {
        plan: behind(whole.plan, plan),
        now: earlier.as_of.unwrap_or(earlier.asked_at),
        calls,
        tenant: earlier.tenant.clone(),
    })
}

/// Whether all of an answer is known.
pub(super) fn is_whole(record: &Record) -> bool {
    record
        .answer
        .as_ref()
        .is_some_and(|answer| matches!(answer.verdict, Verdict::Rows | Verdict::Empty { .. }))
}

/// Adds a question to a session, as it is by now.
///
/// # Errors
///
/// When the session cannot be read or written.
pub(super) fn add_to_session(common: &Common, name: &str, record: &Record) -> Result<()> {
    let _lock = RunLock::take(&folder(common))?;
    let mut session: Session = named(common, SESSIONS, name)?.unwrap_or_default();
    session.questions.push(record.id.clone());
    keep_named(common, SESSIONS, name, &session)
}

/// What was wanted and answered, where that can be followed.
fn followed<'r>(id: &str, earlier: &'r Record) -> Result<(&'r Wanted, &'r Answer)> {
    let whole = earlier.answer.as_ref().filter(|_| is_whole(earlier));
    let found = earlier.wanted.as_ref().zip(whole);
    found.ok_or_else(|| {
        let message =
            format!("`{id}` has no whole answer, and nothing follows from what is not known");
        UsageError(message).into()
    })
}

/// The answer that a question may be about.
///
/// # Errors
///
/// When there is no such answer, or it is not whole.
pub(super) fn after(common: &Common, id: &str) -> Result<After> {
    let earlier = read(common, id)?;
    let (_, answer) = followed(id, &earlier)?;
    Ok(After {
        id: id.to_owned(),
        columns: answer.columns.clone(),
    })
}

/// The answers of a session that a question may be about, the last first: how many there are of
/// something is no answer with rows to ask about. One that is gone is told.
pub(super) fn in_session(common: &Common, session: &Session) -> Vec<After> {
    // What the last question was about is not known where it has no answer.
    let last = session.questions.last().map(|id| read(common, id));
    if let Some(Ok(last)) = last
        && !is_whole(&last)
    {
        return Vec::new();
    }
    let ids = session.questions.iter().rev().take(LONGEST);
    let found = ids.filter_map(|id| match after(common, id) {
        Ok(after) => Some(after),
        Err(error) => {
            // One that was refused, or is not whole, is nothing to ask about.
            if read(common, id).is_err() {
                talk(&visible(&format!("not looked at: {error:#}")));
            }
            None
        }
    });
    found.filter(|after| after.columns != ["count"]).collect()
}

/// The questions of a session, in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// Their ids.
    pub questions: Vec<String>,
}

/// A question that has a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedQuestion {
    /// As it was asked.
    pub question: String,
    /// What it asks for.
    pub wanted: Wanted,
}

/// The folder of sessions, and that of saved questions.
pub(super) const SESSIONS: &str = "sessions";
pub(super) const SAVED: &str = "saved";

/// What is kept under a name; nothing where nothing is.
///
/// # Errors
///
/// When the name is none, or what is kept cannot be read.
pub(super) fn named<T: DeserializeOwned>(
    common: &Common,
    kind: &str,
    name: &str,
) -> Result<Option<T>> {
    let path = path_of(common, kind, name)?;
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("`{}` is damaged", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => anyhow::bail!("`{}`: {}", path.display(), reason(&error)),
    }
}

/// Keeps something under a name.
///
/// # Errors
///
/// When the name is none, or it cannot be written.
pub(super) fn keep_named(
    common: &Common,
    kind: &str,
    name: &str,
    what: &impl Serialize,
) -> Result<()> {
    let path = path_of(common, kind, name)?;
    let folder = folder(common).join(kind);
    fs::create_dir_all(&folder)
        .with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let text = serde_json::to_string_pretty(what)? + "\n";
    replace(&path, text.as_bytes())
        .with_context(|| format!("`{}` cannot be written", path.display()))
}

fn path_of(common: &Common, kind: &str, name: &str) -> Result<PathBuf> {
    check_name(name)?;
    Ok(folder(common).join(kind).join(format!("{name}.json")))
}

/// Whether something can be kept under a name.
///
/// # Errors
///
/// When it cannot.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_name = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_name {
        let message = format!(
            "`{}` is no name: expected letters, digits, `-` and `_`, 64 at most",
            visible(name)
        );
        return Err(UsageError(message).into());
    }
    Ok(())
}

/// Lists the questions that have a name.
pub(super) fn list_saved(common: &Common) -> Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(common).join(SAVED))
        .into_iter()
        .flatten()
        .flatten()
    {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".json") else {
            continue;
        };
        match named::<SavedQuestion>(common, SAVED, name) {
            Ok(saved) => found.extend(saved.map(|saved| (name.to_owned(), saved))),
            Err(error) => talk(&visible(&format!("{error:#}"))),
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, saved) in &found {
        match common.format {
            Format::Text => out(&format!("{name}  {}\n", visible(&saved.question)))?,
            Format::Json | Format::Ndjson => {
                out_json(
                    &serde_json::json!({"name": name, "question": saved.question, "wanted": saved.wanted}),
                )?;
            }
        }
    }
    Ok(())
}

/// The questions of a folder, the oldest first; one that is damaged is told.
///
/// # Errors
///
/// When there is no such folder.
pub(super) fn records(folder: &Path) -> Result<Vec<Record>> {
    let entries = fs::read_dir(folder).map_err(|error| {
        let folder = visible(&folder.display().to_string());
        UsageError(format!(
            "no questions were kept in `{folder}`: {}",
            reason(&error)
        ))
    })?;
    let mut records: Vec<Record> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("q-") && name.ends_with(".json") {
            match record(&entry.path()) {
                Ok(record) => records.push(record),
                Err(error) => talk(&visible(&format!("{error:#}"))),
            }
        }
    }
    records.sort_by(|one, other| (one.asked_at, &one.id).cmp(&(other.asked_at, &other.id)));
    Ok(records)
}

fn record(path: &Path) -> Result<Record> {
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("`{}`: {}", path.display(), reason(&error)))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))
}

/// Lists the questions that were asked, of a session or all.
pub(super) fn history(common: &Common, of: Option<&Session>) -> Result<()> {
    let folder = folder(common);
    let mut records = if folder.is_dir() {
        records(&folder)?
    } else {
        Vec::new()
    };
    records.retain(|record| record.by != "check");
    records.retain(|record| of.is_none_or(|of| of.questions.contains(&record.id)));
    match common.format {
        Format::Text => out(&render::history(&records)),
        Format::Json => out_json(&records),
        Format::Ndjson => records.iter().try_for_each(out_json),
    }
}
