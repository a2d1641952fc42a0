//! Plans: calls of tools, and closed operators over the rows that they give.
//!
//! A recipe is a plan that an engineer wrote, with parameters. What a model may propose for a
//! question is the same, without them.

use serde_json::Value;

use crate::diag::Span;
use crate::tools::{Form, Param};

/// A plan with parameters.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name in `tools.yaml`.
    pub name: String,
    /// Where it is written.
    pub at: Span,
    /// What it gives.
    pub description: String,
    /// What its answer does not say, for whoever reads it.
    pub notes: Option<String>,
    /// What it has to be told.
    pub params: Vec<Param>,
    /// Of what follows an earlier answer, the columns that this has to have.
    pub follows: Option<Vec<String>>,
    /// What is done, in order; the last step is the answer.
    pub steps: Vec<Step>,
    /// Questions that it answers.
    pub examples: Vec<String>,
    /// Forms of questions that it answers.
    pub patterns: Vec<Form>,
}

/// One step: what gives its rows, and what is made of them.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, for later steps.
    pub name: String,
    /// Where it is written.
    pub at: Span,
    /// What gives the rows.
    pub operator: Operator,
    /// Which rows are kept: those of which one of these alternatives holds; all where there is none.
    pub filter: Vec<Vec<Clause>>,
    /// The columns that are kept, each with its new name; all where nothing is said.
    pub select: Option<Vec<Named>>,
    /// The column that the rows are sorted by, and whether the largest comes first.
    pub sort: Option<(String, bool)>,
    /// How many rows are kept.
    pub limit: Option<u64>,
    /// Exactly one row is expected, and what follows makes no sense of none or of several.
    pub expects_one: bool,
}

/// What gives the rows of a step.
#[derive(Clone, Debug)]
pub enum Operator {
    /// A call, or one for each row of an earlier step.
    Call {
        /// The tool.
        tool: String,
        /// Its parameters.
        with: Vec<(String, Term)>,
        /// The step for each of whose rows it is made.
        each: Option<String>,
        /// The columns of that row that its rows have beside their own.
        keep: Vec<Named>,
    },
    /// The rows of an earlier step.
    From(String),
    /// Rows of two steps whose columns are equal.
    Join {
        /// Which rows there are.
        kind: Join,
        /// The step whose rows are told.
        left: String,
        /// The step that they are compared with.
        right: String,
        /// The pairs of columns, of the left and of the right, that are equal.
        on: Vec<(String, String)>,
        /// The columns of the right that are added.
        keep: Vec<Named>,
    },
    /// The rows of several steps, one after the other.
    Union(Vec<String>),
    /// How many rows a step has.
    Count(String),
    /// A row for each mix of values, with how many rows have it.
    Group {
        /// The step.
        of: String,
        /// The columns.
        by: Vec<String>,
        /// A column of which the largest value is told.
        latest: Option<String>,
    },
    /// The rows of those who belong to a population: by a list of the policy, else by what an
    /// attribute of Okta's says.
    Members {
        /// The step.
        of: String,
        /// What they are called, such as `contractor`.
        called: String,
        /// The list of the policy that defines them, by its file's name without ending.
        list: String,
        /// The columns of which one stands in the list.
        on: Vec<String>,
        /// The columns of which one says it by itself.
        says: Vec<String>,
    },
}

/// Which rows a join has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Each pair of rows that agree.
    Inner,
    /// Those too for which there is no other.
    Left,
    /// Those of the left for which there is one.
    Semi,
    /// Those of the left for which there is none.
    Anti,
}

impl Join {
    /// How it is called in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inner => "join",
            Self::Left => "left join",
            Self::Semi => "semi join",
            Self::Anti => "anti join",
        }
    }
}

/// A column under a new name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it is called from here on.
    pub name: String,
    /// What it was called.
    pub column: String,
}

/// What a column has to be.
#[derive(Clone, Debug)]
pub struct Clause {
    /// The column.
    pub column: String,
    /// How it is compared.
    pub test: Test,
    /// With what; any one of these.
    pub values: Vec<Term>,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is one of them, whatever the case of its letters.
    Is,
    /// It is none of them.
    IsNot,
    /// It holds one of them as a part.
    Contains,
    /// It holds none of them as a part.
    Without,
    /// It is a time before.
    Before,
    /// It is a time at or after.
    After,
    /// It is there and not null, or the contrary.
    Exists,
    /// It is a larger number.
    Above,
    /// It is a smaller number.
    Below,
}

impl Test {
    /// The words by which they are written behind `|`.
    pub const ALL: [(&str, Self); 8] = [
        ("not", Self::IsNot),
        ("contains", Self::Contains),
        ("without", Self::Without),
        ("before", Self::Before),
        ("after", Self::After),
        ("exists", Self::Exists),
        ("gt", Self::Above),
        ("lt", Self::Below),
    ];
}

/// A value in a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// As it is written.
    Literal(Value),
    /// That of a parameter: `$app`.
    Param(String),
    /// That of a column of the one row of a step, or of the row that a call is made for: `$app.id`.
    Field {
        /// The step.
        step: String,
        /// The column.
        column: String,
    },
    /// So long before the question was asked: `-30d`, `-{days}d`.
    Ago {
        /// How many.
        amount: Box<Term>,
        /// Of which unit: `h` or `d`.
        unit: char,
    },
}

impl Recipe {
    /// A parameter by name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }
}
