//! Colours and markers that readers can tell apart: also colour-blind readers, on paper, and in the
//! dark.
//!
//! Plots are drawn in the light colours. Where a reader prefers the dark, a style sheet replaces
//! each of them. Its rules select elements by the colour that was drawn. So a program without style
//! sheets shows the light colours.

use plotters::style::RGBColor;

use crate::variant::Variant;

/// A colour in light and in dark surroundings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tone {
    pub(crate) light: RGBColor,
    pub(crate) dark: RGBColor,
}

/// Text and axes.
pub(crate) const INK: Tone = tone(0x1F2328, 0xE6EDF3);
/// Text of less weight.
pub(crate) const MUTED: Tone = tone(0x59636E, 0x9DA7B3);
/// Lines behind the figures.
pub(crate) const GRID: Tone = tone(0xD8DEE4, 0x30373F);
/// The background of everything.
pub(crate) const PAPER: Tone = tone(0xFFFFFF, 0x0F141A);
/// The background of oversubscribed points.
pub(crate) const SHADE: Tone = tone(0xF3F0EA, 0x1B2129);

/// The shape that marks a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Triangle,
    Square,
    Circle,
    Diamond,
    Cross,
}

/// How a variant is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) tone: Tone,
    pub(crate) marker: Marker,
    /// Whether the variant is a bound, not an answer.
    pub(crate) dashed: bool,
}

/// How `variant` is drawn: colours after Okabe and Ito.
pub(crate) fn look(variant: Variant) -> Look {
    let (tone, marker) = match variant {
        Variant::InvalidateTwice => (tone(0xA6761D, 0xD9A441), Marker::Triangle),
        Variant::EntryLockOutside => (tone(0x7B4B94, 0xB08CC9), Marker::Square),
        Variant::RwsemCopy => (tone(0x3B5B92, 0x8FA8D8), Marker::Circle),
        Variant::RangeLockCopy => (tone(0x4C7A34, 0x93C47D), Marker::Diamond),
        Variant::Linux411 => (tone(0xD55E00, 0xF0803C), Marker::Triangle),
        Variant::Linux412 => (tone(0xB65C94, 0xDB94BE), Marker::Square),
        Variant::Rwsem => (tone(0x0072B2, 0x56B4E9), Marker::Circle),
        Variant::RangeLock => (tone(0x008F68, 0x1FC796), Marker::Diamond),
        Variant::Unserialised => (tone(0x77797C, 0xA3A8AE), Marker::Cross),
    };
    Look { tone, marker, dashed: variant == Variant::Unserialised }
}

/// `#RRGGBB`, as the SVG backend writes it.
pub(crate) fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// Rules that turn every colour of a plot into its dark counterpart, for the elements under
/// `scope`.
pub(crate) fn dark_rules(scope: &str) -> String {
    let tones =
        [INK, MUTED, GRID, PAPER, SHADE].into_iter().chain(Variant::ALL.map(|variant| look(variant).tone));
    let mut rules = String::new();
    for tone in tones {
        let (light, dark) = (hex(tone.light), hex(tone.dark));
        rules.push_str(&format!(
            "{scope} [fill=\"{light}\"]{{fill:{dark}}}{scope} [stroke=\"{light}\"]{{stroke:{dark}}}\n"
        ));
    }
    rules
}

const fn tone(light: u32, dark: u32) -> Tone {
    Tone { light: rgb(light), dark: rgb(dark) }
}

const fn rgb(hex: u32) -> RGBColor {
    let [_, red, green, blue] = hex.to_be_bytes();
    RGBColor(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_light_colours_are_the_same() {
        // Otherwise a rule for one colour would also repaint the other.
        let mut colours: Vec<String> = [INK, MUTED, GRID, PAPER, SHADE]
            .into_iter()
            .chain(Variant::ALL.map(|variant| look(variant).tone))
            .map(|tone| hex(tone.light))
            .collect();
        let all = colours.len();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), all);
    }

    #[test]
    fn rules_select_by_the_light_colour() {
        assert!(dark_rules("svg").contains(r##"svg [fill="#FFFFFF"]{fill:#0F141A}"##));
    }
}
