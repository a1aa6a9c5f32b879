//! Shares and percentiles. Pure.

use std::time::Duration;

use record::{Millis, Percentiles};

/// `part` of `whole` in percent, to three decimals; `None` of nothing.
#[must_use]
pub fn percent(part: impl Into<u64>, whole: impl Into<u64>) -> Option<f64> {
    let (part, whole) = (u128::from(part.into()), u128::from(whole.into()));
    // In whole thousandths, rounded down: 100 means all of them.
    let thousandths = (part * 100_000).checked_div(whole)?;
    u32::try_from(thousandths).ok().map(|thousandths| f64::from(thousandths) / 1000.0)
}

/// Percentiles by the nearest-rank method; `None` of nothing.
#[must_use]
pub fn percentiles(values: impl IntoIterator<Item = Millis>) -> Option<Percentiles> {
    let mut values: Vec<f64> = values.into_iter().map(Millis::get).collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let rank = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100);
        millis(values[rank.clamp(1, values.len()) - 1])
    };
    Some(Percentiles {
        count: u32::try_from(values.len()).unwrap_or(u32::MAX),
        min: millis(min),
        p50: rank(50),
        p75: rank(75),
        p90: rank(90),
        p95: rank(95),
        p99: rank(99),
        max: millis(max),
    })
}

fn millis(value: f64) -> Millis {
    // Results with other values were refused when they were read.
    Duration::try_from_secs_f64(value / 1e3).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hundred_percent_means_all() {
        assert_eq!(percent(0_u32, 0_u32), None);
        assert_eq!(percent(1_u32, 3_u32), Some(33.333));
        assert_eq!(percent(999_999_u32, 1_000_000_u32), Some(99.999));
        assert_eq!(percent(7_u32, 7_u32), Some(100.0));
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100.0));
    }

    #[test]
    fn nearest_rank() {
        let of = |values: &[f64]| percentiles(values.iter().map(|value| millis(*value)));
        assert_eq!(of(&[]), None);
        let one = of(&[5.5]).unwrap();
        assert_eq!((one.min.get(), one.p50.get(), one.p99.get()), (5.5, 5.5, 5.5));
        let hundred = percentiles((1..=100).rev().map(f64::from).map(millis)).unwrap();
        assert_eq!((hundred.p50.get(), hundred.p95.get(), hundred.p99.get()), (50.0, 95.0, 99.0));
        assert_eq!((hundred.count, hundred.min.get(), hundred.max.get()), (100, 1.0, 100.0));
    }

    proptest! {
        #[test]
        fn percentiles_are_values_in_order(values in prop::collection::vec(0.0..1e6_f64, 1..200)) {
            let p = percentiles(values.into_iter().map(millis)).unwrap();
            let all = [p.min, p.p50, p.p75, p.p90, p.p95, p.p99, p.max];
            prop_assert!(all.is_sorted());
        }
    }
}
