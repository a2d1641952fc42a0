//! A question → what is wanted, and whether it may be asked: by its form, else by a model's choice
//! that a form accounts for, else nothing.

use serde_json::Value;

use crate::ask::accounted::accounted;
use crate::ask::matching::{After, Matching, match_question};
use crate::ask::plan::{CheckMade, Plan, Refused, Wanted, check, described};
use crate::ask::proposal::{Said, Slice, read};
use crate::ask::rank::rank;
use crate::ask::settings::{AskSettings, Unaccounted};
use crate::llm::Model;
use crate::slots::{Asked, Prompt, fill};
use crate::tools::{Catalogue, Param};

/// Who decides, and by what.
#[derive(Clone, Copy)]
pub struct Deciding<'a> {
    /// The tools and recipes.
    pub catalogue: &'a Catalogue,
    /// The answers that a question may be about, the nearest first.
    pub after: &'a [After],
    /// Those that may be chosen; all where there is none.
    pub only: &'a [String],
    /// What it may cost, and what is believed.
    pub settings: AskSettings,
    /// The scopes of the credentials, where these say.
    pub granted: Option<&'a [String]>,
    /// Who is asked where no form is certain.
    pub model: Option<(&'a Prompt, &'a dyn Model)>,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Who said what is wanted: `form`, `model` or `hand`.
    pub by: &'static str,
    /// The form of questions that it has.
    pub form: Option<String>,
    /// What is wanted.
    pub wanted: Option<Wanted>,
    /// The checks in their order, up to the first that does not hold.
    pub checks: Vec<CheckMade>,
    /// What is done, or why nothing.
    pub outcome: Result<Plan, Refused>,
    /// Commands that ask for what is near.
    pub candidates: Vec<String>,
    /// The words of the question that nothing accounts for, where it is asked all the same.
    pub unaccounted: Option<Vec<String>>,
    /// What a model was asked, if one was.
    pub asked: Option<Asked>,
}

impl Decided {
    fn refused(code: &str, why: impl Into<String>, candidates: Vec<String>) -> Self {
        let refused = Refused {
            code: code.to_owned(),
            why: why.into(),
        };
        Self {
            by: "form",
            form: None,
            wanted: None,
            checks: Vec::new(),
            outcome: Err(refused),
            candidates,
            unaccounted: None,
            asked: None,
        }
    }
}

impl Deciding<'_> {
    /// What a question asks for, and whether it may be asked.
    #[must_use]
    pub fn decide(&self, question: &str) -> Decided {
        let mut follows = self.after.iter().filter_map(|after| {
            match match_question(question, self.catalogue, self.only, Some(after)) {
                Matching::Certain(matched) => Some(matched),
                Matching::Several(_) | Matching::None => None,
            }
        });
        if let Some(matched) = follows.next() {
            let alone = match_question(question, self.catalogue, self.only, None);
            if let Matching::Certain(alone) = alone {
                let near = vec![command(&alone.wanted)];
                let why = "it may be about the earlier answer, and may stand for itself";
                return Decided::refused("uncertain", why, near);
            }
            let mut decided = self.checked(question, matched.wanted);
            decided.form = Some(matched.form);
            return decided;
        }
        let matching = match_question(question, self.catalogue, self.only, None);
        let (names, refused) = match matching {
            Matching::Certain(matched) => {
                let mut decided = self.checked(question, matched.wanted);
                decided.form = Some(matched.form);
                return decided;
            }
            Matching::Several(several) => {
                let near = several.iter().map(|matched| command(&matched.wanted));
                let why = "several tools or recipes account for the question";
                let refused = Decided::refused("uncertain", why, near.collect());
                let names = several.into_iter().filter_map(|matched| {
                    let Wanted::Call { tool, .. } = matched.wanted else {
                        return None;
                    };
                    Some(tool)
                });
                (names.collect::<Vec<_>>(), refused)
            }
            Matching::None => {
                let mut names = rank(question, self.catalogue)
                    .into_iter()
                    .map(|ranked| ranked.name);
                let is_meant = |name: &String| self.only.is_empty() || self.only.contains(name);
                let names: Vec<String> = names
                    .by_ref()
                    .filter(is_meant)
                    .take(self.settings.shown)
                    .collect();
                let near = names.iter().take(NEAR).map(|name| self.by_hand(name));
                let why = "no form of question accounts for every word of it";
                (
                    names.clone(),
                    Decided::refused("uncertain", why, near.collect()),
                )
            }
        };
        match self.model {
            Some((prompt, model)) if !names.is_empty() => {
                self.chosen(question, &names, refused, prompt, model)
            }
            _ => refused,
        }
    }

    /// What is wanted, with the checks.
    #[must_use]
    pub fn checked(&self, question: &str, wanted: Wanted) -> Decided {
        let limits = &self.settings.limits;
        let (checks, outcome) = check(question, &wanted, self.catalogue, self.granted, limits);
        Decided {
            by: "form",
            form: None,
            wanted: Some(wanted),
            checks,
            outcome,
            candidates: Vec::new(),
            unaccounted: None,
            asked: None,
        }
    }

    /// What a model chooses of a few tools, as far as the question accounts for that.
    fn chosen(
        &self,
        question: &str,
        names: &[String],
        refused: Decided,
        prompt: &Prompt,
        model: &dyn Model,
    ) -> Decided {
        let slice = Slice::new(names.iter().map(String::as_str), self.catalogue);
        let prompt = match prompt.with_schema(slice.schema()) {
            Ok(prompt) => prompt,
            Err(why) => {
                let why = format!("a model could not be asked: {why}");
                return Decided::refused("uncertain", why, refused.candidates);
            }
        };
        let context = slice.context(question);
        let asked = fill(&prompt, &context, model, &|reply| read(reply).map(drop));
        let said = asked.accepted.as_ref().and_then(|reply| read(reply).ok());
        let decided = match said {
            None if asked.is_nobody() => return refused,
            None => {
                let why = asked.refused.clone().unwrap_or_default();
                let why = format!(
                    "no form accounts for every word, and the model's answer is not accepted: {why}"
                );
                Decided::refused("uncertain", why, refused.candidates)
            }
            Some(Said::Refused(code)) => {
                let why = format!("the model says: {}", described(&code));
                Decided::refused(&code, why, refused.candidates)
            }
            Some(Said::Wanted(wanted)) => self.held(question, wanted, refused.candidates),
        };
        Decided {
            by: "model",
            asked: Some(asked),
            ..decided
        }
    }

    /// What a model wants, held against the question once more without it. `near` is told where it
    /// may not be asked.
    #[must_use]
    pub fn held(&self, question: &str, mut wanted: Wanted, near: Vec<String>) -> Decided {
        let found = accounted(question, &wanted, self.catalogue);
        if let (Ok(found), Wanted::Call { by_form, .. }) = (&found, &mut wanted) {
            by_form.clone_from(&found.by_form);
        }
        let mut decided = self.checked(question, wanted);
        if let Err(refused) = &mut decided.outcome {
            // What a model wrote is told nowhere.
            let what = match &decided.wanted {
                Some(Wanted::Call { tool, .. }) => format!("`{tool}`"),
                Some(Wanted::Plan { .. }) | None => "a plan of its own".to_owned(),
            };
            refused.why = format!("a model chose {what}, and {}", described(&refused.code));
            decided.candidates = near;
            return decided;
        }
        let (holds, told) = match &found {
            Ok(found) => (true, format!("by the form {}", found.form)),
            Err(left) => (false, unaccounted(&decided, left)),
        };
        decided.checks.push(CheckMade {
            check: ACCOUNTED.to_owned(),
            holds,
            found: told.clone(),
        });
        match (found, self.settings.unaccounted) {
            (Ok(found), _) => decided.form = Some(found.form),
            (Err(left), Unaccounted::Tell) => decided.unaccounted = Some(left),
            (Err(_), Unaccounted::Refuse) => {
                decided
                    .candidates
                    .extend(decided.wanted.as_ref().map(command));
                decided.outcome = Err(Refused {
                    code: "uncertain".to_owned(),
                    why: format!("a model chose it, and {told}"),
                });
            }
        }
        decided
    }

    /// The command that calls a tool or recipe, with what it needs.
    fn by_hand(&self, name: &str) -> String {
        let (params, description) = match (self.catalogue.recipe(name), self.catalogue.tool(name)) {
            (Some(recipe), _) => (recipe.params.as_slice(), recipe.description.as_str()),
            (None, Some(tool)) => (tool.params.as_slice(), tool.description.as_str()),
            (None, None) => (&[] as &[Param], ""),
        };
        let needed = params
            .iter()
            .filter(|param| param.required && param.default.is_none());
        let needed: String = needed.map(|param| format!(" {}=…", param.name)).collect();
        format!("rulectl tools call {name}{needed}   # {description}")
    }
}

/// The check of a model's choice that may be passed over.
pub const ACCOUNTED: &str = "accounted for";

/// So many near tools are told.
const NEAR: usize = 5;

fn unaccounted(decided: &Decided, left: &[String]) -> String {
    let name = match &decided.wanted {
        Some(Wanted::Call { tool, .. }) => tool.as_str(),
        Some(Wanted::Plan { .. }) | None => {
            return "nothing accounts for a plan of its own".to_owned();
        }
    };
    match left {
        [] => format!("the forms of `{name}` say more than the question does"),
        left => format!("no form of `{name}` has `{}`", left.join("`, `")),
    }
}

/// The command that asks for the same by hand.
fn command(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Call { tool, params, .. } => {
            let params = params.iter().map(|(name, value)| match value {
                Value::String(text) => format!(" {name}='{}'", text.replace('\'', "'\\''")),
                value => format!(" {name}={value}"),
            });
            format!("rulectl tools call {tool}{}", params.collect::<String>())
        }
        Wanted::Plan { steps } => steps.to_string(),
    }
}
