//! What a rule may say and probably does not mean: fields and event types that Okta never sends.

use std::collections::BTreeMap;

use crate::detect::{
    Accessors, Detector, Filter, Logic, Remark, Rule, exploding, of_ours, remarks, search_codes,
};
use crate::diag::{Problems, Span};
use crate::event::FieldPath;
use crate::okta;
use crate::policy::codes;
use crate::redact::{self, Secrets};
use crate::slots::Prompt;
use crate::tools::{CommandTemplate, Piece, Tool};

/// Warns about the fields and event types of rules.
pub(super) fn rules(rules: &[Rule], accessors: &Accessors, problems: &mut Problems) {
    for rule in rules {
        fields(&rule.fields(), accessors, problems);
        event_types(&rule.literals(okta::EVENT_TYPE), problems);
    }
}

/// Warns about the fields and event types of filters.
pub(super) fn filters(filters: &[Filter], accessors: &Accessors, problems: &mut Problems) {
    for detection in filters.iter().filter_map(Filter::detection) {
        fields(&detection.fields(), accessors, problems);
        event_types(&detection.literals(okta::EVENT_TYPE), problems);
    }
}

/// Reports secret fields that Okta never sends or that are not masked, and rules that read what is secret.
pub(super) fn secrets(
    rules: &[Rule],
    filters: &[Filter],
    (secrets, accessors): (&Secrets, &Accessors),
    detector: &Detector,
    problems: &mut Problems,
) {
    if secrets.is_empty() {
        return;
    }
    let declared: Vec<(&str, Span)> = secrets.declared().collect();
    fields(&declared, accessors, problems);
    for (path, span) in &declared {
        if let Some((text, _)) = okta::text_above(path) {
            let message = format!("`{path}` is inside of a text, which is kept as it is");
            problems
                .error(redact::codes::NEVER_SECRET, *span, message)
                .help(format!("call the whole of `{text}` secret"));
        }
    }
    for rule in rules {
        secrets.report_read(&rule.fields(), problems);
    }
    for detection in filters.iter().filter_map(Filter::detection) {
        secrets.report_read(&detection.fields(), problems);
    }
    if detector.wanted().scalars {
        secrets.report_keywords(problems);
    }
}

/// Warns about fields inside of a text of Okta's where no accessor says how to read it.
pub(super) fn texts(
    rules: &[Rule],
    filters: &[Filter],
    accessors: &Accessors,
    problems: &mut Problems,
) {
    let of_rules = rules.iter().flat_map(Rule::fields);
    let filters = filters.iter().filter_map(Filter::detection);
    let named = of_rules.chain(filters.flat_map(|filter| filter.fields()));
    for (field, span) in named {
        let text = okta::text_above(field).filter(|_| !accessors.lead_to(field));
        if let Some((text, notation)) = text {
            let message =
                format!("Okta sends `{text}` as a text, and no accessor reads what is in it");
            problems
                .warn(codes::NO_ACCESSOR, span, message)
                .help(format!("declare `{text}: {notation}` under `accessors:`"));
        }
    }
}

/// Warns about correlations that ask for several values of fields by which they group: of each,
/// a group has one. Through an array an event has more, so that nothing is said of those.
pub(super) fn groups(rules: &[Rule], problems: &mut Problems) {
    for rule in rules {
        let Logic::Correlation(correlation) = &rule.logic else {
            continue;
        };
        let varied = correlation.varied_in_vain();
        if !varied.iter().all(|(field, _)| okta::has_one_value(field)) {
            continue;
        }
        if let Some((field, span)) = varied.first() {
            let message =
                format!("each group has one `{field}`, so that this correlation never fires");
            problems
                .warn(codes::ONE_VALUE, *span, message)
                .help(format!(
                    "leave `{field}` out of `group-by`, or ask for another field"
                ));
        }
    }
}

/// Warns about correlations that ask for an absence and for what it began with in a window that is
/// over before the absence is known.
pub(super) fn absences(rules: &[Rule], problems: &mut Problems) {
    let named = |name: &str| rules.iter().find(|rule| rule.is_called(name));
    for rule in rules {
        let Logic::Correlation(outer) = &rule.logic else {
            continue;
        };
        for (name, span) in &outer.rules {
            let Some(Logic::Correlation(absence)) = named(name).map(|rule| &rule.logic) else {
                continue;
            };
            let began = absence.rules.first().and_then(|(first, _)| named(first));
            let Some(began) = began.filter(|_| absence.waits()) else {
                continue;
            };
            let asks_for_both = outer.rules.iter().any(|(other, _)| began.is_called(other));
            if asks_for_both && outer.timespan <= absence.timespan {
                let (window, wait) = (outer.timespan, absence.timespan);
                let message = format!(
                    "`{name}` is known {wait} after `{}`, which has left this window of {window} by then",
                    began.label()
                );
                problems
                    .warn(codes::SHORTER, *span, message)
                    .help(format!("write a `timespan` of more than {wait}"));
            }
        }
    }
}

/// Warns about expressions that engines of others may need very long for, or read otherwise.
pub(super) fn portable<'r>(rules: impl Iterator<Item = &'r Rule>, problems: &mut Problems) {
    for rule in rules {
        let Logic::Detection(detection) = &rule.logic else {
            continue;
        };
        for at in exploding(detection) {
            problems
                .warn(codes::EXPLODES, at, "an engine that tries one way after another may need very long for this: it repeats what is repeated")
                .help("write one repetition, as `a+` for `(a+)+`, or put between the rounds what each must have");
        }
        for (at, said) in of_ours(detection) {
            let message = format!("other engines read this otherwise or do not take it: {said}");
            problems
                .warn(codes::OF_OURS, at, message)
                .help("write it in what all have, such as one list in brackets, `\\b`, or `+?`");
        }
    }
}

/// Warns about rules that keep what is secret where a prompt shows it.
pub(super) fn shown_secrets(
    rules: &[Rule],
    prompts: &BTreeMap<String, Prompt>,
    problems: &mut Problems,
) {
    for rule in rules {
        let fields = rule.fields().into_iter();
        for (field, span) in fields.filter(|(field, _)| okta::is_secret(field)) {
            let Some((slot, shown)) = shown_in(rule, field, prompts) else {
                continue;
            };
            let message = format!(
                "`{field}` may hold a secret, and the prompt of the slot `{slot}` shows it to a model in `{shown}`"
            );
            problems
                .warn(codes::SHOWN_SECRET, span, message)
                .help(format!(
                    "keep another field, or leave `{shown}` out of the prompt"
                ));
        }
    }
}

/// The slot whose prompt shows a field that findings of a rule keep, and in what.
fn shown_in<'p>(
    rule: &Rule,
    field: &str,
    prompts: &'p BTreeMap<String, Prompt>,
) -> Option<(&'p str, &'p str)> {
    let is = |path: &FieldPath| path.as_str() == field;
    let settings = &rule.settings;
    let (listed, groups) = (
        settings.metadata.iter().any(is),
        rule.groups().iter().any(is),
    );
    let named = settings.fields.iter().any(|(name, _)| name == field);
    let told = named && !listed && !groups && !settings.user.iter().any(is);
    let keeps = |shown: &str| match shown {
        "finding.metadata" | "incident.metadata" => listed,
        "finding.group" => groups,
        "finding.description" | "incident.description" => told,
        _ => false,
    };
    prompts.values().find_map(|prompt| {
        let shown = prompt.context.iter().find(|shown| keeps(shown))?;
        Some((prompt.slot.as_str(), shown.as_str()))
    })
}

/// Warns about conditions that never or always hold, and about what in a search says nothing.
pub(super) fn conditions(rules: &[Rule], filters: &[Filter], problems: &mut Problems) {
    for detection in filters.iter().filter_map(Filter::detection) {
        for remark in remarks(detection, &okta::has_one_value) {
            // Whether a filter always or never holds is for the rules that it is for.
            if !matches!(remark, Remark::Never(_) | Remark::Always(_)) {
                report(remark, problems);
            }
        }
    }
    for rule in rules {
        let Logic::Detection(detection) = &rule.logic else {
            continue;
        };
        for remark in remarks(detection, &okta::has_one_value) {
            // A script has the last word on what always holds.
            let is_scripted = rule.settings.script.matches.is_some();
            match remark {
                Remark::Never(_) if !detection.can_hold() => {}
                Remark::Always(_) if is_scripted => {}
                remark => report(remark, problems),
            }
        }
    }
}

fn report(remark: Remark, problems: &mut Problems) {
    let written = |span: Span, problems: &Problems| {
        let text = problems.text(span.file);
        let text = text.get(span.start as usize..span.end as usize);
        text.unwrap_or_default().trim().to_owned()
    };
    match remark {
        Remark::Never(at) => problems
            .warn(
                search_codes::NEVER,
                at,
                "no event satisfies this condition: the searches ask what excludes each other",
            )
            .help("a field of an event has one value; join what are alternatives with `or`"),
        Remark::Always(at) => problems
            .warn(codes::ALWAYS, at, "every event satisfies this condition")
            .help("leave out what is so anyway, or ask for an event type too"),
        Remark::Excluded(one, other) => {
            let (line, text) = (problems.line_column(other).line, written(other, problems));
            problems
                .warn(
                    codes::EXCLUDED,
                    one,
                    format!("this never holds where `{text}` of line {line} does, and both are asked for"),
                )
                .help("put alternatives into one list of values, or into searches joined with `or`");
        }
        Remark::OpenHost(at) => problems
            .warn(
                codes::OPEN_HOST,
                at,
                "this expression is a host name, and is found inside of other names too",
            )
            .help("begin it with `^`, or with `(^|\\.)` for the hosts below it too, and end it with `$`"),
        Remark::Idle(one, other) => {
            let (line, text) = (problems.line_column(other).line, written(other, problems));
            problems
                .warn(
                    codes::IDLE,
                    one,
                    format!("this changes nothing beside `{text}` of line {line}"),
                )
                .help("remove one of the two, or correct what was meant to be another");
        }
    }
}

/// Warns about commands whose path or method Okta's description of its API does not have.
pub(super) fn commands(commands: &[CommandTemplate], problems: &mut Problems) {
    for command in commands {
        let segments = command.path.iter().map(|segment| match segment.as_slice() {
            [Piece::Text(text)] => Some(text.as_str()),
            _ => None,
        });
        let segments: Vec<Option<&str>> = segments.collect();
        let scopes = command.scope.as_slice();
        operation(
            &segments,
            command.method.as_str(),
            command.at,
            scopes,
            problems,
        );
    }
}

/// The same of tools.
pub(super) fn tools(tools: &[Tool], problems: &mut Problems) {
    for tool in tools {
        let written = tool.path.split('/').skip(1);
        let segments: Vec<Option<&str>> = written
            .map(|segment| Some(segment).filter(|segment| !segment.starts_with('{')))
            .collect();
        operation(&segments, "GET", tool.path_at, &tool.scopes, problems);
    }
}

fn operation(
    segments: &[Option<&str>],
    method: &str,
    at: Span,
    scopes: &[(String, Span)],
    problems: &mut Problems,
) {
    let methods = okta::methods(segments);
    if methods.contains(&method) {
        let asked = okta::scopes(segments, method);
        for (name, span) in scopes {
            scope(name, *span, &asked, problems);
        }
    } else if methods.is_empty() {
        let message = format!(
            "Okta's description has no such path (of {})",
            okta::DESCRIBED
        );
        let problem = problems.warn(codes::NO_OPERATION, at, message);
        problem.help("correct the path; ignore it if your tenant has it");
    } else {
        let message = format!("Okta's description has no {method} of this path");
        let problem = problems.warn(codes::NO_OPERATION, at, message);
        problem.help(format!("it has {}", methods.join(", ")));
    }
}

/// Warns of a scope that is none of those of which Okta's description asks one.
fn scope(scope: &str, span: Span, asked: &[&str], problems: &mut Problems) {
    if asked.contains(&scope) {
        return;
    }
    let message = format!("Okta's description does not ask for the scope `{scope}` here");
    let problem = problems.warn(codes::NO_SCOPE, span, message);
    problem.help(match asked {
        [] => "it asks for none".to_owned(),
        asked => format!("it asks for `{}`", asked.join("` or `")),
    });
}

fn fields(named: &[(&str, Span)], accessors: &Accessors, problems: &mut Problems) {
    for (field, span) in named {
        let is_known = okta::fields().binary_search(field).is_ok();
        if !is_known && !okta::is_open_map(field) && !accessors.lead_to(field) {
            let message = format!("Okta sends no field `{field}`");
            let spelling = okta::spelling(field);
            let fix = spelling.and_then(|right| problems.replacing(*span, field, right));
            problems
                .warn(codes::UNKNOWN_FIELD, *span, message)
                .fixed_by(fix)
                .did_you_mean_one_of(field, okta::fields());
        }
    }
}

fn event_types(named: &[(&str, Span)], problems: &mut Problems) {
    for (event_type, span) in named {
        let known = |name: &str| okta::event_types().binary_search(&name).is_ok();
        if !known(event_type) && !known(&event_type.to_lowercase()) {
            let message = format!("Okta's catalogue has no event type `{event_type}`");
            problems
                .warn(codes::UNKNOWN_EVENT_TYPE, *span, message)
                .did_you_mean_one_of(event_type, okta::event_types());
        }
    }
}

/// Warns about finding types of `[plan]` and of commands that no rule produces: their plans and
/// commands would never be used.
pub(super) fn finding_types<'n>(
    rules: &[Rule],
    named: impl Iterator<Item = &'n (String, Span)>,
    problems: &mut Problems,
) {
    let produced = || rules.iter().map(|rule| rule.settings.finding_type.as_str());
    for (name, span) in named {
        if name != "OTHER" && !produced().any(|known| known == name) {
            problems
                .warn(
                    codes::UNKNOWN_FINDING_TYPE,
                    *span,
                    format!("no rule produces findings of the type `{name}`"),
                )
                .did_you_mean_only(name, produced());
        }
    }
}
