//! What rulectl gives to scripts: one table that registers each function and documents it.

use std::sync::Arc;

use chrono::{Datelike, Timelike};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use crate::event::{Time, clip};
use crate::script::alike::alike;
use crate::script::meter::cost;
use crate::script::sandbox::spend;
use crate::script::value::{
    AboutView, EventView, FindingView, ListView, Outside, VALUE_STEP, Value, WindowView,
};

/// A function or property of the host interface.
pub(super) struct Entry {
    /// As a definition file writes it.
    pub(super) signature: &'static str,
    /// What it gives.
    pub(super) doc: &'static str,
    register: fn(&mut Engine, &Arc<dyn Outside>),
}

/// What the literal argument of a host function names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Literal {
    /// A field of an event.
    Field,
    /// A list of `rules/lists/`.
    List,
    /// A field that the rule groups by.
    Group,
    /// A field that the rule lists in `metadata`.
    Metadata,
}

impl Literal {
    /// In the words of a message.
    pub(super) fn named(self) -> &'static str {
        match self {
            Self::List => "the name of a list",
            _ => "the name of a field",
        }
    }

    /// Why it cannot be made when the script runs.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::List => "the lists of a script are looked up when it is read",
            Self::Group | Self::Metadata => {
                "what a finding keeps is decided when the script is read"
            }
            Self::Field => {
                "only the fields that rules name are read from an event, and they are known when the script is read"
            }
        }
    }
}

/// The functions whose argument must be written as a literal.
pub(super) const LITERALS: [(&str, Literal); 7] = [
    ("field", Literal::Field),
    ("field_values", Literal::Field),
    ("has_field", Literal::Field),
    ("distinct_values", Literal::Field),
    ("list", Literal::List),
    ("group_value", Literal::Group),
    ("metadata_values", Literal::Metadata),
];

type Answer<T> = Result<T, Box<EvalAltResult>>;

/// A text of more bytes than this is cut when a script reads it.
pub const FIELD_BYTES: usize = 8 << 10;
/// So many of the events of a window are shown to a script.
pub const WINDOW_EVENTS: usize = 256;
/// So many values of a field are read at most.
pub const FIELD_VALUES: usize = 256;

/// The host interface, in the order in which it is documented.
pub(super) const ENTRIES: [Entry; 38] = [
    Entry {
        signature: "fn field(event: Event, path: String) -> ?",
        doc: "The value of a field, `()` where it is missing or null, a list where an array on the way gives several.",
        register: |engine, _| {
            engine.register_fn(
                "field",
                |event: &mut EventView, path: &str| -> Answer<Dynamic> {
                    let mut values = event.values(path)?;
                    Ok(match values.len() {
                        0 => Dynamic::UNIT,
                        1 => values.remove(0),
                        _ => values.into(),
                    })
                },
            );
        },
    },
    Entry {
        signature: "fn field_values(event: Event, path: String) -> Array",
        doc: "Every value of a field as a list, which is empty where there is none; null is no value.",
        register: |engine, _| {
            engine.register_fn("field_values", |event: &mut EventView, path: &str| {
                event.values(path)
            });
        },
    },
    Entry {
        signature: "fn has_field(event: Event, path: String) -> bool",
        doc: "Whether the key is there, whatever its value; in a window, whether it has a value.",
        register: |engine, _| {
            engine.register_fn("has_field", |event: &mut EventView, path: &str| {
                event.exists(path)
            });
        },
    },
    Entry {
        signature: "fn get time(event: Event) -> String",
        doc: "When it happened, in RFC 3339, in UTC; `()` where that cannot be read.",
        register: |engine, _| {
            engine.register_get("time", |event: &mut EventView| time(event.time()));
        },
    },
    Entry {
        signature: "fn get rules(event: Event) -> Array",
        doc: "In a window: which rules of the correlation the event satisfies, as it names them.",
        register: |engine, _| {
            engine.register_get("rules", |event: &mut EventView| texts(event.rules()));
        },
    },
    Entry {
        signature: "fn get count(window: Window) -> int",
        doc: "How many events are in the window.",
        register: |engine, _| {
            engine.register_get("count", |window: &mut WindowView| count(window.count));
        },
    },
    Entry {
        signature: "fn get events(window: Window) -> Array",
        doc: "The newest 256 events of the window, the oldest of them first.",
        register: |engine, _| {
            engine.register_get("events", |window: &mut WindowView| -> Answer<Array> {
                spend(window.events.len() / VALUE_STEP)?;
                Ok(window.events.iter().cloned().map(Dynamic::from).collect())
            });
        },
    },
    Entry {
        signature: "fn get newest(window: Window) -> Event",
        doc: "The event that just came.",
        register: |engine, _| {
            engine.register_get("newest", |window: &mut WindowView| {
                window
                    .events
                    .last()
                    .cloned()
                    .map_or(Dynamic::UNIT, Dynamic::from)
            });
        },
    },
    Entry {
        signature: "fn distinct_values(window: Window, path: String) -> Array",
        doc: "The distinct values of a field over `events`, without regard to case, in the order in which they came.",
        register: |engine, _| {
            engine.register_fn("distinct_values", |window: &mut WindowView, path: &str| {
                window.distinct(path)
            });
        },
    },
    Entry {
        signature: "fn get title(finding: Finding) -> String",
        doc: "The title of the rule.",
        register: |engine, _| {
            engine.register_get("title", |finding: &mut FindingView| text(&finding.0.title));
        },
    },
    Entry {
        signature: "fn get finding_type(finding: Finding) -> String",
        doc: "What kind of finding it is.",
        register: |engine, _| {
            engine.register_get("finding_type", |finding: &mut FindingView| {
                text(&finding.0.finding_type)
            });
        },
    },
    Entry {
        signature: "fn get level(finding: Finding) -> String",
        doc: "The level of the rule.",
        register: |engine, _| {
            engine.register_get("level", |finding: &mut FindingView| text(&finding.0.level));
        },
    },
    Entry {
        signature: "fn get summary(finding: Finding) -> String",
        doc: "What the rule says of it without a script.",
        register: |engine, _| {
            engine.register_get("summary", |finding: &mut FindingView| {
                text(&finding.0.summary)
            });
        },
    },
    Entry {
        signature: "fn get user(finding: Finding) -> String",
        doc: "The account that it is about, or `()`.",
        register: |engine, _| {
            engine.register_get("user", |finding: &mut FindingView| {
                finding.0.user.as_deref().map_or(Dynamic::UNIT, text)
            });
        },
    },
    Entry {
        signature: "fn get count(finding: Finding) -> int",
        doc: "How many events it has.",
        register: |engine, _| {
            engine.register_get("count", |finding: &mut FindingView| count(finding.0.count));
        },
    },
    Entry {
        signature: "fn get hits(finding: Finding) -> int",
        doc: "How many hits it has.",
        register: |engine, _| {
            engine.register_get("hits", |finding: &mut FindingView| count(finding.0.hits));
        },
    },
    Entry {
        signature: "fn get first_seen(finding: Finding) -> String",
        doc: "The time of its first event, or `()`.",
        register: |engine, _| {
            engine.register_get("first_seen", |finding: &mut FindingView| {
                time(finding.0.first_seen)
            });
        },
    },
    Entry {
        signature: "fn get last_seen(finding: Finding) -> String",
        doc: "The time of its last event, or `()`.",
        register: |engine, _| {
            engine.register_get("last_seen", |finding: &mut FindingView| {
                time(finding.0.last_seen)
            });
        },
    },
    Entry {
        signature: "fn get reasons(finding: Finding) -> Array",
        doc: "Why its first hit was one.",
        register: |engine, _| {
            engine.register_get("reasons", |finding: &mut FindingView| {
                texts(finding.0.reasons.iter().map(String::as_str))
            });
        },
    },
    Entry {
        signature: "fn group_value(finding: Finding, field: String) -> ?",
        doc: "The value of a field that the rule groups by, or `()`.",
        register: |engine, _| {
            engine.register_fn("group_value", |finding: &mut FindingView, field: &str| {
                finding
                    .0
                    .group
                    .get(field)
                    .map_or(Dynamic::UNIT, |value| text(value))
            });
        },
    },
    Entry {
        signature: "fn metadata_values(finding: Finding, field: String) -> Array",
        doc: "The values of a field that the rule lists in `metadata`, ten at most.",
        register: |engine, _| {
            engine.register_fn(
                "metadata_values",
                |finding: &mut FindingView, field: &str| {
                    let values = finding.0.metadata.get(field).into_iter().flatten();
                    texts(values.map(String::as_str))
                },
            );
        },
    },
    Entry {
        signature: "fn get incident(about: About) -> Map",
        doc: "The incident, as a map with the fields of `incident.…` that prompts may list.",
        register: |engine, _| {
            engine.register_get("incident", |about: &mut AboutView| about.part("incident"));
        },
    },
    Entry {
        signature: "fn get finding(about: About) -> Map",
        doc: "Its finding, as a map with the fields of `finding.…`.",
        register: |engine, _| {
            engine.register_get("finding", |about: &mut AboutView| about.part("finding"));
        },
    },
    Entry {
        signature: "fn get risk(about: About) -> Map",
        doc: "The risk of the finding, as a map with the fields of `risk.…`.",
        register: |engine, _| {
            engine.register_get("risk", |about: &mut AboutView| about.part("risk"));
        },
    },
    Entry {
        signature: "fn get plan(about: About) -> Map",
        doc: "The plan, as a map with the fields of `plan.…`; each is `()` or empty where no agent has planned before.",
        register: |engine, _| {
            engine.register_get("plan", |about: &mut AboutView| about.part("plan"));
        },
    },
    Entry {
        signature: "fn list(name: String) -> List",
        doc: "The list `rules/lists/NAME`.",
        register: |engine, _| {
            engine.register_fn("list", |name: &str| ListView(name.into()));
        },
    },
    Entry {
        signature: "fn has(list: List, value: ?) -> bool",
        doc: "Whether a value is on the list, as a line with `expand` decides it; of a list of values, whether any is.",
        register: |engine, outside| {
            let outside = Arc::clone(outside);
            engine.register_fn("has", move |list: &mut ListView, value: Dynamic| {
                any(value, |value| {
                    spend(cost_of_list(outside.as_ref(), list, value))?;
                    Ok(outside.is_listed(&list.0, value))
                })
            });
        },
    },
    Entry {
        signature: "fn get(list: List, value: ?, column: String) -> ?",
        doc: "The text that a table has in a column beside a value, of networks beside the smallest with the address; `()` where the value is not on the list; of a list of values, that of the first that is.",
        register: |engine, outside| {
            let outside = Arc::clone(outside);
            engine.register_fn(
                "get",
                move |list: &mut ListView, value: Dynamic, column: &str| -> Answer<Dynamic> {
                    let mut found = Ok(None);
                    any(value, |value| {
                        spend(cost_of_list(outside.as_ref(), list, value))?;
                        found = outside.beside(&list.0, value, column);
                        Ok(!matches!(found, Ok(None)))
                    })?;
                    Ok(found?.map_or(Dynamic::UNIT, Dynamic::from))
                },
            );
        },
    },
    Entry {
        signature: "fn like(value: ?, pattern: String) -> bool",
        doc: "Whether a value is a Sigma text: `*` and `?` are wildcards, case does not matter; of a list, whether any value is.",
        register: |engine, outside| {
            let outside = Arc::clone(outside);
            engine.register_fn("like", move |value: Dynamic, pattern: &str| {
                any(value, |value| {
                    spend(cost_of_like(value, pattern))?;
                    Ok(outside.is_like(value, pattern))
                })
            });
        },
    },
    Entry {
        signature: "fn cidr(address: ?, network: String) -> bool",
        doc: "Whether a value is an address in the network; of a list, whether any value is.",
        register: |engine, outside| {
            let outside = Arc::clone(outside);
            engine.register_fn(
                "cidr",
                move |address: Dynamic, network: &str| -> Answer<bool> {
                    any(address, |value| {
                        spend(1 + value.cost() + network.len() / 32)?;
                        let found = outside.is_in_network(value, network);
                        found.ok_or_else(|| format!("`{}` is not a network", clip(network)).into())
                    })
                },
            );
        },
    },
    Entry {
        signature: "fn hour(time: ?) -> ?",
        doc: "The hour of a time, 0 to 23, in UTC; `()` of what is no time.",
        register: |engine, _| {
            engine.register_fn("hour", |time: Dynamic| -> Answer<Dynamic> {
                let time = moment(&time)?;
                Ok(time.map_or(Dynamic::UNIT, |time| i64::from(time.hour()).into()))
            });
        },
    },
    Entry {
        signature: "fn minute(time: ?) -> ?",
        doc: "The minute of a time, 0 to 59, in UTC; `()` of what is no time.",
        register: |engine, _| {
            engine.register_fn("minute", |time: Dynamic| -> Answer<Dynamic> {
                let time = moment(&time)?;
                Ok(time.map_or(Dynamic::UNIT, |time| i64::from(time.minute()).into()))
            });
        },
    },
    Entry {
        signature: "fn weekday(time: ?) -> ?",
        doc: "The day of the week of a time, 1 for Monday to 7 for Sunday, in UTC; `()` of what is no time.",
        register: |engine, _| {
            engine.register_fn("weekday", |time: Dynamic| -> Answer<Dynamic> {
                let number =
                    |time: chrono::DateTime<chrono::Utc>| time.weekday().number_from_monday();
                let time = moment(&time)?;
                Ok(time.map_or(Dynamic::UNIT, |time| i64::from(number(time)).into()))
            });
        },
    },
    Entry {
        signature: "fn seconds_between(earlier: ?, later: ?) -> ?",
        doc: "The seconds from one time to another, less than zero where the second is earlier; `()` where one is no time.",
        register: |engine, _| {
            engine.register_fn(
                "seconds_between",
                |earlier: Dynamic, later: Dynamic| -> Answer<Dynamic> {
                    let between = seconds_between(&earlier, &later)?;
                    Ok(between.map_or(Dynamic::UNIT, Dynamic::from))
                },
            );
        },
    },
    Entry {
        signature: "fn distance_km(latitude: ?, longitude: ?, other_latitude: ?, other_longitude: ?) -> ?",
        doc: "The great-circle distance of two places in degrees; `()` where one is no place on Earth.",
        register: |engine, outside| {
            let outside = Arc::clone(outside);
            engine.register_fn(
                "distance_km",
                move |a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic| -> Answer<Dynamic> {
                    spend([&a, &b, &c, &d].into_iter().map(cost).sum())?;
                    let place = |latitude, longitude| {
                        Some((degrees(latitude, 90.0)?, degrees(longitude, 180.0)?))
                    };
                    let places = place(&a, &b).zip(place(&c, &d));
                    Ok(places.map_or(Dynamic::UNIT, |(from, to)| {
                        outside.distance_km(from, to).into()
                    }))
                },
            );
        },
    },
    Entry {
        signature: "fn similarity(one: ?, other: ?) -> float",
        doc: "How alike two texts are, from 0.0 to 1.0, by the pairs of letters that they share (Sørensen–Dice), without regard to case; 0.0 where one is no text.",
        register: |engine, _| {
            engine.register_fn(
                "similarity",
                |one: Dynamic, other: Dynamic| -> Answer<f64> {
                    // Its pairs of letters are sorted.
                    spend(4 * (cost(&one) + cost(&other)))?;
                    let folded = |value: Dynamic| {
                        Some(crate::event::fold(&value.into_immutable_string().ok()?))
                    };
                    let texts = folded(one).zip(folded(other));
                    Ok(texts.map_or(0.0, |(one, other)| alike(&one, &other)))
                },
            );
        },
    },
    Entry {
        signature: "fn number(value: ?) -> ?",
        doc: "A number, or the number that a text spells, as `gte` reads it; `()` of anything else.",
        register: |engine, _| {
            engine.register_fn("number", |value: Dynamic| -> Answer<Dynamic> {
                spend(cost(&value))?;
                if value.is_int() {
                    return Ok(value);
                }
                Ok(number(&value).map_or(Dynamic::UNIT, Dynamic::from))
            });
        },
    },
    Entry {
        signature: "fn set(map: Map, key: String, value: ?)",
        doc: "Puts a value into a map; the key is cut as the values of findings are, after 512 bytes.",
        register: |engine, _| {
            engine.register_fn("set", |map: &mut Map, key: &str, value: Dynamic| {
                map.insert(clip(key).as_ref().into(), value);
            });
        },
    },
];

/// Whether a function is one of the table.
pub(super) fn defines(name: &str) -> bool {
    let named = |entry: &Entry| {
        let rest = entry.signature.strip_prefix("fn ")?;
        rest.split_once('(').map(|(name, _)| name)
    };
    ENTRIES.iter().filter_map(named).any(|known| known == name)
}

/// Registers everything of the table.
pub(super) fn register(engine: &mut Engine, outside: &Arc<dyn Outside>) {
    engine
        .register_type_with_name::<EventView>("Event")
        .register_type_with_name::<WindowView>("Window")
        .register_type_with_name::<FindingView>("Finding")
        .register_type_with_name::<AboutView>("About")
        .register_type_with_name::<ListView>("List");
    for entry in &ENTRIES {
        (entry.register)(engine, outside);
    }
    // Rhai's own go into values inside each other by calls inside each other, which take much of the stack.
    engine.register_fn("==", |one: &mut Array, other: Array| are_equal(one, &other));
    engine.register_fn("!=", |one: &mut Array, other: Array| -> Answer<bool> {
        Ok(!are_equal(one, &other)?)
    });
    engine.register_fn("==", |one: &mut Map, other: Map| {
        maps_are_equal(one, &other)
    });
    engine.register_fn("!=", |one: &mut Map, other: Map| -> Answer<bool> {
        Ok(!maps_are_equal(one, &other)?)
    });
    // And what looks through a whole list is more than one operation.
    engine.register_fn(
        "contains",
        |list: &mut Array, value: Dynamic| -> Answer<bool> {
            Ok(index_of(list, &value, 0)?.is_some())
        },
    );
    engine.register_fn("index_of", |list: &mut Array, value: Dynamic| {
        index_of(list, &value, 0).map(position)
    });
    engine.register_fn(
        "index_of",
        |list: &mut Array, value: Dynamic, start: i64| {
            index_of(list, &value, usize::try_from(start).unwrap_or(0)).map(position)
        },
    );
    engine.register_fn("dedup", |list: &mut Array| -> Answer<()> {
        let mut kept = Array::new();
        for value in std::mem::take(list) {
            let repeats = kept.last().map(|last| is_equal(last, &value)).transpose()?;
            if repeats != Some(true) {
                kept.push(value);
            }
        }
        *list = kept;
        Ok(())
    });
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |list: &mut Array| written(list.clone().into()));
        engine.register_fn(name, |map: &mut Map| written(map.clone().into()));
    }
}

/// A value as a text shows it, lists and maps as they are written.
fn written(value: Dynamic) -> Answer<Dynamic> {
    let mut out = String::new();
    write_value(&value, &mut out);
    let out = out.into();
    spend(cost(&out))?;
    Ok(out)
}

fn write_value(value: &Dynamic, out: &mut String) {
    if let Ok(list) = value.as_array_ref() {
        out.push('[');
        for (at, element) in list.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            write_value(element, out);
        }
        out.push(']');
    } else if let Ok(map) = value.as_map_ref() {
        out.push_str("#{");
        for (at, (key, element)) in map.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            out.push_str(&serde_json::Value::from(key.as_str()).to_string());
            out.push_str(": ");
            write_value(element, out);
        }
        out.push('}');
    } else {
        match Value::of(value) {
            Some(Value::Text(text)) => out.push_str(&serde_json::Value::from(text).to_string()),
            Some(value) => out.push_str(&value.shown()),
            None => out.push_str("()"),
        }
    }
}

/// Where a value stands in a list, from a place on.
fn index_of(list: &[Dynamic], value: &Dynamic, start: usize) -> Answer<Option<usize>> {
    for (at, element) in list.iter().enumerate().skip(start) {
        if is_equal(element, value)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// -1 is nowhere, as in Rhai.
fn position(at: Option<usize>) -> i64 {
    at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)
}

fn are_equal(one: &[Dynamic], other: &[Dynamic]) -> Answer<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for (one, other) in one.iter().zip(other) {
        if !is_equal(one, other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps_are_equal(one: &Map, other: &Map) -> Answer<bool> {
    if !one.keys().eq(other.keys()) {
        return Ok(false);
    }
    for (one, other) in one.values().zip(other.values()) {
        if !is_equal(one, other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two values are one, as `==` has it.
#[expect(clippy::cast_precision_loss, reason = "as Rhai compares them")]
fn is_equal(one: &Dynamic, other: &Dynamic) -> Answer<bool> {
    spend(1 + cost(one).min(cost(other)))?;
    if let (Ok(one), Ok(other)) = (one.as_array_ref(), other.as_array_ref()) {
        return are_equal(&one, &other);
    }
    if let (Ok(one), Ok(other)) = (one.as_map_ref(), other.as_map_ref()) {
        return maps_are_equal(&one, &other);
    }
    Ok(match (Value::of(one), Value::of(other)) {
        (Some(Value::Int(one)), Some(Value::Float(other))) => one as f64 == other,
        (Some(Value::Float(one)), Some(Value::Int(other))) => one == other as f64,
        (Some(one), Some(other)) => one == other,
        _ => one.is_unit() && other.is_unit(),
    })
}

/// Whether it holds for a value, or for one of a list of values.
fn any(value: Dynamic, mut holds: impl FnMut(&Value) -> Answer<bool>) -> Answer<bool> {
    let Ok(values) = value.as_array_ref() else {
        return Value::of(&value).map_or(Ok(false), |value| holds(&value));
    };
    for value in values.iter() {
        spend(1)?;
        if Value::of(value).map_or(Ok(false), |value| holds(&value))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What it takes to look a value up in a list: each text with wildcards is tried.
fn cost_of_list(outside: &dyn Outside, list: &ListView, value: &Value) -> usize {
    let tried = outside.wildcards(&list.0).div_ceil(16);
    (1 + tried).saturating_mul(1 + value.cost())
}

/// A wildcard may be tried at each place of a text.
fn cost_of_like(value: &Value, pattern: &str) -> usize {
    let places = if pattern.contains(['*', '?']) {
        value.cost().saturating_mul(pattern.len()) / 32
    } else {
        0
    };
    1 + value.cost() + pattern.len() / 16 + places
}

fn text(text: &str) -> Dynamic {
    text.to_owned().into()
}

fn texts<'t>(all: impl Iterator<Item = &'t str>) -> Answer<Array> {
    let texts: Array = all.map(text).collect();
    spend(texts.len() / VALUE_STEP + texts.iter().map(cost).sum::<usize>())?;
    Ok(texts)
}

fn time(time: Option<Time>) -> Dynamic {
    time.map_or(Dynamic::UNIT, |time| time.to_string().into())
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn parsed(value: &Dynamic) -> Answer<Option<Time>> {
    spend(cost(value))?;
    let text: Option<ImmutableString> = value.clone().into_immutable_string().ok();
    Ok(text.and_then(|text| Time::parse(text.trim())))
}

fn moment(value: &Dynamic) -> Answer<Option<chrono::DateTime<chrono::Utc>>> {
    let time = parsed(value)?;
    Ok(time.map(|time| chrono::DateTime::from_timestamp_nanos(time.0)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds need no nanoseconds of a century"
)]
fn seconds_between(earlier: &Dynamic, later: &Dynamic) -> Answer<Option<f64>> {
    let times = parsed(earlier)?.zip(parsed(later)?);
    Ok(times.map(|(earlier, later)| later.since(earlier).0 as f64 / 1e9))
}

/// A number, or the one that a text spells.
#[expect(clippy::cast_precision_loss, reason = "as Sigma's comparisons read it")]
fn number(value: &Dynamic) -> Option<f64> {
    let spelled = || {
        value
            .clone()
            .into_immutable_string()
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let whole = value.as_int().ok().map(|number| number as f64);
    let number: f64 = whole.or_else(|| value.as_float().ok()).or_else(spelled)?;
    number.is_finite().then_some(number)
}

fn degrees(value: &Dynamic, limit: f64) -> Option<f64> {
    number(value).filter(|degrees| (-limit..=limit).contains(degrees))
}
