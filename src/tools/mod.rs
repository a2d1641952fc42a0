//! `tools.yaml`: what may be asked of Okta, and the templates of the commands that may be suggested.
//!
//! A tool is an operation of Okta's API that reads. A recipe is a plan of calls of tools and of
//! closed operators over their rows. A command is an operation with holes from a closed list. All
//! of them are checked when the policy is loaded, so that using one cannot fail for its form.

mod catalogue;
mod command;
mod commands;
mod drift;
mod openapi;
mod pattern;
mod recipe;
mod recipes;
mod tool;
mod words;

pub use self::catalogue::decode_tools;
pub use self::command::{CommandTemplate, Hole, Method, Piece, QueryParameter};
pub use self::commands::METHODS;
pub use self::drift::{ALARM, Drift, drift, drift_of_rows};
pub use self::openapi::{
    Imported, MOST_BYTES, NotADescription, SCHEMAS, Select, import, read_openapi, snake,
};
pub use self::pattern::{Bindings, Form, Pattern, Token, number, taken, tokens};
pub use self::recipe::{Clause, Join, Named, Operator, Recipe, Step, Term, Test};
pub use self::recipes::{THESE, ago, decode_steps};
pub use self::tool::{Column, Pages, Param, Place, RowPath, Segment, Tool};
pub use self::words::Words;

/// What `tools.yaml` holds.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// What may be asked of Okta, in the order written.
    pub tools: Vec<Tool>,
    /// Plans with parameters, in the order written.
    pub recipes: Vec<Recipe>,
    /// What may be suggested, in the order written.
    pub commands: Vec<CommandTemplate>,
    /// Words that mean the same in questions.
    pub words: Words,
}

impl Catalogue {
    /// A tool by name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// A recipe by name.
    #[must_use]
    pub fn recipe(&self, name: &str) -> Option<&Recipe> {
        self.recipes.iter().find(|recipe| recipe.name == name)
    }
}

/// The codes of problems in `tools.yaml`.
pub mod codes {
    /// A template with no method, or with several; a tool that does not read.
    pub const METHOD: &str = "RL0501";
    /// A path that is not one of Okta's API.
    pub const PATH: &str = "RL0502";
    /// A hole that does not exist.
    pub const HOLE: &str = "RL0503";
    /// A parameter that cannot be one.
    pub const PARAMETER: &str = "RL0504";
    /// A template for a step that no plan can hold.
    pub const NO_SUCH_STEP: &str = "RL0505";
    /// A column whose place in a row cannot be read.
    pub const COLUMN: &str = "RL0508";
    /// A form of questions that cannot be read.
    pub const PATTERN: &str = "RL0509";
    /// A step of a recipe that names what is not there.
    pub const REFERENCE: &str = "RL0510";
    /// A step of a recipe that is none.
    pub const STEP: &str = "RL0511";
}
