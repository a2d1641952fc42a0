//! `rulectl coverage` and `rulectl docs`: what the rules of a policy cover, and a page for each.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::cli::output::{out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::geo::Databases;
use crate::lab::{Covered, Project, covered};
use crate::render::{CoverageBy, WRITTEN, coverage, navigator, pages};
use crate::visible::{json, reason, visible};

/// The words of `coverage`.
#[derive(Debug, clap::Args)]
pub struct CoverageArgs {
    /// By what the rules are told
    #[arg(long, value_enum, default_value = "technique")]
    by: By,
    /// Write a layer for the ATT&CK Navigator too
    #[arg(long, value_name = "FILE")]
    navigator: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// By tactic and technique of ATT&CK
    Technique,
    /// By the behaviour that rules name
    Behaviour,
}

/// The words of `docs`.
#[derive(Debug, clap::Args)]
pub struct DocsArgs {
    /// The folder of the pages [default: docs/rules in the policy folder]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Write nothing; end with 1 where a page is not what the rules say
    #[arg(long)]
    check: bool,
}

/// Runs `coverage`.
pub fn coverage_of(common: &Common, args: &CoverageArgs) -> Result<Exit> {
    let Some(rules) = rules(common) else {
        return Ok(Exit::Broken);
    };
    let by = match args.by {
        By::Technique => CoverageBy::Technique,
        By::Behaviour => CoverageBy::Behaviour,
    };
    match common.format {
        Format::Text => out(&coverage(&rules, by))?,
        Format::Json => out_json(&rules)?,
        Format::Ndjson => rules.iter().try_for_each(out_json)?,
    }
    if let Some(path) = &args.navigator {
        write(path, &(json(&navigator(&rules))? + "\n"))?;
    }
    Ok(Exit::Done)
}

/// Runs `docs`.
pub fn docs(common: &Common, args: &DocsArgs) -> Result<Exit> {
    let Some(rules) = rules(common) else {
        return Ok(Exit::Broken);
    };
    let folder = args.to.clone();
    let folder = folder.unwrap_or_else(|| common.policy.join("docs/rules"));
    let difference = Difference::of(&folder, pages(&rules))?;
    let [written, removed] = match args.check {
        true => ["to be written", "to be removed"],
        false => ["written", "removed"],
    };
    let lines = difference.written.keys().map(|file| (written, file));
    let lines = lines.chain(difference.gone.iter().map(|file| (removed, file)));
    for (what, file) in lines {
        out(&format!("{what}: {}\n", shown(&folder, file)))?;
    }
    if args.check {
        let is_same = difference.written.is_empty() && difference.gone.is_empty();
        return Ok(if is_same { Exit::Done } else { Exit::Negative });
    }
    difference.make(&folder)?;
    out(&format!(
        "{} in {}, {} written, {} removed\n",
        counted(rules.len() as u64 + 1, "page"),
        visible(&folder.to_string_lossy()),
        difference.written.len(),
        difference.gone.len(),
    ))?;
    Ok(Exit::Done)
}

fn shown(folder: &Path, file: &str) -> String {
    visible(&folder.join(file).to_string_lossy())
}

/// What the rules of the policy cover; nothing where it is broken.
fn rules(common: &Common) -> Option<Vec<Covered>> {
    let mut project = Project::read(&common.policy);
    talk_problems(&project.loaded.problems);
    let policy = project.take_policy(&Databases::new(None, None))?;
    Some(covered(&policy, &project.loaded.files, &project.suites))
}

/// The pages that a folder lacks or has otherwise, and those that it has of no rule any more.
struct Difference {
    written: BTreeMap<String, String>,
    gone: Vec<String>,
}

impl Difference {
    fn of(folder: &Path, mut pages: BTreeMap<String, String>) -> Result<Self> {
        let mut gone = Vec::new();
        refuse_link(folder)?;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let entries = entries.map_err(|error| cannot("be read", folder, &error))?;
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name.ends_with(".md")) else {
                continue;
            };
            let path = entry.path();
            refuse_link(&path)?;
            let text = fs::read(&path).map_err(|error| cannot("be read", &path, &error))?;
            let is_ours = text.starts_with(WRITTEN.as_bytes());
            match pages.get(name) {
                Some(_) if !is_ours => bail!(
                    "`{}` is not a page of `rulectl docs`; move it away, or name another folder with `--to`",
                    shown(folder, name)
                ),
                Some(page) if page.as_bytes() == text => drop(pages.remove(name)),
                Some(_) => {}
                None if is_ours => gone.push(name.to_owned()),
                None => {}
            }
        }
        gone.sort();
        Ok(Self {
            written: pages,
            gone,
        })
    }

    fn make(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| cannot("be made", folder, &error))?;
        for (file, page) in &self.written {
            write(&folder.join(file), page)?;
        }
        for file in &self.gone {
            let path = folder.join(file);
            fs::remove_file(&path).map_err(|error| cannot("be removed", &path, &error))?;
        }
        Ok(())
    }
}

/// Pages are written where they seem to be.
fn refuse_link(path: &Path) -> Result<()> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_symlink());
    if is_link {
        let path = visible(&path.to_string_lossy());
        bail!("`{path}` is a link; name the folder that it leads to with `--to`, or remove it");
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let path = visible(&path.to_string_lossy());
    anyhow::anyhow!("`{path}` cannot {what}: {}", reason(error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| cannot("be written", path, &error))
}
