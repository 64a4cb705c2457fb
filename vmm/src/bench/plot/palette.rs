//! How each subject looks. Atoll is red, and drawn on top; relatives have related colours.

use plotters::style::RGBColor;

/// How a subject's points look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Disc,
    Triangle,
    Cross,
}

/// How a subject looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) colour: RGBColor,
    pub(super) marker: Marker,
    /// It is what the pictures are about.
    pub(super) ours: bool,
}

const KNOWN: [(&str, (u8, u8, u8), Marker); 15] = [
    ("atoll", (200, 30, 30), Marker::Disc),
    ("atoll raw", (235, 110, 40), Marker::Triangle),
    ("atoll ring", (225, 160, 30), Marker::Cross),
    ("atoll gateway", (150, 20, 90), Marker::Triangle),
    ("ping-pong", (70, 70, 70), Marker::Disc),
    ("memcpy", (140, 140, 140), Marker::Triangle),
    ("rtrb", (0, 90, 170), Marker::Disc),
    ("crossbeam", (70, 165, 225), Marker::Triangle),
    ("unix-stream", (0, 105, 75), Marker::Disc),
    ("pipe", (70, 165, 70), Marker::Triangle),
    ("eventfd", (145, 165, 30), Marker::Cross),
    ("futex", (0, 155, 150), Marker::Disc),
    ("ipc-channel", (120, 70, 170), Marker::Triangle),
    ("iceoryx2 pub-sub", (120, 70, 30), Marker::Disc),
    ("iceoryx2 request-response", (205, 95, 160), Marker::Cross),
];

/// The look of a subject, always the same.
pub(super) fn look(subject: &str) -> Look {
    let known = KNOWN.iter().find(|(name, ..)| *name == subject);
    let (colour, marker) =
        known.map_or(((50, 50, 120), Marker::Cross), |(_, colour, marker)| (*colour, *marker));
    let (red, green, blue) = colour;
    Look { colour: RGBColor(red, green, blue), marker, ours: subject.starts_with("atoll") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_subjects_look_alike() {
        for (index, (name, ..)) in KNOWN.iter().enumerate() {
            for (other, ..) in &KNOWN[index + 1..] {
                assert_ne!(look(name).colour, look(other).colour, "{name} and {other}");
            }
            assert_ne!(look(name).colour, look("unknown").colour);
        }
        assert!(look("atoll raw").ours && !look("rtrb").ours);
    }
}
