//! `rulectl import`: rules of somebody else's into the policy folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use crate::cli::output::{out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::fmt::{FileKind, Found, find};
use crate::import::{Effect, Imported, Remark, Source, Texts, import};
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
    /// Bring in filters and correlations too that change what rules of the policy report
    #[arg(long)]
    change_rules: bool,
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
    filters: usize,
    /// The fields that got Okta's names, by what they were called.
    renamed: BTreeMap<String, String>,
    /// The rules outside of it that report something else with it.
    changes: Vec<Change>,
    warnings: Vec<Said>,
    /// Whether it was there already, letter by letter.
    unchanged: bool,
}

/// A rule outside of a file that reports something else with it.
#[derive(Debug, Serialize)]
struct Change {
    line: usize,
    rule: String,
    /// The file of the policy that it stands in, where it is not imported too.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// `filtered` or `silenced`.
    effect: &'static str,
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
    /// What could come in and is not there, since writing it or one before it failed.
    unwritten: Vec<Unwritten>,
    dry_run: bool,
}

/// A file that could come in and is not written.
#[derive(Debug, Serialize)]
struct Unwritten {
    source: String,
    file: String,
    reason: String,
}

/// Runs the command.
pub fn run(common: &Common, args: &Args) -> Result<Exit> {
    let From::Sigma(args) = &args.from;
    let target = target(common, args)?;
    let Some(base) = base(&common.policy) else {
        return Ok(Exit::Broken);
    };
    let (sources, refused) = sources(&args.paths);
    let (ready, mut refused) = decide(&base, sources, refused, &target, args);
    refused.sort_by(|one, other| one.source.cmp(&other.source));
    let mut report = Report {
        dry_run: args.dry_run,
        refused,
        ..Report::default()
    };
    for one in ready {
        let written = match one.state {
            _ if !report.unwritten.is_empty() => Err("not tried, after that".to_owned()),
            State::Free if !args.dry_run => {
                write_new(&one.file, &one.imported.text).map_err(|error| reason(&error))
            }
            _ => Ok(()),
        };
        match written {
            Ok(()) => report.imported.push(Written::new(one)),
            Err(reason) => report.unwritten.push(Unwritten {
                source: one.source,
                file: one.file.display().to_string(),
                reason,
            }),
        }
    }
    tell(common, &report)?;
    Ok(
        match (report.unwritten.is_empty(), report.refused.is_empty()) {
            (false, _) => Exit::Broken,
            (true, false) => Exit::Negative,
            (true, true) => Exit::Done,
        },
    )
}

/// The folder that files are written to, and the one below which no link leads there.
struct Target {
    to: PathBuf,
    root: PathBuf,
}

fn target(common: &Common, args: &Sigma) -> Result<Target> {
    let policy = common.beginning();
    if !common.policy.is_dir() {
        let folder = visible(&common.policy.display().to_string());
        anyhow::bail!(
            "`{folder}` is not a folder, and rules come into a policy folder: `rulectl init {folder}` makes one"
        );
    }
    let rules = policy.join("rules");
    let to = args.to.clone().unwrap_or_else(|| rules.join("imported"));
    let to = to.strip_prefix(".").map(Path::to_owned).unwrap_or(to);
    let root = match to.starts_with(&rules) {
        true => policy.to_owned(),
        false => to.clone(),
    };
    if let Some(link) = link_below(&root, &to) {
        let link = visible(&link.display().to_string());
        anyhow::bail!(
            "`{link}` is a link, through which no rules are written: a policy does not follow links to folders; put a folder in its place, or name another one with `--to`"
        );
    }
    Ok(Target { to, root })
}

/// The first link on the way from a folder to what is below it.
fn link_below(root: &Path, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(root).ok()?;
    let mut at = root.to_owned();
    let mut steps = below.components().map(|step| {
        at.push(step);
        at.clone()
    });
    steps.find(|step| fs::symlink_metadata(step).is_ok_and(|found| found.is_symlink()))
}

/// A source that the policy can have, and where it is to be.
struct Ready {
    source: String,
    file: PathBuf,
    imported: Imported,
    state: State,
}

/// Decides of each source whether it comes in. What stays out, since its place is taken or it would
/// change rules of the policy, takes with it what hangs on it.
fn decide(
    base: &Base,
    mut sources: Vec<Source>,
    mut refused: Vec<Left>,
    target: &Target,
    args: &Sigma,
) -> (Vec<Ready>, Vec<Left>) {
    loop {
        let mut texts = base.texts.clone();
        for source in &sources {
            // What an earlier import made of the same rule is not held against it.
            texts.remove(&format!("rules/imported/{}", source.path));
        }
        let tried = import(&texts, &sources);
        let mut taken = BTreeSet::new();
        let mut ready = Vec::new();
        let mut out = Vec::new();
        for imported in tried.imported {
            let (at, Some(source)) = (imported.source, sources.get(imported.source)) else {
                continue;
            };
            let file = target.to.join(&source.path);
            let state = match taken.insert(file.clone()) {
                true => state(&file, &imported.text, &target.root),
                false => State::InTheWay(format!(
                    "another rule that is imported is to be `{}` too",
                    visible(&file.display().to_string())
                )),
            };
            let mut one = Ready {
                source: source.name.clone(),
                file,
                imported,
                state,
            };
            if !base.is_there {
                one.imported
                    .touched
                    .retain(|touched| touched.file.is_none());
            }
            // What is there already, letter by letter, changes nothing any more.
            let changes = match !args.change_rules && one.state == State::Free {
                true => changes(&one.imported),
                false => Vec::new(),
            };
            match &one.state {
                State::InTheWay(why) => out.push((at, Left::of_file(&one.source, why.clone()))),
                _ if !changes.is_empty() => out.push((
                    at,
                    Left {
                        source: one.source,
                        reasons: changes,
                    },
                )),
                State::Free | State::Same => ready.push(one),
            }
        }
        if out.is_empty() {
            refused.extend(tried.refused.into_iter().filter_map(|one| {
                let source = sources.get(one.source)?;
                Some(Left::new(&source.name, one.reasons))
            }));
            return (ready, refused);
        }
        // From the last on, so that the others keep their numbers.
        for (at, left) in out.into_iter().rev() {
            sources.remove(at);
            refused.push(left);
        }
    }
}

/// What a source would change of rules of the policy, as reasons not to bring it in unasked.
fn changes(imported: &Imported) -> Vec<Said> {
    let touched = imported.touched.iter();
    let changes = touched.filter_map(|touched| {
        let (rule, file) = (&touched.rule, touched.file.as_ref()?);
        let what = match touched.effect {
            Effect::Filtered => "would leave out events of",
            Effect::Silenced => "would keep findings from",
        };
        let message = format!(
            "this {what} `{rule}` of {file}, which is in the policy already; `--change-rules` brings it in all the same"
        );
        Some(Said {
            line: touched.line,
            code: None,
            message,
        })
    });
    changes.collect()
}

impl Written {
    fn new(ready: Ready) -> Self {
        let imported = ready.imported;
        let renamed = imported.renamed.into_iter().filter(|one| one.is_field);
        let changes = imported.touched.into_iter().map(|touched| Change {
            line: touched.line,
            rule: touched.rule,
            file: touched.file,
            effect: match touched.effect {
                Effect::Filtered => "filtered",
                Effect::Silenced => "silenced",
            },
        });
        Self {
            source: ready.source,
            file: ready.file.display().to_string(),
            rules: imported.rules,
            filters: imported.filters,
            renamed: renamed.map(|field| (field.from, field.to)).collect(),
            changes: changes.collect(),
            warnings: imported.warnings.into_iter().map(Said::from).collect(),
            unchanged: ready.state == State::Same,
        }
    }
}

impl std::convert::From<Remark> for Said {
    fn from(remark: Remark) -> Self {
        Self {
            line: remark.line,
            code: Some(remark.code),
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

/// What rules are tried beside.
struct Base {
    texts: Texts,
    /// Whether it is the policy's, and not that of one to begin with.
    is_there: bool,
}

/// The files of the policy that the rules come into, or where there is none yet, of one to begin
/// with. `None` where it has errors, which are told.
fn base(folder: &Path) -> Option<Base> {
    if !folder.join("routing.toml").exists() {
        let files = FILES.iter().filter(|(path, _)| {
            ["rules/", "prompts/", "routing.toml", "tools.yaml"]
                .iter()
                .any(|part| path.starts_with(part))
        });
        let texts = files.map(|(path, text)| ((*path).to_owned(), Arc::from(*text)));
        return Some(Base {
            texts: texts.collect(),
            is_there: false,
        });
    }
    let loaded = policy::load(folder);
    if loaded.problems.has_errors() {
        talk_problems(&loaded.problems);
        return None;
    }
    let files = loaded.files.into_iter();
    Some(Base {
        texts: files.map(|file| (file.path, file.text)).collect(),
        is_there: true,
    })
}

/// Why a file that is named is left out.
const NO_RULE_FILE: &str = "rules are `.yml` or `.yaml` files, and no suites `.test.yml`";

/// The rules below some paths, and what cannot be read.
fn sources(paths: &[PathBuf]) -> (Vec<Source>, Vec<Left>) {
    let (mut sources, mut left) = (Vec::new(), Vec::new());
    for path in paths {
        let known = left.len();
        let Found {
            files,
            left: others,
            unread,
            ..
        } = find(std::slice::from_ref(path));
        for (path, why) in unread {
            let name = path.display().to_string();
            left.push(Left::of_file(&name, format!("cannot be read: {why}")));
        }
        for path in others {
            let name = path.display().to_string();
            left.push(Left::of_file(&name, NO_RULE_FILE.to_owned()));
        }
        let is_rule_file = |file: &PathBuf| {
            let kind = FileKind::of(&file.display().to_string());
            matches!(kind, Some(FileKind::Yaml | FileKind::Tools))
        };
        let files: Vec<PathBuf> = match path.is_dir() {
            true => files.into_iter().filter(is_rule_file).collect(),
            false => files,
        };
        if files.is_empty() && path.is_dir() && left.len() == known {
            let name = path.display().to_string();
            left.push(Left::of_file(
                &name,
                format!("nothing to import: {NO_RULE_FILE}"),
            ));
        }
        for file in files {
            let name = file.display().to_string();
            if !is_rule_file(&file) {
                left.push(Left::of_file(&name, NO_RULE_FILE.to_owned()));
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

fn state(file: &Path, text: &str, root: &Path) -> State {
    if let Some(link) = link_below(root, file) {
        let link = visible(&link.display().to_string());
        return State::InTheWay(format!(
            "`{link}` is a link, through which no rules are written"
        ));
    }
    if fs::symlink_metadata(file).is_err() {
        return State::Free;
    }
    match text_of(file) {
        Ok(there) if there == text => State::Same,
        _ => {
            let name = visible(&file.display().to_string());
            State::InTheWay(format!(
                "`{name}` is there already; remove it, or name another folder with `--to`"
            ))
        }
    }
}

/// Writes a file that is not there yet, as a whole or not at all.
fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut staged = tempfile::Builder::new();
    #[cfg(unix)]
    staged.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut staged = staged.tempfile_in(folder)?;
    staged.write_all(text.as_bytes())?;
    staged
        .persist_noclobber(file)
        .map_err(|error| error.error)?;
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
        for change in &one.changes {
            text.push_str(&change.as_text());
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
    for one in &report.unwritten {
        let (file, reason) = (visible(&one.file), visible(&one.reason));
        text.push_str(&format!("not written: {file}: {reason}\n"));
    }
    let rules: usize = report.imported.iter().map(|one| one.rules).sum();
    let filters: usize = report.imported.iter().map(|one| one.filters).sum();
    let verb = match report.dry_run {
        true => "can be imported; nothing is written",
        false => "imported",
    };
    let mut what = counted(rules as u64, "rule");
    if filters > 0 {
        what.push_str(&format!(" and {}", counted(filters as u64, "filter")));
    }
    let files = counted(report.imported.len() as u64, "file");
    let others = counted(report.refused.len() as u64, "file");
    text.push_str(&format!("{what} in {files} {verb}; {others} not"));
    if !report.unwritten.is_empty() {
        let unwritten = counted(report.unwritten.len() as u64, "file");
        text.push_str(&format!("; {unwritten} could not be written"));
    }
    text + "\n"
}

impl Change {
    fn as_text(&self) -> String {
        let rule = visible(&self.rule);
        let of = match &self.file {
            Some(file) => format!("`{rule}` of {}, which was there", visible(file)),
            None => format!("`{rule}`, which is imported too"),
        };
        match self.effect {
            "filtered" => format!("  filters {of}\n"),
            _ => format!("  silences {of}\n"),
        }
    }
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
