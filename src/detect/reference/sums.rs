//! Numbers, read and added up in the plainest way that is exact.

/// The number that a text spells, blanks around it left out.
pub fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

/// So many binary places are counted behind the point.
const PLACES: i32 = 60;

/// The sum of doubles, exact and then rounded once. None has a place behind the last one, and
/// none is so large that they would not fit.
pub fn exact_sum(numbers: &[f64]) -> f64 {
    let sum: i128 = numbers.iter().map(|number| units(*number)).sum();
    sum as f64 / f64::from(PLACES).exp2()
}

/// A double in units of the last place.
fn units(number: f64) -> i128 {
    let scaled = number * f64::from(PLACES).exp2();
    assert!(
        scaled.fract() == 0.0 && scaled.abs() < 2_f64.powi(120),
        "{number}"
    );
    scaled as i128
}

/// The smallest number that so many of all, in thousandths of a percent, do not exceed.
pub fn nearest_rank(numbers: &[f64], share: usize) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
    let enough = |at: &usize| (at + 1) * 100_000 >= share * sorted.len();
    let rank = (0..sorted.len()).find(enough);
    sorted[rank.expect("all of them are enough")]
}

#[test]
fn sums_are_exact() {
    assert_eq!(exact_sum(&[0.1, 0.2]), 0.300_000_000_000_000_04);
    assert_eq!(exact_sum(&[1e17, 0.1, -1e17]), 0.1);
    assert_eq!(nearest_rank(&[3.0, 1.0, 2.0, 4.0], 50_000), 2.0);
    assert_eq!(nearest_rank(&[3.0, 1.0, 2.0, 4.0], 0), 1.0);
    assert_eq!(nearest_rank(&[3.0, 1.0, 2.0, 4.0], 75_001), 4.0);
}
