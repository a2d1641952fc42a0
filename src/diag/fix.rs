//! What puts a problem right whatever was meant: a few bytes in the place of others.

use std::collections::BTreeMap;

use crate::diag::{FileId, Problems, Span};

/// A change of a file that puts a problem right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced.
    pub span: Span,
    /// What stands there then.
    pub text: String,
}

impl Problems {
    /// The change that replaces a word, where it stands in `span` as it is, and once.
    #[must_use]
    pub fn replacing(&self, span: Span, word: &str, text: &str) -> Option<Fix> {
        let source = self.text(span.file);
        let source = source.get(span.start as usize..span.end as usize)?;
        let mut found = source.match_indices(word);
        let (at, _) = found.next()?;
        let text = text.to_owned();
        let span = span.part(at, at + word.len());
        found.next().is_none().then_some(Fix { span, text })
    }

    /// The changes that are known, by file and in the order of their places. One that touches
    /// another is left for the next time; how many those are is told behind them.
    #[must_use]
    pub fn fixes(&self) -> (BTreeMap<FileId, Vec<&Fix>>, usize) {
        let mut fixes: Vec<&Fix> = self
            .list
            .iter()
            .filter_map(|one| one.fix.as_ref())
            .collect();
        fixes.sort_by_key(|fix| (fix.span, &fix.text));
        fixes.dedup();
        let mut left = 0;
        let mut of_files: BTreeMap<FileId, Vec<&Fix>> = BTreeMap::new();
        for fix in fixes {
            let of_file = of_files.entry(fix.span.file).or_default();
            let end = of_file.last().map(|last| last.span.end);
            if end.is_none_or(|end| end <= fix.span.start) {
                of_file.push(fix);
            } else {
                left += 1;
            }
        }
        (of_files, left)
    }
}

/// A text with changes, which are in the order of their places.
#[must_use]
pub fn with_fixes(text: &str, fixes: &[&Fix]) -> String {
    let mut fixed = String::with_capacity(text.len());
    let mut from = 0;
    for fix in fixes {
        let (start, end) = (fix.span.start as usize, fix.span.end as usize);
        fixed.push_str(text.get(from..start).unwrap_or_default());
        fixed.push_str(&fix.text);
        from = end;
    }
    fixed.push_str(text.get(from..).unwrap_or_default());
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_there_once_is_replaced() {
        let mut problems = Problems::default();
        for (text, expected) in [
            ("Actor.id|contains: x", Some("actor.id|contains: x")),
            ("'Actor.id': x\r\n# ü", Some("'actor.id': x\r\n# ü")),
            ("Actor.id: Actor.id", None),
            ("\"\\u0041ctor.id\": x", None),
        ] {
            let file = problems.add_file("a.yml", text);
            let end = text.len() as u32;
            let span = Span {
                file,
                start: 0,
                end,
            };
            let fix = problems.replacing(span, "Actor.id", "actor.id");
            let fixed = fix.map(|fix| with_fixes(text, &[&fix]));
            assert_eq!(fixed.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn of_changes_that_touch_each_other_the_first_is_taken() {
        let mut problems = Problems::default();
        let file = problems.add_file("a.yml", "abcdef");
        for (start, end, text) in [(3, 5, "X"), (0, 2, "YY"), (1, 4, "Z")] {
            let span = Span { file, start, end };
            let text = text.to_owned();
            let fix = Fix { span, text };
            problems
                .warn("RL0150", span, "x")
                .fixed_by(Some(fix))
                .help("y");
        }
        let (fixes, left) = problems.fixes();
        assert_eq!(with_fixes("abcdef", &fixes[&file]), "YYcXf");
        assert_eq!(left, 1);
    }
}
