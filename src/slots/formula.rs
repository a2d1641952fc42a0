//! How a score follows from likelihood and impact: `formula` of `[slots.risk]`.

use crate::diag::Problems;
use crate::document::Node;
use crate::script::{Expression, Named};
use crate::slots::codes;

/// The score of a likelihood and an impact: their product, unless another is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formula(Option<Expression>);

impl Formula {
    /// Reads a formula; reports one that does not give a score from 0.0 to 1.0 for each twentieth
    /// of its variables.
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = node.text(problems)?;
        if text.trim() == PRODUCT {
            return Some(Self::default());
        }
        let examples = values(0.0, 0.0);
        let written = (text, node.span);
        let expression = Expression::read(written, &examples, codes::FORMULA, problems)?;
        for (likelihood, impact) in twentieths() {
            let score = expression.number(&values(likelihood, impact));
            let wrong = match score {
                Ok(score) if (0.0..=1.0).contains(&score) => continue,
                Ok(score) => format!("it is {score}"),
                Err(why) => why,
            };
            problems
                .error(
                    codes::FORMULA,
                    node.span,
                    format!(
                        "this formula gives no score where likelihood is {likelihood} and impact {impact}: {wrong}"
                    ),
                )
                .help("a score is a number from 0.0 to 1.0, as in `likelihood * impact`");
            return None;
        }
        Some(Self(Some(expression)))
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_ref().map_or(PRODUCT, Expression::text)
    }

    /// The score, to four places, so that 0.6 × 0.7 is 0.42.
    ///
    /// Between twentieths, which alone are tried when it is read, a formula might leave the range
    /// or give no number: it is then held to the range, or is the product.
    #[must_use]
    pub fn score(&self, likelihood: f64, impact: f64) -> f64 {
        let declared = self
            .0
            .as_ref()
            .and_then(|expression| expression.number(&values(likelihood, impact)).ok());
        let score = declared.unwrap_or(likelihood * impact).clamp(0.0, 1.0);
        (score * 1e4).round() / 1e4
    }

    /// The least and the greatest score that whole percents give.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        if self.0.is_none() {
            return (0.0, 1.0);
        }
        let percents = || (0..=100_u8).map(|percent| f64::from(percent) / 100.0);
        let pairs =
            percents().flat_map(|likelihood| percents().map(move |impact| (likelihood, impact)));
        let scores = pairs.map(|(likelihood, impact)| self.score(likelihood, impact));
        scores.fold((1.0, 0.0), |(least, most): (f64, f64), score| {
            (least.min(score), most.max(score))
        })
    }
}

/// What holds where nothing is declared.
const PRODUCT: &str = "likelihood * impact";

/// What a formula is made of.
fn values(likelihood: f64, impact: f64) -> [(&'static str, Named); 2] {
    [
        ("likelihood", Named::Number(likelihood)),
        ("impact", Named::Number(impact)),
    ]
}

/// Every pair of twentieths from 0 to 1.
fn twentieths() -> impl Iterator<Item = (f64, f64)> {
    let all = || (0..=20_u8).map(|part| f64::from(part) / 20.0);
    all().flat_map(move |likelihood| all().map(move |impact| (likelihood, impact)))
}
