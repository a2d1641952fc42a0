//! Warnings that somebody knows of: suppressed for a reason and for a time.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::diag::{Diagnostic, FileId, Fix, Problems, Severity, Span};

/// The codes of problems with suppressions.
pub mod codes {
    /// A suppression that cannot be read, or of what cannot be suppressed.
    pub const MALFORMED: &str = "RL0020";
    /// A suppression whose time is over.
    pub const EXPIRED: &str = "RL0021";
    /// A suppression of a warning that there is not.
    pub const IDLE: &str = "RL0022";
}

/// What a comment suppresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The code of the warnings.
    pub code: String,
    /// Where the comment is written.
    pub span: Span,
    /// The lines on which such a warning may begin: that of the comment, and the one below it
    /// where the comment stands alone.
    pub lines: (usize, usize),
    /// The last day on which it holds, in UTC.
    pub until: NaiveDate,
    /// Why.
    pub reason: String,
}

/// A warning that is not told, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// The warning.
    pub problem: Diagnostic,
    /// The reason that the comment gives.
    pub reason: String,
}

/// An allowance by the place and the code that it is for.
type Places = BTreeMap<(FileId, usize, String), usize>;

impl Problems {
    /// Notes that a comment suppresses warnings; see [`Problems::settle`].
    pub fn allow(&mut self, allowance: Allowance) {
        self.allowances.push(allowance);
    }

    /// Takes the warnings away that comments suppress on that day, and warns of comments whose time
    /// is over, and of those that suppress nothing. `was_sought` says of a code whether such
    /// problems were looked for at all: a comment about others may be needed elsewhere.
    pub fn settle(&mut self, today: NaiveDate, was_sought: impl Fn(&str) -> bool) {
        let allowances = std::mem::take(&mut self.allowances);
        if allowances.is_empty() {
            return;
        }
        // Of what is broken not everything was looked at.
        let is_whole = !self.has_errors();
        let held = allowances.iter().map(|one| one.until >= today);
        let held: Vec<bool> = held.collect();
        let places = places(&allowances, &held);
        let mut used = BTreeSet::new();
        for problem in std::mem::take(&mut self.list) {
            let place = self.allowance_of(&problem, &places);
            match place.and_then(|at| Some((at, allowances.get(at)?))) {
                Some((at, allowance)) => {
                    used.insert(at);
                    let reason = allowance.reason.clone();
                    self.suppressed.push(Suppressed { problem, reason });
                }
                None => self.list.push(problem),
            }
        }
        for (at, (allowance, holds)) in allowances.iter().zip(held).enumerate() {
            if !holds {
                self.report_expired(allowance);
            } else if is_whole && !used.contains(&at) && was_sought(&allowance.code) {
                self.report_idle(allowance);
            }
        }
    }

    /// The warnings that comments suppress, in the order of their places.
    #[must_use]
    pub fn suppressed(&self) -> Vec<&Suppressed> {
        let mut list: Vec<_> = self.suppressed.iter().collect();
        list.sort_by_key(|one| self.order(&one.problem));
        list.dedup();
        list
    }

    fn allowance_of(&self, problem: &Diagnostic, places: &Places) -> Option<usize> {
        let file = problem.span.file;
        let of_file = (file, 0, String::new())..(file, usize::MAX, String::new());
        if problem.severity == Severity::Error || places.range(of_file).next().is_none() {
            return None;
        }
        let line = self.line_column(problem.span).line;
        places.get(&(file, line, problem.code.to_owned())).copied()
    }

    fn report_expired(&mut self, allowance: &Allowance) {
        let Allowance { code, until, .. } = allowance;
        let message = format!("this holds no more: {until} was its last day");
        self.warn(codes::EXPIRED, allowance.span, message)
            .help(format!(
                "correct what {code} tells, or write a later day and why it is still right"
            ));
    }

    fn report_idle(&mut self, allowance: &Allowance) {
        let message = format!("there is no {} to suppress here", allowance.code);
        let fix = self.without(allowance.span);
        self.warn(codes::IDLE, allowance.span, message)
            .fixed_by(Some(fix))
            .help("remove the comment, or move it to the line of the warning or the one above it");
    }
}

impl Problems {
    /// The change that takes a comment out, with its line where nothing else stands on it.
    fn without(&self, comment: Span) -> Fix {
        let text = self.text(comment.file);
        let (start, end) = (comment.start as usize, comment.end as usize);
        let before = text.get(..start).unwrap_or_default();
        let blank = |letter: char| matches!(letter, ' ' | '\t');
        let kept = before.trim_end_matches(blank);
        let is_alone = kept.is_empty() || kept.ends_with('\n');
        let behind = text.get(end..).unwrap_or_default();
        let line_end = behind.find('\n').map_or(behind.len(), |at| at + 1);
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span {
            file: comment.file,
            start: offset(kept.len()),
            end: offset(if is_alone { end + line_end } else { end }),
        };
        let text = String::new();
        Fix { span, text }
    }
}

fn places(allowances: &[Allowance], held: &[bool]) -> Places {
    let mut places = Places::new();
    for (at, (allowance, _)) in allowances
        .iter()
        .zip(held)
        .enumerate()
        .filter(|(_, (_, holds))| **holds)
    {
        let (first, last) = allowance.lines;
        for line in [first, last] {
            let place = (allowance.span.file, line, allowance.code.clone());
            places.entry(place).or_insert(at);
        }
    }
    places
}
