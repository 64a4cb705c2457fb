//! Sizes, durations, times and counts for people.

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// `0 B`, `4 KiB`, `1.5 MiB`, `256 MiB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would round to 1024 belongs to the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 99.95 && (value * 10.0).round() % 10.0 != 0.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `85 us`, `1.2 ms`, `12.3 s`, `3m 02s`, `4h 05m`, `6d 07h`.
pub(super) fn duration(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..999_950 => format!("{:.1} ms", micros as f64 / 1e3),
        999_950..59_950_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ => match seconds.max(60) {
            s @ 0..3_600 => format!("{}m {:02}s", s / 60, s % 60),
            s @ 3_600..86_400 => format!("{}h {:02}m", s / 3_600, s / 60 % 60),
            s => format!("{}d {:02}h", s / 86_400, s / 3_600 % 24),
        },
    }
}

/// A time in microseconds since 1970 as `2026-11-22T12:44:11.123456Z`.
pub(super) fn time(micros: u64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// `1 domain`, `2 domains`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Year, month and day of a number of days since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01: then the leap day ends its year, and the lengths of the months
    // before it follow one formula. 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (1536 << 10, "1.5 MiB"),
            (256 << 20, "256 MiB"),
            ((1 << 20) - 1, "1 MiB"),
            (3 << 30, "3 GiB"),
            (u64::MAX, "16384 PiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations() {
        let cases = [
            (0, "0 us"),
            (999, "999 us"),
            (1_250, "1.2 ms"),
            (999_949, "999.9 ms"),
            (999_950, "1.0 s"),
            (59_949_999, "59.9 s"),
            (59_950_000, "1m 00s"),
            (182_000_000, "3m 02s"),
            (14_700_000_000, "4h 05m"),
            (543_600_000_000, "6d 07h"),
        ];
        for (micros, text) in cases {
            assert_eq!(duration(micros), text);
        }
    }

    #[test]
    fn times() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(time(seconds * 1_000_000), text);
        }
        assert_eq!(time(1), "1970-01-01T00:00:00.000001Z");
        assert!(time(u64::MAX).ends_with('Z'));
    }
}
