//! `rulectl tools`: what may be asked of Okta: listed, shown, called, checked, imported.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::output::{UsageError, out, out_json, talk, talk_problems};
use crate::cli::slots::SlotArgs;
use crate::cli::{Common, Exit, Format, questions};
use crate::diag::{Problems, counted};
use crate::document::{Kind, parse_yaml};
use crate::policy::{self, Policy};
use crate::render;
use crate::tools::{
    Catalogue, Drift, Imported, MOST_BYTES, Select, Tool, drift, drift_of_rows, import,
    read_openapi,
};
use crate::visible::{reason, visible};

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the tools and recipes
    List(List),
    /// Show a tool or recipe: what it takes, what it gives, how it is asked for
    Show {
        /// Its name
        name: String,
    },
    /// Call a tool or recipe by hand: `rulectl tools call list_users status=ACTIVE`
    Call(questions::CallArgs),
    /// Compare the tools with a description of Okta's API, or with what a tenant answers
    Check(CheckArgs),
    /// Print tools made from an OpenAPI description, or write them into tools.yaml
    Import(Import),
}

/// The words of `rulectl tools list`.
#[derive(Debug, clap::Args)]
struct List {
    /// Only those that are about these words, the nearest first
    #[arg(value_name = "WORD")]
    about: Vec<String>,
    #[command(flatten)]
    slots: SlotArgs,
}

/// The words of `rulectl tools check`.
#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// A newer OpenAPI description, YAML or JSON
    #[arg(long, value_name = "FILE", required_unless_present_any = ["question", "live"])]
    openapi: Option<PathBuf>,
    /// What Okta answered to a question that was kept
    #[arg(long, value_name = "ID", conflicts_with = "openapi")]
    question: Option<String>,
    /// What Okta answers now: the first page of each of these tools, or of each that needs no parameter
    #[arg(long, value_name = "TOOL", num_args = 0.., value_delimiter = ',', conflicts_with_all = ["openapi", "question"])]
    live: Option<Vec<String>>,
    #[command(flatten)]
    slots: SlotArgs,
}

/// The words of `rulectl tools import`.
#[derive(Debug, clap::Args)]
struct Import {
    /// The OpenAPI description, YAML or JSON
    #[arg(long, value_name = "FILE")]
    openapi: PathBuf,
    /// What is taken: `listUsers`, `list*`, `/api/v1/users/**` or `tag:User`; several times
    #[arg(long, value_name = "WHAT", required = true)]
    select: Vec<String>,
    /// Write them into tools.yaml and schemas/responses, those left alone that are there
    #[arg(long)]
    write: bool,
}

/// Runs the command.
pub fn tools(common: &Common, args: &Args) -> Result<Exit> {
    match &args.what {
        What::List(args) => list(common, args),
        What::Show { name } => show(common, name),
        What::Call(args) => questions::call(common, args),
        What::Check(args) => check(common, args),
        What::Import(args) => import_tools(common, args),
    }
}

/// The tools of the policy.
///
/// # Errors
///
/// Nothing where the policy is broken, which is told.
pub(super) fn loaded(common: &Common) -> Option<policy::Policy> {
    let loaded = policy::load(&common.policy);
    if loaded.policy.is_none() {
        talk_problems(&loaded.problems);
    }
    loaded.policy
}

fn list(common: &Common, args: &List) -> Result<Exit> {
    let Some(policy) = loaded(common) else {
        return Ok(Exit::Broken);
    };
    let config = args.slots.config()?;
    let granted = questions::granted(&config);
    let listed = render::Listed::of(&policy.tools, &args.about.join(" "), granted);
    match common.format {
        Format::Text => out(&render::tools(&listed))?,
        Format::Json => out_json(&listed)?,
        Format::Ndjson => listed.iter().try_for_each(out_json)?,
    }
    Ok(if listed.is_empty() {
        Exit::Negative
    } else {
        Exit::Done
    })
}

fn show(common: &Common, name: &str) -> Result<Exit> {
    let Some(policy) = loaded(common) else {
        return Ok(Exit::Broken);
    };
    let Some(shown) = render::tool(&policy.tools, name) else {
        return Err(unknown(&policy.tools, name).into());
    };
    match common.format {
        Format::Text => out(&shown.1)?,
        Format::Json | Format::Ndjson => out_json(&shown.0)?,
    }
    Ok(Exit::Done)
}

/// That there is no such tool.
pub(super) fn unknown(catalogue: &Catalogue, name: &str) -> UsageError {
    let tools = catalogue.tools.iter().map(|tool| tool.name.as_str());
    let recipes = catalogue.recipes.iter().map(|recipe| recipe.name.as_str());
    let near = crate::diag::nearest(name, tools.chain(recipes));
    let near = near.map_or_else(
        || "`rulectl tools list` has them all".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    UsageError(format!(
        "there is no tool or recipe `{}`: {near}",
        visible(name)
    ))
}

fn description(path: &Path) -> Result<serde_json::Value> {
    let shown = visible(&path.display().to_string());
    let metadata = fs::metadata(path)
        .map_err(|error| UsageError(format!("`{shown}` cannot be read: {}", reason(&error))))?;
    if metadata.len() > MOST_BYTES {
        return Err(
            UsageError(format!("`{shown}` is larger than {} MiB", MOST_BYTES >> 20)).into(),
        );
    }
    let bytes = fs::read(path)
        .map_err(|error| UsageError(format!("`{shown}` cannot be read: {}", reason(&error))))?;
    let text =
        String::from_utf8(bytes).map_err(|_| UsageError(format!("`{shown}` is no UTF-8 text")))?;
    read_openapi(&text)
        .map_err(|error| UsageError(format!("`{shown}`: {}", visible(&error.to_string()))).into())
}

fn import_tools(common: &Common, args: &Import) -> Result<Exit> {
    let mut select = Vec::new();
    for text in &args.select {
        let parsed = Select::parse(text);
        select.push(parsed.map_err(|why| {
            UsageError(format!("`--select {}`: {}", visible(text), visible(&why)))
        })?);
    }
    let imported = import(&description(&args.openapi)?, &select);
    for (operation, why) in &imported.left_out {
        talk(&format!("left out: {}: {why}", visible(operation)));
    }
    if imported.tools.is_empty() {
        talk("nothing of the description is meant by `--select`");
        return Ok(Exit::Negative);
    }
    if args.write {
        return write(common, &imported);
    }
    match common.format {
        Format::Text => {
            let blocks: String = imported.tools.values().map(String::as_str).collect();
            out(&format!("tools:\n{blocks}"))?;
        }
        Format::Json | Format::Ndjson => out_json(&json!({
            "tools": imported.tools.keys().collect::<Vec<_>>(),
            "schemas": imported.schemas,
            "left_out": imported.left_out,
        }))?,
    }
    Ok(Exit::Done)
}

/// Adds the tools that are not there to tools.yaml, below the last one.
fn write(common: &Common, imported: &Imported) -> Result<Exit> {
    let path = common.policy.join("tools.yaml");
    let shown = visible(&path.display().to_string());
    let text = fs::read_to_string(&path)
        .map_err(|error| UsageError(format!("`{shown}` cannot be read: {}", reason(&error))))?;
    let mut problems = Problems::default();
    let file = problems.add_file("tools.yaml", &text);
    let Some(root) = parse_yaml(file, &text, &mut problems) else {
        talk_problems(&problems);
        return Ok(Exit::Broken);
    };
    let tools = root.at("/tools");
    let there: BTreeSet<&str> = match tools.map(|tools| &tools.kind) {
        Some(Kind::Map(entries)) => entries.iter().map(|(key, _)| key.text.as_str()).collect(),
        _ => BTreeSet::new(),
    };
    let new: Vec<(&String, &String)> = imported
        .tools
        .iter()
        .filter(|(name, _)| !there.contains(name.as_str()))
        .collect();
    let blocks: String = new.iter().map(|(_, block)| block.as_str()).collect();
    let at = end_of_tools(&root.kind, &text);
    let (before, behind) = text.split_at_checked(at).unwrap_or((&text, ""));
    let begin = if tools.is_some() { "" } else { "tools:\n" };
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let whole = format!("{before}{gap}{begin}{blocks}{behind}");
    for (file, schema) in &imported.schemas {
        let full = common.policy.join(file);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("`{}` cannot be made", folder.display()))?;
        }
        fs::write(&full, serde_json::to_string(schema)? + "\n")
            .with_context(|| format!("`{}` cannot be written", full.display()))?;
    }
    if !new.is_empty() {
        fs::write(&path, whole).with_context(|| format!("`{shown}` cannot be written"))?;
    }
    let kept = imported.tools.len() - new.len();
    talk(&format!(
        "{} written, {kept} there already, {} in schemas/responses",
        counted(new.len() as u64, "tool"),
        counted(imported.schemas.len() as u64, "schema"),
    ));
    Ok(Exit::Done)
}

/// Where a tool is added: before the key behind `tools` and the comments above it; where there are no
/// tools, before the first key.
fn end_of_tools(root: &Kind, text: &str) -> usize {
    let Kind::Map(entries) = root else {
        return text.len();
    };
    let tools = entries.iter().position(|(key, _)| key.text == "tools");
    let next = entries.get(tools.map_or(0, |tools| tools + 1));
    let Some((key, _)) = next else {
        return text.len();
    };
    let before = text.get(..key.span.start as usize).unwrap_or_default();
    let is_comment = |line: &&str| line.starts_with('#');
    let above = before.split_inclusive('\n').rev().take_while(is_comment);
    match tools {
        Some(_) => before.len() - above.map(str::len).sum::<usize>(),
        None => before.len(),
    }
}

/// The rows of the first page of each tool, asked now; what is not answered is told.
fn answered_now(
    common: &Common,
    policy: &mut Policy,
    args: &CheckArgs,
    names: &[String],
) -> Result<Vec<(String, Vec<Value>)>> {
    policy.ask.limits.pages = 1;
    let config = args.slots.config()?;
    let needs_nothing = |tool: &&Tool| {
        let mut params = tool.params.iter();
        !params.any(|param| param.required && param.default.is_none())
    };
    let names: Vec<String> = if names.is_empty() {
        let tools = policy.tools.tools.iter().filter(needs_nothing);
        tools.map(|tool| tool.name.clone()).collect()
    } else {
        names.to_vec()
    };
    let mut found = Vec::new();
    for name in names {
        match policy.tools.tool(&name) {
            None => return Err(unknown(&policy.tools, &name).into()),
            Some(tool) if !needs_nothing(&tool) => {
                let message = format!(
                    "`{name}` needs parameters: call it with `rulectl tools call`, and name the question with `--question`"
                );
                return Err(UsageError(message).into());
            }
            Some(_) => {}
        }
        match questions::first_page(common, policy, &config, &name)? {
            Ok(rows) => found.push((name, rows)),
            Err(why) => talk(&format!("not compared: {name}: {}", visible(&why))),
        }
    }
    let rows: usize = found.iter().map(|(_, rows)| rows.len()).sum();
    talk(&format!(
        "{} were asked, {} came",
        counted(found.len() as u64, "tool"),
        counted(rows as u64, "row")
    ));
    Ok(found)
}

fn check(common: &Common, args: &CheckArgs) -> Result<Exit> {
    let Some(mut policy) = loaded(common) else {
        return Ok(Exit::Broken);
    };
    let live = args.live.as_ref();
    let live = live.map(|names| answered_now(common, &mut policy, args, names));
    let live = live.transpose()?;
    let schema = |file: &str| {
        let text = fs::read_to_string(common.policy.join(file)).ok()?;
        serde_json::from_str(&text).ok()
    };
    let compared = |answered: &[(&Tool, Vec<Value>)]| {
        let drifts = answered.iter().filter_map(|(tool, rows)| {
            let (file, _) = tool.response.as_ref()?;
            drift_of_rows(tool, &schema(file)?, rows)
        });
        drifts.collect()
    };
    let drift: Vec<Drift> = match (&args.openapi, &args.question) {
        (Some(path), _) => drift(&policy.tools, &description(path)?, &schema),
        (None, Some(id)) => {
            let answered = questions::answered_rows(common, &policy.tools, id)?;
            compared(&answered)
        }
        (None, None) => {
            let of = |(name, rows): (String, _)| Some((policy.tools.tool(&name)?, rows));
            let answered: Vec<_> = live.into_iter().flatten().filter_map(of).collect();
            compared(&answered)
        }
    };
    match common.format {
        Format::Text => out(&render::drift(&drift))?,
        Format::Json => out_json(&drift)?,
        Format::Ndjson => drift.iter().try_for_each(out_json)?,
    }
    let is_alarming = drift.iter().any(|one| one.is_alarming);
    Ok(if is_alarming {
        Exit::Negative
    } else {
        Exit::Done
    })
}
