//! `consecutive`: two neighbouring events of a group that do not go together,
//! such as sign-ins from two places that nobody can travel between in time.

use std::sync::Arc;

use crate::detect::capture::CaptureId;
use crate::detect::compile::Scope;
use crate::detect::correlation::{Asked, Condition, Reached, Written, codes};
use crate::detect::groups::Window;
use crate::detect::pair::{PairProgram, check_pair};
use crate::detect::search::{DecodedDetection, Detection, decode_detection};
use crate::detect::seen::Member;
use crate::diag::{Problems, Span};
use crate::document::Node;
use crate::event::{FieldPath, Nanos, fold};
use crate::geo::country_code;

/// A condition over a pair of neighbours, over fields as written or as resolved.
#[derive(Clone, Debug)]
struct Pair<F, P> {
    travel: Option<Travel<F>>,
    without_coordinates: Option<Difference<F>>,
    /// What else must hold of the two.
    pair: Option<P>,
}

/// `travel`: decided where both events have coordinates.
#[derive(Clone, Debug)]
struct Travel<F> {
    latitude: F,
    longitude: F,
    /// Faster than this, in km/h, if that is asked.
    faster_than: Option<f64>,
    /// And at least this far apart, in km: geolocation of one place varies.
    at_least: f64,
    /// And at most so long.
    within: Nanos,
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
///   pair:
///     other: {a.PATH|fieldref|neq: b.PATH}
///     condition: other
/// ```
pub(super) fn decode_consecutive(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let errors = problems.counts().0;
    let node = written.needed(problems)?;
    let mut table = node.table(problems)?;
    let travel_node = table.get("travel");
    let difference_node = table.get("without_coordinates");
    let pair_node = table.get("pair");
    let travel = travel_node.and_then(|node| decode_travel(node, written, problems));
    let without_coordinates =
        difference_node.and_then(|node| decode_difference(node, &mut written.fields, problems));
    let pair = pair_node.and_then(|node| decode_pair(node, written, problems));
    table.finish(problems);
    if travel_node.is_none() && difference_node.is_none() && pair_node.is_none() {
        problems
            .error(
                codes::CONDITION,
                node.span,
                "the condition asks nothing of a pair",
            )
            .help("give `travel`, `without_coordinates`, `pair` or several of them");
    }
    if problems.counts().0 > errors || written.inactive {
        return None;
    }
    Some(Arc::new(Pair {
        travel,
        without_coordinates,
        pair,
    }))
}

/// Reads a detection over the fields of both events.
fn decode_pair(
    node: &Node,
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Detection> {
    written.fields.extend(check_pair(node, problems));
    match decode_detection(node, &[], written.lists, problems) {
        DecodedDetection::Ready(detection) => Some(detection),
        DecodedDetection::Inactive => {
            written.inactive = true;
            None
        }
        DecodedDetection::Broken => None,
    }
}

fn decode_travel(
    node: &Node,
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Travel<FieldPath>> {
    let errors = problems.counts().0;
    let mut table = node.table(problems)?;
    let latitude = table
        .require("latitude", problems)
        .and_then(|node| field(node, &mut written.fields, problems));
    let longitude = table
        .require("longitude", problems)
        .and_then(|node| field(node, &mut written.fields, problems));
    let faster_node = table.get("faster_than_kmh");
    let at_least_node = table.get("at_least_km");
    let within = table.get("within");
    let faster_than = faster_node.and_then(|node| node.number(0.0, 1e9, problems));
    let at_least = at_least_node.and_then(|node| node.number(0.0, 20_100.0, problems));
    let within = within.and_then(|node| node.span_of_time(problems));
    table.finish(problems);
    if faster_node.is_none() && at_least_node.is_none() {
        problems
            .error(codes::CONDITION, node.span, "any two places would do")
            .help("give `faster_than_kmh`, `at_least_km` or both");
    }
    if problems.counts().0 > errors {
        return None;
    }
    Some(Travel {
        latitude: latitude?,
        longitude: longitude?,
        faster_than,
        at_least: at_least.unwrap_or_default(),
        within: within.unwrap_or(written.timespan),
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

impl Asked for Pair<FieldPath, Detection> {
    fn compile(&self, scope: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(Pair {
            travel: self.travel.as_ref().map(|t| Travel {
                latitude: scope.id(&t.latitude),
                longitude: scope.id(&t.longitude),
                faster_than: t.faster_than,
                at_least: t.at_least,
                within: t.within,
            }),
            without_coordinates: self.without_coordinates.as_ref().map(|d| Difference {
                country: scope.id(&d.country),
                within: d.within,
            }),
            pair: self
                .pair
                .as_ref()
                .map(|detection| PairProgram::new(detection, scope)),
        })
    }
}

impl Condition for Pair<CaptureId, PairProgram> {
    fn is_of_pairs(&self) -> bool {
        true
    }

    /// Where places are compared, neighbours are events with a place: one
    /// without would otherwise part two that do not go together. Speed is
    /// computed from the last event with coordinates, countries are compared
    /// with the last event that has one.
    fn meet(&self, window: &mut Window) -> Option<Member> {
        let mut earlier: Vec<Member> = window.from(0).cloned().collect();
        let newest = earlier.pop()?;
        let here = self.position(&newest);
        let (located, named) = (here.is_some(), self.is_named(&newest));
        if self.is_of_places() && !located && !named {
            window.keep(earlier);
            return None;
        }
        let met = self
            .met(&earlier, (&newest, here))
            .map(|(member, _)| member.clone());
        let last = |is: &dyn Fn(&&Member) -> bool| earlier.iter().rfind(is).map(Member::order);
        let last_located = last(&|member| !located && self.position(member).is_some());
        let last_named = last(&|member| !named && self.is_named(member));
        let can_be_met = |member: &Member| {
            let order = Some(member.order());
            self.is_of_places() && (order == last_located || order == last_named)
        };
        earlier.retain(can_be_met);
        window.keep(earlier.into_iter().chain([newest]));
        met
    }

    /// Of places, how much slower or nearer they are than is asked; of anything else nobody can say.
    fn reached(&self, window: &Window) -> Reached {
        let members: Vec<&Member> = window.from(0).collect();
        let pair = members.split_last().and_then(|(newest, earlier)| {
            let travel = self.travel.as_ref()?;
            let mut located = earlier.iter().rev();
            let from = located.find_map(|member| Some((member.time, travel.position(member)?)));
            Some((travel, newest.time, from?, travel.position(newest)?))
        });
        let lacks = pair
            .map(|(travel, time, (before, from), to)| travel.lacks(time.since(before), from, to));
        Reached {
            number: 0.0,
            lacks: lacks.unwrap_or(TWO_PLACES),
        }
    }

    /// It is asked before the pair is looked for, so that those of before are still there.
    fn so_far(&self, _: &Reached, window: &Window) -> String {
        let members: Vec<&Member> = window.from(0).collect();
        let Some((newest, earlier)) = members.split_last() else {
            return String::new();
        };
        let Some(last) = earlier.last() else {
            return "there is no event before it to compare with".to_owned();
        };
        let apart = newest.time.since(last.time);
        let mut said = Vec::new();
        if let Some(travel) = &self.travel {
            let mut located = earlier.iter().rev();
            let from = located.find_map(|member| Some((member.time, travel.position(member)?)));
            said.push(match from.zip(travel.position(newest)) {
                Some(((time, from), to)) => travel.said(newest.time.since(time), from, to),
                None => "one of the two has no coordinates".to_owned(),
            });
        }
        if let Some(difference) = &self.without_coordinates {
            let name = |member: &Member| {
                let text = member.values().first(difference.country);
                text.unwrap_or("no country").to_owned()
            };
            let (from, to, within) = (name(last), name(newest), difference.within);
            said.push(format!("{from} to {to} in {apart}, asked within {within}"));
        }
        if let Some(pair) = &self.pair {
            let holds = pair.holds(last, newest);
            let word = if holds { "holds" } else { "does not hold" };
            said.push(format!("`pair` {word} of it and the event {apart} before"));
        }
        said.join("; ")
    }

    fn reason(&self, _: f64, pair: Option<&(Member, Member)>) -> String {
        let met = pair.and_then(|(earlier, later)| {
            let newest = (later, self.position(later));
            let (_, places) = self.met(std::slice::from_ref(earlier), newest)?;
            let others = self.pair.as_ref().map(|pair| pair.reason(earlier, later));
            Some(places.into_iter().chain(others).collect::<Vec<_>>())
        });
        met.unwrap_or_default().join("; ")
    }
}

/// An event, and where it is: degrees north and east.
type Placed<'m> = (&'m Member, Option<(f64, f64)>);

impl Pair<CaptureId, PairProgram> {
    /// The event that the newest does not go with, and what is wrong with their places.
    fn met<'m>(
        &self,
        earlier: &'m [Member],
        (newest, here): Placed<'_>,
    ) -> Option<(&'m Member, Option<String>)> {
        let pair_holds = |member: &Member| {
            let pair = self.pair.as_ref();
            pair.is_none_or(|pair| pair.holds(member, newest))
        };
        if !self.is_of_places() {
            let last = earlier.last().filter(|last| pair_holds(last))?;
            return Some((last, None));
        }
        let travelled = self.travelled(earlier, (newest, here));
        let travelled = travelled.filter(|(member, _)| pair_holds(member));
        let met = travelled.or_else(|| {
            let differs = self.differs(earlier, (newest, here));
            differs.filter(|(member, _)| pair_holds(member))
        });
        met.map(|(member, reason)| (member, Some(reason)))
    }

    /// The last event with coordinates, where nobody gets from it to the newest.
    fn travelled<'m>(
        &self,
        earlier: &'m [Member],
        (newest, here): Placed<'_>,
    ) -> Option<(&'m Member, String)> {
        let to = here?;
        let mut located = earlier
            .iter()
            .rev()
            .filter_map(|member| Some((member, self.position(member)?)));
        let (member, from) = located.next()?;
        let apart = newest.time.since(member.time);
        let reason = self.travel.as_ref()?.hit(apart, from, to)?;
        Some((member, reason))
    }

    /// The last event with a country, where it is another than that of the
    /// newest and not both have coordinates.
    fn differs<'m>(
        &self,
        earlier: &'m [Member],
        (newest, here): Placed<'_>,
    ) -> Option<(&'m Member, String)> {
        let difference = self.without_coordinates.as_ref()?;
        let last = earlier.iter().rfind(|member| self.is_named(member))?;
        if here.is_some() && self.position(last).is_some() {
            return None;
        }
        Some((last, difference.hit(last, newest)?))
    }

    /// Whether places are compared at all.
    fn is_of_places(&self) -> bool {
        self.travel.is_some() || self.without_coordinates.is_some()
    }

    fn position(&self, member: &Member) -> Option<(f64, f64)> {
        self.travel.as_ref()?.position(member)
    }

    /// Whether the event says of a country.
    fn is_named(&self, member: &Member) -> bool {
        self.without_coordinates.as_ref().is_some_and(|difference| {
            let text = member.values().first(difference.country);
            text.and_then(country).is_some()
        })
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
        if km < self.at_least || apart > self.within {
            return None;
        }
        let Some(limit) = self.faster_than else {
            let (far, within) = (self.at_least, self.within);
            return Some(format!(
                "{km:.0} km in {apart}, at least {far} km within {within}"
            ));
        };
        let apart = apart.max(Nanos::SECOND);
        let speed = km / apart.hours();
        (speed > limit)
            .then(|| format!("{km:.0} km in {apart} is {speed:.0} km/h, faster than {limit} km/h"))
    }
}

/// Two places lack no more than this: what they share is all of a speed and all of a distance.
const TWO_PLACES: f64 = 2.0;

impl Travel<CaptureId> {
    /// Which shares of the speed and of the distance that are asked are missing.
    fn lacks(&self, apart: Nanos, from: (f64, f64), to: (f64, f64)) -> f64 {
        let km = great_circle_km(from, to);
        let speed = km / apart.max(Nanos::SECOND).hours();
        let missing = |number: f64, asked: f64| {
            if number >= asked {
                0.0
            } else {
                1.0 - number / asked
            }
        };
        missing(km, self.at_least) + self.faster_than.map_or(0.0, |limit| missing(speed, limit))
    }

    /// How fast somebody would have travelled, beside what is asked.
    fn said(&self, apart: Nanos, from: (f64, f64), to: (f64, f64)) -> String {
        let (km, far, within) = (great_circle_km(from, to), self.at_least, self.within);
        let speed = km / apart.max(Nanos::SECOND).hours();
        let faster = self.faster_than;
        let faster = faster.map_or_else(String::new, |limit| {
            format!("faster than {limit} km/h and ")
        });
        format!(
            "{km:.0} km in {apart} is {speed:.0} km/h, where {faster}at least {far} km within {within} is asked"
        )
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
