//! Owns the description of what the emulated machine shall do: files, steps, ports, deadline.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

/// One run of the machine.
#[derive(Debug, Default)]
pub struct Job {
    /// Host files and where they go.
    pub files: Vec<Shipped>,
    /// Files whose content is made here.
    pub texts: Vec<(String, String)>,
    /// Environment of the steps.
    pub environment: Vec<(String, String)>,
    /// What is run, in order; a failed step does not stop the next.
    pub steps: Vec<Step>,
    /// Host addresses that lead into the machine.
    pub forwards: Vec<Forward>,
    /// When to give up on it. None: it runs until its steps end or it is interrupted.
    pub deadline: Option<Duration>,
}

/// A host file in the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// The file here.
    pub from: PathBuf,
    /// Its absolute path there.
    pub to: String,
    /// What it is.
    pub kind: Kind,
}

/// What a shipped file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A host program: made executable, and its shared libraries go with it.
    Program,
    /// Bytes.
    Data,
}

/// A command in the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the report calls it.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// A host address that leads to a TCP port of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Where the host listens.
    pub host: SocketAddrV4,
    /// The port in the machine.
    pub port: u16,
}

impl Job {
    /// The script that `init` sources: environment, then one line for each step.
    pub fn script(&self) -> String {
        let mut script = String::new();
        for (name, value) in &self.environment {
            script.push_str(&format!("export {name}={}\n", quoted(value)));
        }
        for step in &self.steps {
            script.push_str(&format!("step {}", quoted(&step.name)));
            for word in &step.command {
                script.push(' ');
                script.push_str(&quoted(word));
            }
            script.push('\n');
        }
        script
    }
}

/// `word` so that a shell reads it as one word, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_reads_back_every_word_and_value() {
        let words = ["plain", "two words", "it's", "$HOME `x` \\ \"", "", "line\nbreak"];
        let job = Job {
            environment: vec![("VALUE".into(), "a 'b' $c".into())],
            steps: vec![Step {
                name: "a name".into(),
                command: words.iter().map(ToString::to_string).collect(),
            }],
            ..Job::default()
        };
        let script = format!("step() {{ printf '%s\\0' \"$@\" \"$VALUE\"; }}\n{}", job.script());
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let read: Vec<_> = text.split_terminator('\0').collect();
        let mut expected = vec!["a name"];
        expected.extend(words);
        expected.push("a 'b' $c");
        assert_eq!(read, expected);
    }
}
