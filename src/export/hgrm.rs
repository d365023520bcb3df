//! `.hgrm`: the percentile distribution that `HdrHistogram`'s plotters read, as Java's `outputPercentileDistribution` writes it.
//!
//! Rows are taken at five percentiles per halving of the distance to 100 %. The crate's own iterator rounds levels in other
//! places than Java's; the steps here are those of Java's `PercentileIterator`, in per cent like them.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::format::{Format, Writer};

const TICKS_PER_HALF_DISTANCE: i64 = 5;
const NS_PER_MS: f64 = 1e6;

pub(super) const FORMAT: Format = Format {
    name: "hgrm",
    about: "percentiles for HdrHistogram's plotters: a file FILE.hgrm, or a folder with one per tag; of a run only",
    run: Writer::Distribution(distribution),
    comparison: Writer::Unsuited(
        "a distribution is of one run: write `squall report RUN --format hgrm=FILE.hgrm`",
    ),
};

/// The distribution of `times`, recorded in nanoseconds, in milliseconds.
pub fn distribution(times: &Histogram<u64>) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for Row { value_ns, percent, count } in rows(times) {
        let (value, share) = (value_ns as f64 / NS_PER_MS, percent / 100.0);
        let _ = write!(text, "{value:12.3} {share:2.12} {count:10}");
        // At 100 % the last column is infinite, and left out.
        let _ =
            if percent < 100.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - share)) } else { writeln!(text) };
    }
    let max = if times.is_empty() { 0 } else { times.max() };
    let buckets = u32::from(times.buckets());
    let sub_buckets = times.distinct_values() as u32 / (buckets + 1) * 2;
    let (mean, deviation) = (times.mean() / NS_PER_MS, times.stdev() / NS_PER_MS);
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ =
        writeln!(text, "#[Max     = {:12.3}, Total count    = {:12}]", max as f64 / NS_PER_MS, times.len());
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]");
    text
}

struct Row {
    /// The largest value that counts as this one.
    value_ns: u64,
    /// The level the row stands for, per cent.
    percent: f64,
    /// Values up to it.
    count: u64,
}

fn rows(times: &Histogram<u64>) -> Vec<Row> {
    let total = times.len();
    let (mut rows, mut level, mut count, mut last) = (Vec::new(), 0.0_f64, 0, 0);
    for bucket in times.iter_recorded() {
        count += bucket.count_at_value();
        last = times.highest_equivalent(bucket.value_iterated_to());
        while level < 100.0 && 100.0 * count as f64 / total as f64 >= level {
            rows.push(Row { value_ns: last, percent: level, count });
            level += 100.0 / ticks(level) as f64;
            if count >= total {
                break;
            }
        }
    }
    if total > 0 {
        rows.push(Row { value_ns: last, percent: 100.0, count: total });
    }
    rows
}

/// Into how many steps all of 0 to 100 % would be cut at the pace of `level`, per cent below 100.
fn ticks(level: f64) -> i64 {
    let halvings = (100.0 / (100.0 - level)).log2() as u32 + 1;
    TICKS_PER_HALF_DISTANCE.saturating_mul(1_i64.checked_shl(halvings).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap()
    }

    #[test]
    fn the_table_is_that_of_java() {
        let mut times = histogram();
        for n in 1..=20_u64 {
            times.record(n * 1_000_000).unwrap();
        }
        insta::assert_snapshot!(distribution(&times), @r#"
       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          1           1.00
       2.001 0.100000000000          2           1.11
       4.002 0.200000000000          4           1.25
       6.001 0.300000000000          6           1.43
       8.004 0.400000000000          8           1.67
      10.002 0.500000000000         10           2.00
      11.002 0.550000000000         11           2.22
      12.001 0.600000000000         12           2.50
      13.001 0.650000000000         13           2.86
      14.000 0.700000000000         14           3.33
      15.008 0.750000000000         15           4.00
      16.007 0.775000000000         16           4.44
      16.007 0.800000000000         16           5.00
      17.007 0.825000000000         17           5.71
      17.007 0.850000000000         17           6.67
      18.006 0.875000000000         18           8.00
      18.006 0.887500000000         18           8.89
      18.006 0.900000000000         18          10.00
      19.005 0.912500000000         19          11.43
      19.005 0.925000000000         19          13.33
      19.005 0.937500000000         19          16.00
      19.005 0.943750000000         19          17.78
      19.005 0.950000000000         19          20.00
      20.005 0.956250000000         20          22.86
      20.005 1.000000000000         20
#[Mean    =       10.499, StdDeviation   =        5.766]
#[Max     =       20.005, Total count    =           20]
#[Buckets =           26, SubBuckets     =         2048]
"#);
    }

    #[test]
    fn an_empty_distribution_has_no_rows() {
        let text = distribution(&histogram());
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("Total count    =            0"), "{text}");
    }
}
