//! What puts a problem right: the changes of `check --fix`, and the word that was probably meant.

use std::ops::Range;

use serde_json::{Value, json};

use crate::diag::{Diagnostic, Fix, Problems};
use crate::lsp::lines::Lines;
use crate::visible::visible;

/// A file whose problems are put right.
pub(super) struct Mended<'s> {
    pub(super) uri: &'s str,
    pub(super) name: &'s str,
    pub(super) lines: Lines<'s>,
    pub(super) problems: &'s Problems,
}

impl Mended<'_> {
    /// What may be done about the problems that touch a range.
    pub(super) fn actions(&self, range: &Range<usize>) -> Value {
        let here = self.problems.sorted().into_iter().filter(|problem| {
            let (start, end) = (problem.span.start as usize, problem.span.end as usize);
            self.problems.file_name(problem.span.file) == self.name
                && start <= range.end
                && range.start <= end
        });
        let mut actions: Vec<Value> = here.flat_map(|problem| self.of(problem)).collect();
        actions.extend(self.all());
        json!(actions)
    }

    /// What may be done about one problem.
    fn of(&self, problem: &Diagnostic) -> Option<Value> {
        let (fix, is_certain) = match problem.fix() {
            Some(fix) => (fix.clone(), true),
            None => (self.meant(problem)?, false),
        };
        let was = self.problems.text(fix.span.file);
        let was = was.get(fix.span.start as usize..fix.span.end as usize)?;
        let title = match fix.text.is_empty() {
            true => format!("Remove `{}`", visible(was)),
            false => format!("Write `{}` for `{}`", visible(&fix.text), visible(was)),
        };
        Some(json!({
            "title": title,
            "kind": "quickfix",
            "isPreferred": is_certain,
            "edit": self.edit(&[&fix]),
        }))
    }

    /// The change that writes the word that was probably meant.
    fn meant(&self, problem: &Diagnostic) -> Option<Fix> {
        let help = problem.help()?;
        let near = help.strip_prefix("did you mean `")?.strip_suffix("`?")?;
        let word = problem.message.split('`').nth(1)?;
        self.problems.replacing(problem.span, word, near)
    }

    /// All changes of the file that are right whatever was meant.
    fn all(&self) -> Option<Value> {
        let (all, _) = self.problems.fixes();
        let (_, fixes) = all
            .iter()
            .find(|(file, _)| self.problems.file_name(**file) == self.name)?;
        Some(json!({
            "title": "Put right what is right whatever was meant, as `rulectl check --fix` does",
            "kind": "source.fixAll.rulectl",
            "edit": self.edit(fixes),
        }))
    }

    fn edit(&self, fixes: &[&Fix]) -> Value {
        let edits = fixes.iter().map(|fix| {
            let range = self
                .lines
                .range(fix.span.start as usize..fix.span.end as usize);
            json!({"range": range, "newText": fix.text})
        });
        json!({"changes": {self.uri: edits.collect::<Vec<_>>()}})
    }
}
