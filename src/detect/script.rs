//! `rulectl.script`: functions of scripts as parts of a rule, and what they see of it.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::detect::alerts::is_of_rule;
use crate::detect::capture::{CaptureId, Captured, Values};
use crate::detect::consecutive::great_circle_km;
use crate::detect::failures::Failures;
use crate::detect::lists::Lists;
use crate::detect::modifiers::network_of;
use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::settings::Owner;
use crate::detect::{Logic, Rule};
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table};
use crate::event::{Event, FieldPath, Time, fold};
use crate::json::{Scalar, Slot, Wanted};
use crate::script::{
    FIELD_VALUES, Failure, Function, Literal, Outside, Reference, Scripts, Source, Value, codes,
};

/// The functions that a rule names.
#[derive(Clone, Debug, Default)]
pub struct ScriptSettings {
    /// The last predicate: asked only where the condition holds.
    pub matches: Option<Named>,
    /// What tells the findings of a detection apart, made of an event.
    pub group: Option<Named>,
    /// What a finding says, made of the finding.
    pub finding: Option<Named>,
}

impl ScriptSettings {
    pub(super) fn names_any(&self) -> bool {
        let named = [&self.matches, &self.group, &self.finding];
        named.into_iter().any(Option::is_some)
    }
}

/// A function as a rule names it, and the function once it was found.
#[derive(Clone, Debug)]
pub struct Named {
    reference: Reference,
    function: Option<Function>,
}

impl Named {
    /// Reads `FILE#FUNCTION`.
    pub(super) fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = node.text(problems)?;
        Some(Self {
            reference: Reference::read(text, node.span, problems)?,
            function: None,
        })
    }

    /// The function as the rule names it, and where.
    pub(super) fn written(&self) -> (String, Span) {
        let Reference {
            file,
            function,
            span,
        } = &self.reference;
        (format!("{file}#{function}"), *span)
    }

    /// The function, which [`link_scripts`] has found.
    #[must_use]
    pub fn function(&self) -> Option<&Function> {
        self.function.as_ref()
    }

    pub(super) fn link(
        &mut self,
        parameter: &str,
        scripts: &mut Scripts,
        problems: &mut Problems,
    ) -> Option<&Function> {
        self.function = scripts.function(&self.reference, parameter, problems);
        self.function.as_ref()
    }
}

/// Reads `script: FILE#FUNCTION`, which is the last predicate, or a mapping.
pub(super) fn decode_script(node: &Node, owner: Owner, problems: &mut Problems) -> ScriptSettings {
    let mut settings = ScriptSettings::default();
    if owner == Owner::Detection && matches!(node.kind, Kind::Text(_)) {
        settings.matches = Named::decode(node, problems);
        return settings;
    }
    let Some(mut table) = node.table(problems) else {
        return settings;
    };
    let mut named = |table: &mut Table<'_>, key: &'static str| {
        table
            .get(key)
            .and_then(|node| Named::decode(node, problems))
    };
    if owner == Owner::Detection {
        settings.matches = named(&mut table, "matches");
        settings.group = named(&mut table, "group");
    }
    settings.finding = named(&mut table, "finding");
    table.finish(problems);
    settings
}

/// Finds the functions that rules name; reports what does not fit. What is not found leaves
/// its rule without it, so that the policy must not be activated.
pub fn link_scripts(rules: &mut [Rule], scripts: &mut Scripts, problems: &mut Problems) {
    for rule in rules {
        let settings = &mut rule.settings;
        let script = &mut settings.script;
        for (key, named) in [
            ("matches", &mut script.matches),
            ("group", &mut script.group),
        ] {
            if let Some(named) = named
                && let Some(function) = named.link("event", scripts, problems)
            {
                settings.fields.extend(function.fields().iter().cloned());
                rule.scripts
                    .push((format!("{key} {function:?}"), function.written()));
            }
        }
        if let Some(named) = &mut script.finding
            && let Some(function) = named.link("finding", scripts, problems)
        {
            rule.scripts
                .push((format!("finding {function:?}"), function.written()));
            let group: Vec<String> = match &rule.logic {
                Logic::Correlation(correlation) => names(&correlation.group_by),
                _ => names(&settings.group_by),
            };
            let own = script
                .group
                .as_ref()
                .map(|named| named.reference.function.clone());
            let group: Vec<String> = group.into_iter().chain(own).collect();
            check_asked(function, Literal::Group, &group, problems);
            check_asked(
                function,
                Literal::Metadata,
                &names(&settings.metadata),
                problems,
            );
        }
        if let Logic::Correlation(correlation) = &mut rule.logic
            && let Some((asked, fields, written)) = correlation.asked.linked(scripts, problems)
        {
            correlation.asked = asked;
            rule.scripts.push(("window".to_owned(), written));
            let aliases = &correlation.aliases;
            let own = fields
                .into_iter()
                .filter(|(field, _)| !aliases.has(field) && !is_of_rule(field));
            correlation.fields.extend(own);
        }
    }
}

fn names(paths: &[FieldPath]) -> Vec<String> {
    paths.iter().map(|path| path.as_str().to_owned()).collect()
}

/// A finding has the values that its rule keeps, and no others.
fn check_asked(function: &Function, of: Literal, kept: &[String], problems: &mut Problems) {
    for (field, span) in function.asked(of) {
        if !kept.iter().any(|known| known == field) {
            let key = if of == Literal::Group {
                "group-by"
            } else {
                "metadata"
            };
            problems
                .error(
                    codes::NOTHING_THERE,
                    span,
                    format!(
                        "the rule that names `{}` has no `{field}` in `{key}`",
                        function.name()
                    ),
                )
                .did_you_mean(field, kept.iter().map(String::as_str));
        }
    }
}

/// What scripts ask of detection.
pub struct Answers(Arc<Lists>);

impl Answers {
    /// With these lists.
    #[must_use]
    pub fn new(lists: Arc<Lists>) -> Self {
        Self(lists)
    }
}

impl Outside for Answers {
    fn lists(&self) -> Vec<String> {
        self.0.names()
    }

    fn is_listed(&self, list: &str, value: &Value) -> bool {
        // A script that names a list that is not there is not run.
        self.0.has(list, &value.shown()).unwrap_or(false)
    }

    fn wildcards(&self, list: &str) -> usize {
        self.0.wildcards(list)
    }

    fn beside(&self, list: &str, value: &Value, column: &str) -> Result<Option<String>, String> {
        let found = self.0.lookup(list, &value.shown(), column);
        let found = found.map_err(|missing| missing.to_string())?;
        Ok(found.map(str::to_owned))
    }

    fn is_like(&self, value: &Value, pattern: &str) -> bool {
        let text = value.shown();
        Pattern::new(pattern, Anchor::Whole, false).fits(&text, &fold(&text))
    }

    fn is_in_network(&self, value: &Value, network: &str) -> Option<bool> {
        let network = network_of(network)?;
        let address = value.shown().parse::<IpAddr>();
        Some(address.is_ok_and(|address| network.contains(&address)))
    }

    fn distance_km(&self, from: (f64, f64), to: (f64, f64)) -> f64 {
        great_circle_km(from, to)
    }
}

/// The functions of a detection, ready to run.
#[derive(Debug)]
pub(super) struct Scripted {
    rule: (Uuid, String),
    matches: Option<OfEvent>,
    /// What makes a value of an event, and under which id it is carried on.
    key: Option<(OfEvent, CaptureId)>,
}

/// A function with the places of the fields that it reads.
#[derive(Debug)]
struct OfEvent {
    function: Function,
    slots: Vec<Slot>,
}

impl Scripted {
    /// The functions of a rule, if it has such; `key` is the id of what its group is told by.
    pub(super) fn new(rule: &Rule, key: Option<CaptureId>) -> Option<Self> {
        let of_event = |named: &Option<Named>| {
            let function = named.as_ref()?.function()?.clone();
            let slots = Vec::new();
            Some(OfEvent { function, slots })
        };
        let script = &rule.settings.script;
        let scripted = Self {
            rule: (rule.id, rule.label().to_owned()),
            matches: of_event(&script.matches),
            key: of_event(&script.group).zip(key),
        };
        (scripted.matches.is_some() || scripted.key.is_some()).then_some(scripted)
    }

    /// Adds the fields that it reads to those that are read from each event.
    pub(super) fn want(&mut self, wanted: &mut Wanted) {
        let key = self.key.as_mut().map(|(key, _)| key);
        for of_event in self.matches.iter_mut().chain(key) {
            let fields = of_event.function.fields().iter();
            let slot = |(path, _): &(String, Span)| wanted.add(FieldPath::new(path).steps());
            of_event.slots = fields.map(slot).collect();
        }
    }

    /// The id under which what makes its group is carried on.
    pub(super) fn key_id(&self) -> Option<CaptureId> {
        self.key.as_ref().map(|(_, id)| *id)
    }

    /// The fields that it reads.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let key = self.key.as_ref().map(|(key, _)| key);
        let functions = self.matches.iter().chain(key);
        functions.flat_map(|of_event| of_event.slots.iter().copied())
    }

    /// Whether an event that satisfies the condition is a match; not where that cannot be told.
    pub(super) fn holds(&self, event: &Event<'_>, failures: &mut Failures) -> bool {
        let Some(matches) = &self.matches else {
            return true;
        };
        let answer = matches.function.holds(matches.view(event));
        answer.unwrap_or_else(|why| {
            self.failed(event, &why, failures);
            false
        })
    }

    /// What the function that is the last predicate says of an event, if there is one.
    pub(super) fn answer(&self, event: &Event<'_>) -> Option<Result<bool, Failure>> {
        let matches = self.matches.as_ref()?;
        Some(matches.function.holds(matches.view(event)))
    }

    fn failed(&self, event: &Event<'_>, why: &Failure, failures: &mut Failures) {
        let (id, called) = &self.rule;
        failures.add((*id, called), (event.time, event.digest()), why);
    }

    /// Why a match is one, beside its condition.
    pub(super) fn reason(&self) -> Option<String> {
        let function = &self.matches.as_ref()?.function;
        Some(format!("script: {}", function.name()))
    }

    /// What is carried on of a match, with the value of its group.
    pub(super) fn keyed(
        &self,
        captured: Captured,
        event: &Event<'_>,
        failures: &mut Failures,
    ) -> Captured {
        let Some((key, id)) = &self.key else {
            return captured;
        };
        match key.function.key(key.view(event)) {
            Ok(Some(text)) => {
                let values = Values::of_bytes(captured.as_bytes());
                values.narrowed(&[(*id, &crate::event::clip(&text))])
            }
            Ok(None) => captured,
            Err(why) => {
                self.failed(event, &why, failures);
                captured
            }
        }
    }
}

impl OfEvent {
    /// The event as the function sees it: of all its fields those that the function names.
    fn view(&self, event: &Event<'_>) -> crate::script::EventView {
        let field = |slot: &Slot| Field {
            values: event
                .fields
                .values(*slot)
                .filter_map(value)
                .take(FIELD_VALUES)
                .collect(),
            exists: event.fields.exists(*slot),
        };
        self.function.event(std::sync::Arc::new(Scanned {
            time: event.time,
            fields: self.slots.iter().map(field).collect(),
        }))
    }
}

/// A value as a script has it; none of null and of an object.
fn value(scalar: Scalar<'_>) -> Option<Value> {
    if let Some(text) = scalar.as_str() {
        return Some(Value::Text(text.into_owned()));
    }
    if let Some(number) = scalar.as_number() {
        let float = || number.as_f64().map(Value::Float);
        return number.as_i64().map(Value::Int).or_else(float);
    }
    scalar.shown().map(|text| Value::Bool(text == "true"))
}

/// An event of the scan.
#[derive(Debug)]
struct Scanned {
    time: Option<Time>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    values: Vec<Value>,
    exists: bool,
}

impl Source for Scanned {
    fn time(&self) -> Option<Time> {
        self.time
    }

    fn values(&self, field: usize) -> Vec<Value> {
        let field = self.fields.get(field);
        field.map(|field| field.values.clone()).unwrap_or_default()
    }

    fn exists(&self, field: usize) -> bool {
        self.fields.get(field).is_some_and(|field| field.exists)
    }
}
