//! What is wanted, and whether it may be asked: checks in a fixed order, each recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ask::evaluate::Limits;
use crate::ask::grounding::{Ground, ground};
use crate::diag::Problems;
use crate::document::parse_yaml;
use crate::tools::{
    Catalogue, Clause, Operator, Param, Step, Term, Test, Tool, ago, decode_steps, tokens,
};

/// What is wanted: data that a person, a form or a model filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wanted {
    /// A tool or a recipe, with values.
    Call {
        /// Its name.
        tool: String,
        /// Its parameters.
        #[serde(default)]
        params: BTreeMap<String, Value>,
        /// The parameters that follow from the form of the question.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by_form: Vec<String>,
        /// The id of the question whose rows it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// Steps of its own.
    Plan {
        /// As in a recipe.
        steps: Value,
    },
}

/// Steps with the values of their parameters.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The tool or recipe; `plan` for steps of its own.
    pub name: String,
    /// The values of the parameters of a recipe.
    pub params: BTreeMap<String, Value>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One check, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckMade {
    /// What was checked.
    pub check: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// Why a plan may not be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// One of [`CODES`].
    pub code: String,
    /// Why, in words.
    pub why: String,
}

/// The codes of refusals, each with what it says.
pub const CODES: [(&str, &str); 8] = [
    ("unknown_tool", "there is no such tool, recipe or step"),
    ("not_read_only", "it would change something"),
    (
        "parameter",
        "a value is missing, or is none that the schema takes",
    ),
    ("scope", "a scope that it needs was not granted"),
    (
        "ungrounded",
        "a value comes neither from the question nor from the registry",
    ),
    ("limit", "it would cost more than is allowed"),
    (
        "uncertain",
        "no tool or recipe is certain to answer the question",
    ),
    (
        "out_of_scope",
        "it is no question about the tenant that tools can answer",
    ),
];

/// What a code says.
#[must_use]
pub fn described(code: &str) -> &'static str {
    let found = CODES.into_iter().find(|(known, _)| *known == code);
    found.map_or("it is refused", |(_, says)| says)
}

fn refused(code: &str, why: impl Into<String>) -> Refused {
    Refused {
        code: code.to_owned(),
        why: why.into(),
    }
}

/// Checks what is wanted for a question, in this order: known, read only, parameters, scopes,
/// grounded, within limits. `granted` are the scopes of the credentials, where these say.
///
/// # Errors
///
/// The first check that does not hold.
pub fn check(
    question: &str,
    wanted: &Wanted,
    catalogue: &Catalogue,
    granted: Option<&[String]>,
    limits: &Limits,
) -> (Vec<CheckMade>, Result<Plan, Refused>) {
    let mut made = Vec::new();
    let outcome = checks(question, wanted, catalogue, granted, limits, &mut made);
    (made, outcome)
}

fn checks(
    question: &str,
    wanted: &Wanted,
    catalogue: &Catalogue,
    granted: Option<&[String]>,
    limits: &Limits,
    made: &mut Vec<CheckMade>,
) -> Result<Plan, Refused> {
    let mut pass = |check: &str, code: &str, found: Result<String, String>| {
        let holds = found.is_ok();
        let found = found.unwrap_or_else(|why| why);
        made.push(CheckMade {
            check: check.to_owned(),
            holds,
            found: found.clone(),
        });
        if holds {
            Ok(())
        } else {
            Err(refused(code, found))
        }
    };
    let plan = plan_of(wanted, catalogue);
    let known = plan.as_ref().map(|plan| plan.name.clone());
    pass("known tool", "unknown_tool", known.map_err(Clone::clone))?;
    let plan = plan.map_err(|why| refused("unknown_tool", why))?;
    let tools = tools_of(&plan, catalogue);
    // A tool has a `get` and nothing else; the client's registry is made of the same tools.
    let paths = tools.iter().map(|tool| format!("GET {}", tool.path));
    pass(
        "read only",
        "not_read_only",
        Ok(paths.collect::<Vec<_>>().join(", ")),
    )?;
    pass(
        "parameters",
        "parameter",
        parameters(wanted, &plan, catalogue),
    )?;
    pass("scopes", "scope", scopes(&tools, granted))?;
    pass(
        "grounded",
        "ungrounded",
        grounded(question, wanted, &plan, catalogue),
    )?;
    pass("limits", "limit", within(&plan, limits))?;
    Ok(plan)
}

/// The steps of what is wanted.
///
/// # Errors
///
/// What is not known.
pub fn plan_of(wanted: &Wanted, catalogue: &Catalogue) -> Result<Plan, String> {
    match wanted {
        Wanted::Call { tool, params, .. } => {
            if let Some(recipe) = catalogue.recipe(tool) {
                let mut params = params.clone();
                for param in &recipe.params {
                    let default = param.default.clone();
                    let is_open = !params.contains_key(&param.name);
                    let default = default.filter(|_| is_open);
                    params.extend(default.map(|default| (param.name.clone(), default)));
                }
                return Ok(Plan {
                    name: tool.clone(),
                    params,
                    steps: recipe.steps.clone(),
                });
            }
            let Some(found) = catalogue.tool(tool) else {
                return Err(format!("there is no tool or recipe `{tool}`"));
            };
            Ok(Plan {
                name: tool.clone(),
                params: BTreeMap::new(),
                steps: vec![only_step(found, params)],
            })
        }
        Wanted::Plan { steps } => {
            let text = steps.to_string();
            let mut problems = Problems::default();
            let file = problems.add_file("plan", &text);
            let node = parse_yaml(file, &text, &mut problems);
            let steps =
                node.and_then(|node| decode_steps(&node, &catalogue.tools, &[], &mut problems));
            match steps.filter(|_| !problems.has_errors()) {
                Some(steps) => Ok(Plan {
                    name: "plan".to_owned(),
                    params: BTreeMap::new(),
                    steps,
                }),
                None => {
                    let sorted = problems.sorted();
                    let told = sorted.iter().map(|problem| problem.message.clone());
                    Err(told.collect::<Vec<_>>().join("; "))
                }
            }
        }
    }
}

fn only_step(tool: &Tool, params: &BTreeMap<String, Value>) -> Step {
    let with = params.iter();
    let with = with.map(|(name, value)| {
        let ago = tool.param(name).and_then(|param| before(param, value));
        let term = match ago {
            Some((amount, unit)) => Term::Ago {
                amount: Box::new(Term::Literal(amount.into())),
                unit,
            },
            None => Term::Literal(value.clone()),
        };
        (name.clone(), term)
    });
    Step {
        name: "rows".to_owned(),
        at: tool.at,
        operator: Operator::Call {
            tool: tool.name.clone(),
            with: with.collect(),
            each: None,
            keep: Vec::new(),
        },
        filter: Vec::new(),
        select: None,
        sort: None,
        limit: None,
        expects_one: false,
    }
}

/// How long before the question the value of a parameter is, of those that take a time.
fn before(param: &Param, value: &Value) -> Option<(u32, char)> {
    let (amount, unit) = ago(value.as_str()?)?;
    let amount = amount.parse().ok()?;
    param.is_time().then_some((amount, unit))
}

/// The tools that a plan calls, each once.
fn tools_of<'c>(plan: &Plan, catalogue: &'c Catalogue) -> Vec<&'c Tool> {
    let mut found: Vec<&Tool> = Vec::new();
    for step in &plan.steps {
        if let Operator::Call { tool, .. } = &step.operator
            && let Some(tool) = catalogue.tool(tool)
            && !found.iter().any(|known| known.name == tool.name)
        {
            found.push(tool);
        }
    }
    found
}

/// Every value is one that its schema takes, and none is missing or too much.
fn parameters(wanted: &Wanted, plan: &Plan, catalogue: &Catalogue) -> Result<String, String> {
    let Wanted::Call {
        tool,
        params,
        after,
        ..
    } = wanted
    else {
        return Ok("as the registry has them".to_owned());
    };
    let declared: &[Param] = match (catalogue.recipe(tool), catalogue.tool(tool)) {
        (Some(recipe), _) => &recipe.params,
        (None, Some(tool)) => &tool.params,
        (None, None) => &[],
    };
    let is_recipe = catalogue.recipe(tool).is_some();
    let mut wrong = Vec::new();
    let follows = catalogue
        .recipe(tool)
        .and_then(|recipe| recipe.follows.as_ref());
    if follows.is_some() != after.is_some() {
        let why = match follows {
            Some(_) => "is about an earlier answer: ask it with `--session` or `--after`",
            None => "is about no earlier answer",
        };
        wrong.push(format!("`{tool}` {why}"));
    }
    for name in params.keys() {
        if !declared.iter().any(|param| param.name == *name) {
            let known: Vec<&str> = declared.iter().map(|param| param.name.as_str()).collect();
            let known = match known.as_slice() {
                [] => "it takes none".to_owned(),
                known => format!("it takes `{}`", known.join("`, `")),
            };
            wrong.push(format!("`{tool}` takes no `{name}`: {known}"));
        }
    }
    for param in declared {
        let given = params.get(&param.name).or(plan.params.get(&param.name));
        match given.or(param.default.as_ref()) {
            None if param.required => wrong.push(format!("`{}` is missing", param.name)),
            None => {}
            Some(value) if !is_recipe && before(param, value).is_some() => {}
            Some(value) => {
                let options = jsonschema::options().should_validate_formats(true);
                let validator = options.build(&param.schema);
                let error = validator.ok().and_then(|validator| {
                    let mut errors = validator.iter_errors(value);
                    errors.next().map(|error| error.to_string())
                });
                wrong.extend(error.map(|error| format!("`{}`: {error}", param.name)));
                if value
                    .as_str()
                    .is_some_and(|text| text.contains(char::is_control))
                {
                    wrong.push(format!("`{}` holds a control character", param.name));
                }
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(format!("{} given", params.len())),
        false => Err(wrong.join("; ")),
    }
}

/// A scope of each tool is granted; tokens of people say nothing of scopes.
fn scopes(tools: &[&Tool], granted: Option<&[String]>) -> Result<String, String> {
    let Some(granted) = granted else {
        return Ok("the credentials are no service app's, and have no scopes".to_owned());
    };
    let mut missing = Vec::new();
    for tool in tools {
        let has = tool.scopes.iter().any(|(scope, _)| granted.contains(scope));
        if !has && !tool.scopes.is_empty() {
            let scopes = tool.scopes.iter().map(|(scope, _)| format!("`{scope}`"));
            let scopes = scopes.collect::<Vec<_>>().join(" or ");
            missing.push(format!("`{}` needs {scopes}", tool.name));
        }
    }
    match missing.is_empty() {
        true => Ok("granted".to_owned()),
        false => Err(format!("{}, which was not granted", missing.join(", "))),
    }
}

/// Every literal comes from the question, from the registry or from the clock.
fn grounded(
    question: &str,
    wanted: &Wanted,
    plan: &Plan,
    catalogue: &Catalogue,
) -> Result<String, String> {
    let mut told = Vec::new();
    let mut missing = Vec::new();
    let mut hold = |name: &str, value: &Value, param: Option<&Param>, by_form: bool| {
        let ago = param.and_then(|param| before(param, value));
        let found = match (by_form, ago) {
            (true, _) => Some(Ground::Form),
            (false, Some((amount, unit))) => {
                ground(question, &amount.into(), None).filter(|_| names_unit(question, unit))
            }
            (false, None) => ground(question, value, param),
        };
        match found {
            Some(found) => told.push(format!("{name}: {found}")),
            None => missing.push(format!("`{value}` of `{name}`")),
        }
    };
    match wanted {
        Wanted::Call {
            tool,
            params,
            by_form,
            ..
        } => {
            let declared = match (catalogue.recipe(tool), catalogue.tool(tool)) {
                (Some(recipe), _) => recipe.params.as_slice(),
                (None, Some(tool)) => tool.params.as_slice(),
                (None, None) => &[],
            };
            for (name, value) in params {
                let param = declared.iter().find(|param| param.name == *name);
                hold(name, value, param, by_form.contains(name));
            }
        }
        Wanted::Plan { .. } => {
            for step in &plan.steps {
                for (name, value, param) in literals(step, catalogue) {
                    hold(&name, value, param, false);
                }
            }
            let units = plan.steps.iter().flat_map(units);
            let unnamed = units.filter(|unit| !names_unit(question, *unit));
            missing.extend(unnamed.map(|unit| format!("the unit `{unit}` of a time")));
        }
    }
    match missing.as_slice() {
        [] if told.is_empty() => Ok("no literals".to_owned()),
        [] => Ok(told.join(", ")),
        missing => Err(format!(
            "{} stands nowhere in the question",
            missing.join(", ")
        )),
    }
}

/// Whether a question has the word of a unit of time.
fn names_unit(question: &str, unit: char) -> bool {
    let words: &[&str] = match unit {
        'h' => &["hour", "hours", "h"],
        _ => &["day", "days", "d"],
    };
    let tokens = tokens(question);
    let mut said = tokens.iter().map(|token| token.word.as_str());
    said.any(|word| words.contains(&word))
}

/// The units of the times of a step.
fn units(step: &Step) -> impl Iterator<Item = char> + '_ {
    let called: &[(String, Term)] = match &step.operator {
        Operator::Call { with, .. } => with,
        _ => &[],
    };
    let compared = step
        .filter
        .iter()
        .flatten()
        .flat_map(|clause| &clause.values);
    let terms = called.iter().map(|(_, term)| term).chain(compared);
    terms.filter_map(|term| match term {
        Term::Ago { unit, .. } => Some(*unit),
        _ => None,
    })
}

/// The literals of a step: values of parameters and of filters.
fn literals<'s>(
    step: &'s Step,
    catalogue: &'s Catalogue,
) -> Vec<(String, &'s Value, Option<&'s Param>)> {
    let mut found = Vec::new();
    if let Operator::Call { tool, with, .. } = &step.operator {
        let tool = catalogue.tool(tool);
        for (name, term) in with {
            let param = tool.and_then(|tool| tool.param(name));
            found.extend(literal(term).map(|value| (name.clone(), value, param)));
        }
    }
    let clauses = step.filter.iter().flatten();
    // Whether a value is there at all is no literal.
    let clauses = clauses.filter(|clause| clause.test != Test::Exists);
    for Clause { column, values, .. } in clauses {
        let values = values.iter().filter_map(literal);
        found.extend(values.map(|value| (column.clone(), value, None)));
    }
    found
}

fn literal(term: &Term) -> Option<&Value> {
    match term {
        Term::Literal(value) => Some(value),
        Term::Ago { amount, .. } => literal(amount),
        Term::Param(_) | Term::Field { .. } => None,
    }
}

/// What can be said of the cost before anything is asked: how many calls there are at least.
fn within(plan: &Plan, limits: &Limits) -> Result<String, String> {
    let calls = plan.steps.iter();
    let calls = calls.filter(|step| matches!(step.operator, Operator::Call { .. }));
    let least = calls.count();
    let most = limits.calls;
    match least <= most {
        true => Ok(format!(
            "{least} of at most {most} calls, {} pages each, {} ms",
            limits.pages, limits.max_execution_ms
        )),
        false => Err(format!("{least} calls, at most {most} are allowed")),
    }
}
