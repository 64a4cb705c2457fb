//! Owns how `redis-benchmark` is asked for load, and the reading of what it measured.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::peers::Peers;

/// Connections that it holds open.
pub const CONNECTIONS: u32 = 50;

/// One run of one test.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The test, as `-t` names it.
    pub test: &'a str,
    /// Requests that each connection sends at a time.
    pub pipeline: u32,
    /// Requests in all.
    pub requests: u64,
}

/// Runs `load` against the server at `address`; the result is its requests per second.
pub fn run(peers: &Peers, address: SocketAddr, load: Load<'_>) -> Result<f64> {
    let mut command = command(peers, address, load.test, load.pipeline);
    command.args(["-n", &load.requests.to_string()]);
    let output = command.output().context("starting redis-benchmark")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("redis-benchmark failed ({}): {}", output.status, said.trim());
    }
    requests_per_second(&String::from_utf8_lossy(&output.stdout), load.test)
}

fn command(peers: &Peers, address: SocketAddr, test: &str, pipeline: u32) -> Command {
    let mut command = peers.redis_benchmark();
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]).args([
        "-t",
        test,
        "-c",
        &CONNECTIONS.to_string(),
        "-P",
        &pipeline.to_string(),
        "--csv",
    ]);
    command
}

/// Reads the figure of `test` in the CSV of redis-benchmark: `"SET","56022.41",…` below a line of headings.
fn requests_per_second(csv: &str, test: &str) -> Result<f64> {
    let mut rows = csv.lines().map(fields);
    let headings = rows.next().context("redis-benchmark printed nothing")?;
    let column = headings.iter().position(|heading| *heading == "rps");
    let column = column.context("redis-benchmark printed no column `rps`")?;
    let row = rows.find(|row| row.first().is_some_and(|name| name.eq_ignore_ascii_case(test)));
    let row = row.with_context(|| format!("redis-benchmark printed no line for `{test}`"))?;
    let figure = row.get(column).and_then(|field| field.parse().ok());
    match figure {
        Some(figure) if figure > 0.0 => Ok(figure),
        _ => bail!("redis-benchmark printed no figure for `{test}`"),
    }
}

/// The fields of a line: quoted, none with a comma or a quotation mark in it.
fn fields(line: &str) -> Vec<&str> {
    line.split(',').map(|field| field.trim().trim_matches('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "\"test\",\"rps\",\"avg_latency_ms\"\n\
        \"SET\",\"56022.41\",\"0.593\"\n\"LPUSH\",\"23446.66\",\"1.668\"\n";

    #[test]
    fn the_figure_is_found_by_row_and_column() {
        assert_eq!(requests_per_second(CSV, "set").unwrap(), 56022.41);
        assert_eq!(requests_per_second(CSV, "lpush").unwrap(), 23446.66);
    }

    #[test]
    fn columns_may_move() {
        let csv = "\"test\",\"p99_latency_ms\",\"rps\"\n\"GET\",\"1.0\",\"2.5\"\n";
        assert_eq!(requests_per_second(csv, "get").unwrap(), 2.5);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |csv: &str, test: &str| requests_per_second(csv, test).unwrap_err().to_string();
        assert_eq!(error("", "set"), "redis-benchmark printed nothing");
        assert_eq!(error(CSV, "incr"), "redis-benchmark printed no line for `incr`");
        assert_eq!(error("\"test\"\n\"SET\"\n", "set"), "redis-benchmark printed no column `rps`");
        for figure in ["nan", "0.00", "-1", ""] {
            let csv = format!("\"test\",\"rps\"\n\"SET\",\"{figure}\"\n");
            assert_eq!(error(&csv, "set"), "redis-benchmark printed no figure for `set`");
        }
    }
}
