//! An expression of the settings, such as a formula: one value of values that have names.

use std::fmt;
use std::sync::{Arc, LazyLock};

use rhai::{AST, Dynamic, Engine, EvalAltResult, Scope};

use crate::diag::{Problems, Span};
use crate::script::load::sentence;
use crate::script::{sandbox, words};

/// All expressions are of the bare language: nothing is asked of the outside.
static ENGINE: LazyLock<Engine> = LazyLock::new(sandbox::engine);

/// A checked expression.
#[derive(Clone)]
pub struct Expression {
    ast: Arc<AST>,
    text: Arc<str>,
}

/// A value that an expression names.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// A number.
    Number(f64),
    /// A whole number.
    Count(u64),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
}

impl Expression {
    /// Reads an expression over variables of these names; reports what is none, with a code.
    ///
    /// The values are examples: what variables there are and of which types.
    pub fn read(
        (text, span): (&str, Span),
        examples: &[(&'static str, Named)],
        code: &'static str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let scope = scope(examples);
        match ENGINE.compile_expression_with_scope(&scope, text) {
            Ok(ast) => Some(Self {
                ast: Arc::new(ast),
                text: text.into(),
            }),
            Err(error) => {
                let why = sentence(&error.err_type().to_string());
                let names: Vec<&str> = examples.iter().map(|(name, _)| *name).collect();
                let message = format!("this expression cannot be read: {why}");
                problems.error(code, span, message).help(format!(
                    "it is one expression of Rhai over {}",
                    names.join(", ")
                ));
                None
            }
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value as a finite number.
    ///
    /// # Errors
    ///
    /// When it fails or is something else, with the reason.
    pub fn number(&self, values: &[(&'static str, Named)]) -> Result<f64, String> {
        let value = self.value(values)?;
        let found = in_words(&value);
        #[expect(clippy::cast_precision_loss, reason = "scores are doubles")]
        let number = value
            .as_float()
            .or_else(|_| value.as_int().map(|int| int as f64));
        let number = number.map_err(|_| format!("it is {found} and no number"))?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(format!("it is {number}"))
        }
    }

    /// Whether it holds.
    ///
    /// # Errors
    ///
    /// When it fails or is something else, with the reason.
    pub fn holds(&self, values: &[(&'static str, Named)]) -> Result<bool, String> {
        let value = self.value(values)?;
        let found = in_words(&value);
        value
            .as_bool()
            .map_err(|_| format!("it is {found} and not true or false"))
    }

    fn value(&self, values: &[(&'static str, Named)]) -> Result<Dynamic, String> {
        sandbox::begin();
        let mut scope = scope(values);
        ENGINE
            .eval_ast_with_scope(&mut scope, &self.ast)
            .map_err(|error| why(&error))
    }
}

/// Two expressions are one where their texts are.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

fn scope(values: &[(&'static str, Named)]) -> Scope<'static> {
    let mut scope = Scope::new();
    for (name, value) in values {
        let value = match value {
            Named::Number(number) => Dynamic::from_float(*number),
            Named::Count(count) => Dynamic::from_int(i64::try_from(*count).unwrap_or(i64::MAX)),
            Named::Text(text) => text.as_str().into(),
            Named::Texts(texts) => texts
                .iter()
                .take(sandbox::LIST_ELEMENTS)
                .map(|text| Dynamic::from(text.clone()))
                .collect::<Vec<_>>()
                .into(),
        };
        scope.push_constant_dynamic(*name, value);
    }
    scope
}

fn in_words(value: &Dynamic) -> &'static str {
    words::of_type(value.type_name()).unwrap_or("something else")
}

fn why(error: &EvalAltResult) -> String {
    sentence(&error.to_string())
}
