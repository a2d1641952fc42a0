//! Texts as problems may show them: whatever could be secret is stars, as long as it was.

use crate::config::setting::names;
use crate::diag::Problems;
use crate::document::{Kind, Node, parse_toml};

/// Whether a key names a secret.
pub(super) fn is_secret(key: &str) -> bool {
    const ENDS: [&str; 6] = [
        "key",
        "token",
        "secret",
        "password",
        "passwd",
        "credentials",
    ];
    let key = key.to_ascii_lowercase();
    ENDS.iter().any(|end| key.ends_with(end))
}

/// Whether somebody may have written a secret into a text.
pub(super) fn may_hold_a_secret(text: &str) -> bool {
    const WORDS: [&str; 6] = ["key", "token", "secret", "passw", "credential", "@"];
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// The value of a variable.
pub(super) fn value(name: &str, value: &str) -> String {
    if is_secret(name) || is_telling(value) {
        return "*".repeat(3);
    }
    value.to_owned()
}

/// An address may hold a user and a password, or a key in its query.
fn is_telling(value: &str) -> bool {
    value.contains(['@', '?'])
}

/// The text of `rulectl.toml`: values of keys that name a secret are hidden, and where the text
/// cannot be read and may hold one, everything behind the names.
pub(super) fn toml(text: &str) -> String {
    let mut scratch = Problems::default();
    let file = scratch.add_file("rulectl.toml", "");
    match parse_toml(file, text, &mut scratch) {
        Some(root) => {
            let mut hidden = Vec::new();
            collect(&root, &mut hidden);
            hide(text, &hidden)
        }
        None if may_hold_a_secret(text) => {
            let lines = text.split_inclusive('\n');
            lines.map(|line| behind_the_name(line, |_| true)).collect()
        }
        None => text.to_owned(),
    }
}

/// The text of `.env`: what is not a setting of ours is hidden, and what is secret of those.
pub(super) fn dotenv(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let is_hidden = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or_default();
        let name = name.trim().trim_start_matches("export ").trim();
        is_telling(value) || !names().any(|setting| setting.variable == name)
    };
    lines.map(|line| behind_the_name(line, is_hidden)).collect()
}

/// Where the values stand that are to be hidden.
fn collect(node: &Node, hidden: &mut Vec<(usize, usize)>) {
    let place = |node: &Node| (node.span.start as usize, node.span.end as usize);
    match &node.kind {
        Kind::Map(entries) => {
            for (key, value) in entries {
                if is_secret(&key.text) {
                    hidden.push(place(value));
                }
                collect(value, hidden);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| collect(item, hidden)),
        Kind::Text(text) if is_telling(text) => hidden.push(place(node)),
        Kind::Text(_) | Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
}

fn hide(text: &str, hidden: &[(usize, usize)]) -> String {
    let is_hidden = |at: usize| {
        hidden
            .iter()
            .any(|(start, end)| (*start..*end).contains(&at))
    };
    let letters = text.char_indices();
    letters
        .map(|(at, letter)| {
            if is_hidden(at) {
                stars(letter)
            } else {
                letter.to_string()
            }
        })
        .collect()
}

/// A line in which what stands behind `=` is hidden, or all of it where there is no name.
fn behind_the_name(line: &str, is_hidden: impl Fn(&str) -> bool) -> String {
    if !is_hidden(line) {
        return line.to_owned();
    }
    let name = line.split_once('=').map_or(0, |(name, _)| name.len() + 1);
    let (name, rest) = line.split_at_checked(name).unwrap_or(("", line));
    let rest: String = rest.chars().map(stars).collect();
    format!("{name}{rest}")
}

/// So many stars as the letter has bytes, that places stay as they are; lines stay lines.
fn stars(letter: char) -> String {
    if letter.is_whitespace() {
        letter.to_string()
    } else {
        "*".repeat(letter.len_utf8())
    }
}
