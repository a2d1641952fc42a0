//! `rulectl import`: rules of somebody else's into the policy folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::cli::output::{UsageError, out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::fmt::{FileKind, Found, find};
use crate::import::{Import, Imported, Remark, Source, Texts, import};
use crate::policy;
use crate::starter::FILES;
use crate::visible::{reason, visible};

/// A file may be as large as one of a policy.
const MAX_FILE: u64 = 1 << 20;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

/// What is imported.
#[derive(Debug, clap::Subcommand)]
enum From {
    /// Sigma rules, from files and folders
    Sigma(Sigma),
}

/// The words of `rulectl import sigma`.
#[derive(Debug, clap::Args)]
struct Sigma {
    /// Files and folders of Sigma rules
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Where they are written [default: rules/imported of the policy folder]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// A file that is written, or would be.
#[derive(Debug, Serialize)]
struct Written {
    source: String,
    file: String,
    rules: usize,
    /// Filters, which are for rules that are imported.
    #[serde(skip_serializing_if = "is_none")]
    filters: usize,
    /// The fields that got Okta's names, by what they were called.
    renamed: BTreeMap<String, String>,
    warnings: Vec<Said>,
    /// Whether it was there already, letter by letter.
    unchanged: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// A file that is not imported.
#[derive(Debug, Serialize)]
struct Left {
    source: String,
    reasons: Vec<Said>,
}

/// Something about a line of a source.
#[derive(Debug, Serialize)]
struct Said {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    message: String,
}

/// What the command did.
#[derive(Debug, Default, Serialize)]
struct Report {
    imported: Vec<Written>,
    refused: Vec<Left>,
    dry_run: bool,
}

/// Runs the command.
pub fn run(common: &Common, args: &Args) -> Result<Exit> {
    let From::Sigma(args) = &args.from;
    if !common.policy.is_dir() {
        let folder = visible(&common.policy.display().to_string());
        let message =
            format!("there is no folder `{folder}`; `rulectl init` makes one to begin with");
        bail!(UsageError(message));
    }
    let Some(base) = base(&common.policy) else {
        return Ok(Exit::Broken);
    };
    let (sources, mut refused) = sources(&args.paths);
    let to = match &args.to {
        Some(to) => To::Named(to.clone()),
        None => To::Policy(common.beginning().to_owned()),
    };
    let Chosen {
        written,
        in_the_way,
    } = chosen(&base, sources, &to);
    refused.extend(in_the_way);
    let mut report = Report {
        dry_run: args.dry_run,
        ..Report::default()
    };
    let mut failed: Option<String> = None;
    for one in written {
        if one.state == State::Free && !args.dry_run {
            let outcome = match &failed {
                None => write_new(&one.file, &one.imported.text),
                Some(_) => Err("not written, since another could not be".to_owned()),
            };
            if let Err(why) = outcome {
                refused.push(Left::of_file(&one.source, why.clone()));
                failed = Some(why);
                continue;
            }
        }
        report.imported.push(Written::from(one));
    }
    refused.sort_by(|one, other| one.source.cmp(&other.source));
    report.refused = refused;
    tell(common, &report)?;
    Ok(match (failed, report.refused.is_empty()) {
        (Some(_), _) => Exit::Broken,
        (None, true) => Exit::Done,
        (None, false) => Exit::Negative,
    })
}

/// Where files are written.
enum To {
    /// A folder that was named: wherever it leads, it is meant.
    Named(PathBuf),
    /// `rules/imported` of this policy folder, which may not lead out of it.
    Policy(PathBuf),
}

impl To {
    fn folder(&self) -> PathBuf {
        match self {
            Self::Named(folder) => folder.clone(),
            Self::Policy(policy) => policy.join("rules").join("imported"),
        }
    }

    /// The link above a file that leads out of the policy.
    fn leads_out(&self, file: &Path) -> Option<PathBuf> {
        let Self::Policy(policy) = self else {
            return None;
        };
        let inside = fs::canonicalize(if policy.as_os_str().is_empty() {
            Path::new(".")
        } else {
            policy
        })
        .ok()?;
        let mut above: Vec<&Path> = file.ancestors().skip(1).collect();
        above.retain(|above| above.starts_with(policy) && *above != policy);
        let leads_out = |above: &&Path| match fs::canonicalize(above) {
            Ok(real) => !real.starts_with(&inside),
            // A link to nowhere, or nothing yet.
            Err(_) => above.is_symlink(),
        };
        above.into_iter().rev().find(leads_out).map(Path::to_owned)
    }
}

/// What the policy can have, and whether it is there already.
struct Free {
    source: String,
    file: PathBuf,
    imported: Imported,
    state: State,
}

/// What of the sources is written, and what is not.
struct Chosen {
    written: Vec<Free>,
    in_the_way: Vec<Left>,
}

/// Tries the sources beside the policy until none of those that are left is in the way of anything.
fn chosen(base: &Texts, mut sources: Vec<Source>, to: &To) -> Chosen {
    let mut in_the_way = Vec::new();
    loop {
        let mut base = base.clone();
        for source in &sources {
            // What an earlier import made of the same rule is not held against it.
            base.remove(&format!("rules/imported/{}", source.path));
        }
        let Import { imported, refused } = import(&base, &sources);
        // What stays where it is belongs to the policy, and what hangs on the other one goes too.
        let (mut taken, mut written, mut stay) = (BTreeSet::new(), Vec::new(), Vec::new());
        for one in imported {
            let Some(source) = sources.get(one.source) else {
                continue;
            };
            let file = to.folder().join(&source.path);
            match state(to, &file, &one.text, taken.insert(file.clone())) {
                State::InTheWay(why) => stay.push((one.source, why)),
                state => written.push(Free {
                    source: source.name.clone(),
                    file,
                    imported: one,
                    state,
                }),
            }
        }
        if stay.is_empty() {
            in_the_way.extend(refused.into_iter().filter_map(|one| {
                let source = sources.get(one.source)?;
                Some(Left::new(&source.name, one.reasons))
            }));
            return Chosen {
                written,
                in_the_way,
            };
        }
        // From the last on, so that the others keep their numbers.
        for (at, why) in stay.into_iter().rev() {
            let source = sources.remove(at);
            in_the_way.push(Left::of_file(&source.name, why));
        }
    }
}

impl std::convert::From<Free> for Written {
    fn from(one: Free) -> Self {
        let renamed = one.imported.renamed.into_iter().filter(|one| one.is_field);
        let warnings = one.imported.warnings.into_iter().map(Said::from);
        Self {
            source: one.source,
            file: one.file.display().to_string(),
            rules: one.imported.rules,
            filters: one.imported.filters,
            renamed: renamed.map(|field| (field.from, field.to)).collect(),
            warnings: warnings.collect(),
            unchanged: one.state == State::Same,
        }
    }
}

impl std::convert::From<Remark> for Said {
    fn from(remark: Remark) -> Self {
        Self {
            line: remark.line,
            code: remark.code,
            message: remark.message,
        }
    }
}

impl Left {
    fn new(source: &str, reasons: Vec<Remark>) -> Self {
        Self {
            source: source.to_owned(),
            reasons: reasons.into_iter().map(Said::from).collect(),
        }
    }

    /// One whose reason has no line of its own.
    fn of_file(source: &str, message: String) -> Self {
        Self {
            source: source.to_owned(),
            reasons: vec![Said {
                line: 1,
                code: None,
                message,
            }],
        }
    }
}

/// The files of the policy that the rules come into, or where there is none yet, of one to begin
/// with. `None` where it has errors, which are told.
fn base(folder: &Path) -> Option<Texts> {
    if !folder.join("routing.toml").exists() {
        let files = FILES.iter().filter(|(path, _)| {
            ["rules/", "prompts/", "routing.toml", "tools.yaml"]
                .iter()
                .any(|part| path.starts_with(part))
        });
        return Some(
            files
                .map(|(path, text)| ((*path).to_owned(), Arc::from(*text)))
                .collect(),
        );
    }
    let loaded = policy::load(folder);
    if loaded.problems.has_errors() {
        talk_problems(&loaded.problems);
        return None;
    }
    let files = loaded.files.into_iter();
    Some(files.map(|file| (file.path, file.text)).collect())
}

/// The rules below some paths, and what cannot be read.
fn sources(paths: &[PathBuf]) -> (Vec<Source>, Vec<Left>) {
    let (mut sources, mut left) = (Vec::new(), Vec::new());
    for path in paths {
        let before = (sources.len(), left.len());
        let Found {
            files,
            left: others,
            links,
            unread,
        } = find(std::slice::from_ref(path));
        for (path, why) in unread {
            let name = path.display().to_string();
            left.push(Left::of_file(&name, format!("cannot be read: {why}")));
        }
        for path in links {
            let name = path.display().to_string();
            left.push(Left::of_file(
                &name,
                "it is a link, which is not followed".to_owned(),
            ));
        }
        for path in others {
            let name = path.display().to_string();
            left.push(Left::of_file(
                &name,
                "rules are `.yml` or `.yaml` files".to_owned(),
            ));
        }
        for file in files {
            let name = file.display().to_string();
            if !matches!(FileKind::of(&name), Some(FileKind::Yaml | FileKind::Tools)) {
                if file == *path {
                    left.push(Left::of_file(
                        &name,
                        "is of another kind than rules, which are `.yml` or `.yaml` files"
                            .to_owned(),
                    ));
                }
                continue;
            }
            match text_of(&file) {
                Ok(text) => sources.push(Source {
                    path: inside(path, &file),
                    name,
                    text,
                }),
                Err(why) => left.push(Left::of_file(&name, why)),
            }
        }
        if (sources.len(), left.len()) == before {
            let name = path.display().to_string();
            left.push(Left::of_file(
                &name,
                "holds no `.yml` or `.yaml` file".to_owned(),
            ));
        }
    }
    (sources, left)
}

/// The path of a file below the folder that was named, or its name.
fn inside(named: &Path, file: &Path) -> String {
    let below = file.strip_prefix(named).ok();
    let below = below.filter(|below| below.file_name().is_some());
    let name = Path::new(file.file_name().unwrap_or_default());
    below.unwrap_or(name).to_string_lossy().into_owned()
}

fn text_of(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {}", reason(&error));
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// What is where a file would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Free,
    Same,
    InTheWay(String),
}

fn state(to: &To, file: &Path, text: &str, is_first: bool) -> State {
    let name = visible(&file.display().to_string());
    if let Some(link) = to.leads_out(file) {
        return State::InTheWay(format!(
            "`{}` leads out of the policy folder, where no rule is read from; name the folder with `--to` to write there all the same",
            visible(&link.display().to_string())
        ));
    }
    if !is_first {
        return State::InTheWay(format!(
            "another rule that is imported is to be `{name}` too"
        ));
    }
    if fs::symlink_metadata(file).is_err() {
        return State::Free;
    }
    match text_of(file) {
        Ok(there) if there == text => State::Same,
        _ => State::InTheWay(format!(
            "`{name}` is there already; remove it, or name another folder with `--to`"
        )),
    }
}

/// Writes beside the place and moves it there: whole or not at all.
fn write_new(file: &Path, text: &str) -> Result<(), String> {
    let written = || {
        let folder = file.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder)?;
        let mut beside = tempfile::Builder::new();
        let mut beside = beside.prefix(".import").tempfile_in(folder)?;
        beside.write_all(text.as_bytes())?;
        share(beside.as_file())?;
        beside
            .persist_noclobber(file)
            .map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|error: std::io::Error| {
        let name = visible(&file.display().to_string());
        format!("`{name}` cannot be written: {}", reason(&error))
    })
}

/// A file that is made beside its place is its owner's alone; a rule is for whoever reads the policy.
#[cfg(unix)]
fn share(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}

fn tell(common: &Common, report: &Report) -> Result<()> {
    match common.format {
        Format::Json | Format::Ndjson => out_json(report),
        Format::Text => out(&as_text(report)),
    }
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for one in &report.imported {
        text.push_str(&visible(&one.file));
        text.push_str(if one.unchanged {
            ": there already\n"
        } else {
            "\n"
        });
        for (from, to) in &one.renamed {
            text.push_str(&format!("  `{}` is `{to}`\n", visible(from)));
        }
        for said in &one.warnings {
            text.push_str(&format!("  warning{}\n", said.as_text(&one.source)));
        }
    }
    for one in &report.refused {
        text.push_str(&format!("not imported: {}\n", visible(&one.source)));
        for said in &one.reasons {
            text.push_str(&format!("  error{}\n", said.as_text(&one.source)));
        }
    }
    let rules: usize = report.imported.iter().map(|one| one.rules).sum();
    let verb = match report.dry_run {
        true => "can be imported; nothing is written",
        false => "imported",
    };
    let filters: usize = report.imported.iter().map(|one| one.filters).sum();
    let files = counted(report.imported.len() as u64, "file");
    let rules = match filters {
        0 => counted(rules as u64, "rule"),
        _ => format!(
            "{} and {}",
            counted(rules as u64, "rule"),
            counted(filters as u64, "filter")
        ),
    };
    let others = counted(report.refused.len() as u64, "file");
    text.push_str(&format!("{rules} in {files} {verb}; {others} not\n"));
    text
}

impl Said {
    fn as_text(&self, source: &str) -> String {
        let code = self
            .code
            .map_or_else(String::new, |code| format!("[{code}]"));
        let (source, message) = (visible(source), visible(&self.message));
        format!("{code} {source}:{}: {message}", self.line)
    }
}
