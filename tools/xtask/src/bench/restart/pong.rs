//! The least that a Rust server process can be: it answers every line with `+PONG`, one connection at a
//! time. Compiled by itself with rustc, to be killed and started again beside kv.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

#[cfg_attr(test, expect(dead_code, reason = "its own program calls it"))]
fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    match port.map(serve) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: pong PORT");
            ExitCode::from(2)
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        // A client that goes away takes nothing with it.
        let _ = answer(stream?);
    }
    Ok(())
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        line.clear();
        stream.get_mut().write_all(b"+PONG\r\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;

    #[test]
    fn every_line_is_answered_until_the_client_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"PING\r\nPING\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        answer(listener.accept().unwrap().0).unwrap();
        assert_eq!(io::read_to_string(client).unwrap(), "+PONG\r\n+PONG\r\n");
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(serve(taken.local_addr().unwrap().port()).is_err());
    }
}
