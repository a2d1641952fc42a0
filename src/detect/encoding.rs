//! The modifiers that spell a text in other ways: option dashes, UTF-16, Base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::detect::pattern::{DASHES, Part};

/// Other spellings of a text, or why there are none.
type Spellings = Result<Vec<Vec<Part>>, String>;

/// Each `-` or `/` that begins an option stands for any dash: the character
/// before it belongs to no word, the one behind it does (pySigma's `\\B[-/]\\b`).
pub fn windash(parts: &[Part]) -> Spellings {
    let in_word = |part: Option<&Part>| matches!(part, Some(Part::Char(c)) if c.is_alphanumeric() || *c == '_');
    let spelled = parts.iter().enumerate().map(|(at, part)| {
        let before = at.checked_sub(1).and_then(|at| parts.get(at));
        let begins = !in_word(before) && in_word(parts.get(at + 1));
        match part {
            Part::Char('-' | '/') if begins => Part::Dash,
            other => *other,
        }
    });
    Ok(vec![spelled.collect()])
}

/// UTF-16, the low byte first.
pub fn utf16le(parts: &[Part]) -> Spellings {
    utf16_with(&[], parts, u16::to_le_bytes)
}

/// UTF-16, the high byte first.
pub fn utf16be(parts: &[Part]) -> Spellings {
    utf16_with(&[], parts, u16::to_be_bytes)
}

/// A byte order mark, then UTF-16 with the low byte first.
pub fn utf16(parts: &[Part]) -> Spellings {
    utf16_with(&[0xFF, 0xFE], parts, u16::to_le_bytes)
}

fn utf16_with(mark: &[u8], parts: &[Part], bytes_of: fn(u16) -> [u8; 2]) -> Spellings {
    let encode = |parts: Vec<Part>| {
        let mut encoded: Vec<Part> = mark.iter().copied().map(byte).collect();
        for part in parts {
            match part {
                Part::Char(c) => {
                    let units = c.encode_utf16(&mut [0; 2]).to_vec();
                    encoded.extend(units.into_iter().flat_map(bytes_of).map(byte));
                }
                other => encoded.push(other),
            }
        }
        encoded
    };
    Ok(one_dash_each(parts)?.into_iter().map(encode).collect())
}

/// A byte below 128 is a character, of one byte in UTF-8.
fn byte(byte: u8) -> Part {
    if byte.is_ascii() {
        Part::Char(byte.into())
    } else {
        Part::Byte(byte)
    }
}

/// Base64 of the text as a whole.
pub fn base64(parts: &[Part]) -> Spellings {
    let encode = |parts: Vec<Part>| Ok(characters(&STANDARD.encode(bytes(&parts)?)));
    one_dash_each(parts)?.into_iter().map(encode).collect()
}

/// Base64 of the text when it stands somewhere in what is encoded: after a whole
/// number of groups of three bytes, or one or two bytes later. Characters that
/// depend on the bytes before or behind are left out.
pub fn base64_offset(parts: &[Part]) -> Spellings {
    let mut spellings = Vec::new();
    for parts in one_dash_each(parts)? {
        let text = bytes(&parts)?;
        for (offset, leading) in [(0, 0), (1, 2), (2, 3)] {
            let mut shifted = vec![b' '; offset];
            shifted.extend(&text);
            let trailing = match shifted.len() % 3 {
                0 => 0,
                1 => 3,
                _ => 2,
            };
            let encoded = STANDARD.encode(&shifted);
            let kept = encoded.get(leading..encoded.len() - trailing);
            let kept = kept.filter(|kept| !kept.is_empty());
            spellings.push(characters(
                kept.ok_or("this value is too short for `base64offset`")?,
            ));
        }
    }
    Ok(spellings)
}

fn characters(text: &str) -> Vec<Part> {
    text.chars().map(Part::Char).collect()
}

fn bytes(parts: &[Part]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Char(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Part::Byte(byte) => bytes.push(*byte),
            Part::Dash | Part::AnyOne | Part::AnyRun => {
                return Err(
                    "a text with wildcards has no Base64; write `\\*` or `\\?` for the character"
                        .to_owned(),
                );
            }
        }
    }
    Ok(bytes)
}

/// More options than this in one encoded value are refused: each has five spellings.
const MOST_OPTIONS: usize = 4;

/// Every spelling of a text with option dashes, which an encoding needs one by one.
fn one_dash_each(parts: &[Part]) -> Spellings {
    if parts.iter().filter(|part| **part == Part::Dash).count() > MOST_OPTIONS {
        return Err(format!(
            "a value with more than {MOST_OPTIONS} options cannot be encoded"
        ));
    }
    let mut spellings: Vec<Vec<Part>> = vec![Vec::new()];
    for part in parts {
        let choices: Vec<Part> = match part {
            Part::Dash => DASHES.map(Part::Char).to_vec(),
            other => vec![*other],
        };
        let longer = |choice: &Part| {
            let with = |spelling: &Vec<Part>| [spelling.as_slice(), &[*choice]].concat();
            spellings.iter().map(with).collect::<Vec<_>>()
        };
        spellings = choices.iter().flat_map(longer).collect();
    }
    Ok(spellings)
}
