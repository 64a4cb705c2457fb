//! Owns what is made of many measured values: the lowest, the median, the highest.

use serde::Serialize;

/// Measured values in order; there is at least one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// The values in order; nothing if there are none. What is not a number counts as none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    /// The lowest.
    pub fn lowest(&self) -> f64 {
        self.0[0]
    }

    /// The highest.
    pub fn highest(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The median; of an even number, the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let upper = self.0.len() / 2;
        let lower = (self.0.len() - 1) / 2;
        f64::midpoint(self.0[lower], self.0[upper])
    }
}

/// `part` of `whole` in percent; zero of nothing.
pub fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn nothing_makes_no_sample() {
        assert_eq!(Sample::of([]), None);
        assert_eq!(Sample::of([f64::NAN]), None);
    }

    #[test]
    fn the_order_of_measuring_does_not_matter() {
        let sample = sample(&[3.0, 1.0, 2.0]);
        assert_eq!((sample.lowest(), sample.median(), sample.highest()), (1.0, 2.0, 3.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(sample(&[1.0, 2.0, 4.0, 100.0]).median(), 3.0);
        assert_eq!(sample(&[7.0]).median(), 7.0);
    }

    #[test]
    fn a_share_of_nothing_is_zero() {
        assert_eq!(percent(1.0, 4.0), 25.0);
        assert_eq!(percent(1.0, 0.0), 0.0);
    }
}
