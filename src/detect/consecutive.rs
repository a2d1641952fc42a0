//! `consecutive`: two neighbouring events of a group that do not go together,
//! such as sign-ins from two places that nobody can travel between in time.

use std::sync::Arc;

use crate::detect::capture::CaptureId;
use crate::detect::compile::Scope;
use crate::detect::correlation::{Asked, Condition, Written, codes};
use crate::detect::country::country_code;
use crate::detect::groups::Window;
use crate::detect::seen::Member;
use crate::diag::{Problems, Span};
use crate::document::Node;
use crate::event::{FieldPath, Nanos, fold};

/// A condition over a pair of neighbours, over fields as written or as resolved.
#[derive(Clone, Debug)]
struct Pair<F> {
    travel: Option<Travel<F>>,
    without_coordinates: Option<Difference<F>>,
}

/// `travel`: decided where both events have coordinates.
#[derive(Clone, Debug)]
struct Travel<F> {
    latitude: F,
    longitude: F,
    /// Faster than this, in km/h.
    faster_than: f64,
    /// And at least this far apart, in km: geolocation of one place varies.
    at_least: f64,
}

/// `without_coordinates`: decided where one of the events has none.
#[derive(Clone, Debug)]
struct Difference<F> {
    /// The field whose values are compared as countries, by ISO 3166 code or English name.
    country: F,
    within: Nanos,
}

/// Reads the condition:
///
/// ```yaml
/// condition:
///   travel: {latitude: PATH, longitude: PATH, faster_than_kmh: 900, at_least_km: 200}
///   without_coordinates: {country: PATH, within: 1h}
/// ```
pub(super) fn decode_consecutive(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let errors = problems.counts().0;
    let node = written.needed(problems)?;
    let fields = &mut written.fields;
    let mut table = node.table(problems)?;
    let travel_node = table.get("travel");
    let difference_node = table.get("without_coordinates");
    let travel = travel_node.and_then(|node| decode_travel(node, fields, problems));
    let without_coordinates =
        difference_node.and_then(|node| decode_difference(node, fields, problems));
    table.finish(problems);
    if travel_node.is_none() && difference_node.is_none() {
        problems
            .error(
                codes::CONDITION,
                node.span,
                "the condition asks nothing of a pair",
            )
            .help("give `travel`, `without_coordinates` or both");
    }
    if problems.counts().0 > errors {
        return None;
    }
    Some(Arc::new(Pair {
        travel,
        without_coordinates,
    }))
}

fn decode_travel(
    node: &Node,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Option<Travel<FieldPath>> {
    let mut table = node.table(problems)?;
    let latitude = table
        .require("latitude", problems)
        .and_then(|node| field(node, fields, problems));
    let longitude = table
        .require("longitude", problems)
        .and_then(|node| field(node, fields, problems));
    let faster_than = table
        .require("faster_than_kmh", problems)
        .and_then(|node| node.number(0.0, 1e9, problems));
    let at_least = match table.get("at_least_km") {
        Some(node) => node.number(0.0, 20_100.0, problems),
        None => Some(0.0),
    };
    table.finish(problems);
    Some(Travel {
        latitude: latitude?,
        longitude: longitude?,
        faster_than: faster_than?,
        at_least: at_least?,
    })
}

fn decode_difference(
    node: &Node,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Option<Difference<FieldPath>> {
    let mut table = node.table(problems)?;
    let country = table
        .require("country", problems)
        .and_then(|node| field(node, fields, problems));
    let within = table
        .require("within", problems)
        .and_then(|node| node.span_of_time(problems));
    table.finish(problems);
    Some(Difference {
        country: country?,
        within: within?,
    })
}

fn field(
    node: &Node,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Option<FieldPath> {
    let text = node.text(problems)?;
    fields.push((text.to_owned(), node.span));
    Some(FieldPath::new(text))
}

impl Asked for Pair<FieldPath> {
    fn compile(&self, scope: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(Pair {
            travel: self.travel.as_ref().map(|t| Travel {
                latitude: scope.id(&t.latitude),
                longitude: scope.id(&t.longitude),
                faster_than: t.faster_than,
                at_least: t.at_least,
            }),
            without_coordinates: self.without_coordinates.as_ref().map(|d| Difference {
                country: scope.id(&d.country),
                within: d.within,
            }),
        })
    }
}

impl Condition for Pair<CaptureId> {
    fn is_of_pairs(&self) -> bool {
        true
    }

    /// Whether the newest event of the window makes a hit with one before it, and why.
    /// On a hit the window is left as the pair.
    ///
    /// Neighbours are events with a place: one without would otherwise part two
    /// that do not go together. Speed is computed from the last event with
    /// coordinates, countries are compared with the last event at all.
    fn hit(&self, window: &mut Window) -> Option<f64> {
        let mut earlier: Vec<Member> = window.from(0).cloned().collect();
        let newest = earlier.pop()?;
        if !self.is_placed(&newest) {
            window.keep(earlier);
            return None;
        }
        let hit = self.hit_with(&earlier, &newest);
        let kept = match &hit {
            Some((_, other)) => Some(other.clone()),
            // Only the last event, and the last with coordinates, can still meet another.
            None if self.position(&newest).is_some() => None,
            None => earlier
                .into_iter()
                .rfind(|member| self.position(member).is_some()),
        };
        window.keep(kept.into_iter().chain([newest]));
        hit.is_some().then_some(PAIR)
    }

    fn reason(&self, _: f64, pair: Option<&(Member, Member)>) -> String {
        let hit =
            pair.and_then(|(earlier, later)| self.hit_with(std::slice::from_ref(earlier), later));
        hit.map(|(reason, _)| reason).unwrap_or_default()
    }
}

/// There is no number to a pair.
const PAIR: f64 = 2.0;

impl Pair<CaptureId> {
    fn hit_with(&self, earlier: &[Member], newest: &Member) -> Option<(String, Member)> {
        let last = earlier.last()?;
        if let Some(to) = self.position(newest)
            && let Some(travel) = &self.travel
        {
            let mut located = earlier
                .iter()
                .rev()
                .filter_map(|member| Some((member, self.position(member)?)));
            if let Some((member, from)) = located.next()
                && let Some(reason) = travel.hit(newest.time.since(member.time), from, to)
            {
                return Some((reason, member.clone()));
            }
        }
        let both_located = self.position(last).is_some() && self.position(newest).is_some();
        let difference = self
            .without_coordinates
            .as_ref()
            .filter(|_| !both_located)?;
        Some((difference.hit(last, newest)?, last.clone()))
    }

    fn position(&self, member: &Member) -> Option<(f64, f64)> {
        self.travel.as_ref()?.position(member)
    }

    fn is_placed(&self, member: &Member) -> bool {
        let named = |difference: &Difference<CaptureId>| {
            member
                .values()
                .first(difference.country)
                .and_then(country)
                .is_some()
        };
        self.position(member).is_some() || self.without_coordinates.as_ref().is_some_and(named)
    }
}

impl Travel<CaptureId> {
    /// Degrees north and east; `None` where they are missing or not on Earth.
    fn position(&self, member: &Member) -> Option<(f64, f64)> {
        let read = |id: CaptureId, limit: f64| -> Option<f64> {
            let degrees: f64 = member.values().first(id)?.trim().parse().ok()?;
            (-limit..=limit).contains(&degrees).then_some(degrees)
        };
        Some((read(self.latitude, 90.0)?, read(self.longitude, 180.0)?))
    }

    /// Two events at one instant count as one second apart.
    fn hit(&self, apart: Nanos, from: (f64, f64), to: (f64, f64)) -> Option<String> {
        let km = great_circle_km(from, to);
        let apart = apart.max(Nanos::SECOND);
        let speed = km / apart.hours();
        (km >= self.at_least && speed > self.faster_than).then(|| {
            format!(
                "{km:.0} km in {apart} is {speed:.0} km/h, faster than {} km/h",
                self.faster_than
            )
        })
    }
}

impl Difference<CaptureId> {
    fn hit(&self, earlier: &Member, later: &Member) -> Option<String> {
        let (from, to) = (
            earlier.values().first(self.country)?,
            later.values().first(self.country)?,
        );
        let apart = later.time.since(earlier.time);
        let (here, there) = (country(from)?, country(to)?);
        (apart <= self.within && here != there)
            .then(|| format!("{from} to {to} in {apart}, within {}", self.within))
    }
}

/// The ISO code of a country, or its folded text where it is none that we know;
/// `None` where the text names none: stores write an absent value as `"null"`.
fn country(text: &str) -> Option<String> {
    let folded = fold(text.trim());
    let named = !matches!(folded.as_str(), "" | "null" | "unknown");
    named.then(|| country_code(&folded).map_or(folded, str::to_owned))
}

/// The great-circle distance of two points in degrees, in km, by the haversine
/// formula on a sphere of the Earth's mean radius (6371.0088 km, IUGG).
#[must_use]
pub fn great_circle_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (from.0.to_radians(), to.0.to_radians());
    let half = |a: f64, b: f64| ((b - a) / 2.0).sin().powi(2);
    let h = half(lat_a, lat_b)
        + lat_a.cos() * lat_b.cos() * half(from.1.to_radians(), to.1.to_radians());
    2.0 * 6_371.008_8 * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_agree_with_an_atlas() {
        let sydney = (-33.8688, 151.2093);
        let new_york = (40.7503, -73.9967);
        let cases = [
            (sydney, new_york, 15_989.0),
            (sydney, sydney, 0.0),
            ((0.0, 0.0), (0.0, 180.0), 20_015.1),
            ((0.0, 179.5), (0.0, -179.5), 111.2),
            ((90.0, 0.0), (-90.0, 77.0), 20_015.1),
        ];
        for (from, to, km) in cases {
            let found = great_circle_km(from, to);
            assert!((found - km).abs() < 10.0, "{from:?} {to:?}: {found}");
        }
    }

    #[test]
    fn countries_compare_by_code_or_name() {
        for (a, b, same) in [
            ("FR", "France", true),
            ("us", "United States", true),
            ("US", "Canada", false),
            ("Atlantis", " atlantis", true),
            ("", "null", true),
        ] {
            assert_eq!(country(a) == country(b), same, "{a} {b}");
        }
    }
}
