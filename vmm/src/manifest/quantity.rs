//! A number with a unit, as sizes and times are written: `64 MiB`, `500ms`.

/// The number's digits, and the unit; either is empty where there is none.
pub(super) fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_a_matter_of_taste() {
        assert_eq!(number_and_unit("500ms"), ("500", "ms"));
        assert_eq!(number_and_unit(" 2  min "), ("2", "min"));
        for (text, parts) in [("", ("", "")), ("7", ("7", "")), ("ms", ("", "ms"))] {
            assert_eq!(number_and_unit(text), parts);
        }
    }
}
