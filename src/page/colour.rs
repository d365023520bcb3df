//! The colours of the charts by name, as they are without a style sheet; `style.css` has those of the dark theme under the same names.

/// A colour: what the class of a line (`s-`), an area (`f-`) or a text (`t-`) ends with, and its light value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
}

const fn colour(name: &'static str, value: &'static str) -> Colour {
    Colour { name, value }
}

pub(super) const RESPONSE: Colour = colour("resp", "#0b63b5");
pub(super) const SERVICE: Colour = colour("serv", "#c2550a");
pub(super) const P99: Colour = colour("p99", "#c2185b");
pub(super) const LAG: Colour = colour("lag", "#6b5bb5");
pub(super) const GRID: Colour = colour("grid", "#eceef0");
pub(super) const AXIS: Colour = colour("axis", "#6b7480");
pub(super) const INK: Colour = colour("ink", "#1c1f24");
pub(super) const SOFT: Colour = colour("soft", "#59616d");
pub(super) const BAND: Colour = colour("band", "#c2550a");
pub(super) const GOOD: Colour = colour("good", "#1d7d5a");
pub(super) const WARNING: Colour = colour("warn", "#a36200");
pub(super) const BAD: Colour = colour("bad", "#b3261e");
pub(super) const CARD: Colour = colour("card", "#ffffff");
pub(super) const BAR_TEXT: Colour = colour("bar", "#ffffff");

/// How readings ended, in the order of [`outcome_counts`](super::outcome_counts).
pub(super) const OUTCOMES: [Colour; 6] = [
    colour("ok", "#b9c9d9"),
    colour("shed", "#e8a33d"),
    colour("error", "#d1495b"),
    colour("timeout", "#8e5ea2"),
    colour("lost", "#22262c"),
    colour("dropped", "#7f8790"),
];

/// Lines of equal rank: phases, fleets.
pub(super) const LINES: [Colour; 8] = [
    colour("c0", "#0b63b5"),
    colour("c1", "#c2550a"),
    colour("c2", "#1d7d5a"),
    colour("c3", "#8e5ea2"),
    colour("c4", "#a36200"),
    colour("c5", "#c2185b"),
    colour("c6", "#3b7488"),
    colour("c7", "#59616d"),
];

/// Where the time of a reading goes.
pub(super) const STAGES: [Colour; 6] = [
    colour("network", "#56708c"),
    colour("queue", "#c2550a"),
    colour("cache", "#4a7d35"),
    colour("inference", "#6f5db8"),
    colour("wait", "#8a5a00"),
    colour("other", "#5a616b"),
];

/// Steps of a heat map from few to many: one hue of falling lightness, for every colour vision, and grey in print.
pub(super) const HEAT: [&str; 10] = [
    "#e3eef8", "#cbe0f2", "#aaccea", "#84b6df", "#5f9fd3", "#3f86c2", "#256bab", "#125090", "#083a70",
    "#05264d",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The colours of each theme of the style sheet, by name: light, dark by the system, dark by choice, print.
    fn themes() -> Vec<BTreeMap<&'static str, &'static str>> {
        let blocks = include_str!("style.css").split('{').filter(|block| block.starts_with("--"));
        let pairs = |block: &'static str| {
            let rules = block.split(['}', ';']).filter_map(|rule| rule.strip_prefix("--")?.split_once(':'));
            rules.collect()
        };
        blocks.map(pairs).collect()
    }

    /// Relative luminance of `#rgb` or `#rrggbb`, as WCAG 2 has it.
    fn luminance(value: &str) -> f64 {
        let digits = value.trim_start_matches('#');
        let width = digits.len() / 3;
        let channel = |nth: usize| {
            let part = digits[nth * width..(nth + 1) * width].repeat(3 - width);
            let share = f64::from(u8::from_str_radix(&part, 16).unwrap()) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { libm::pow((share + 0.055) / 1.055, 2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_text_stands_out_from_its_ground_in_every_theme() {
        let themes = themes();
        assert_eq!(themes.len(), 4);
        // Text of the page lies on cards and between them, names of lines and faults only on cards.
        let page = ["ink", "soft", "faint", "resp", "good", "warn", "bad"];
        let charts = ["serv", "p99", "lag", "axis", "band"].into_iter().chain(LINES.map(|line| line.name));
        let on = |ground| move |name| (name, ground);
        let pairs: Vec<_> =
            page.into_iter().map(on("bg")).chain(page.into_iter().chain(charts).map(on("card"))).collect();
        for theme in &themes {
            for (name, ground) in &pairs {
                let found = contrast(theme[name], theme[ground]);
                assert!(found >= 4.5, "{name} on {ground}: {found:.2} in {theme:?}");
            }
        }
        for stage in STAGES {
            assert!(contrast(stage.value, BAR_TEXT.value) >= 4.5, "{stage:?}");
        }
    }

    #[test]
    fn a_chart_without_a_style_sheet_has_the_colours_of_the_light_theme_and_of_print() {
        let themes = themes();
        let named = [RESPONSE, SERVICE, P99, LAG, GRID, AXIS, INK, SOFT, BAND, GOOD, WARNING, BAD, CARD];
        for Colour { name, value } in named.into_iter().chain(OUTCOMES).chain(LINES) {
            assert_eq!((themes[0][name], themes[3][name]), (value, value), "{name}");
        }
        for (step, value) in (1..).zip(HEAT) {
            let name = format!("h{step}");
            assert_eq!((themes[0][name.as_str()], themes[3][name.as_str()]), (value, value), "{name}");
        }
        // More is darker on white and lighter on black, so that the steps are told apart by whoever sees no colours.
        for (theme, rises) in themes.iter().zip([false, true, true, false]) {
            let steps: Vec<_> =
                (1..=HEAT.len()).map(|step| luminance(theme[format!("h{step}").as_str()])).collect();
            assert!(steps.is_sorted_by(|one, next| (one < next) == rises), "{steps:?}");
        }
    }
}
