//! Text that a guest wrote: bounded when it is stored, made harmless when it is shown.

/// Most bytes of a log line that are kept. A longer line is data in the wrong place, and the
/// journal's memory is this times its number of lines.
pub const TEXT_MAX: usize = 4096;

/// Ends a line of which a part was dropped.
const CUT: char = '…';

/// Guest bytes as text of at most [`TEXT_MAX`] bytes; one that had to be cut ends in `…`.
pub fn bounded(bytes: &[u8]) -> String {
    // Bytes that are not UTF-8 grow threefold on conversion, so cut before as well as after.
    let cut = bytes.len() > TEXT_MAX;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]);
    if !cut && text.len() <= TEXT_MAX {
        return text.into_owned();
    }
    let end = text.floor_char_boundary(TEXT_MAX - CUT.len_utf8());
    let mut kept = text[..end].to_owned();
    kept.push(CUT);
    kept
}

/// The text with all that could steer a terminal or reorder its line escaped, a tab excepted.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(c),
            c if c.is_control() || steers_layout(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Unicode's direction marks, line separators and invisible characters: not control characters,
/// but able to make a line read as something else.
fn steers_layout(c: char) -> bool {
    matches!(c,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_kept() {
        assert_eq!(bounded("grüße".as_bytes()), "grüße");
        assert_eq!(bounded(&[b'x'; TEXT_MAX]).len(), TEXT_MAX);
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let long = "é".repeat(TEXT_MAX);
        let kept = bounded(long.as_bytes());
        assert!(kept.len() <= TEXT_MAX && kept.len() > TEXT_MAX - 4, "{}", kept.len());
        assert!(kept.ends_with("é…"));
    }

    #[test]
    fn bytes_that_are_not_text_stay_bounded() {
        let kept = bounded(&[0xff; TEXT_MAX * 2]);
        assert!(kept.len() <= TEXT_MAX);
        assert!(kept.starts_with('\u{fffd}') && kept.ends_with('…'));
    }

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(printable("a\tb\x1b[31mred\r\nx"), "a\tb\\u{1b}[31mred\\r\\nx");
        assert_eq!(printable("\u{9b}2J\u{202e}evil"), "\\u{9b}2J\\u{202e}evil");
        assert_eq!(printable("naïve ✓"), "naïve ✓");
    }
}
