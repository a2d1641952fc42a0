//! `rulectl fmt`: the canonical layout of YAML and TOML.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::cli::fix::replace;
use crate::cli::output::{UsageError, bad, out, out_json, talk, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::fmt::{FileKind, Found, Refused, find, formatted, of_policy};
use crate::lab::Fixed;
use crate::render::fix_as_text;
use crate::visible::{reason, visible};

/// A file may be as large as one of a policy.
const MAX_FILE: u64 = 1 << 20;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders, or `-` for standard input [default: the rules, suites, routing.toml,
    /// tools.yaml and rulectl.toml of the policy folder]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write nothing; exit with 1 where a file would change
    #[arg(long)]
    check: bool,
    /// Show what changes, as a diff
    #[arg(long)]
    diff: bool,
    /// With `-`: the name that says what the text is, such as rules/a.yml
    #[arg(long, value_name = "NAME")]
    stdin_filename: Option<String>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It has its layout.
    Unchanged,
    /// It was written again.
    Changed,
    /// It would be.
    WouldChange,
    /// It is neither YAML nor TOML.
    LeftAlone,
    /// It cannot be read or laid out.
    Refused,
}

/// A file and what became of it.
#[derive(Debug, Serialize)]
struct Told {
    file: String,
    outcome: Outcome,
    /// Of standard input, its layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Runs the command.
pub fn fmt(common: &Common, args: &Args) -> Result<Exit> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        return fmt_stdin(common, args);
    }
    if args.stdin_filename.is_some() {
        return Err(UsageError("`--stdin-filename` goes with `-`".to_owned()).into());
    }
    if args.paths.is_empty() && !common.policy.is_dir() {
        let folder = visible(&common.policy.display().to_string());
        anyhow::bail!("`{folder}` is not a folder");
    }
    let Found {
        files,
        left,
        links,
        unread,
    } = match args.paths.is_empty() {
        true => of_policy(common.beginning()),
        false => find(&args.paths),
    };
    let mut told = Vec::new();
    for (path, why) in unread {
        bad(&format!("`{}` cannot be read: {why}", path.display()));
        told.push(Told::new(&path, Outcome::Refused));
    }
    for path in left {
        talk(&format!(
            "{}: left alone; YAML and TOML have a layout, scripts and prompts have none",
            visible(&path.display().to_string())
        ));
        told.push(Told::new(&path, Outcome::LeftAlone));
    }
    for path in links {
        talk(&format!(
            "{}: left alone; it is a link, so name what it leads to",
            visible(&path.display().to_string())
        ));
        told.push(Told::new(&path, Outcome::LeftAlone));
    }
    for path in &files {
        told.push(Told::new(path, fmt_file(common, path, args)?));
    }
    tell(common, &told)?;
    Ok(exit(&told))
}

impl Told {
    fn new(path: &Path, outcome: Outcome) -> Self {
        Self {
            file: path.display().to_string(),
            outcome,
            text: None,
        }
    }
}

fn exit(told: &[Told]) -> Exit {
    let each = told.iter().map(|told| match told.outcome {
        Outcome::WouldChange => Exit::Negative,
        Outcome::Refused => Exit::Broken,
        Outcome::Unchanged | Outcome::Changed | Outcome::LeftAlone => Exit::Done,
    });
    each.fold(Exit::Done, Exit::or)
}

fn fmt_stdin(common: &Common, args: &Args) -> Result<Exit> {
    let name = args.stdin_filename.as_deref();
    let kind = name
        .and_then(FileKind::of)
        .filter(|_| args.paths.len() == 1);
    let (Some(name), Some(kind)) = (name, kind) else {
        let message = "`-` stands alone, with `--stdin-filename NAME.yml`, `.yaml` or `.toml`";
        return Err(UsageError(message.to_owned()).into());
    };
    let text = match text_of(io::stdin().lock()) {
        Ok(text) => text,
        Err(why) => anyhow::bail!("standard input {why}"),
    };
    let (outcome, laid_out) = match formatted(name, &text, kind) {
        Ok(laid_out) if laid_out == text => (Outcome::Unchanged, Some(laid_out)),
        Ok(laid_out) if args.check => (Outcome::WouldChange, Some(laid_out)),
        Ok(laid_out) => (Outcome::Changed, Some(laid_out)),
        Err(refused) => {
            tell_refused(name, &refused);
            (Outcome::Refused, None)
        }
    };
    if let (Format::Text, Some(laid_out)) = (common.format, &laid_out) {
        if args.diff && *laid_out != text {
            out(&diff(name, &text, laid_out))?;
        }
        if !args.check && !args.diff {
            // What goes back into an editor is the text and nothing else, its controls included.
            out_raw(laid_out)?;
        }
    }
    let told = [Told {
        file: name.to_owned(),
        outcome,
        text: laid_out.filter(|_| !args.check),
    }];
    if common.format != Format::Text {
        tell(common, &told)?;
    }
    Ok(exit(&told))
}

fn fmt_file(common: &Common, path: &Path, args: &Args) -> Result<Outcome> {
    let name = path.display().to_string();
    let Some(kind) = FileKind::of(&name) else {
        return Ok(Outcome::LeftAlone);
    };
    let opened = fs::File::open(path);
    let opened = opened.map_err(|error| format!("cannot be read: {}", reason(&error)));
    let text = match opened.and_then(text_of) {
        Ok(text) => text,
        Err(why) => {
            bad(&format!("`{name}` {why}"));
            return Ok(Outcome::Refused);
        }
    };
    let laid_out = match formatted(&name, &text, kind) {
        Ok(laid_out) => laid_out,
        Err(refused) => {
            tell_refused(&name, &refused);
            return Ok(Outcome::Refused);
        }
    };
    if laid_out == text {
        return Ok(Outcome::Unchanged);
    }
    if args.diff && common.format == Format::Text {
        out(&diff(&name, &text, &laid_out))?;
    }
    if args.check {
        return Ok(Outcome::WouldChange);
    }
    match replace(path, &text, &laid_out) {
        Ok(()) => Ok(Outcome::Changed),
        Err(error) => {
            bad(&format!("`{name}` cannot be written: {}", reason(&error)));
            Ok(Outcome::Refused)
        }
    }
}

fn tell_refused(name: &str, refused: &Refused) {
    match refused {
        Refused::Unread(problems) => talk_problems(problems),
        Refused::MeansOtherwise { .. } => bad(&format!("{name}: {refused}")),
    }
}

/// A text of at most the size of a file of a policy.
fn text_of(from: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {}", reason(&error)))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

fn diff(name: &str, before: &str, after: &str) -> String {
    fix_as_text(&Fixed {
        file: name.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        changes: 1,
    })
}

fn tell(common: &Common, told: &[Told]) -> Result<()> {
    match common.format {
        Format::Json => return out_json(&told),
        Format::Ndjson => return told.iter().try_for_each(out_json),
        Format::Text => {}
    }
    for (outcome, word) in [
        (Outcome::Changed, "changed"),
        (Outcome::WouldChange, "would change"),
    ] {
        for told in told.iter().filter(|told| told.outcome == outcome) {
            out(&format!("{}: {word}\n", visible(&told.file)))?;
        }
    }
    let count = |outcome| told.iter().filter(|told| told.outcome == outcome).count() as u64;
    let parts = [
        (count(Outcome::Unchanged), "unchanged"),
        (count(Outcome::Changed), "changed"),
        (count(Outcome::WouldChange), "would change"),
        (count(Outcome::Refused), "refused"),
    ];
    let mut parts = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", counted(*count, "file")));
    let first = parts.next().unwrap_or_else(|| "no files".to_owned());
    let rest: String = parts.map(|part| format!(", {part}")).collect();
    out(&format!("{first}{rest}\n"))
}

fn out_raw(text: &str) -> Result<()> {
    let mut stream = io::stdout().lock();
    let written = io::Write::write_all(&mut stream, text.as_bytes());
    match written.and_then(|()| io::Write::flush(&mut stream)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => anyhow::bail!("standard output cannot be written: {}", reason(&error)),
        Ok(()) => Ok(()),
    }
}
