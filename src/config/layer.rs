//! One of the places where settings are written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Number;

use crate::config::setting::{SECRETS, SecretName, names};
use crate::config::slots::SlotsGiven;
use crate::config::{codes, dotenv, files, masked, slots};
use crate::diag::{FileId, Problems, Span};
use crate::document::{Kind, Node, Table, parse_toml};
use crate::redact::Secret;
use crate::visible::visible;

/// What one place says: settings by their variable, and where secrets are.
#[derive(Default)]
pub(super) struct Layer {
    values: Vec<(&'static str, Node)>,
    pub(super) slots: SlotsGiven,
    secrets: Vec<(&'static str, (Secret, Span))>,
    files: Vec<(&'static str, (PathBuf, Span))>,
}

/// A secret that a layer says, and the file of one that it names.
pub(super) type Found<'l> = (Option<&'l (Secret, Span)>, Option<&'l (PathBuf, Span)>);

impl Layer {
    /// The value of the setting with this variable.
    pub(super) fn get(&self, variable: &str) -> Option<&Node> {
        of(&self.values, variable)
    }

    /// What it says of a secret.
    pub(super) fn secret(&self, name: &SecretName) -> Found<'_> {
        let (secret, file) = (name.variable, name.file_variable);
        (of(&self.secrets, secret), of(&self.files, file))
    }

    /// `rulectl.toml`, which need not be there.
    pub(super) fn of_toml(folder: &Path, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        let Some(text) = read(folder, "rulectl.toml", problems) else {
            return layer;
        };
        let file = problems.add_file("rulectl.toml", &masked::toml(&text));
        let Some(root) = parse(file, &text, problems) else {
            return layer;
        };
        if let Some(mut table) = root.table(problems) {
            report_secrets(&mut table, problems);
            for name in TABLES {
                if let Some(mut settings) = table.get(name).and_then(|node| node.table(problems)) {
                    layer.take(name, &mut settings, folder, problems);
                    settings.finish(problems);
                }
            }
            layer.slots = slots::take(&mut table, folder, problems);
            table.finish(problems);
        }
        layer
    }

    fn take<'n>(
        &mut self,
        name: &str,
        table: &mut Table<'n>,
        folder: &Path,
        problems: &mut Problems,
    ) {
        report_secrets(table, problems);
        for setting in names().filter(|setting| setting.table == name) {
            let value = table.get(setting.key);
            self.values
                .extend(value.map(|node| (setting.variable, node.clone())));
        }
        for secret in SECRETS.iter().filter(|secret| secret.table == name) {
            if let Some(node) = table.get(secret.file_key) {
                let path = node.text(problems).map(|path| folder.join(path));
                self.files
                    .extend(path.map(|path| (secret.file_variable, (path, node.span))));
            }
        }
    }

    /// `.env`, which need not be there. What is of other programs in it is passed over.
    pub(super) fn of_dotenv(folder: &Path, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        let Some(text) = read(folder, ".env", problems) else {
            return layer;
        };
        let file = problems.add_file(".env", &masked::dotenv(&text));
        for entry in dotenv::entries(&text) {
            let span = entry.span(file);
            match entry.value {
                Ok(value) => layer.say(entry.name, value, span, folder),
                Err(()) if is_ours(entry.name) => {
                    let message = format!("the quotes of `{}` are not closed", entry.name);
                    problems.error(crate::document::codes::SYNTAX, span, message);
                }
                Err(()) => {}
            }
            report_near(entry.name, span, problems);
        }
        layer
    }

    /// The variables of the environment that are settings.
    pub(super) fn of_environment(
        variable: &dyn Fn(&str) -> Option<OsString>,
        problems: &mut Problems,
    ) -> Self {
        let mut layer = Self::default();
        for name in variables() {
            let Some(value) = variable(name) else {
                continue;
            };
            let value = value.into_string();
            let shown = value.as_deref().unwrap_or_default();
            let span = line(&format!("{name}="), name, shown, "environment", problems);
            match value {
                Ok(value) => layer.say(name, value, span, Path::new("")),
                Err(_) => {
                    let message = format!("`{name}` is not UTF-8 text");
                    problems.error(crate::document::codes::BAD_VALUE, span, message);
                }
            }
        }
        layer
    }

    /// The options of the command line.
    pub(super) fn of_flags(flags: &[(&str, &str)], problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        for (key, value) in flags {
            let found = names().find(|setting| setting.table == "llm" && setting.key == *key);
            if let Some(setting) = found {
                let option = format!("--llm-{} ", key.replace('_', "-"));
                let name = setting.variable;
                let span = line(&option, name, value, "command line", problems);
                layer.say(name, (*value).to_owned(), span, Path::new(""));
            }
        }
        layer
    }

    /// A variable says something; an empty one says nothing.
    fn say(&mut self, name: &str, value: String, span: Span, folder: &Path) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        for secret in &SECRETS {
            if name == secret.variable {
                let text = Secret::new(value.to_owned());
                put(&mut self.secrets, secret.variable, (text, span));
            } else if name == secret.file_variable {
                let file = folder.join(value);
                put(&mut self.files, secret.file_variable, (file, span));
            }
        }
        if let Some(setting) = names().find(|setting| setting.variable == name) {
            let number = Some(value).filter(|_| setting.is_number);
            let number: Option<Number> = number.and_then(|text| text.parse().ok());
            let kind = number.map_or_else(|| Kind::Text(value.to_owned()), Kind::Number);
            put(&mut self.values, setting.variable, Node { span, kind });
        }
    }
}

/// The tables of settings.
const TABLES: [&str; 2] = ["llm", "okta"];

fn of<'l, T>(said: &'l [(&'static str, T)], variable: &str) -> Option<&'l T> {
    let mut found = said.iter().filter(|(name, _)| *name == variable);
    found.next().map(|(_, value)| value)
}

/// What stands further below in a file goes over what stands above.
fn put<T>(said: &mut Vec<(&'static str, T)>, variable: &'static str, value: T) {
    said.retain(|(name, _)| *name != variable);
    said.push((variable, value));
}

/// The names of all variables that are read.
fn variables() -> impl Iterator<Item = &'static str> {
    let secrets = SECRETS.iter();
    let secrets = secrets.flat_map(|secret| [secret.variable, secret.file_variable]);
    names().map(|setting| setting.variable).chain(secrets)
}

/// Whether a variable is one of ours.
fn is_ours(name: &str) -> bool {
    variables().any(|ours| ours == name)
}

fn report_near(name: &str, span: Span, problems: &mut Problems) {
    let is_near = name.starts_with("LLM_") || name.starts_with("OKTA_");
    if is_ours(name) || !is_near {
        return;
    }
    if let Some(near) = crate::diag::nearest(name, variables()) {
        let message = format!("`{name}` is no setting and has no effect");
        problems
            .warn(crate::document::codes::UNKNOWN_KEY, span, message)
            .help(format!("did you mean `{near}`?"));
    }
}

/// Takes the keys that are secrets by their name out of a table, and reports them.
fn report_secrets(table: &mut Table<'_>, problems: &mut Problems) {
    for (key, _) in table.entries() {
        if masked::is_secret(&key.text) {
            let _reported = table.get(&key.text);
            let message = format!(
                "`{}` is a secret, which does not belong in a file of settings",
                key.text
            );
            problems.error(codes::SECRET, key.span, message).help(
                "set `LLM_API_KEY`, `OKTA_API_TOKEN` or `OKTA_PRIVATE_KEY` in the environment or in `.env`, or name a file that holds it: `api_key_file` below [llm], `api_token_file` or `private_key_file` below [okta]",
            );
        }
    }
}

/// The text of a file of the folder, if there is one; reports one that cannot be read.
fn read(folder: &Path, name: &str, problems: &mut Problems) -> Option<String> {
    match files::text(&folder.join(name)) {
        Ok(text) => text,
        Err(reason) => {
            let file = problems.add_file(name, "");
            let message = format!("`{name}` cannot be read: {reason}");
            problems.file_error(codes::UNREADABLE, file, message);
            None
        }
    }
}

/// The tree of a file. Where there is none and the text may hold a secret, no message quotes it.
fn parse(file: FileId, text: &str, problems: &mut Problems) -> Option<Node> {
    if !masked::may_hold_a_secret(text) {
        return parse_toml(file, text, problems);
    }
    let mut quoting = Problems::default();
    let scratch = quoting.add_file("rulectl.toml", "");
    if parse_toml(scratch, text, &mut quoting).is_some() {
        return parse_toml(file, text, problems);
    }
    for problem in quoting.sorted() {
        let span = Span {
            file,
            ..problem.span
        };
        problems
            .error(problem.code, span, "not well-formed TOML")
            .help("the text is hidden here, since it may hold a secret");
    }
    None
}

/// The place of a value that stands in no file, in a line that shows it.
fn line(before: &str, name: &str, value: &str, place: &str, problems: &mut Problems) -> Span {
    let shown = masked::value(name, &visible(value));
    let file = problems.add_file(place, &format!("{before}{shown}\n"));
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        file,
        start: offset(before.len()),
        end: offset(before.len() + shown.len()),
    }
}
