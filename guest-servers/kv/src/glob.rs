//! Owns the patterns of KEYS, SCAN MATCH and CONFIG GET: `*`, `?`, `[a-z]`, `[^a-z]` and
//! `\` before a byte that is meant literally.
//!
//! Matching takes at most pattern times text steps: only the last `*` is ever tried again,
//! so no pattern from a client can hold the server for long.

/// Whether the whole of `text` fits `pattern`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the present try fails: behind the last star, one byte later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        let stepped = match text.get(t) {
            None if p == pattern.len() => return true,
            None => return false,
            Some(&byte) => step(&pattern[p..], byte),
        };
        match (stepped, retry) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((after_star, from))) => {
                retry = Some((after_star, from + 1));
                p = after_star;
                t = from + 1;
            }
            (None, None) => return false,
        }
    }
}

/// Matches one byte against the pattern's first element: that element's length, if it fits.
fn step(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (length, fits) = class_fits(class, byte);
            fits.then_some(length + 1)
        }
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// The length of a class (behind its bracket, closing bracket included) and whether `byte`
/// is in it. A class that is never closed ends with the pattern.
fn class_fits(class: &[u8], byte: u8) -> (usize, bool) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [] => return (at, found != negated),
            [b']', ..] => return (at + 1, found != negated),
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn redis_documented_patterns() {
        let cases: &[(&str, &str, bool)] = &[
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "hllo", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[a-b]llo", "hcllo", false),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hxllo", false),
            ("[\\]]", "]", true),
            ("[abc", "c", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**a*", "bab", true),
            ("?", "", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbXd", false),
            ("a\\", "a\\", true),
        ];
        for &(pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern:?} against {text:?}"
            );
        }
    }

    #[test]
    fn stars_do_not_multiply() {
        // Would take longer than the universe has lasted if every star were tried again.
        let pattern: Vec<u8> = b"a*".iter().copied().cycle().take(120).chain(*b"b").collect();
        assert!(!matches(&pattern, &[b'a'; 4096]));
    }

    /// The obvious definition, to compare with.
    fn simple(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|cut| simple(rest, &text[cut..])),
            ([_, ..], [byte, text @ ..]) => {
                step(pattern, *byte).is_some_and(|length| simple(&pattern[length..], text))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn same_as_the_definition(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\-]{0,8}") {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                simple(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn any_bytes_are_safe(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text);
            prop_assert!(matches(b"*", &text));
        }
    }
}
