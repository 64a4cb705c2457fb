//! Owns a minimal client of the control API: raw HTTP over a Unix socket that stays open, so that an
//! order costs one write and not the start of a program.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// No answer takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// No answer is longer.
const BODY_MAX: usize = 4 << 20;

/// What is of interest in the report on a domain: that of `vmm inspect DOMAIN --json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Which incarnation this is.
    pub epoch: u64,
    /// Exits of its vCPUs to the VMM, by reason.
    pub exits: BTreeMap<String, u64>,
    /// Gateways that lead to it.
    pub gateways: Vec<Gateway>,
}

/// What is of interest in the report on a gateway.
#[derive(Debug, Clone, Deserialize)]
pub struct Gateway {
    /// Where it listens, as bound.
    pub listen: String,
    /// Requests handed to the domain, each with all that a connection had to say.
    pub requests: u64,
}

impl Report {
    /// Exits for whatever reason.
    pub fn all_exits(&self) -> u64 {
        self.exits.values().sum()
    }

    /// Requests that all gateways handed over.
    pub fn handed_over(&self) -> u64 {
        self.gateways.iter().map(|gateway| gateway.requests).sum()
    }

    /// The TCP address of its first gateway.
    pub fn address(&self) -> Result<SocketAddr> {
        let gateway = self.gateways.first().context("the domain has no gateway")?;
        gateway.listen.parse().with_context(|| format!("`{}` is no TCP address", gateway.listen))
    }
}

/// A connection to the control API.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Connects to the control socket at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Everything about `domain`.
    pub fn inspect(&mut self, domain: &str) -> Result<Report> {
        let body = self.ask("GET", &format!("/v1/domains/{domain}"))?;
        serde_json::from_slice(&body).with_context(|| format!("reading the report on `{domain}`"))
    }

    /// Begins to stop the system.
    pub fn stop(&mut self) -> Result<()> {
        self.ask("POST", "/v1/system/stop").map(drop)
    }

    fn ask(&mut self, method: &str, path: &str) -> Result<Vec<u8>> {
        let asking = || format!("asking the control API for {method} {path}");
        let head = format!("{method} {path} HTTP/1.1\r\nhost: atoll\r\ncontent-length: 0\r\n\r\n");
        self.stream.get_mut().write_all(head.as_bytes()).with_context(asking)?;
        let (status, body) = read_answer(&mut self.stream).with_context(asking)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} was refused ({status}): {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}

/// Reads status and body of an answer whose length is told, as that of every answer but a stream's is.
fn read_answer(stream: &mut impl BufRead) -> Result<(u16, Vec<u8>)> {
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.with_context(|| format!("`{first}` does not begin an HTTP answer"))?;
    let mut length = 0;
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().with_context(|| format!("in `{line}`"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer comes in pieces, as only streams should");
        }
    }
    if length > BODY_MAX {
        bail!("the answer has {length} bytes, more than any report");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).context("reading the answer's body")?;
    Ok((status, body))
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    stream.take(BODY_MAX as u64).read_line(&mut line).context("reading the answer")?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => bail!("the answer ends in the middle of a line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_a_row_are_parted_by_their_lengths() {
        let mut text: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\n{}\
            HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(read_answer(&mut text).unwrap(), (200, b"{}".to_vec()));
        assert_eq!(read_answer(&mut text).unwrap(), (204, Vec::new()));
        assert!(text.is_empty());
    }

    #[test]
    fn what_is_no_whole_answer_is_refused() {
        for bad in [
            "",
            "hello\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        ] {
            assert!(read_answer(&mut bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_report_is_read_for_what_is_of_interest() {
        let text = r#"{"name": "kv", "epoch": 3,
            "exits": {"wait": 5, "log": 1}, "gateways": [
            {"listen": "127.0.0.1:4242", "port": "redis", "requests": 10},
            {"listen": "unix:/s", "port": "redis", "requests": 2}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!((report.all_exits(), report.handed_over()), (6, 12));
        assert_eq!(report.address().unwrap().port(), 4242);
    }
}
