//! Owns the report channel: the lines that the machine's `init` writes on a serial port of its own.
//!
//! The port carries nothing else, so that no program inside can be mistaken for `init`. The machine
//! ran to its end if, and only if, the last line is there.

use std::fmt;

/// What the report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Seconds that the machine took until it was ready, by its own clock.
    pub ready_after: Option<String>,
    /// Why `init` gave up before the first step.
    pub fault: Option<String>,
    /// The steps that were started, with their exit codes once they ended.
    pub steps: Vec<(String, Option<i32>)>,
    /// Whether the last line is there.
    pub complete: bool,
}

impl Report {
    /// Reads a report, however far it got. Lines that make no sense are skipped: they are the noise of
    /// a machine that broke, and the missing last line tells of that.
    pub fn parse(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            match verb {
                "ready" => report.ready_after = Some(rest.to_owned()),
                "fault" => report.fault = Some(rest.to_owned()),
                "start" => report.steps.push((rest.to_owned(), None)),
                "exit" => report.ended(rest),
                "done" => report.complete = true,
                _ => {}
            }
        }
        report
    }

    fn ended(&mut self, rest: &str) {
        let Some((name, code)) = rest.rsplit_once(' ') else { return };
        let Some(step) = self.steps.iter_mut().find(|(n, c)| n == name && c.is_none()) else {
            return;
        };
        step.1 = code.parse().ok();
    }

    /// The exit code of the whole: that of the first step that failed, else 0. `Err` says why there
    /// is none.
    pub fn outcome(&self) -> Result<i32, Unfinished> {
        if let Some(fault) = &self.fault {
            return Err(Unfinished::Fault(fault.clone()));
        }
        if self.ready_after.is_none() {
            return Err(Unfinished::NotReady);
        }
        let mut outcome = 0;
        for (name, code) in &self.steps {
            match code {
                None => return Err(Unfinished::InStep(name.clone())),
                Some(code) if outcome == 0 => outcome = *code,
                Some(_) => {}
            }
        }
        if self.complete { Ok(outcome) } else { Err(Unfinished::NoEnd) }
    }
}

/// How a machine that did not run to its end stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// `init` said why.
    Fault(String),
    /// It never got as far as `init`'s first line.
    NotReady,
    /// It stopped within this step.
    InStep(String),
    /// It stopped between steps.
    NoEnd,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(reason) => write!(f, "its init gave up: {reason}"),
            Self::NotReady => write!(f, "it stopped before it had booted"),
            Self::InStep(name) => write!(f, "it stopped while `{name}` ran"),
            Self::NoEnd => write!(f, "it stopped before it reported the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Result<i32, Unfinished> {
        Report::parse(text).outcome()
    }

    #[test]
    fn a_whole_report_gives_the_first_failure() {
        assert_eq!(outcome("ready 4.1\nstart a\nexit a 0\nstart b\nexit b 0\ndone\n"), Ok(0));
        assert_eq!(
            outcome("ready 4.1\nstart a\nexit a 3\nstart b\nexit b 7\nstart c\nexit c 0\ndone\n"),
            Ok(3)
        );
    }

    #[test]
    fn carriage_returns_and_noise_do_not_matter() {
        assert_eq!(outcome("\x00noise\r\nready 4.1\r\nstart a\r\nexit a 0\r\ndone\r\n"), Ok(0));
    }

    #[test]
    fn a_machine_that_broke_off_has_no_outcome() {
        assert_eq!(outcome(""), Err(Unfinished::NotReady));
        assert_eq!(outcome("ready 4\nstart a\n"), Err(Unfinished::InStep("a".into())));
        assert_eq!(outcome("ready 4\nstart a\nexit a 0\n"), Err(Unfinished::NoEnd));
        assert_eq!(
            outcome("fault no /dev/kvm\ndone\n"),
            Err(Unfinished::Fault("no /dev/kvm".into()))
        );
    }

    #[test]
    fn an_exit_code_that_is_no_number_counts_as_no_exit() {
        assert_eq!(
            outcome("ready 4\nstart a\nexit a x\ndone\n"),
            Err(Unfinished::InStep("a".into()))
        );
    }

    #[test]
    fn names_may_have_blanks_and_repeat() {
        let report = Report::parse("ready 4\nstart a b\nexit a b 0\nstart a b\nexit a b 5\ndone\n");
        assert_eq!(report.steps, [("a b".into(), Some(0)), ("a b".into(), Some(5))]);
    }
}
