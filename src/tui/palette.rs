//! The colours of the screen, as far as the terminal has them.

use ratatui::style::{Color, Modifier, Style};

/// How many colours a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// None: shapes and weights alone.
    Plain,
    /// The sixteen of every terminal.
    Sixteen,
    /// The 256 of xterm.
    Indexed,
    /// Any.
    Full,
}

/// What something means; its colour follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// What is read first.
    Text,
    /// Names of things, units, keys' words.
    Soft,
    /// The program's own name.
    Brand,
    /// The 99th percentile.
    P99,
    Good,
    Warn,
    Bad,
    /// A fault, and what waits because of it.
    Fault,
    /// What was answered.
    Ok,
    /// A key.
    Key,
    /// What is chosen.
    Chosen,
}

type Rgb = (u8, u8, u8);

/// Behind everything.
const GROUND: Rgb = (20, 24, 30);
/// Behind phases, in turn.
const BANDS: [Rgb; 2] = [(40, 46, 55), (58, 66, 78)];
/// Where a fault was on.
const TINT: Rgb = (48, 37, 30);
/// From few readings to many.
const HEAT: [Rgb; 10] = [
    (24, 36, 51),
    (27, 48, 72),
    (30, 63, 97),
    (32, 80, 125),
    (35, 99, 155),
    (45, 121, 184),
    (71, 147, 208),
    (111, 175, 226),
    (162, 205, 240),
    (220, 237, 251),
];
/// The same without colours, or with few.
const SHADES: [char; 4] = ['░', '▒', '▓', '█'];

/// Colours and shapes for a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    depth: Depth,
}

impl Palette {
    pub(crate) const fn new(depth: Depth) -> Self {
        Self { depth }
    }

    /// Whether two colours share a cell, in half blocks; otherwise cells are shaded.
    pub(super) fn has_blocks(self) -> bool {
        matches!(self.depth, Depth::Indexed | Depth::Full)
    }

    fn colour(self, rgb: Rgb, named: Color) -> Color {
        match self.depth {
            Depth::Plain => Color::Reset,
            Depth::Sixteen => named,
            Depth::Indexed => Color::Indexed(nearest(rgb)),
            Depth::Full => Color::Rgb(rgb.0, rgb.1, rgb.2),
        }
    }

    /// What everything is drawn on. Terminals that mix no colours keep their own.
    pub(super) fn ground(self) -> Style {
        let style = Style::new().fg(self.colour((230, 233, 238), Color::Reset));
        if self.has_blocks() { style.bg(self.colour(GROUND, Color::Reset)) } else { style.bg(Color::Reset) }
    }

    pub(super) fn style(self, ink: Ink) -> Style {
        let of = |rgb, named| Style::new().fg(self.colour(rgb, named));
        let plain = self.depth == Depth::Plain;
        match ink {
            Ink::Text => of((230, 233, 238), Color::Reset),
            Ink::Soft if self.has_blocks() => of((150, 160, 172), Color::Gray),
            Ink::Soft => of((150, 160, 172), Color::Reset).add_modifier(Modifier::DIM),
            Ink::Brand => of((108, 178, 245), Color::LightBlue).add_modifier(Modifier::BOLD),
            Ink::P99 => of((255, 127, 176), Color::LightMagenta),
            Ink::Good => of((92, 200, 160), Color::Green),
            Ink::Warn | Ink::Bad if plain => Style::new().add_modifier(Modifier::BOLD),
            Ink::Warn => of((229, 174, 79), Color::Yellow),
            Ink::Bad => of((255, 138, 128), Color::LightRed),
            Ink::Fault => of((240, 152, 90), Color::Yellow),
            Ink::Ok => of((108, 178, 245), Color::LightBlue),
            Ink::Key | Ink::Chosen if !self.has_blocks() => Style::new().add_modifier(Modifier::REVERSED),
            Ink::Key => of(GROUND, Color::Black).bg(self.colour((150, 160, 172), Color::Gray)),
            Ink::Chosen => of(GROUND, Color::Black).bg(self.colour((229, 174, 79), Color::Yellow)),
        }
    }

    /// Behind a phase; `None` where phases are told apart by a line instead.
    pub(super) fn band(self, nth: usize) -> Option<Color> {
        self.has_blocks().then(|| self.colour(BANDS[nth % 2], Color::Reset))
    }

    /// Behind the heat map where a fault was on.
    pub(super) fn tint(self) -> Option<Color> {
        self.has_blocks().then(|| self.colour(TINT, Color::Reset))
    }

    /// The colour of a share of the most readings, more than 0 to 1.
    pub(super) fn heat(self, share: f64) -> Color {
        let step = (share.clamp(0.0, 1.0) * 9.999) as usize;
        self.colour(HEAT[step.min(HEAT.len() - 1)], Color::LightBlue)
    }

    /// The shape of it, for terminals without half blocks.
    pub(super) fn shade(share: f64) -> char {
        SHADES[((share.clamp(0.0, 1.0) * 3.999) as usize).min(SHADES.len() - 1)]
    }
}

/// The xterm colour that is nearest.
fn nearest((red, green, blue): Rgb) -> u8 {
    const STEPS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let step = |value: u8| {
        let far = |nth: &usize| (STEPS[*nth] - i32::from(value)).abs();
        (0..6).min_by_key(far).unwrap_or(0)
    };
    let (r, g, b) = (step(red), step(green), step(blue));
    let distance = |other: [i32; 3]| -> i32 {
        [red, green, blue].iter().zip(other).map(|(own, other)| (i32::from(*own) - other).pow(2)).sum()
    };
    let grey = ((i32::from(red) + i32::from(green) + i32::from(blue)) / 3 - 3).clamp(0, 235) / 10;
    let grey_value = 8 + 10 * grey;
    if distance([grey_value; 3]) < distance([STEPS[r], STEPS[g], STEPS[b]]) {
        232 + grey as u8
    } else {
        (16 + 36 * r + 6 * g + b) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_to_the_nearest_that_a_terminal_has() {
        for (rgb, index) in
            [((0, 0, 0), 16), ((255, 255, 255), 231), ((95, 135, 175), 67), ((20, 24, 30), 234)]
        {
            assert_eq!(nearest(rgb), index, "{rgb:?}");
        }
        assert_eq!(Palette::new(Depth::Plain).style(Ink::P99).fg, Some(Color::Reset));
        assert_eq!([0.01, 0.3, 0.6, 1.0].map(Palette::shade), ['░', '▒', '▓', '█']);
    }
}
