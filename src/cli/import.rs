//! `rulectl import`: rules of somebody else's into the policy folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use crate::cli::output::{out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::fmt::{FileKind, Found, find};
use crate::import::{Import, Remark, Source, Texts, import};
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
    /// The fields that got Okta's names, by what they were called.
    renamed: BTreeMap<String, String>,
    warnings: Vec<Said>,
    /// Whether it was there already, letter by letter.
    unchanged: bool,
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
    let mut refused_early = Vec::new();
    let Some(base) = base(&common.policy) else {
        return Ok(Exit::Broken);
    };
    let (mut sources, mut refused) = sources(&args.paths);
    let to = args.to.clone();
    let to = to.unwrap_or_else(|| common.beginning().join("rules").join("imported"));
    let (imported, others) = loop {
        let mut base = base.clone();
        for source in &sources {
            // What an earlier import made of the same rule is not held against it.
            base.remove(&format!("rules/imported/{}", source.path));
        }
        let Import { imported, refused } = import(&base, &sources);
        // What stays where it is belongs to the policy, and what hangs on the other one goes too.
        let mut taken = BTreeSet::new();
        let in_the_way = imported.iter().filter_map(|one| {
            let file = to.join(&sources.get(one.source)?.path);
            match state(&file, &one.text, taken.insert(file.clone())) {
                State::InTheWay(why) => Some((one.source, why)),
                State::Free | State::Same => None,
            }
        });
        let in_the_way: Vec<(usize, String)> = in_the_way.collect();
        if in_the_way.is_empty() {
            break (imported, refused);
        }
        // From the last on, so that the others keep their numbers.
        for (at, why) in in_the_way.into_iter().rev() {
            let source = sources.remove(at);
            refused_early.push(Left::of_file(&source.name, why));
        }
    };
    refused.extend(refused_early);
    refused.extend(others.into_iter().filter_map(|one| {
        let source = sources.get(one.source)?;
        Some(Left::new(&source.name, one.reasons))
    }));
    let mut report = Report {
        dry_run: args.dry_run,
        ..Report::default()
    };
    let mut taken = BTreeSet::new();
    for one in imported {
        let Some(source) = sources.get(one.source) else {
            continue;
        };
        let file = to.join(&source.path);
        let state = state(&file, &one.text, taken.insert(file.clone()));
        match state {
            State::InTheWay(why) => {
                refused.push(Left::of_file(&source.name, why));
                continue;
            }
            State::Free if !args.dry_run => write_new(&file, &one.text)?,
            State::Free | State::Same => {}
        }
        let renamed = one.renamed.into_iter().filter(|one| one.is_field);
        report.imported.push(Written {
            source: source.name.clone(),
            file: file.display().to_string(),
            rules: one.rules,
            renamed: renamed.map(|field| (field.from, field.to)).collect(),
            warnings: one.warnings.into_iter().map(Said::from).collect(),
            unchanged: state == State::Same,
        });
    }
    refused.sort_by(|one, other| one.source.cmp(&other.source));
    report.refused = refused;
    tell(common, &report)?;
    Ok(match report.refused.is_empty() {
        true => Exit::Done,
        false => Exit::Negative,
    })
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
        let Found {
            files,
            left: others,
            unread,
        } = find(std::slice::from_ref(path));
        for (path, why) in unread {
            let name = path.display().to_string();
            left.push(Left::of_file(&name, format!("cannot be read: {why}")));
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

fn state(file: &Path, text: &str, is_first: bool) -> State {
    let name = visible(&file.display().to_string());
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

fn write_new(file: &Path, text: &str) -> Result<()> {
    let written = || {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::File::create_new(file)?.write_all(text.as_bytes())
    };
    written().map_err(|error: std::io::Error| {
        let name = visible(&file.display().to_string());
        anyhow::anyhow!("`{name}` cannot be written: {}", reason(&error))
    })
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
    let (rules, files) = (
        counted(rules as u64, "rule"),
        counted(report.imported.len() as u64, "file"),
    );
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
