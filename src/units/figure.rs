//! Figures as people read them: times with three significant digits and a unit, grouped counts. Sentences that files hold are made of
//! these, in plain ASCII; `display` shows the same with the signs of a screen that has more.

/// `ns` nanoseconds with three significant digits: `412 us`, `1.24 ms`, `12.0 s`.
pub(crate) fn time(ns: u64) -> String {
    precise_time(ns, 3)
}

/// A time that is round as a rule, such as a time-out, without idle zeros: `5 s`.
pub(crate) fn round_time(ns: u64) -> String {
    let text = time(ns);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A time beside a bound, with as many more digits as it takes to tell the two apart, so that 250.3 ms do not look like the 250 ms
/// that they missed.
pub(crate) fn time_beside(ns: u64, bound_ns: u64) -> String {
    let tells = |digits: &u32| rounded(ns, *digits).cmp(&bound_ns) == ns.cmp(&bound_ns);
    precise_time(ns, (3..=6).find(tells).unwrap_or(6))
}

fn precise_time(ns: u64, digits: u32) -> String {
    let rounded = rounded(ns, digits);
    let unit = [1_000, 1_000_000, 1_000_000_000].iter().filter(|&&bound| rounded >= bound).count();
    let one = 1_000_u64.pow(unit as u32);
    let before = (rounded / one).checked_ilog10().unwrap_or(0) + 1;
    let decimals = if unit == 0 { 0 } else { digits.saturating_sub(before) as usize };
    let name = ["ns", "us", "ms", "s"].get(unit).unwrap_or(&"s");
    format!("{:.decimals$} {name}", rounded as f64 / one as f64)
}

/// `number` with so many significant digits.
fn rounded(number: u64, digits: u32) -> u64 {
    let scale = 10_u64.pow((number.checked_ilog10().unwrap_or(0) + 1).saturating_sub(digits));
    number.saturating_add(scale / 2) / scale * scale
}

/// An instant, nanoseconds after the run began: as a time, but tenths of a second are told in long runs too: `412 ms`, `12.3 s`,
/// `5,432.1 s`.
pub(crate) fn instant(ns: u64) -> String {
    const TENTH: u64 = 100_000_000;
    match ns {
        0 => "0 s".to_owned(),
        1..99_950_000_000 => time(ns),
        _ => {
            let tenths = ns.saturating_add(TENTH / 2) / TENTH;
            format!("{}.{} s", count(tenths / 10), tenths % 10)
        }
    }
}

/// `count` in groups of three: `12,000`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of what `noun` names: `1 device`, `3 devices`, `20,067 devices`, `2 switches`, `0 deliveries`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    let (stem, end) = match noun.strip_suffix('y') {
        _ if number == 1 => (noun, ""),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => (stem, "ies"),
        _ if ["ch", "sh", "s", "x"].iter().any(|hiss| noun.ends_with(hiss)) => (noun, "es"),
        _ => (noun, "s"),
    };
    format!("{} {stem}{end}", count(number))
}

/// So many of what `one` is called, and several of which `many`: `1 connection or reading`.
pub(crate) fn counted(number: u64, [one, many]: [&str; 2]) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// So many of all of what `noun` names: `0 of 1 run`, `2 of 3 runs`.
pub(crate) fn part_of(some: u64, all: u64, noun: &str) -> String {
    format!("{} of {}", count(some), plural(all, noun))
}

/// How often: `once`, `3 times`.
pub(crate) fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{} times", count(number)) }
}

/// Events per second: `2,400/s`, `12.5/s`, `0.333/s`. Not finite or negative reads as none.
pub(crate) fn rate(per_second: f64) -> String {
    let rate = if per_second.is_finite() { per_second.max(0.0) } else { 0.0 };
    match rate {
        0.0 => "0/s".to_owned(),
        _ if rate < 0.995 => format!("{rate:.3}/s"),
        _ if rate < 99.95 => {
            let text = format!("{rate:.1}");
            format!("{}/s", text.strip_suffix(".0").unwrap_or(&text))
        }
        _ => format!("{}/s", count(rate.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_three_significant_digits_and_the_unit_that_suits_them() {
        for (ns, text) in [
            (0, "0 ns"),
            (7, "7 ns"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (412_345, "412 us"),
            (999_499, "999 us"),
            (999_500, "1.00 ms"),
            (1_240_000, "1.24 ms"),
            (12_345_678, "12.3 ms"),
            (99_950_000, "100 ms"),
            (5_003_800_000, "5.00 s"),
            (9_319_743_000, "9.32 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn a_round_time_has_no_idle_zeros() {
        for (ms, text) in [(40_000, "40 s"), (2_500, "2.5 s"), (100_000, "100 s"), (250, "250 ms")] {
            assert_eq!(round_time(ms * 1_000_000), text);
        }
    }

    #[test]
    fn a_time_beside_a_bound_shows_on_which_side_it_is() {
        let ms = |ms: f64| (ms * 1e6) as u64;
        for (value, bound, text) in [
            (12.3, 250.0, "12.3 ms"),
            (250.3, 250.0, "250.3 ms"),
            (249.96, 250.0, "249.96 ms"),
            (250.0, 250.0, "250 ms"),
            (1_000.4, 1_000.0, "1.0004 s"),
            (250.000_001, 250.0, "250.000 ms"),
        ] {
            assert_eq!(time_beside(ms(value), ms(bound)), text);
        }
    }

    #[test]
    fn an_instant_of_a_long_run_keeps_its_tenths() {
        for (ms, text) in [
            (0, "0 s"),
            (1, "1.00 ms"),
            (12_345, "12.3 s"),
            (99_949, "99.9 s"),
            (99_950, "100.0 s"),
            (5_432_149, "5,432.1 s"),
        ] {
            assert_eq!(instant(ms * 1_000_000), text);
        }
    }

    #[test]
    fn counts_are_grouped_and_rates_keep_what_matters() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (number, noun, text) in [
            (1, "device", "1 device"),
            (20_067, "device", "20,067 devices"),
            (0, "switch", "0 switches"),
            (1, "switch", "1 switch"),
            (2, "delivery", "2 deliveries"),
            (1, "delivery", "1 delivery"),
            (3, "key", "3 keys"),
            (4, "loss", "4 losses"),
        ] {
            assert_eq!(plural(number, noun), text);
        }
        assert_eq!((part_of(0, 1, "run"), part_of(1, 3, "run")), ("0 of 1 run".into(), "1 of 3 runs".into()));
        assert_eq!((times(1), times(2_000)), ("once".into(), "2,000 times".into()));
        for (per_second, text) in [
            (0.0, "0/s"),
            (1.0 / 3.0, "0.333/s"),
            (12.5, "12.5/s"),
            (30.0, "30/s"),
            (2_400.4, "2,400/s"),
            (f64::NAN, "0/s"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }

    proptest! {
        #[test]
        fn a_printed_time_is_within_half_a_percent_and_short(ns in 1_u64..10_000_000_000_000) {
            let text = time(ns);
            let (number, unit) = text.split_once(' ').unwrap();
            let one = match unit { "ns" => 1.0, "us" => 1e3, "ms" => 1e6, _ => 1e9 };
            let read = number.parse::<f64>().unwrap() * one;
            prop_assert!((read - ns as f64).abs() <= ns as f64 * 0.005_01, "{ns} {text}");
            prop_assert!(text.len() <= 8, "{text}");
        }
    }
}
