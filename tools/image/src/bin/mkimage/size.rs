//! Sizes as people write and read them.

/// Units by falling size: a letter, its spelling, and the power of two.
const UNITS: [(char, &str, u32); 3] = [('G', "GiB", 30), ('M', "MiB", 20), ('K', "KiB", 10)];

/// The size that a text such as `16M`, `64KiB` or `4096` means, in bytes.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = shift_of(unit.trim_start());
    let size = number.parse::<u64>().ok().zip(shift);
    size.and_then(|(number, shift)| number.checked_mul(1 << shift))
        .ok_or_else(|| "not a size; write bytes, or a whole number with K, M or G".to_owned())
}

fn shift_of(unit: &str) -> Option<u32> {
    if unit.is_empty() || unit.eq_ignore_ascii_case("B") {
        return Some(0);
    }
    let matches = |letter: char, name: &str| {
        unit.eq_ignore_ascii_case(name)
            || unit.eq_ignore_ascii_case(letter.encode_utf8(&mut [0; 4]))
    };
    UNITS.iter().find(|(letter, name, _)| matches(*letter, name)).map(|&(_, _, shift)| shift)
}

/// A size in its largest fitting unit, with a decimal unless it is whole.
pub fn show(size: u64) -> String {
    let Some(&(_, name, shift)) = UNITS.iter().find(|(_, _, shift)| size >> shift > 0) else {
        return format!("{size} B");
    };
    if size.is_multiple_of(1 << shift) {
        format!("{} {name}", size >> shift)
    } else {
        format!("{:.1} {name}", size as f64 / f64::from(1 << shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let cases = [("0", 0), ("4096", 4096), ("64K", 65_536), ("64kib", 65_536), ("9 B", 9)];
        for (text, size) in cases {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
        assert_eq!(parse("16M"), Ok(16 << 20));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "M", "-1", "1.5M", "12X", "K64", "99999999999G", "18446744073709551616"] {
            let message = "not a size; write bytes, or a whole number with K, M or G";
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_their_largest_unit() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB")];
        for (size, text) in cases {
            assert_eq!(show(size), text);
        }
        assert_eq!(show(16 << 20), "16 MiB");
        assert_eq!(show(3 << 29), "1.5 GiB");
    }
}
