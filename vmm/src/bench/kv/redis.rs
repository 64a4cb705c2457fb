//! redis-server, as Debian has it, with one of three ways to keep what it is told.

use std::path::Path;
use std::process::Command;

use super::case::Subject;
use super::error::KvError;
use super::talk::Talk;
use crate::bench::storm::reply::Reply;

/// How it is to keep what it is told: `appendonly` and `appendfsync`.
const fn persistence(subject: Subject) -> (&'static str, &'static str) {
    match subject {
        Subject::RedisAlways => ("yes", "always"),
        Subject::RedisEverysec => ("yes", "everysec"),
        Subject::Redis | Subject::Kv | Subject::KvDurable => ("no", "everysec"),
    }
}

/// A command that starts one. It listens on a socket only, and keeps its files in `data`.
pub(super) fn command(program: &Path, subject: Subject, socket: &Path, data: &Path) -> Command {
    let (appendonly, appendfsync) = persistence(subject);
    let mut command = Command::new(program);
    command.args(["--port", "0", "--daemonize", "no", "--save", ""]);
    command.args(["--appendonly", appendonly, "--appendfsync", appendfsync]);
    command.arg("--unixsocket").arg(socket).arg("--dir").arg(data);
    command
}

/// Makes sure that it does what it was told.
pub(super) fn check(subject: Subject, talk: &mut Talk) -> Result<(), KvError> {
    let (appendonly, appendfsync) = persistence(subject);
    for (name, wanted) in [("appendonly", appendonly), ("appendfsync", appendfsync), ("save", "")] {
        let found = setting(talk, name)?;
        if found != wanted {
            let told = format!("redis-server has `{name} {found}`, not `{name} {wanted}`");
            return Err(KvError::Setting(told));
        }
    }
    Ok(())
}

fn setting(talk: &mut Talk, name: &str) -> Result<String, KvError> {
    let mut text = talk.order(&format!("CONFIG GET {name}"))?;
    // An array of two: the name, and the value.
    for _ in 0..2 {
        text = talk.next(super::connection::told)?;
    }
    Ok(text)
}

/// Its version.
pub(super) fn version(talk: &mut Talk) -> Result<Option<String>, KvError> {
    talk.ask(b"INFO server\r\n", |reply| match reply {
        Reply::Value(Some(text)) => version_in(&String::from_utf8_lossy(text)),
        Reply::Value(None)
        | Reply::Status(_)
        | Reply::Error(_)
        | Reply::Number(_)
        | Reply::Strange(_) => None,
    })
}

fn version_in(info: &str) -> Option<String> {
    let line = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_version_is_one_line_of_many() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
        assert_eq!(version_in(info).as_deref(), Some("7.0.15"));
        assert_eq!(version_in("# Server\r\n"), None);
    }

    #[test]
    fn one_that_keeps_its_word_otherwise_is_not_measured() {
        let checked = |subject, fsync: &str| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            for (name, value) in [("appendonly", "yes"), ("appendfsync", fsync), ("save", "")] {
                let (n, v) = (name.len(), value.len());
                write!(theirs, "*2\r\n${n}\r\n{name}\r\n${v}\r\n{value}\r\n").unwrap();
            }
            check(subject, &mut Talk::over(ours).unwrap())
        };
        checked(Subject::RedisAlways, "always").unwrap();
        checked(Subject::RedisEverysec, "everysec").unwrap();
        let error = checked(Subject::RedisAlways, "everysec").unwrap_err().to_string();
        assert_eq!(error, "redis-server has `appendfsync everysec`, not `appendfsync always`");
        assert!(checked(Subject::Redis, "everysec").is_err());
    }

    #[test]
    fn nothing_but_a_socket_is_listened_on() {
        let place = Path::new("/p");
        let command = command(Path::new("r"), Subject::RedisAlways, place, place);
        let words: Vec<_> = command.get_args().filter_map(|word| word.to_str()).collect();
        let text = words.join(" ");
        assert!(text.contains("--port 0"), "{text}");
        assert!(text.contains("--appendonly yes --appendfsync always"), "{text}");
    }
}
