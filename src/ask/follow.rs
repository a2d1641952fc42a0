//! A question about an earlier answer: the earlier plan, then what is asked of its rows.
//!
//! Both are one plan, evaluated at the time of the first question: what was asked then is answered
//! by what was received then, and only what is new is sent.

use std::collections::BTreeMap;

use crate::ask::answer::{CallRecord, End};
use crate::ask::evaluate::{Fetch, Fetched, Unanswered};
use crate::ask::plan::Plan;
use crate::ask::request::Request;
use crate::tools::{Operator, Step, THESE, Term, Tool};

/// What stands before the names of an earlier plan; no name of a plan has it.
const BEFORE: &str = "<";

/// The plan of a follow-up behind the plan that it follows.
#[must_use]
pub fn behind(earlier: Plan, plan: Plan) -> Plan {
    let last = earlier.steps.last().map(|step| before(&step.name));
    let at = earlier.steps.last().map(|step| step.at);
    let params = earlier.params.into_iter();
    let mut params: BTreeMap<_, _> = params.map(|(name, value)| (before(&name), value)).collect();
    params.extend(plan.params);
    let mut steps: Vec<Step> = earlier.steps.into_iter().map(renamed).collect();
    steps.extend(last.zip(at).map(|(last, at)| Step {
        name: THESE.to_owned(),
        at,
        operator: Operator::From(last),
        filter: Vec::new(),
        select: None,
        sort: None,
        limit: None,
        expects_one: false,
    }));
    steps.extend(plan.steps);
    Plan {
        name: plan.name,
        params,
        steps,
    }
}

fn before(name: &str) -> String {
    format!("{BEFORE}{name}")
}

fn renamed(step: Step) -> Step {
    let operator = match step.operator {
        Operator::Call {
            tool,
            with,
            each,
            keep,
        } => Operator::Call {
            tool,
            with: with
                .into_iter()
                .map(|(name, value)| (name, term(value)))
                .collect(),
            each: each.as_deref().map(before),
            keep,
        },
        Operator::From(of) => Operator::From(before(&of)),
        Operator::Join {
            kind,
            left,
            right,
            on,
            keep,
        } => Operator::Join {
            kind,
            left: before(&left),
            right: before(&right),
            on,
            keep,
        },
        Operator::Union(of) => Operator::Union(of.iter().map(|name| before(name)).collect()),
        Operator::Count(of) => Operator::Count(before(&of)),
        Operator::Group { of, by, latest } => Operator::Group {
            of: before(&of),
            by,
            latest,
        },
        Operator::Members {
            of,
            called,
            list,
            on,
            says,
        } => Operator::Members {
            of: before(&of),
            called,
            list,
            on,
            says,
        },
    };
    let mut filter = step.filter;
    for clause in filter.iter_mut().flatten() {
        let values = std::mem::take(&mut clause.values);
        clause.values = values.into_iter().map(term).collect();
    }
    Step {
        name: before(&step.name),
        operator,
        filter,
        ..step
    }
}

fn term(term: Term) -> Term {
    match term {
        Term::Literal(value) => Term::Literal(value),
        Term::Param(name) => Term::Param(before(&name)),
        Term::Field { step, column } => Term::Field {
            step: before(&step),
            column,
        },
        Term::Ago { amount, unit } => Term::Ago {
            amount: Box::new(self::term(*amount)),
            unit,
        },
    }
}

/// Answers with what was received before, and asks for the rest.
pub struct Before<'f> {
    calls: Vec<(CallRecord, Vec<Vec<u8>>)>,
    live: &'f mut dyn Fetch,
}

/// What the next page of a recorded answer is fetched by.
const PAGE: &str = "<page ";

impl<'f> Before<'f> {
    /// With the calls of an earlier answer, each with its pages.
    #[must_use]
    pub fn new(calls: Vec<(CallRecord, Vec<Vec<u8>>)>, live: &'f mut dyn Fetch) -> Self {
        Self { calls, live }
    }
}

impl Fetch for Before<'_> {
    fn fetch(
        &mut self,
        tool: &Tool,
        request: &Request,
        next: Option<&str>,
    ) -> Result<Fetched, Unanswered> {
        let number = next.map_or(Some(0), |next| next.strip_prefix(PAGE)?.parse().ok());
        let shown = request.shown(tool);
        let is_it = |(call, _): &&(CallRecord, _)| call.tool == tool.name && call.request == shown;
        let Some(((call, pages), number)) = self.calls.iter().find(is_it).zip(number) else {
            return self.live.fetch(tool, request, next);
        };
        if let End::NotFound { said } = &call.end {
            return Err(Unanswered::NotFound(said.clone()));
        }
        let number: usize = number;
        let body = pages.get(number).cloned();
        let more = number + 1 < pages.len();
        body.map(|body| Fetched {
            body,
            next: more.then(|| format!("{PAGE}{}", number + 1)),
        })
        .ok_or_else(|| Unanswered::Failed("a page of the earlier answer is gone".to_owned()))
    }
}
