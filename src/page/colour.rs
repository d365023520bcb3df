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
