//! Words that mean the same in questions, as `words` of `tools.yaml` says.

use std::collections::BTreeMap;

use crate::tools::{Token, tokens};

/// Classes of words and phrases, each known by its first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Each phrase with what stands for it.
    phrases: BTreeMap<Vec<String>, String>,
    /// The most words of a phrase.
    longest: usize,
}

impl Words {
    /// Adds a class; gives the first phrase that another class has, or that is none.
    ///
    /// # Errors
    ///
    /// That phrase.
    pub fn add(&mut self, class: &[&str]) -> Result<(), String> {
        let Some(first) = class.first() else {
            return Ok(());
        };
        for phrase in class {
            let words: Vec<String> = tokens(phrase).into_iter().map(|token| token.word).collect();
            if words.is_empty() || self.phrases.contains_key(&words) {
                return Err((*phrase).to_owned());
            }
            self.longest = self.longest.max(words.len());
            self.phrases.insert(words, first.to_lowercase());
        }
        Ok(())
    }

    /// The words of a question, with one for each class.
    #[must_use]
    pub fn tokens(&self, question: &str) -> Vec<Token> {
        let tokens = tokens(question);
        let is_word = |token: &Token| !token.is_quoted;
        self.fold(
            tokens,
            is_word,
            |token| token.word.clone(),
            |words, class| {
                let (first, last) = (words.first()?, words.last()?);
                Some(Token {
                    word: class.to_owned(),
                    at: first.at.start..last.at.end,
                    is_quoted: false,
                    is_name: false,
                })
            },
        )
    }

    /// Puts one item in the place of those whose words are a phrase: the longest that there is.
    pub fn fold<T: Clone>(
        &self,
        items: Vec<T>,
        is_word: impl Fn(&T) -> bool,
        word: impl Fn(&T) -> String,
        made: impl Fn(&[T], &str) -> Option<T>,
    ) -> Vec<T> {
        let mut folded = Vec::new();
        let mut at = 0;
        while let Some(item) = items.get(at) {
            let found = (1..=self.longest).rev().find_map(|length| {
                let words = items.get(at..at + length)?;
                let all = words.iter().all(&is_word);
                let phrase: Vec<String> = words.iter().filter(|_| all).map(&word).collect();
                let class = self.phrases.get(&phrase)?;
                Some((made(words, class)?, length))
            });
            let (item, length) = found.unwrap_or_else(|| (item.clone(), 1));
            folded.push(item);
            at += length;
        }
        folded
    }
}
