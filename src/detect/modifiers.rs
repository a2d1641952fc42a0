//! Sigma's modifiers: what each does, and with which others it may stand.
//!
//! To add one: a row in [`MODIFIERS`], whose effect sets something of [`Modifiers`].
//! An encoding is a function from parts to spellings, a comparison one from a
//! value to a [`Test`], both in this file. The rows are the specification's
//! appendix of modifiers, version 2.1.

use std::net::IpAddr;

use chrono::{DateTime, Datelike as _, Timelike as _};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use serde_json::Number;

use crate::detect::encoding::{base64, base64_offset, utf16, utf16be, utf16le, windash};
use crate::detect::line::codes;
use crate::detect::pattern::{Anchor, Part, Pattern, parse};
use crate::diag::Problems;
use crate::document::{Kind, Node};
use crate::event::{FieldPath, Time, fold};
use crate::json::Scalar;

/// A modifier as the table has it.
#[derive(Clone, Copy)]
pub struct Modifier {
    /// Its name.
    pub name: &'static str,
    /// What it sets.
    pub effect: fn(&mut Modifiers),
    /// Those above it in the table with which it may stand on one line.
    pub with: &'static [&'static str],
    /// Those that it must be written before.
    pub before: &'static [&'static str],
    /// One without which it means nothing.
    pub needs: Option<&'static str>,
    /// Whether it makes sense for a field only, not for keywords.
    pub of_a_field: bool,
}

/// The modifier whose values are fields.
pub(super) const FIELDREF: &str = "fieldref";

/// Every modifier, those that a later row names above it.
#[rustfmt::skip]
pub static MODIFIERS: [Modifier; 31] = [
    // How the values of a list are joined, and where they come from.
    row("all", |m| m.all = true, &[]),
    row("neq", |m| m.negated = true, &["all"]),
    row("expand", |m| m.expand = true, &["all", "neq"]).before(&["windash", "utf16le", "wide", "utf16be", "utf16", "base64", "base64offset"]),
    // Texts: regard to case, other spellings, encodings.
    row("cased", |m| m.cased = true, &["all", "neq", "expand"]),
    row("windash", |m| m.encodings.push(windash), &["all", "neq", "expand", "cased"]).before(&["utf16le", "wide", "utf16be", "utf16", "base64", "base64offset"]),
    row("utf16le", |m| m.encodings.push(utf16le), &["all", "neq", "expand", "cased", "windash"]).before(ENCODED),
    row("wide", |m| m.encodings.push(utf16le), &["all", "neq", "expand", "cased", "windash"]).before(ENCODED),
    row("utf16be", |m| m.encodings.push(utf16be), &["all", "neq", "expand", "cased", "windash"]).before(ENCODED),
    row("utf16", |m| m.encodings.push(utf16), &["all", "neq", "expand", "cased", "windash"]).before(ENCODED),
    row("base64", |m| m.encodings.push(base64), &["all", "neq", "expand", "cased", "windash", "utf16le", "wide", "utf16be", "utf16"]).before(ANCHORS),
    row("base64offset", |m| m.encodings.push(base64_offset), &["all", "neq", "expand", "cased", "windash", "utf16le", "wide", "utf16be", "utf16"]).before(ANCHORS),
    // Another field instead of a value.
    row(FIELDREF, |m| m.compare = Some(field), &["all", "neq", "cased"]).before(ANCHORS).of_a_field(),
    // Where the text, or that of the other field, stands in the value.
    row("contains", |m| m.anchor = Some(Anchor::Anywhere), ANCHORED),
    row("startswith", |m| m.anchor = Some(Anchor::Start), ANCHORED),
    row("endswith", |m| m.anchor = Some(Anchor::End), ANCHORED),
    // Regular expressions and networks.
    row("re", |m| m.compare = Some(expression), &["all", "neq", "expand"]).before(&["i", "m", "s"]),
    row("i", |m| m.flags.ignore_case = true, &["all", "neq", "expand", "re"]).needs("re"),
    row("m", |m| m.flags.multi_line = true, &["all", "neq", "expand", "re", "i"]).needs("re"),
    row("s", |m| m.flags.dot_all = true, &["all", "neq", "expand", "re", "i", "m"]).needs("re"),
    row("cidr", |m| m.compare = Some(network), &["all", "neq", "expand"]),
    // A part of a time, and numbers, that of a time among them.
    row("minute", |m| m.part_of_time(MINUTE), &["all", "neq"]).before(ORDERS).of_a_field(),
    row("hour", |m| m.part_of_time(HOUR), &["all", "neq"]).before(ORDERS).of_a_field(),
    row("day", |m| m.part_of_time(DAY), &["all", "neq"]).before(ORDERS).of_a_field(),
    row("week", |m| m.part_of_time(WEEK), &["all", "neq"]).before(ORDERS).of_a_field(),
    row("month", |m| m.part_of_time(MONTH), &["all", "neq"]).before(ORDERS).of_a_field(),
    row("year", |m| m.part_of_time(YEAR), &["all", "neq"]).before(ORDERS).of_a_field(),
    row("lt", |m| m.order(|value, bound| value < bound), ORDERED).of_a_field(),
    row("lte", |m| m.order(|value, bound| value <= bound), ORDERED).of_a_field(),
    row("gt", |m| m.order(|value, bound| value > bound), ORDERED).of_a_field(),
    row("gte", |m| m.order(|value, bound| value >= bound), ORDERED).of_a_field(),
    // The key instead of its value.
    row("exists", |m| m.compare = Some(existence), &["neq"]).of_a_field(),
];

/// The names of the modifiers.
pub fn modifier_names() -> impl Iterator<Item = &'static str> {
    MODIFIERS.iter().map(|modifier| modifier.name)
}

const ENCODED: &[&str] = &[
    "base64",
    "base64offset",
    "contains",
    "startswith",
    "endswith",
];
const ANCHORS: &[&str] = &["contains", "startswith", "endswith"];
#[rustfmt::skip]
const ANCHORED: &[&str] = &["all", "neq", "expand", "cased", "windash", "utf16le", "wide", "utf16be", "utf16", "base64", "base64offset", FIELDREF];
const ORDERS: &[&str] = &["lt", "lte", "gt", "gte"];
#[rustfmt::skip]
const ORDERED: &[&str] = &["all", "neq", "minute", "hour", "day", "week", "month", "year"];

/// A row without conditions of its own.
const fn row(
    name: &'static str,
    effect: fn(&mut Modifiers),
    with: &'static [&'static str],
) -> Modifier {
    Modifier {
        name,
        effect,
        with,
        before: &[],
        needs: None,
        of_a_field: false,
    }
}

impl Modifier {
    const fn before(self, before: &'static [&'static str]) -> Self {
        Self { before, ..self }
    }

    const fn needs(self, needed: &'static str) -> Self {
        Self {
            needs: Some(needed),
            ..self
        }
    }

    const fn of_a_field(self) -> Self {
        Self {
            of_a_field: true,
            ..self
        }
    }

    /// Whether the two may stand on one line: the lower row of the table says so.
    #[must_use]
    pub fn goes_with(&self, other: &Self) -> bool {
        self.with.contains(&other.name) || other.with.contains(&self.name)
    }
}

/// What the modifiers of a line say together.
#[derive(Clone, Default)]
pub struct Modifiers {
    /// Every value must match, instead of any.
    pub all: bool,
    /// The line holds when it would not.
    pub negated: bool,
    /// `%name%` stands for the values of a list.
    pub expand: bool,
    /// Where a text stands in the value; the whole value when not said.
    pub anchor: Option<Anchor>,
    cased: bool,
    encodings: Vec<Encoding>,
    flags: Flags,
    part: Option<PartOfTime>,
    order: Option<Order>,
    compare: Option<Comparison>,
}

/// The flags of a regular expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
}

/// Other spellings of a text, or why it cannot be encoded.
pub type Encoding = fn(&[Part]) -> Result<Vec<Vec<Part>>, String>;
/// From a value as written to the test of it; `None` when it was reported.
type Comparison = fn(&Node, &Modifiers, &mut Problems) -> Option<Test>;
type Order = fn(f64, f64) -> bool;

/// A number read from a time in UTC, and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct PartOfTime {
    /// How it is read.
    pub read: fn(DateTime<chrono::Utc>) -> i64,
    least: f64,
    most: f64,
}

#[rustfmt::skip]
const MINUTE: PartOfTime = PartOfTime { read: |time| time.minute().into(), least: 0.0, most: 59.0 };
#[rustfmt::skip]
const HOUR: PartOfTime = PartOfTime { read: |time| time.hour().into(), least: 0.0, most: 23.0 };
#[rustfmt::skip]
const DAY: PartOfTime = PartOfTime { read: |time| time.day().into(), least: 1.0, most: 31.0 };
#[rustfmt::skip]
const WEEK: PartOfTime = PartOfTime { read: |time| time.iso_week().week().into(), least: 1.0, most: 53.0 };
#[rustfmt::skip]
const MONTH: PartOfTime = PartOfTime { read: |time| time.month().into(), least: 1.0, most: 12.0 };
#[rustfmt::skip]
const YEAR: PartOfTime = PartOfTime { read: |time| time.year().into(), least: 0.0, most: 9999.0 };

impl Modifiers {
    fn part_of_time(&mut self, part: PartOfTime) {
        self.part = Some(part);
        self.compare = Some(number);
    }

    fn order(&mut self, order: Order) {
        self.order = Some(order);
        self.compare = Some(number);
    }

    /// A comparison with whole texts: the only kind whose literals name something by itself.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.anchor.is_none() && self.compare.is_none() && self.encodings.is_empty()
    }

    /// Whether the values are networks.
    #[must_use]
    pub fn names_networks(&self) -> bool {
        self.compare
            .is_some_and(|compare| std::ptr::fn_addr_eq(compare, network as Comparison))
    }

    /// Whether the values name other fields.
    #[must_use]
    pub fn names_fields(&self) -> bool {
        self.compare
            .is_some_and(|compare| std::ptr::fn_addr_eq(compare, field as Comparison))
    }

    /// The test for one value; `None` when it was reported.
    pub fn test(&self, value: &Node, problems: &mut Problems) -> Option<Test> {
        if matches!(value.kind, Kind::List(_) | Kind::Map(_)) {
            let message = format!(
                "a value is a text, a number, true, false or null, found {}",
                value.describe()
            );
            problems.error(codes::VALUE, value.span, message);
            return None;
        }
        self.compare.unwrap_or(text)(value, self, problems)
    }
}

/// What a value of an event is tested for.
#[derive(Clone, Debug)]
pub enum Test {
    /// It is missing or null.
    Null,
    /// Its text is one of these.
    Text(Vec<Pattern>),
    /// It is this number, or the text of it.
    Number(Number),
    /// The expression finds something in its text.
    Regex(Regex, Flags),
    /// It is an address of one of the networks.
    Cidr(Vec<IpNet>),
    /// It, or a part of the time that it is, compares with the bound.
    Compare(Option<PartOfTime>, Order, f64),
    /// Its key is there.
    Exists(bool),
    /// The text of the other field stands there in its own; the flag minds case.
    SameAs(FieldPath, Anchor, bool),
}

impl Test {
    /// Whether a scalar passes, given its text, as it is and folded. No value passes
    /// what is asked of a field as a whole; networks are looked up, and not here.
    #[must_use]
    pub fn passes(&self, value: Scalar<'_>, text: &str, folded: &str) -> bool {
        match self {
            Self::Text(patterns) => patterns.iter().any(|pattern| pattern.fits(text, folded)),
            Self::Number(number) => match value.as_number() {
                Some(found) => same_number(number, &found),
                None => text == number.to_string(),
            },
            Self::Regex(regex, _) => regex.is_match(text),
            Self::Compare(part, order, bound) => {
                number_of(value, text, *part).is_some_and(|number| order(number, *bound))
            }
            Self::Cidr(_) | Self::Null | Self::Exists(_) | Self::SameAs(..) => false,
        }
    }

    /// Whether a value passes of which the text alone is known.
    pub fn passes_text(&self, text: &str) -> bool {
        match self {
            Self::Text(patterns) => {
                let folded = fold(text);
                patterns.iter().any(|pattern| pattern.fits(text, &folded))
            }
            Self::Number(number) => {
                let found = serde_json::from_str(text);
                found.is_ok_and(|found| same_number(number, &found))
            }
            Self::Regex(regex, _) => regex.is_match(text),
            Self::Compare(part, order, bound) => {
                number_of_text(text, *part).is_some_and(|number| order(number, *bound))
            }
            Self::Cidr(nets) => {
                let address = text.parse::<IpAddr>();
                address.is_ok_and(|ip| nets.iter().any(|net| net.contains(&ip)))
            }
            Self::Null | Self::Exists(_) | Self::SameAs(..) => false,
        }
    }

    /// The same test without regard to case; `None` where case does not decide it.
    #[must_use]
    pub fn without_case(&self) -> Option<Self> {
        match self {
            Self::Text(patterns) if patterns.iter().any(Pattern::is_cased) => {
                Some(Self::Text(patterns.iter().map(Pattern::uncased).collect()))
            }
            Self::Regex(regex, flags) if !flags.ignore_case => {
                let built = RegexBuilder::new(regex.as_str())
                    .case_insensitive(true)
                    .multi_line(flags.multi_line)
                    .dot_matches_new_line(flags.dot_all)
                    .size_limit(LARGEST)
                    .dfa_size_limit(1 << 20)
                    .nest_limit(64)
                    .build();
                Some(Self::Regex(built.ok()?, *flags))
            }
            Self::SameAs(other, anchor, true) => Some(Self::SameAs(other.clone(), *anchor, false)),
            _ => None,
        }
    }

    /// Takes in another test, where one of texts or networks can stand for both: a value
    /// passes it that passes either. Gives it back where that is not so.
    #[must_use]
    pub fn join(&mut self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Text(patterns), Self::Text(more)) => patterns.extend(more),
            (Self::Cidr(nets), Self::Cidr(more)) => nets.extend(more),
            (_, other) => return Some(other),
        }
        None
    }

    /// Whether it compares with texts as a whole, which is done by looking them up.
    #[must_use]
    pub fn is_of_whole_texts(&self) -> bool {
        let is_whole = |pattern: &Pattern| {
            let plain = pattern.as_plain();
            plain.is_some_and(|plain| plain.anchor == Anchor::Whole)
        };
        matches!(self, Self::Text(patterns) if patterns.iter().all(is_whole))
    }

    /// What tells the test from others of its field; `None` for one that is about the
    /// field as a whole.
    #[must_use]
    pub fn key(&self) -> Option<TestKey> {
        Some(match self {
            Self::Text(patterns) => TestKey::Text(patterns.clone()),
            Self::Number(number) => TestKey::Number(number.to_string()),
            Self::Regex(regex, flags) => TestKey::Regex(regex.as_str().to_owned(), *flags),
            Self::Cidr(nets) => TestKey::Cidr(nets.clone()),
            Self::Compare(part, order, bound) => {
                let read = part.map(|part| part.read as usize);
                TestKey::Compare(read, *order as usize, bound.to_bits())
            }
            Self::Null | Self::Exists(_) | Self::SameAs(..) => return None,
        })
    }
}

/// See [`Test::key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TestKey {
    /// Texts.
    Text(Vec<Pattern>),
    /// A number, as it is shown.
    Number(String),
    /// An expression and its flags.
    Regex(String, Flags),
    /// Networks.
    Cidr(Vec<IpNet>),
    /// Which functions read and compare, and the bits of the bound. That two are told
    /// apart although they are alike costs time alone.
    Compare(Option<usize>, usize, u64),
}

/// Numbers are compared by value, whole ones exactly.
fn same_number(number: &Number, found: &Number) -> bool {
    found == number || (found.as_f64() == number.as_f64() && (found.is_f64() || number.is_f64()))
}

/// The number that a value is or spells, or the part of the time that it names.
fn number_of(value: Scalar<'_>, text: &str, part: Option<PartOfTime>) -> Option<f64> {
    match (part, value.is_str()) {
        (_, true) => number_of_text(text, part),
        (None, false) => value.as_number()?.as_f64(),
        (Some(_), false) => None,
    }
}

/// The number that a text spells, or the part of the time that it names.
#[expect(
    clippy::cast_precision_loss,
    reason = "a year has four digits, and the other parts have two"
)]
fn number_of_text(text: &str, part: Option<PartOfTime>) -> Option<f64> {
    let text = text.trim();
    let Some(part) = part else {
        return text.parse().ok().filter(|number: &f64| number.is_finite());
    };
    let time = Time::parse(text)?;
    Some((part.read)(DateTime::from_timestamp_nanos(time.0)) as f64)
}

/// Matching takes time in proportion to the value and, with wildcards, to this.
const LONGEST_TEXT: usize = 4_096;

/// The comparison when no modifier names another.
fn text(value: &Node, modifiers: &Modifiers, problems: &mut Problems) -> Option<Test> {
    match &value.kind {
        Kind::Null if modifiers.is_plain() => return Some(Test::Null),
        Kind::Number(number) if modifiers.is_plain() => return Some(Test::Number(number.clone())),
        _ => {}
    }
    let written = text_of(value, problems)?;
    let mut refuse = |message: String| {
        problems.error(codes::VALUE, value.span, message);
        None
    };
    if written.chars().count() > LONGEST_TEXT {
        return refuse(format!(
            "this value is longer than {LONGEST_TEXT} characters"
        ));
    }
    let anchor = modifiers.anchor.unwrap_or(Anchor::Whole);
    // Most values of most rules: nothing to take apart.
    if modifiers.encodings.is_empty() && !written.contains(['\\', '*', '?']) {
        let pattern = Pattern::literal(&written, anchor, modifiers.cased);
        return Some(Test::Text(vec![pattern]));
    }
    let mut spellings = vec![parse(&written)];
    for encode in &modifiers.encodings {
        let encoded: Result<Vec<_>, String> = spellings.iter().map(|s| encode(s)).collect();
        match encoded {
            Ok(encoded) => spellings = encoded.concat(),
            Err(reason) => return refuse(reason),
        }
    }
    if spellings
        .iter()
        .flatten()
        .any(|part| matches!(part, Part::Byte(_)))
    {
        return refuse("in this encoding the value is no text; add `base64`".to_owned());
    }
    let patterns = spellings
        .into_iter()
        .map(|parts| Pattern::of(parts, anchor, modifiers.cased));
    Some(Test::Text(patterns.collect()))
}

fn field(value: &Node, modifiers: &Modifiers, problems: &mut Problems) -> Option<Test> {
    let name = text_of(value, problems)?;
    if name.contains(['*', '?']) {
        problems
            .error(codes::VALUE, value.span, format!("`{name}` is no field"))
            .help("`fieldref` takes the path of one field, without wildcards");
        return None;
    }
    let anchor = modifiers.anchor.unwrap_or(Anchor::Whole);
    Some(Test::SameAs(FieldPath::new(&name), anchor, modifiers.cased))
}

fn expression(value: &Node, modifiers: &Modifiers, problems: &mut Problems) -> Option<Test> {
    let text = text_of(value, problems)?;
    let (reason, help) = match compiled(&text, modifiers.flags, problems) {
        Some(Ok(regex)) => return Some(Test::Regex(regex, modifiers.flags)),
        Some(Err(error)) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.trim_start_matches("error: ").trim_end_matches('.');
            (
                reason.to_lowercase(),
                "look-around and back-references are not supported; the compiled size is limited to 1 MiB",
            )
        }
        None => (
            "all of them together are too large".to_owned(),
            "the compiled size of all regular expressions is limited to about 128 MiB; simpler ones, such as `[0-9]` for `\\d`, take less",
        ),
    };
    problems
        .error(
            codes::VALUE,
            value.span,
            format!("not a usable regular expression: {reason}"),
        )
        .help(help);
    None
}

/// How large an expression may be when compiled: the sizes that are tried, one after the other.
const SIZES: [usize; 4] = [8 << 10, 64 << 10, 256 << 10, LARGEST];
/// The largest of them.
const LARGEST: usize = 1 << 20;
/// How large all expressions may be together, by the sizes that were tried with success.
const SIZE_OF_ALL: usize = 128 << 20;

/// The expression, or what is wrong with it; `None` where all are too large together.
fn compiled(
    text: &str,
    flags: Flags,
    problems: &mut Problems,
) -> Option<Result<Regex, regex::Error>> {
    let mut built = None;
    for size in SIZES {
        let regex = RegexBuilder::new(text)
            .case_insensitive(flags.ignore_case)
            .multi_line(flags.multi_line)
            .dot_matches_new_line(flags.dot_all)
            .size_limit(size)
            .dfa_size_limit(1 << 20)
            .nest_limit(64)
            .build();
        let is_too_large = matches!(regex, Err(regex::Error::CompiledTooBig(_)));
        built = Some(regex);
        if !is_too_large {
            return if problems.spend(size, SIZE_OF_ALL) {
                built
            } else {
                None
            };
        }
        // What is too large for this size costs the time of compiling that much.
        if !problems.spend(size, SIZE_OF_ALL) {
            return None;
        }
    }
    built
}

fn network(value: &Node, _: &Modifiers, problems: &mut Problems) -> Option<Test> {
    let text = text_of(value, problems)?;
    let net = network_of(&text);
    if net.is_none() {
        problems
            .error(
                codes::VALUE,
                value.span,
                format!("`{text}` is not an IP network"),
            )
            .help("write it like `10.0.0.0/8` or `2001:db8::/32`");
    }
    net.map(|net| Test::Cidr(vec![net]))
}

/// The network, or the single address, that a text is. Its address is spelled as one in an
/// event is: without leading zeros, which some read as octal numbers.
#[must_use]
pub fn network_of(text: &str) -> Option<IpNet> {
    let (address, is_network) = match text.split_once('/') {
        Some((address, _)) => (address, true),
        None => (text, false),
    };
    let address: IpAddr = address.parse().ok()?;
    if is_network {
        text.parse().ok()
    } else {
        Some(address.into())
    }
}

fn number(value: &Node, modifiers: &Modifiers, problems: &mut Problems) -> Option<Test> {
    let order = modifiers.order.unwrap_or(|value, bound| value == bound);
    let Some(part) = modifiers.part else {
        let bound = value.number(f64::MIN, f64::MAX, problems)?;
        return Some(Test::Compare(None, order, bound));
    };
    let bound = value.number(part.least, part.most, problems)?;
    if bound.fract() != 0.0 {
        let message = "a part of a time is a whole number";
        problems.error(codes::VALUE, value.span, message);
        return None;
    }
    Some(Test::Compare(Some(part), order, bound))
}

fn existence(value: &Node, _: &Modifiers, problems: &mut Problems) -> Option<Test> {
    value.boolean(problems).map(Test::Exists)
}

fn text_of(value: &Node, problems: &mut Problems) -> Option<String> {
    let text = value.scalar_text();
    if text.is_none() {
        let message = "null does not go with this modifier";
        problems.error(codes::VALUE, value.span, message);
    }
    text
}

#[cfg(test)]
mod tests;
