//! Owns the count of test results, read from what test programs print at their end.
//!
//! A count is what tells a green run from one that ran nothing.

use std::fmt;

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that are marked to be left out.
    pub ignored: u64,
    /// Test programs that ran to their end.
    pub programs: u64,
}

/// How a line starts that says whose the output behind it is.
pub const HEADING: &str = "test program: ";

/// Counts while the output comes in.
#[derive(Debug, Default)]
pub struct Counter {
    tally: Tally,
    programs: Vec<(String, u64)>,
    line: Vec<u8>,
}

impl Counter {
    /// Reads on in the output; lines may be cut anywhere between two calls.
    pub fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.read_line(&without_colour(&String::from_utf8_lossy(&line)));
            } else {
                self.line.push(byte);
            }
        }
    }

    fn read_line(&mut self, line: &str) {
        if let Some(name) = line.trim().strip_prefix(HEADING) {
            self.programs.push((name.to_owned(), 0));
        }
        let before = self.tally.programs;
        self.tally.read_line(line);
        if let Some((_, results)) = self.programs.last_mut() {
            *results += self.tally.programs - before;
        }
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many results came behind headings with this name: 1, if all is well.
    pub fn results_of(&self, program: &str) -> u64 {
        self.programs.iter().filter(|(name, _)| name == program).map(|(_, results)| results).sum()
    }
}

impl Tally {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.programs += other.programs;
    }

    fn read_line(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        self.programs += 1;
        let counts = result.split_once(". ").map_or("", |(_verdict, counts)| counts);
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, ignored, programs } = self;
        write!(f, "{passed} passed, {failed} failed, {ignored} ignored in {programs} test programs")
    }
}

/// `line` without the escape sequences that set colours.
fn without_colour(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            plain.push(character);
            continue;
        }
        // A sequence ends with its first letter.
        let _ = characters.by_ref().find(char::is_ascii_alphabetic);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEN: &str = "running 2 tests\n..\ntest result: ok. 2 passed; 0 failed; 1 ignored; \
        0 measured; 3 filtered out; finished in 0.01s\n\n";
    const RED: &str = "test result: \x1b[31mFAILED\x1b(B\x1b[m. 5 passed; 2 failed; 0 ignored; \
        0 measured; 0 filtered out; finished in 1.00s\r\n";

    fn count(parts: &[&str]) -> Tally {
        let mut counter = Counter::default();
        parts.iter().for_each(|part| counter.read(part.as_bytes()));
        counter.tally()
    }

    #[test]
    fn results_add_up_with_and_without_colour() {
        let tally = count(&[GREEN, RED]);
        assert_eq!(tally.to_string(), "7 passed, 2 failed, 1 ignored in 2 test programs");
        let mut sum = count(&[GREEN]);
        sum.add(&count(&[RED]));
        assert_eq!(sum, tally);
    }

    #[test]
    fn results_belong_to_the_heading_before_them() {
        let mut counter = Counter::default();
        for text in
            ["test program: one\r\n", GREEN, "test program: two\n", "test program: a b\n", RED]
        {
            counter.read(text.as_bytes());
        }
        let results = ["one", "two", "a b", "four"].map(|name| counter.results_of(name));
        assert_eq!(results, [1, 0, 1, 0]);
        assert_eq!(counter.tally().programs, 2);
    }

    #[test]
    fn lines_may_be_cut_anywhere() {
        for cut in 0..GREEN.len() {
            assert_eq!(count(&[&GREEN[..cut], &GREEN[cut..]]), count(&[GREEN]));
        }
    }

    #[test]
    fn what_only_looks_like_a_result_counts_nothing() {
        let text = "test results: ok. 2 passed;\nassertion: test result: ok. 9 passed; 0 failed\n";
        assert_eq!(count(&[text]), Tally::default());
    }
}
