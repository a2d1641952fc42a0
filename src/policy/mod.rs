//! A folder of rule files, read, checked and compiled into one immutable [`Policy`].
//!
//! Every problem of every file is reported in one run. A folder with any error
//! is never activated, in part or whole.

mod archive;
mod files;
mod lint;
mod sources;

pub use self::archive::{ArchiveError, activate, archived, generation};
pub use self::files::{
    PolicyFile, is_passing, is_wanted, leads_out, most_bytes, read_folder, read_rules,
};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::ask::{AskSettings, decode_ask};
use crate::detect::{
    Accessors, Answers, Detector, Filter, Lists, Logic, Rule, ScriptSettings, Settings,
    apply_filters, decode_accessors, decode_filter, decode_rule, is_accessors, is_filter,
    link_scripts, rule_codes,
};
use crate::diag::{FileId, Problems, Span};
use crate::document::{
    Key, Kind, Node, parse_toml, parse_yaml, parse_yaml_documents, read_allowances,
};
use crate::event::Digest;
use crate::gate::{Gate, decode_gate};
use crate::plan::{Planning, decode_planning};
use crate::promote::{Promotion, decode_promotion};
use crate::redact::{AuditSettings, decode_audit};
use crate::route::{Routing, Runs, decode_routing, slots_run};
use crate::script::{Function, Literal, Reference, Scripts, codes as script_codes};
use crate::slots::{Prompt, SLOTS, SlotSettings, decode_prompt, decode_slots};
use crate::tools::{Catalogue, decode_tools};

/// The codes of problems with a folder and its files.
pub mod codes {
    /// A file that cannot be read as text.
    pub const UNREADABLE: &str = "RL0001";
    /// A file past a limit.
    pub const TOO_LARGE: &str = "RL0002";
    /// Something that is not a file where one is expected.
    pub const NOT_A_FILE: &str = "RL0003";
    /// A file that every policy has is missing.
    pub const MISSING_FILE: &str = "RL0004";
    /// A folder without rules.
    pub const NO_RULES: &str = "RL0005";
    /// A file that this version does not read.
    pub const UNSUPPORTED: &str = "RL0006";
    /// A link out of the folder.
    pub const ELSEWHERE: &str = "RL0007";
    /// A condition that every event satisfies.
    pub const ALWAYS: &str = "RL0124";
    /// Lines of one search that exclude each other.
    pub const EXCLUDED: &str = "RL0125";
    /// A value or line that says nothing beside another.
    pub const IDLE: &str = "RL0126";
    /// An expression that is a host name without its ends.
    pub const OPEN_HOST: &str = "RL0127";
    /// A command that Okta's description does not have.
    pub const NO_OPERATION: &str = "RL0506";
    /// A scope that Okta's description does not ask for.
    pub const NO_SCOPE: &str = "RL0507";
    /// A field that Okta never sends.
    pub const UNKNOWN_FIELD: &str = "RL0150";
    /// A window that is over before an absence in it is known.
    pub const SHORTER: &str = "RL0155";
    /// An expression that another engine may need very long for.
    pub const EXPLODES: &str = "RL0128";
    /// An expression that another engine reads otherwise.
    pub const OF_OURS: &str = "RL0129";
    /// A secret field that a prompt shows.
    pub const SHOWN_SECRET: &str = "RL0412";
    /// A finding type that no rule produces.
    pub const UNKNOWN_FINDING_TYPE: &str = "RL0152";
    /// A correlation that compares values of fields by which it groups.
    pub const ONE_VALUE: &str = "RL0154";
    /// A field inside of a text of Okta's that no accessor reads.
    pub const NO_ACCESSOR: &str = "RL0153";
    /// An event type that Okta's catalogue does not hold.
    pub const UNKNOWN_EVENT_TYPE: &str = "RL0151";
}

/// Everything that decides anything, compiled and immutable.
#[derive(Debug)]
pub struct Policy {
    /// The digest of every file's path and content.
    pub digest: Digest,
    /// The rules, ready to run.
    pub detector: Detector,
    /// The checked rules by id.
    pub rules: BTreeMap<Uuid, Rule>,
    /// The lists that rules name.
    pub lists: Arc<Lists>,
    /// Agents and guardrails.
    pub routing: Routing,
    /// The functions of the agents that run one, by agent.
    pub functions: BTreeMap<String, Function>,
    /// What is promoted.
    pub promotion: Promotion,
    /// What a model may do to each slot.
    pub slots: BTreeMap<String, SlotSettings>,
    /// The prompts by slot.
    pub prompts: BTreeMap<String, Prompt>,
    /// How an incident is responded to.
    pub planning: Planning,
    /// What may be asked of Okta, and the commands that may be suggested.
    pub tools: Catalogue,
    /// What the audit leaves out, and for how long it keeps the rest.
    pub audit: AuditSettings,
    /// What a change of it may do.
    pub gate: Gate,
    /// What answering a question may cost, and how much is believed.
    pub ask: AskSettings,
}

/// A policy together with what the archive needs of it.
#[derive(Debug)]
pub struct Loaded {
    /// The policy; `None` when any error was reported.
    pub policy: Option<Policy>,
    /// The files it was made from.
    pub files: Vec<PolicyFile>,
    /// Every problem, warnings included.
    pub problems: Problems,
}

/// Reads, checks and compiles the policy in a folder.
#[must_use]
pub fn load(folder: &Path) -> Loaded {
    let mut problems = Problems::default();
    let files = read_folder(folder, &mut problems);
    let policy = check(&files, None, &mut problems);
    Loaded {
        policy,
        files,
        problems,
    }
}

/// Checks and compiles a policy whose files are at hand, each with its path in the folder.
#[must_use]
pub fn load_texts<'t>(texts: impl Iterator<Item = (&'t str, Arc<str>)>) -> Loaded {
    load_like(None, texts)
}

/// The same for one that is much like another, of which only errors matter: what the other made of
/// the same prompts is taken from there, and nothing is warned of that takes a look of its own.
#[must_use]
pub fn load_beside<'t>(like: &Policy, texts: impl Iterator<Item = (&'t str, Arc<str>)>) -> Loaded {
    load_like(Some(like), texts)
}

fn load_like<'t>(
    like: Option<&Policy>,
    texts: impl Iterator<Item = (&'t str, Arc<str>)>,
) -> Loaded {
    let mut problems = Problems::default();
    let mut files: Vec<PolicyFile> = texts
        .map(|(path, text)| PolicyFile {
            path: path.to_owned(),
            id: problems.share_file(path, Arc::clone(&text)),
            text,
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let policy = check(&files, like, &mut problems);
    Loaded {
        policy,
        files,
        problems,
    }
}

/// Warns of what engines of others cannot take as it is written.
pub fn report_unportable(policy: &Policy, problems: &mut Problems) {
    lint::portable(policy.rules.values(), problems);
}

/// Rules alone, without a policy around them.
#[derive(Debug)]
pub struct LoadedRules {
    /// The rules, ready to run; `None` when any error was reported.
    pub detector: Option<Detector>,
    /// Every problem, warnings included.
    pub problems: Problems,
}

/// Reads, checks and compiles the rules of any folder, or of one file, for
/// detection alone: what only shapes the findings of a run is left out, and
/// each match of a detection is by itself. Whether Okta has the event types and
/// fields that they name is for [`load`] to say.
#[must_use]
pub fn load_rules(place: &Path) -> LoadedRules {
    let mut problems = Problems::default();
    let files = read_rules(place, &mut problems);
    let Documents {
        lists,
        mut rules,
        filters,
        accessors,
        broken,
        ..
    } = decode_active(&files, &mut problems);
    lint::texts(&rules, &filters, &accessors, &mut problems);
    lint::groups(&rules, &mut problems);
    for rule in &mut rules {
        let correlates = matches!(rule.logic, Logic::Correlation(_));
        rule.settings = Settings {
            suppress: rule.settings.suppress.filter(|_| correlates),
            // Correlations over other rules ask for these.
            user: rule.settings.user.take(),
            finding_type: std::mem::take(&mut rule.settings.finding_type),
            script: ScriptSettings {
                matches: rule.settings.script.matches.take(),
                ..ScriptSettings::default()
            },
            ..Settings::default()
        };
    }
    link(&files, &lists, &mut rules, None, &mut problems);
    let mut detector = Detector::compile(&rules, &broken, &mut problems);
    detector.read_inside(&accessors);
    LoadedRules {
        detector: (!problems.has_errors()).then_some(detector),
        problems,
    }
}

/// Of a policy that is like another one, what only warns is left out.
fn check(files: &[PolicyFile], like: Option<&Policy>, problems: &mut Problems) -> Option<Policy> {
    let errors = problems.counts().0;
    let Documents {
        lists,
        mut rules,
        filters,
        accessors,
        broken,
        parts,
    } = decode_active(files, problems);
    let rules_are_whole = problems.counts().0 == errors;
    let settings = check_routing(files, problems);
    let routing = settings.as_ref().and_then(|s| s.routing.as_ref());
    let mut functions = BTreeMap::new();
    if let Some(mut scripts) = link(files, &lists, &mut rules, routing, problems) {
        functions = link_agents(routing, &mut scripts, problems);
        scripts.report_unused(problems);
    }
    let mut detector = Detector::compile(&rules, &broken, problems);
    detector.read_inside(&accessors);
    let warns = like.is_none();
    if warns {
        lint::rules(&rules, &accessors, problems);
        lint::rules(&parts, &accessors, problems);
        lint::filters(&filters, &accessors, problems);
        lint::texts(&rules, &filters, &accessors, problems);
        lint::groups(&rules, problems);
        lint::absences(&rules, problems);
        lint::conditions(&rules, &filters, problems);
    }
    if let Some(audit) = settings.as_ref().and_then(|s| s.audit.as_ref()) {
        let secrets = (&audit.secrets, &accessors);
        lint::secrets(&rules, &filters, secrets, &detector, problems);
    }
    let slots = settings.as_ref().map(|s| &s.slots);
    let prompts = check_prompts(files, slots, like, problems);
    if warns {
        lint::shown_secrets(&rules, &prompts, problems);
    }
    let planning = settings.as_ref().and_then(|s| s.planning.as_ref());
    let steps: Option<Vec<&str>> = planning.map(|planning| planning.step_ids().collect());
    let tools = check_tools(files, steps.as_deref(), problems);
    if warns {
        lint::commands(&tools.commands, problems);
        lint::tools(&tools.tools, problems);
    }
    // The finding type of a broken rule is not known.
    if let Some(planning) = planning.filter(|_| rules_are_whole) {
        let of_commands = tools
            .commands
            .iter()
            .flat_map(|command| &command.finding_types);
        let named = planning.finding_types().iter().chain(of_commands);
        lint::finding_types(&rules, named, problems);
    }
    let gate = settings.as_ref().and_then(|s| s.gate.as_ref());
    if let Some(gate) = gate.filter(|_| rules_are_whole) {
        gate.report_unknown(&rules, problems);
    }
    if problems.has_errors() {
        return None;
    }
    let settings = settings?;
    // A map is built at once from what is sorted; rules are large, and are moved once like this.
    rules.sort_by_cached_key(|rule| rule.id);
    Some(Policy {
        digest: files::digest(files),
        detector,
        rules: rules.into_iter().map(|rule| (rule.id, rule)).collect(),
        lists,
        routing: settings.routing?,
        functions,
        promotion: settings.promotion?,
        slots: settings.slots,
        prompts,
        planning: settings.planning?,
        tools,
        audit: settings.audit?,
        gate: settings.gate?,
        ask: settings.ask,
    })
}

/// What `routing.toml` holds, table by table.
struct RoutingFile {
    routing: Option<Routing>,
    promotion: Option<Promotion>,
    slots: BTreeMap<String, SlotSettings>,
    planning: Option<Planning>,
    audit: Option<AuditSettings>,
    gate: Option<Gate>,
    ask: AskSettings,
}

fn check_routing(files: &[PolicyFile], problems: &mut Problems) -> Option<RoutingFile> {
    let file = files.iter().find(|file| file.path == "routing.toml")?;
    let root = parse_toml(file.id, &file.text, problems)?;
    let mut table = root.table(problems)?;
    let routing = decode_routing(&mut table, problems);
    let run = slots_run(&table);
    let slots = decode_slots(&mut table, &run, problems);
    let decoded = RoutingFile {
        promotion: decode_promotion(&mut table, problems),
        slots,
        planning: decode_planning(&mut table, problems),
        audit: decode_audit(&mut table, problems),
        gate: decode_gate(&mut table, problems),
        ask: decode_ask(&mut table, problems),
        routing,
    };
    table.finish(problems);
    Some(decoded)
}

fn check_prompts(
    files: &[PolicyFile],
    slots: Option<&BTreeMap<String, SlotSettings>>,
    like: Option<&Policy>,
    problems: &mut Problems,
) -> BTreeMap<String, Prompt> {
    // A prompt is right or not beside the slots that there are.
    let like = like.filter(|like| slots.is_some_and(|slots| like.slots.keys().eq(slots.keys())));
    let mut by_path = BTreeMap::new();
    let declared = slots.map(|slots| {
        let of_engineer = slots.keys().map(String::as_str);
        let built_in = SLOTS.into_iter().filter(|name| !slots.contains_key(*name));
        of_engineer.chain(built_in).collect::<Vec<_>>()
    });
    for file in files
        .iter()
        .filter(|file| file.path.starts_with("prompts/"))
    {
        let digest = Digest::of(file.text.as_bytes());
        let known = like.and_then(|like| {
            let mut prompts = like.prompts.values();
            prompts.find(|prompt| prompt.digest == digest).cloned()
        });
        let decoded =
            known.or_else(|| decode_prompt(file.id, &file.text, declared.as_deref(), problems));
        by_path.insert(file.path.as_str(), decoded);
    }
    let paths: Vec<&str> = by_path.keys().copied().collect();
    let mut prompts = BTreeMap::new();
    for (name, slot) in slots.into_iter().flatten() {
        let (path, span) = &slot.prompt;
        match by_path.get(path.as_str()) {
            None => problems
                .error(
                    crate::slots::codes::NO_PROMPT,
                    *span,
                    format!("there is no prompt `{path}`"),
                )
                .did_you_mean(path, paths.iter().copied()),
            Some(Some(prompt)) if prompt.slot != *name => problems
                .error(
                    crate::slots::codes::NO_PROMPT,
                    *span,
                    format!("`{path}` is a prompt for the slot `{}`", prompt.slot),
                )
                .help(format!("name a prompt with `slot: {name}`")),
            Some(Some(prompt)) => {
                let is_known = like.is_some_and(|like| {
                    let same = like.slots.get(name).map(|same| &same.default);
                    let prompts = [like.prompts.get(name), Some(prompt)];
                    let [one, other] = prompts.map(|prompt| prompt.map(|prompt| prompt.digest));
                    same == Some(&slot.default) && one == other
                });
                if let Some(default) = slot.default.as_ref().filter(|_| !is_known) {
                    default.check(path, prompt, problems);
                }
                prompts.insert(name.clone(), prompt.clone());
            }
            Some(None) => {}
        }
    }
    prompts
}

fn check_tools(files: &[PolicyFile], steps: Option<&[&str]>, problems: &mut Problems) -> Catalogue {
    let file = files.iter().find(|file| file.path == "tools.yaml");
    let root = file.and_then(|file| parse_yaml(file.id, &file.text, problems));
    root.map(|root| decode_tools(&root, steps, problems))
        .unwrap_or_default()
}

/// What the files of `rules/` hold.
#[derive(Default)]
struct Documents {
    lists: Arc<Lists>,
    rules: Vec<Rule>,
    filters: Vec<Filter>,
    accessors: Accessors,
    /// What the rules are called that are not right.
    broken: BTreeSet<String>,
    /// The searches of these that are right, each as a rule, to look at what they compare.
    parts: Vec<Rule>,
}

/// The documents that are for this log, with the filters applied.
fn decode_active(files: &[PolicyFile], problems: &mut Problems) -> Documents {
    for file in files {
        read_allowances(file.id, &file.text, problems);
    }
    let mut found = decode_documents(files, problems);
    sources::leave_out_others(&mut found.rules, &mut found.filters, problems);
    apply_filters(&found.filters, &mut found.rules, &found.broken, problems);
    found.accessors.note(&mut found.rules);
    if !found.parts.is_empty() {
        let mut unheard = problems.clone();
        sources::leave_out_others(&mut found.parts, &mut Vec::new(), &mut unheard);
        found.accessors.note(&mut found.parts);
    }
    found
}

fn decode_documents(files: &[PolicyFile], problems: &mut Problems) -> Documents {
    let lists = lists(files, problems);
    let mut found = Documents {
        rules: Vec::with_capacity(files.len()),
        ..Documents::default()
    };
    // What is wrong with a part of a rule was reported with the rule.
    let mut unheard = None;
    for file in files.iter().filter(|file| file.is_rule()) {
        let errors = problems.counts().0;
        let documents = parse_yaml_documents(file.id, &file.text, problems);
        if documents.is_empty() && problems.counts().0 == errors {
            problems
                .warn(codes::NO_RULES, nowhere(file.id), "the file holds no rules")
                .help("write one, or remove the file; rules that stood here before run no more");
        }
        for (place, document) in documents.iter().enumerate() {
            if is_accessors(document) {
                decode_accessors(document, &mut found.accessors, problems);
                continue;
            }
            if is_filter(document) {
                found
                    .filters
                    .extend(decode_filter(document, &lists, problems));
                continue;
            }
            match decode_rule(document, &file.path, place, &lists, problems) {
                Some(rule) => found.rules.push(rule),
                None => {
                    found.broken.extend(called(document));
                    let unheard = unheard.get_or_insert_with(|| problems.clone());
                    found.parts.extend(parts(document, &lists, unheard));
                }
            }
        }
    }
    report_duplicates(&found.rules, problems);
    found.lists = Arc::new(lists);
    found
}

/// The searches of a detection that are right by themselves, whatever else is wrong with it: each
/// as a rule that holds where the search does.
fn parts(document: &Node, lists: &Lists, unheard: &mut Problems) -> Vec<Rule> {
    let Some(Kind::Map(searches)) = document.at("/detection").map(|node| &node.kind) else {
        return Vec::new();
    };
    let key = |text: &str| Key {
        text: text.to_owned(),
        span: document.span,
    };
    let node = |kind: Kind| Node {
        kind,
        span: document.span,
    };
    let mut part = |(name, search): &(Key, Node)| {
        let condition = node(Kind::Text(name.text.clone()));
        let detection = vec![
            (name.clone(), search.clone()),
            (key("condition"), condition),
        ];
        let mut entries = vec![
            (key("title"), node(Kind::Text(name.text.clone()))),
            (key("detection"), node(Kind::Map(detection))),
        ];
        let source = document.at("/logsource")?.clone();
        entries.push((key("logsource"), source));
        decode_rule(&node(Kind::Map(entries)), "", 0, lists, unheard)
    };
    let searches = searches.iter().filter(|(name, _)| name.text != "condition");
    searches.filter_map(&mut part).collect()
}

/// The name and the id of a document, whatever else is wrong with it.
fn called(document: &Node) -> Vec<String> {
    let Kind::Map(entries) = &document.kind else {
        return Vec::new();
    };
    let names = entries
        .iter()
        .filter(|(key, _)| key.text == "name" || key.text == "id");
    names.filter_map(|(_, value)| value.scalar_text()).collect()
}

fn lists(files: &[PolicyFile], problems: &mut Problems) -> Lists {
    let mut lists = Lists::default();
    for file in files {
        if let Some(path) = file.path.strip_prefix("rules/lists/") {
            lists.add(path, file.id, &file.text, problems);
        }
    }
    lists
}

/// Reads the scripts and finds the functions that rules name; nothing where there are neither.
fn link(
    files: &[PolicyFile],
    lists: &Arc<Lists>,
    rules: &mut [Rule],
    routing: Option<&Routing>,
    problems: &mut Problems,
) -> Option<Scripts> {
    let mut written = files
        .iter()
        .filter_map(|file| Some((file.as_script()?, file)));
    let mut next = written.next();
    let is_named = rules.iter().any(Rule::names_scripts) || scripted(routing).next().is_some();
    if next.is_none() && !is_named {
        return None;
    }
    let mut scripts = Scripts::new(Arc::new(Answers::new(lists.clone())));
    while let Some((path, file)) = next {
        scripts.add(path, file.id, &file.text, problems);
        next = written.next();
    }
    link_scripts(rules, &mut scripts, problems);
    Some(scripts)
}

/// The agents that run a function of a script.
fn scripted(routing: Option<&Routing>) -> impl Iterator<Item = (&String, &Reference)> {
    let agents = routing.into_iter().flat_map(|routing| &routing.agents);
    agents.filter_map(|(name, agent)| match &agent.runs {
        Runs::Script(reference) => Some((name, reference)),
        _ => None,
    })
}

/// Finds the functions that agents run; reports what does not fit.
fn link_agents(
    routing: Option<&Routing>,
    scripts: &mut Scripts,
    problems: &mut Problems,
) -> BTreeMap<String, Function> {
    let mut functions = BTreeMap::new();
    for (name, reference) in scripted(routing) {
        let Some(function) = scripts.function(reference, "about", problems) else {
            continue;
        };
        for asked in [Literal::Field, Literal::Group, Literal::Metadata] {
            for (field, span) in function.asked(asked) {
                let message = format!("the agent `{name}` is given no event to ask for `{field}`");
                problems
                    .error(script_codes::NOTHING_THERE, span, message)
                    .help("an agent's function has `about.incident`, `about.finding`, `about.risk` and `about.plan`");
            }
        }
        functions.insert(name.clone(), function);
    }
    functions
}

fn report_duplicates(rules: &[Rule], problems: &mut Problems) {
    let mut ids: BTreeMap<Uuid, &Rule> = BTreeMap::new();
    let mut names: BTreeMap<&str, &Rule> = BTreeMap::new();
    for rule in rules {
        let at = Span {
            end: rule.span.start,
            ..rule.span
        };
        let twin = rule
            .name
            .as_deref()
            .and_then(|name| names.insert(name, rule));
        if let Some(first) = twin {
            let file = problems.file_name(first.span.file);
            let label = rule.label();
            let message = format!("the name `{label}` is that of another rule, in `{file}`");
            problems
                .error(rule_codes::DUPLICATE, at, message)
                .help("give one of the two another name");
        }
        // A name that is there twice gives the same id twice.
        let first = ids.insert(rule.id, rule);
        if let Some(first) = first.filter(|first| twin.is_none_or(|twin| twin.id != first.id)) {
            let file = problems.file_name(first.span.file);
            let message = format!("the id `{}` is that of another rule, in `{file}`", rule.id);
            problems
                .error(rule_codes::DUPLICATE, at, message)
                .help("give one of the two another id");
        }
    }
}

/// A place for a problem of the folder as a whole.
fn nowhere(file: FileId) -> Span {
    Span {
        file,
        start: 0,
        end: 0,
    }
}
