//! What the rules of a policy cover: of each that reports, which behaviour and which ATT&CK
//! techniques, which cases hold it, and what follows from its findings without a model.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Logic, Rule};
use crate::diag::Problems;
use crate::document::{Key, Kind, Node, parse_yaml_documents};
use crate::geo::Databases;
use crate::lab::coverage::{fires, is_silent, stays_quiet};
use crate::lab::project::run_all;
use crate::lab::run::{CaseResult, Rig};
use crate::lab::suite::{Case, Events, Suite};
use crate::okta::event_types;
use crate::plan::Step;
use crate::policy::{Policy, PolicyFile};
use crate::risk::kept;

/// A rule that reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Covered {
    /// Its name, or else its title.
    pub rule: String,
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// The file, relative to the policy folder.
    pub file: String,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its level.
    pub level: &'static str,
    /// What it detects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The behaviour that it covers, as `rulectl.behaviour` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<String>,
    /// The ATT&CK tactics of its tags, such as `credential-access`.
    pub tactics: Vec<String>,
    /// The ATT&CK techniques of its tags, such as `T1110.003`.
    pub techniques: Vec<String>,
    /// What else may look like it.
    pub falsepositives: Vec<String>,
    /// Where to read on.
    pub references: Vec<String>,
    /// The type of its findings.
    pub finding_type: String,
    /// The severity of its findings without a model.
    pub severity: &'static str,
    /// Their score without a model.
    pub score: f64,
    /// Whether severity or score make them incidents without a model.
    pub promoted: bool,
    /// The field of the account that its findings are about; of an alias, what it stands for too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The cases in which it fires.
    pub fires: Vec<Held>,
    /// The cases beside those in which it nearly does.
    pub quiet: Vec<Held>,
    /// The steps of the plan that an incident of it gets without a model, with the commands of each.
    pub plan: Vec<Planned>,
    /// Itself and the rules that it rests on, each with its name, as they are written and in that
    /// order: what is said to stand above or below does.
    pub written: Vec<(String, String)>,
}

/// A case, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Its suite.
    pub suite: String,
    /// Its name.
    pub case: String,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// What its commands do.
    pub commands: Vec<String>,
}

/// Runs the cases of a policy, and says what its rules cover: by file and place.
#[must_use]
pub fn covered(policy: &Policy, files: &[PolicyFile], suites: &[Suite]) -> Vec<Covered> {
    let pairs = suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)));
    let (of, cases): (Vec<&Suite>, Vec<&Case>) = pairs.unzip();
    let databases = Databases::new(None, None);
    let results = run_all(&Rig::new(policy, &databases), &cases);
    let mut rules: Vec<&Rule> = policy.rules.values().collect();
    rules.sort_by_key(|rule| (&rule.file, rule.span.start));
    let read = |file: &PolicyFile| {
        let mut problems = Problems::default();
        let id = problems.share_file(&file.path, file.text.clone());
        let documents = parse_yaml_documents(id, &file.text, &mut problems);
        (file.path.clone(), documents)
    };
    let pack = Pack {
        policy,
        files,
        documents: files
            .iter()
            .filter(|file| file.is_rule())
            .map(read)
            .collect(),
        ran: of.into_iter().zip(&results).collect(),
        rules: &rules,
    };
    let reports =
        |rule: &&&Rule| !matches!(rule.logic, Logic::Inactive) && !is_silent(rule, &rules);
    let reporting = rules.iter().filter(reports);
    reporting.map(|rule| pack.covered(rule)).collect()
}

/// What a policy is described from.
struct Pack<'p> {
    policy: &'p Policy,
    files: &'p [PolicyFile],
    /// The documents of each rule file.
    documents: BTreeMap<String, Vec<Node>>,
    ran: Vec<(&'p Suite, &'p CaseResult)>,
    rules: &'p [&'p Rule],
}

impl Pack<'_> {
    fn covered(&self, rule: &Rule) -> Covered {
        let document = self.document(rule);
        let texts = |at: &str| document.map(|it| texts(it.at(at))).unwrap_or_default();
        let kept = kept(rule.level, &rule.settings, self.policy.slots.get("risk"));
        let (tactics, techniques) = attack(&rule.tags);
        let (fires, quiet) = self.cases(rule);
        Covered {
            rule: rule.label().to_owned(),
            id: rule.id,
            title: rule.title.clone(),
            file: rule.file.clone(),
            line: self.line(rule),
            level: rule.level.as_str(),
            description: rule.description.clone(),
            behaviour: texts("/rulectl/behaviour").into_iter().next(),
            tactics,
            techniques,
            falsepositives: texts("/falsepositives"),
            references: texts("/references"),
            finding_type: rule.settings.finding_type.clone(),
            severity: kept.severity.as_str(),
            score: kept.score,
            promoted: self.policy.promotion.takes(kept.severity, kept.score),
            user: (rule.settings.user.as_ref()).map(|user| account(user.as_str(), document)),
            fires,
            quiet,
            plan: self.plan(&rule.settings.finding_type),
            written: self.written(rule),
        }
    }

    fn file(&self, rule: &Rule) -> Option<&PolicyFile> {
        self.files.iter().find(|file| file.path == rule.file)
    }

    fn line(&self, rule: &Rule) -> usize {
        let file = self.file(rule);
        let before = file.and_then(|file| file.text.get(..rule.span.start as usize));
        before.map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// The rule as it is written, as a tree.
    fn document(&self, rule: &Rule) -> Option<&Node> {
        let mut documents = self.documents.get(&rule.file)?.iter();
        documents.find(|document| document.span.start == rule.span.start)
    }

    /// The cases in which a rule fires, and those of the same suites in which it nearly does.
    fn cases(&self, rule: &Rule) -> (Vec<Held>, Vec<Held>) {
        let held = |(suite, result): (&Suite, &CaseResult)| Held {
            suite: suite.name.clone(),
            case: result.name.clone(),
        };
        let ran = self.ran.iter().copied();
        let (firing, others): (Vec<_>, Vec<_>) =
            ran.partition(|(_, result)| fires(&result.reached, rule));
        let suites: BTreeSet<&str> = firing
            .iter()
            .map(|(suite, _)| suite.file.as_str())
            .collect();
        let types = self.document(rule).map(near_types).unwrap_or_default();
        let quiet = others.into_iter().filter(|(suite, result)| {
            suites.contains(suite.file.as_str())
                && stays_quiet(&result.reached, rule, self.rules)
                && has_one_of(suite, result, &types)
        });
        let quiet = quiet.map(held).collect();
        (firing.into_iter().map(held).collect(), quiet)
    }

    fn plan(&self, finding_type: &str) -> Vec<Planned> {
        let commands = &self.policy.tools.commands;
        let steps = self.policy.planning.default_steps(finding_type).into_iter();
        let planned = steps.map(|step| Planned {
            commands: commands
                .iter()
                .filter(|command| command.serves(&step.step_id, finding_type))
                .map(|command| command.description.clone())
                .collect(),
            step,
        });
        planned.collect()
    }

    /// A rule as it is written, down to the next document of its file.
    fn text(&self, rule: &Rule) -> &str {
        let file = self.file(rule);
        let text = file.and_then(|file| file.text.get(rule.span.start as usize..));
        let text = text.unwrap_or_default();
        let end = text.find("\n---").unwrap_or(text.len());
        text.get(..end).unwrap_or_default().trim_end()
    }

    /// A rule and those that it rests on, each once, by file and place.
    fn written(&self, rule: &Rule) -> Vec<(String, String)> {
        let mut known = BTreeSet::from([rule.id]);
        let mut waiting = vec![rule];
        while let Some(rule) = waiting.pop() {
            let Logic::Correlation(correlation) = &rule.logic else {
                continue;
            };
            for (name, _) in &correlation.rules {
                let below = self.rules.iter().find(|below| below.is_called(name));
                waiting.extend(below.filter(|below| known.insert(below.id)));
            }
        }
        let rules = self.rules.iter().filter(|rule| known.contains(&rule.id));
        rules
            .map(|rule| (rule.label().to_owned(), self.text(rule).to_owned()))
            .collect()
    }
}

/// The field of an account. An alias of a correlation is followed by what it stands for in each of
/// its rules.
fn account(field: &str, document: Option<&Node>) -> String {
    let aliases = document.and_then(|document| document.at("/correlation/aliases"));
    let Some(Kind::Map(aliases)) = aliases.map(|aliases| &aliases.kind) else {
        return field.to_owned();
    };
    let meant = aliases.iter().find(|(name, _)| name.text == field);
    let Some(Kind::Map(meant)) = meant.map(|(_, meant)| &meant.kind) else {
        return field.to_owned();
    };
    let of_rule = |(rule, field): &(Key, Node)| {
        field
            .scalar_text()
            .map(|field| format!("{field} of {}", rule.text))
    };
    let meant: Vec<String> = meant.iter().filter_map(of_rule).collect();
    format!("{field}: {}", meant.join(", "))
}

/// How the text of an event that nearly satisfies a detection may begin to name its type: with the
/// types that the searches name, or, where they ask for nothing else, with the family of these,
/// since each event of the type satisfies them. None where no type is named.
fn near_types(document: &Node) -> Vec<String> {
    let Some(Kind::Map(searches)) = document.at("/detection").map(|node| &node.kind) else {
        return Vec::new();
    };
    let searches = searches.iter().filter(|(key, _)| key.text != "condition");
    let lines = searches.flat_map(|(_, search)| match &search.kind {
        Kind::Map(lines) => of_lines(lines),
        // Each of several ways may be missed.
        Kind::List(ways) => {
            let lines = ways.iter().flat_map(|way| match &way.kind {
                Kind::Map(lines) => of_lines(lines),
                _ => Vec::new(),
            });
            lines.chain([("", search)]).collect()
        }
        _ => vec![("", search)],
    });
    let (of_type, others): (Vec<_>, Vec<_>) = lines.partition(|(key, _)| *key == "eventType");
    let types = of_type.iter().flat_map(|(_, value)| texts(Some(value)));
    let types: Vec<String> = types.collect();
    match others.is_empty() {
        true => types.iter().map(|name| family(name, &types)).collect(),
        false => types.iter().map(|name| format!("{name}\"")).collect(),
    }
}

fn of_lines(lines: &[(Key, Node)]) -> Vec<(&str, &Node)> {
    let lines = lines.iter();
    lines.map(|(key, value)| (&*key.text, value)).collect()
}

/// What the names of the nearest other types of Okta's begin with, up to a dot.
fn family(name: &str, own: &[String]) -> String {
    let mut stem = name;
    while let Some((above, _)) = stem.rsplit_once('.') {
        let begin = format!("{above}.");
        let mut known = event_types().iter();
        if known.any(|other| other.starts_with(&begin) && !own.iter().any(|name| name == other)) {
            return begin;
        }
        stem = above;
    }
    String::new()
}

/// Whether a case has an event whose type begins so, where that can be seen.
fn has_one_of(suite: &Suite, result: &CaseResult, types: &[String]) -> bool {
    let mut cases = suite.cases.iter();
    let case = cases.find(|case| (case.line, &case.name) == (result.line, &result.name));
    let Some(Events::Inline(events)) = case.map(|case| &case.events) else {
        return types.is_empty();
    };
    let has = |begin: &String| events.contains(&format!("\"eventType\":\"{begin}"));
    types.is_empty() || types.iter().any(has)
}

/// A text, or the texts of a list.
fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items.iter().filter_map(Node::scalar_text).collect(),
        _ => node.and_then(Node::scalar_text).into_iter().collect(),
    }
}

/// ATT&CK tactics and techniques among Sigma's tags.
fn attack(tags: &[String]) -> (Vec<String>, Vec<String>) {
    let tags = tags.iter().map(|tag| tag.to_lowercase());
    let names = tags.filter_map(|tag| Some(tag.strip_prefix("attack.")?.replace('_', "-")));
    let is_technique = |name: &String| {
        let number = name.strip_prefix('t');
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (techniques, others): (Vec<String>, Vec<String>) = names.partition(is_technique);
    let is_tactic = |name: &String| !name.contains(|c: char| c.is_ascii_digit());
    let tactics = others.into_iter().filter(is_tactic).collect();
    let techniques = techniques.iter().map(|name| name.to_uppercase());
    (tactics, techniques.collect())
}
