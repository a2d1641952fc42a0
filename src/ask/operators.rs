//! What operators make of rows, each value with its source.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::ask::answer::{Cell, Place, Row, Source};
use crate::ask::set::{Known, Set, unknown};
use crate::okta;
use crate::tools::{Join, Named, Step, Test};

/// Whether a value is what a filter asks for. A value that is null is not what is compared with,
/// except where its being there is asked.
pub(super) fn passes(test: Test, value: &Value, wanted: &[Value]) -> bool {
    let text = plain(value).to_lowercase();
    let is = |wanted: &Value| plain(wanted).to_lowercase() == text && !value.is_null();
    let time = |value: &Value| value.as_str().and_then(okta::parse_time);
    let compared = |wanted: &Value| match (time(value), time(wanted)) {
        (Some(value), Some(wanted)) => Some(value.cmp(&wanted)),
        _ => None,
    };
    let numbers = |wanted: &Value| value.as_f64()?.partial_cmp(&wanted.as_f64()?);
    wanted.iter().any(|wanted| match test {
        Test::Is => is(wanted),
        Test::IsNot => false,
        Test::Without => false,
        Test::Contains => !value.is_null() && text.contains(&plain(wanted).to_lowercase()),
        Test::Before => compared(wanted) == Some(Ordering::Less),
        Test::After => matches!(compared(wanted), Some(Ordering::Equal | Ordering::Greater)),
        Test::Exists => wanted.as_bool() == Some(!value.is_null()),
        Test::Above => numbers(wanted) == Some(Ordering::Greater),
        Test::Below => numbers(wanted) == Some(Ordering::Less),
    }) || (test == Test::IsNot && !wanted.iter().any(is))
        || (test == Test::Without
            && !wanted
                .iter()
                .any(|wanted| passes(Test::Contains, value, std::slice::from_ref(wanted))))
}

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What columns of rows are compared by: texts whatever the case of their letters; null is equal to
/// nothing.
pub(super) fn key(row: &Row, places: &[usize]) -> Option<Vec<String>> {
    let cells = places.iter().map(|place| row.cells.get(*place));
    let keys = cells.map(|cell| {
        let value = &cell?.value;
        (!value.is_null()).then(|| plain(value).to_lowercase())
    });
    keys.collect()
}

pub(super) fn join(
    kind: Join,
    left: &Set,
    right: &Set,
    on: &[(String, String)],
    keep: &[Named],
) -> Known<Set> {
    if let (Join::Left | Join::Anti, Some(why)) = (kind, &right.cut) {
        return unknown(
            "incomplete",
            format!("{why}, so that nothing follows from what is not there"),
        );
    }
    let places = |set: &Set, columns: Vec<&String>| {
        let places = columns.into_iter().map(|column| set.place(column));
        places.collect::<Known<Vec<usize>>>()
    };
    let left_on = places(left, on.iter().map(|(left, _)| left).collect())?;
    let right_on = places(right, on.iter().map(|(_, right)| right).collect())?;
    let kept = places(right, keep.iter().map(|named| &named.column).collect())?;
    let mut by_key: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    for row in &right.rows {
        if let Some(key) = key(row, &right_on) {
            by_key.entry(key).or_default().push(row);
        }
    }
    let mut columns = left.columns.clone();
    let mut rows = Vec::new();
    if matches!(kind, Join::Inner | Join::Left) {
        columns.extend(keep.iter().map(|named| named.name.clone()));
    }
    for row in &left.rows {
        let others = key(row, &left_on).and_then(|key| by_key.get(&key));
        match (kind, others) {
            (Join::Semi, Some(_)) | (Join::Anti, None) => rows.push(row.clone()),
            (Join::Semi, None) | (Join::Anti, Some(_)) | (Join::Inner, None) => {}
            (Join::Inner | Join::Left, Some(others)) => {
                for other in others {
                    let mut joined = row.clone();
                    let cells = kept.iter().filter_map(|place| other.cells.get(*place));
                    joined.cells.extend(cells.cloned());
                    joined.of.extend(other.of.iter().cloned());
                    rows.push(joined);
                }
            }
            (Join::Left, None) => {
                let mut joined = row.clone();
                joined.cells.extend(keep.iter().map(|_| Cell {
                    value: Value::Null,
                    source: Source::Derived {
                        operator: "left_join".to_owned(),
                        of: row.of.clone(),
                    },
                }));
                rows.push(joined);
            }
        }
    }
    Ok(Set {
        columns,
        rows,
        cut: left.cut.clone().or_else(|| right.cut.clone()),
        calls: left.calls.union(&right.calls).copied().collect(),
    })
}

pub(super) fn whole(set: &Set, what: &str) -> Known<()> {
    match &set.cut {
        Some(why) => unknown("incomplete", format!("{why}, so that {what} is not known")),
        None => Ok(()),
    }
}

pub(super) fn count(set: &Set) -> Known<Set> {
    whole(set, "the count")?;
    let of: Vec<Place> = set.rows.iter().flat_map(|row| row.of.clone()).collect();
    let cell = Cell {
        value: set.rows.len().into(),
        source: Source::Derived {
            operator: "count".to_owned(),
            of: of.clone(),
        },
    };
    let row = Row {
        cells: vec![cell],
        of,
    };
    Ok(set.like(vec!["count".to_owned()], vec![row]))
}

pub(super) fn group(set: &Set, by: &[String], latest: Option<&str>) -> Known<Set> {
    whole(set, "how many there are of each")?;
    let places = by.iter().map(|column| set.place(column));
    let places: Vec<usize> = places.collect::<Known<_>>()?;
    let latest_at = latest.map(|column| set.place(column)).transpose()?;
    let mut groups: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    for row in &set.rows {
        let cells = places.iter().filter_map(|place| row.cells.get(*place));
        let key = cells.map(|cell| cell.value.to_string()).collect();
        groups.entry(key).or_default().push(row);
    }
    let mut rows = Vec::new();
    for members in groups.values() {
        let Some(first) = members.first() else {
            continue;
        };
        let of: Vec<Place> = members.iter().flat_map(|row| row.of.clone()).collect();
        let mut cells: Vec<Cell> = places
            .iter()
            .filter_map(|place| first.cells.get(*place).cloned())
            .collect();
        cells.push(Cell {
            value: members.len().into(),
            source: Source::Derived {
                operator: "count".to_owned(),
                of: of.clone(),
            },
        });
        if let Some(at) = latest_at {
            let values = members.iter().filter_map(|row| row.cells.get(at));
            let newest = values.max_by(|one, other| ordered(&one.value, &other.value));
            cells.extend(newest.cloned());
        }
        rows.push(Row { cells, of });
    }
    let mut columns = by.to_vec();
    columns.push("count".to_owned());
    columns.extend(latest.map(str::to_owned));
    Ok(set.like(columns, rows))
}

/// The order of values: null first, numbers and times by what they are, then texts.
pub(super) fn ordered(one: &Value, other: &Value) -> Ordering {
    let time = |value: &Value| value.as_str().and_then(okta::parse_time);
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64(), other.as_f64());
            one.partial_cmp(&other).unwrap_or(Ordering::Equal)
        }
        _ => match (time(one), time(other)) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => plain(one).cmp(&plain(other)),
        },
    }
}

pub(super) fn sorted(mut set: Set, step: &Step) -> Known<Set> {
    let Some((column, is_down)) = &step.sort else {
        return Ok(set);
    };
    let place = set.place(column)?;
    set.rows.sort_by(|one, other| {
        let value = |row: &Row| {
            row.cells
                .get(place)
                .map_or(Value::Null, |cell| cell.value.clone())
        };
        let order = ordered(&value(one), &value(other));
        if *is_down { order.reverse() } else { order }
    });
    Ok(set)
}

pub(super) fn limited(mut set: Set, step: &Step) -> Known<Set> {
    let Some(limit) = step.limit else {
        return Ok(set);
    };
    if step.sort.is_some() {
        whole(&set, "which ones come first")?;
    }
    set.rows
        .truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(set)
}

pub(super) fn selected(set: Set, select: Option<&[Named]>) -> Known<Set> {
    let Some(select) = select else {
        return Ok(set);
    };
    let places = select.iter().map(|named| set.place(&named.column));
    let places: Vec<usize> = places.collect::<Known<_>>()?;
    let rows = set.rows.iter().map(|row| Row {
        cells: places
            .iter()
            .filter_map(|place| row.cells.get(*place).cloned())
            .collect(),
        of: row.of.clone(),
    });
    let columns = select.iter().map(|named| named.name.clone()).collect();
    Ok(set.like(columns, rows.collect()))
}
