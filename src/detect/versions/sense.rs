//! What can be said of a detection by itself: whether an event can satisfy it at all, and what
//! in it says nothing. All of it is proved; where nothing is proved, nothing is said.

use crate::detect::modifiers::Test;
use crate::detect::pattern::Pattern;
use crate::detect::predicate::Predicate;
use crate::detect::search::Detection;
use crate::detect::versions::atoms::{
    Asked, Atoms, Formula, Set, few, implies, is_folded, kind_of, whole,
};
use crate::diag::Span;

/// So many mixes of tests are looked at.
const MOST_STEPS: usize = 2_000;

/// Lines of one search, and values of one line, are compared with each other up to so many.
const MOST_COMPARED: usize = 64;

/// Something that a detection says and cannot mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// No event satisfies the condition.
    Never(Span),
    /// Every event satisfies the condition.
    Always(Span),
    /// A line of a search, and another one that never holds where it does.
    Excluded(Span, Span),
    /// A value or line, and another one of its search with which it changes nothing.
    Idle(Span, Span),
    /// An expression that is a host name, and finds it inside of others.
    OpenHost(Span),
}

/// What can be said of a detection, where the fields are known of which an event has one value.
#[must_use]
pub fn remarks(detection: &Detection, has_one_value: &dyn Fn(&str) -> bool) -> Vec<Remark> {
    let (searches, ..) = detection.parts();
    let mut remarks = Vec::new();
    for lines in searches.iter().flat_map(|search| &search.alternatives) {
        let lines = lines.get(..MOST_COMPARED).unwrap_or(lines);
        lines.iter().for_each(|line| values(line, &mut remarks));
        between(lines, has_one_value, &mut remarks);
    }
    let excluded = |remark: &Remark| matches!(remark, Remark::Excluded(..));
    if !remarks.iter().any(excluded) {
        remarks.extend(of_condition(detection, has_one_value));
    }
    remarks
}

fn of_condition(detection: &Detection, has_one_value: &dyn Fn(&str) -> bool) -> Option<Remark> {
    let (atoms, formula, _) = Atoms::of(Some(detection), None)?;
    let mut reasoning = Reasoning::new(&atoms, has_one_value);
    let place = detection.place();
    if !reasoning.can_be(&formula, true) {
        return Some(Remark::Never(place));
    }
    (!reasoning.can_be(&formula, false)).then_some(Remark::Always(place))
}

/// What the names of hosts mostly end in.
const ENDINGS: [&str; 8] = ["com", "net", "org", "io", "dev", "gov", "edu", "app"];

/// Whether an expression is the name of a host and nothing else, which is found inside of the
/// names of others too: it has no `^`, or no `$`.
fn is_open_host(expression: &str) -> bool {
    let (from_start, rest) = match expression.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (
            expression.starts_with(['@', '\\']),
            expression.trim_start_matches('@'),
        ),
    };
    let (to_end, rest) = match rest.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let host = rest.replace("\\.", ".");
    let is_label = |label: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(letter)
    };
    let mut labels = host.trim_start_matches('.').split('.');
    let ends = host.rsplit('.').next();
    let is_host = labels.clone().count() > 1
        && labels.all(is_label)
        && ends.is_some_and(|ends| ENDINGS.contains(&ends));
    is_host && !(from_start && to_end)
}

/// Values of a line that others of it make idle.
fn values(line: &Predicate, remarks: &mut Vec<Remark>) {
    let tests = line.tests.iter().zip(&line.places).enumerate();
    let tests: Vec<(usize, (&Test, &Span))> = tests.take(MOST_COMPARED).collect();
    for (at, (test, place)) in &tests {
        let other = tests.iter().find(|(other_at, (other, _))| {
            let (narrow, wide) = if line.all {
                (other, test)
            } else {
                (test, other)
            };
            let is_twin = implies(wide, narrow);
            at != other_at && implies(narrow, wide) && (!is_twin || other_at < at)
        });
        remarks.extend(other.map(|(_, (_, by))| Remark::Idle(**place, **by)));
        let is_open = matches!(test, Test::Regex(regex, _) if is_open_host(regex.as_str()));
        remarks.extend(is_open.then_some(Remark::OpenHost(**place)));
    }
}

/// Lines of a search of one field that exclude each other, or of which one says nothing more.
fn between(lines: &[Predicate], has_one_value: &dyn Fn(&str) -> bool, remarks: &mut Vec<Remark>) {
    for (at, line) in lines.iter().enumerate() {
        for other in lines.iter().take(at) {
            if line.field.is_none() || line.field != other.field {
                continue;
            }
            let Some((atoms, formulas)) = Atoms::of_lines(&[other, line]) else {
                continue;
            };
            let [first, second] = formulas.as_slice() else {
                continue;
            };
            let mut reasoning = Reasoning::new(&atoms, has_one_value);
            let mut both =
                |one: Formula, two: Formula| reasoning.can_be(&Formula::All(vec![one, two]), true);
            let not = |formula: &Formula| Formula::Not(Box::new(formula.clone()));
            if !both(first.clone(), second.clone()) {
                remarks.push(Remark::Excluded(line.span, other.span));
            } else if !both(first.clone(), not(second)) {
                remarks.push(Remark::Idle(line.span, other.span));
            } else if !both(not(first), second.clone()) {
                remarks.push(Remark::Idle(other.span, line.span));
            }
        }
    }
}

/// A search for a mix of atoms that nothing rules out.
struct Reasoning<'a> {
    atoms: &'a Atoms,
    /// For each atom those that do not hold where it does.
    excludes: Vec<Set>,
    steps: usize,
}

impl<'a> Reasoning<'a> {
    fn new(atoms: &'a Atoms, has_one_value: &dyn Fn(&str) -> bool) -> Self {
        let is_single = |field: usize| {
            let path = atoms.fields.get(field).and_then(Option::as_ref);
            path.is_some_and(|path| has_one_value(path.as_str()))
        };
        let excludes = atoms.atoms.iter().map(|atom| {
            let others = atoms.atoms.iter().enumerate();
            let others = others.filter(|(_, other)| {
                atom.field == other.field
                    && is_single(atom.field)
                    && exclude(&atom.asked, &other.asked)
            });
            others.fold(0, |set, (at, _)| set | 1 << at)
        });
        Self {
            atoms,
            excludes: excludes.collect(),
            steps: 0,
        }
    }

    /// Whether a formula may have a value; where too many mixes are left, it may.
    fn can_be(&mut self, formula: &Formula, value: bool) -> bool {
        self.steps = 0;
        self.from(formula, value, 0, 0)
    }

    fn from(&mut self, formula: &Formula, value: bool, yes: Set, no: Set) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return true;
        }
        let Some((yes, no)) = self.settled(yes, no) else {
            return false;
        };
        if let Some(holds) = formula.holds(yes, no) {
            return holds == value;
        }
        let open = !(yes | no) & ((1 << self.atoms.atoms.len()) - 1);
        if open == 0 {
            return true;
        }
        let next = 1 << open.trailing_zeros();
        self.from(formula, value, yes | next, no) || self.from(formula, value, yes, no | next)
    }

    /// What is decided once these atoms hold and those do not; `None` where that cannot be.
    fn settled(&self, yes: Set, no: Set) -> Option<(Set, Set)> {
        let (yes, no) = self.atoms.closed(yes, no)?;
        let excluding = self.excludes.iter().enumerate();
        let excluded = excluding
            .filter(|(at, _)| yes >> at & 1 == 1)
            .fold(0, |set, (_, excluded)| set | excluded);
        if yes & excluded != 0 {
            return None;
        }
        self.atoms.closed(yes, no | excluded)
    }
}

/// Whether no single value passes both.
fn exclude(one: &Asked, other: &Asked) -> bool {
    match (one, other) {
        (Asked::Value(_), Asked::Null) | (Asked::Null, Asked::Value(_)) => true,
        (Asked::Value(one), Asked::Value(other)) => tests_exclude(one, other),
        _ => false,
    }
}

fn tests_exclude(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::Text(texts), Test::Text(others)) => {
            few(texts.len(), others.len())
                && texts
                    .iter()
                    .all(|text| others.iter().all(|other| texts_exclude(text, other)))
        }
        (Test::Cidr(nets), Test::Cidr(others)) => {
            few(nets.len(), others.len())
                && nets.iter().all(|net| {
                    let apart = |other: &ipnet::IpNet| !net.contains(other) && !other.contains(net);
                    others.iter().all(apart)
                })
        }
        (Test::Compare(None, order, bound), Test::Compare(None, other, other_bound)) => {
            let (low, high) = (bound.min(*other_bound), bound.max(*other_bound));
            let between = low / 2.0 + high / 2.0;
            let numbers = [low.next_down(), low, between, high, high.next_up()];
            let keeps = |order: fn(f64, f64) -> bool, bound: f64, number: f64| {
                let kind = kind_of(order);
                match number.total_cmp(&bound) {
                    std::cmp::Ordering::Less => kind.below,
                    std::cmp::Ordering::Equal => kind.at,
                    std::cmp::Ordering::Greater => kind.above,
                }
            };
            let mut numbers = numbers.into_iter();
            !numbers
                .any(|number| keeps(*order, *bound, number) && keeps(*other, *other_bound, number))
        }
        _ => false,
    }
}

/// Whether no text fits both patterns: one of them is a whole text, whatever its case, that does
/// not fit the other.
fn texts_exclude(one: &Pattern, other: &Pattern) -> bool {
    let misses = |text: &Pattern, pattern: &Pattern| {
        let comparable = is_folded(pattern) || is_folded(text) == is_folded(pattern);
        comparable && whole(text).is_some_and(|text| !pattern.matches(text))
    };
    misses(one, other) || misses(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Lists;
    use crate::detect::search::{DecodedDetection, decode_detection};
    use crate::diag::Problems;
    use crate::document::parse_yaml;

    /// What is said, as the texts that it is said of.
    fn said(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let file = problems.add_file("x.yml", text);
        let root = parse_yaml(file, text, &mut problems).expect("YAML");
        let decoded = decode_detection(&root, &[], &Lists::default(), &mut problems);
        let DecodedDetection::Ready(detection) = decoded else {
            panic!("{text}: {:?}", problems.sorted());
        };
        let shown = |span: Span| {
            let text = problems.text(span.file);
            text[span.start as usize..span.end as usize].to_owned()
        };
        let single = |field: &str| field != "target.id";
        let told = remarks(&detection, &single);
        let told = told.into_iter().map(|remark| match remark {
            Remark::Never(at) => format!("never {}", shown(at)),
            Remark::Always(at) => format!("always {}", shown(at)),
            Remark::Excluded(one, other) => format!("{} excludes {}", shown(one), shown(other)),
            Remark::Idle(one, other) => format!("{} idle by {}", shown(one), shown(other)),
            Remark::OpenHost(at) => format!("open {}", shown(at)),
        });
        told.collect()
    }

    #[test]
    fn an_expression_that_is_a_host_name_has_both_its_ends() {
        for (expression, expected) in [
            (r"example\.com", true),
            (r"^example\.com", true),
            (r"login.example.com$", true),
            (r"\.example\.com", true),
            (r"^example\.com$", false),
            (r"\.example\.com$", false),
            (r"@example\.com$", false),
            (r"(^|\.)example\.com$", false),
            (r"example\.com/path", false),
            (r"com", false),
            (r"a.b", false),
            (r"..com", false),
            (r".*\.com", false),
            ("", false),
        ] {
            assert_eq!(is_open_host(expression), expected, "{expression}");
        }
        let text = r"{s: {a|re: 'example\.com'}, condition: s}";
        assert_eq!(said(text), [r"open 'example\.com'"]);
    }

    #[test]
    fn what_is_proved_is_said_and_nothing_else() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str]); 22] = [
            ("{s: {a: x}, t: {a: y}, condition: s and t}", &["never s and t"]),
            ("{s: {target.id: x}, t: {target.id: y}, condition: s and t}", &[]),
            ("{s: {a: x}, t: {b: y}, condition: s and t}", &[]),
            ("{s: {a: x}, t: {a: 'X'}, condition: s and t}", &[]),
            ("{s: {a|cased: x}, t: {a|cased: 'X'}, condition: s and t}", &["never s and t"]),
            ("{s: {a: x}, t: {a|startswith: y}, condition: s and t}", &["never s and t"]),
            ("{s: {a: xy}, t: {a|startswith: X}, condition: s and not t}", &["never s and not t"]),
            ("{s: {a: x}, t: {a: null}, condition: s and t}", &["never s and t"]),
            ("{s: {a: x}, condition: s or not s}", &["always s or not s"]),
            ("{s: {a|exists: true}, t: {a: null}, condition: s or t}", &["always s or t"]),
            ("{s: {a: x}, t: {a: y}, condition: not s or not t}", &["always not s or not t"]),
            ("{s: {a|gt: 5}, t: {a|lt: 5}, condition: s and t}", &["never s and t"]),
            ("{s: {a|gte: 5}, t: {a|lte: 5}, condition: s and t}", &[]),
            ("{s: {a|cidr: 10.0.0.0/8}, t: {a|cidr: 192.168.0.0/16}, condition: s and t}", &["never s and t"]),
            ("{s: {a: x, a|startswith: y}, condition: s}", &["a|startswith excludes a"]),
            ("{s: {a: xy, a|startswith: x}, condition: s}", &["a|startswith idle by a"]),
            ("{s: {a|exists: true, a: x}, condition: s}", &["a|exists idle by a"]),
            ("{s: {a|contains: [admin, administrator, x]}, condition: s}", &["administrator idle by admin"]),
            ("{s: {a|contains|all: [admin, administrator]}, condition: s}", &["admin idle by administrator"]),
            ("{s: {a: [x, y, X]}, condition: s}", &["X idle by x"]),
            ("{s: {a|cidr: [10.0.0.0/8, 10.1.0.0/16]}, condition: s}", &["10.1.0.0/16 idle by 10.0.0.0/8"]),
            ("{s: [{a: x}, {a: y}], t: {a: z}, condition: s and not t}", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
