//! `rulectl explain`: why a rule holds for an event or does not, and why what was found was decided
//! as it was.

use anyhow::{Result, bail};
use clap::ValueEnum;
use uuid::Uuid;

use crate::cli::events::{ReadingArgs, inputs, talk_about};
use crate::cli::output::{UsageError, bad, out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::detect::Logic;
use crate::diag::nearest;
use crate::lab::explain::{self, Asked, Chosen, Decider};
use crate::policy::{self, Policy};
use crate::render;
use crate::source::Input;
use crate::store::{About, read};
use crate::visible::visible;
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A finding or an incident of the last run, instead of events
    #[arg(requires = "id", conflicts_with_all = ["rules", "events", "uuid", "line"])]
    what: Option<What>,
    /// Its id, or the beginning of it
    id: Option<String>,
    /// A rule by its name, id or title; several at once, and all without it
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Files of events, globs, or `-` for stdin
    #[arg(long, required_unless_present = "what", num_args = 1.., value_name = "FILE")]
    events: Vec<String>,
    /// The event whose own id begins like this; without it, all events together and those that come nearest
    #[arg(long, value_name = "ID", conflicts_with = "line")]
    uuid: Option<String>,
    /// The event of this line of the first file, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    line: Option<u64>,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Why a finding became an incident, or did not
    Finding,
    /// Who put which agent into the route of an incident, and which step into its plan
    Incident,
}

/// Runs the command.
pub fn explain(common: &Common, args: &Args) -> Result<Exit> {
    match (args.what, &args.id) {
        (Some(what), Some(id)) => explain_decision(common, what, id),
        _ => explain_events(common, args),
    }
}

/// Says what the policy of the last run decided of a finding or an incident, and by which clauses.
fn explain_decision(common: &Common, what: What, id: &str) -> Result<Exit> {
    let artifacts = read(&common.data)?;
    let found = artifacts.findings_called(id);
    let abouts = found.iter().map(|finding| artifacts.about(finding));
    let has_it = |about: &About<'_>| what == What::Finding || about.incident.is_some();
    let abouts: Vec<About<'_>> = abouts.filter(has_it).collect();
    let word = match what {
        What::Finding => "finding",
        What::Incident => "incident",
    };
    let about = match abouts.as_slice() {
        [about] => about,
        [] => {
            bad(&format!(
                "no {word} of the last run has an id that begins with `{}`; `rulectl show {word}s` lists them",
                visible(id)
            ));
            return Ok(Exit::Negative);
        }
        several => bail!(UsageError(format!(
            "{} findings begin with `{}`: give more of the id",
            several.len(),
            visible(id)
        ))),
    };
    let digest = artifacts.run.policy;
    let loaded = policy::load(&policy::archived(&common.data, digest));
    let is_same = |policy: &Policy| policy.digest == digest;
    if !loaded.policy.as_ref().is_some_and(is_same) {
        bad(&format!(
            "the policy {digest} that decided this is not in the archive of the data folder, or was changed there"
        ));
        return Ok(Exit::Inconclusive);
    }
    let decider = Decider::new(&loaded);
    let is_text = common.format == Format::Text;
    match (what, about.incident, about.risk) {
        (What::Incident, Some(incident), _) => {
            let routes = artifacts.run_route().into_iter().chain(about.route);
            let routes: Vec<_> = routes.collect();
            let told = decider.incident(incident, about.finding, &routes, about.plan);
            if is_text {
                out(&render::explained_incident(&told))?;
            } else {
                out_json(&told)?;
            }
        }
        (_, _, Some(record)) => {
            let told = decider.finding(about.finding, &record.risk, &record.promotion);
            if is_text {
                out(&render::explained_finding(&told))?;
            } else {
                out_json(&told)?;
            }
        }
        (_, _, None) => {
            bad("the last run has no risk for this finding");
            return Ok(Exit::Inconclusive);
        }
    }
    Ok(Exit::Done)
}

fn explain_events(common: &Common, args: &Args) -> Result<Exit> {
    let loaded = policy::load(&common.policy);
    let Some(policy) = &loaded.policy else {
        talk_problems(&loaded.problems);
        return Ok(Exit::Broken);
    };
    let rules = asked(policy, &args.rules)?;
    let (Some(databases), Some(inputs)) = (args.reading.databases.open(), inputs(&args.events))
    else {
        return Ok(Exit::Broken);
    };
    let correlates = |rule: &Uuid| {
        let logic = policy.rules.get(rule).map(|rule| &rule.logic);
        matches!(logic, Some(Logic::Correlation(_)))
    };
    if inputs.contains(&Input::Stdin) && rules.iter().any(correlates) {
        let message = "events are read twice where correlations are asked, and standard input can be read once: write them into a file, or name detections with --rule";
        bail!(UsageError(message.to_owned()));
    }
    let settings = args.reading.settings(&inputs, databases, World::live())?;
    let chosen = args.uuid.clone().map(Chosen::Uuid);
    let asked = Asked {
        policy,
        texts: &loaded.problems,
        rules,
        brief: args.rules.is_empty(),
        chosen: chosen.or(args.line.map(Chosen::Line)),
    };
    let (explanation, counts, failed) = explain::explain(&asked, inputs, &settings)?;
    failed.iter().for_each(|error| bad(&error.to_string()));
    talk_about(
        &counts,
        "`rulectl detect --rejects FILE` keeps them, with the reasons",
    );
    if explanation.chosen == Some(0) {
        bad(&nothing_chosen(args, explanation.rejected.as_deref()));
        return Ok(Exit::Negative);
    }
    match common.format {
        Format::Text => out(&render::explained(&explanation))?,
        Format::Json => out_json(&explanation)?,
        Format::Ndjson => explanation.rules.iter().try_for_each(out_json)?,
    }
    Ok(if failed.is_empty() {
        Exit::Done
    } else {
        Exit::Broken
    })
}

fn nothing_chosen(args: &Args, rejected: Option<&str>) -> String {
    if let (Some(line), Some(why)) = (args.line, rejected) {
        return format!("line {line} of the first file is no event: {why}");
    }
    match (&args.uuid, args.line) {
        (Some(uuid), _) => format!(
            "no event that was read has an id that begins with `{}`",
            visible(uuid)
        ),
        (None, line) => format!(
            "no event begins on line {} of the first file",
            line.unwrap_or_default()
        ),
    }
}

/// The rules that are asked, in the order in which they are given; all of them without a word.
fn asked(policy: &Policy, words: &[String]) -> Result<Vec<Uuid>> {
    if words.is_empty() {
        let mut rules: Vec<_> = policy.rules.values().collect();
        rules.sort_by_key(|rule| (&rule.file, rule.span.start));
        return Ok(rules.iter().map(|rule| rule.id).collect());
    }
    let mut asked = Vec::new();
    for word in words {
        let rule = one_called(policy, word)?;
        if !asked.contains(&rule) {
            asked.push(rule);
        }
    }
    Ok(asked)
}

/// The rule that a word means: by its name or id, or else by its title, whatever its case.
fn one_called(policy: &Policy, word: &str) -> Result<Uuid> {
    let mut rules = policy.rules.values();
    if let Some(rule) = rules.find(|rule| rule.is_called(word)) {
        return Ok(rule.id);
    }
    let folded = word.to_lowercase();
    let rules = policy.rules.values();
    let titled: Vec<_> = rules
        .filter(|rule| rule.title.to_lowercase() == folded)
        .collect();
    match titled.as_slice() {
        [rule] => Ok(rule.id),
        [] => {
            let known = policy.rules.values();
            let known = known.flat_map(|rule| [rule.label(), rule.title.as_str()]);
            let near = nearest(word, known).map(|near| format!("; did you mean `{near}`?"));
            bail!(UsageError(format!(
                "no rule is called `{word}`{}",
                near.unwrap_or_default()
            )))
        }
        several => bail!(UsageError(format!(
            "{} rules have the title `{word}`: give the name or id of one",
            several.len()
        ))),
    }
}
