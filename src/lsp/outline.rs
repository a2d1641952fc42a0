//! What stands where in a file that is being typed: every key and value with its path, whatever
//! else of the file is broken.
//!
//! The parsers of `document` say what a file means and give nothing where it is not right; this
//! goes by the looks of lines and brackets, and always gives something.

mod toml;
mod yaml;

use std::borrow::Cow;
use std::ops::Range;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into a list.
    Item(usize),
}

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A key: the path ends with it.
    Key,
    /// A value: the path leads to it.
    Value,
    /// A word alone, which may become either: the path leads to where it stands.
    Open,
}

/// A word of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Which document of the file it stands in.
    pub(super) document: usize,
    pub(super) path: Vec<Step>,
    pub(super) role: Role,
    /// Where it stands, without quotes.
    pub(super) place: Range<usize>,
    pub(super) text: String,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Yaml,
    Toml,
    /// YAML between two lines `---`, and a text behind them.
    FrontMatter,
}

impl Notation {
    /// That of a file, by its name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending {
            "yml" | "yaml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "md" => Some(Self::FrontMatter),
            _ => None,
        }
    }
}

/// Words nested deeper than this are passed over.
const MOST_STEPS: usize = 48;
/// A file has at most so many words that are looked at.
const MOST_WORDS: usize = 200_000;

/// The words of a file, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    pub(super) words: Vec<Word>,
}

impl Outline {
    /// That of a text.
    pub(super) fn of(notation: Notation, text: &str) -> Self {
        let ended = with_newlines(text);
        let mut words = match notation {
            Notation::Yaml => yaml::words(&ended),
            Notation::Toml => toml::words(&ended),
            Notation::FrontMatter => yaml::words(front_matter(&ended)),
        };
        if matches!(ended, Cow::Owned(_)) {
            for word in &mut words {
                let written = text.get(word.place.clone());
                word.text = written.unwrap_or_default().to_owned();
            }
        }
        Self { words }
    }

    /// The word at a place, its ends included.
    pub(super) fn at(&self, offset: usize) -> Option<&Word> {
        let mut found = self
            .words
            .iter()
            .filter(|word| word.place.start <= offset && offset <= word.place.end);
        found.next_back()
    }

    /// The values at a path of a document; `None` stands for any step.
    pub(super) fn values<'o>(
        &'o self,
        document: Option<usize>,
        path: &'o [Option<&'o str>],
    ) -> impl Iterator<Item = &'o Word> {
        self.find(document, path, Role::Value)
    }

    /// The keys at a path, the last step being the key.
    pub(super) fn keys<'o>(
        &'o self,
        document: Option<usize>,
        path: &'o [Option<&'o str>],
    ) -> impl Iterator<Item = &'o Word> {
        self.find(document, path, Role::Key)
    }

    fn find<'o>(
        &'o self,
        document: Option<usize>,
        path: &'o [Option<&'o str>],
        role: Role,
    ) -> impl Iterator<Item = &'o Word> {
        self.words.iter().filter(move |word| {
            let is_there = document.is_none_or(|document| document == word.document);
            is_there && word.role == role && leads(&word.path, path)
        })
    }
}

/// Whether a path is of a form; items of lists fit a step that may be any alone.
pub(super) fn leads(path: &[Step], form: &[Option<&str>]) -> bool {
    path.len() == form.len()
        && path
            .iter()
            .zip(form)
            .all(|(step, wanted)| match (step, wanted) {
                (_, None) => true,
                (Step::Key(key), Some(wanted)) => key == wanted,
                (Step::Item(_), Some(_)) => false,
            })
}

/// A text in which each line ends with `\n`, as editors count lines: also where `\r` stands alone.
/// Everything keeps its place.
fn with_newlines(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    let mut letters = text.chars().peekable();
    let mut ended = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        let is_alone = letter == '\r' && letters.peek() != Some(&'\n');
        ended.push(if is_alone { '\n' } else { letter });
    }
    Cow::Owned(ended)
}

/// The text up to the line that ends the front matter; it keeps its places.
fn front_matter(text: &str) -> &str {
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number > 0 && line.trim_end() == "---" {
            break;
        }
        at += line.len();
    }
    text.get(..at).unwrap_or_default()
}

#[cfg(test)]
mod tests;
