//! Text from a log made safe to show: whatever could move a cursor, hide or
//! reorder what is read becomes visible as an escape.

use serde::Serialize;

/// Whether a character could do something to a terminal or to the order in which text is read:
/// controls, bidirectional formatting, invisible and line-breaking characters.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{fe00}'..='\u{fe0f}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line with every deceptive character as `\u{…}`.
#[must_use]
pub fn visible(text: &str) -> String {
    if !text.chars().any(is_deceptive) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| {
            if is_deceptive(c) {
                format!("\\u{{{:x}}}", c as u32)
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// Why the operating system refused something, without its error number; what is an error of
/// ours says it as it is.
#[must_use]
pub fn reason(error: &std::io::Error) -> String {
    if error.get_ref().is_some() {
        return error.to_string();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// A value as one line of JSON, keys in a fixed order, deceptive characters as `\uXXXX`.
///
/// # Errors
///
/// When the value cannot be JSON, such as a map whose keys are not texts.
pub fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    // Most lines are ASCII, in which JSON itself escapes every control but one.
    let is_plain = text.is_ascii() && !text.contains('\u{7f}');
    if is_plain || !text.chars().any(is_deceptive) {
        return Ok(text);
    }
    // Outside strings JSON is ASCII without controls, so each of these stands inside one.
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_deceptive(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_seen_and_nothing_else_changes() {
        let cases = [
            ("plain é 漢 🙂", "plain é 漢 🙂"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\nb\r\tc", "a\\u{a}b\\u{d}\\u{9}c"),
            ("evil\u{202e}gpj.exe", "evil\\u{202e}gpj.exe"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
        ];
        for (text, expected) in cases {
            assert_eq!(visible(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn json_reads_back_and_holds_nothing_deceptive(text in "\\PC*|[\u{0}-\u{2100}]*|[\u{e0000}-\u{e01ff}]*") {
            let line = json(&text).expect("a text is JSON");
            proptest::prop_assert!(!line.chars().any(is_deceptive));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&line).expect("reads back"), text);
        }
    }
}
