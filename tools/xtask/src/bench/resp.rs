//! Owns a minimal Redis client: one connection, one request at a time, replies that fit in a line.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use thiserror::Error;

/// No reply takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What went wrong on a connection.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It could not be opened.
    #[error("no connection to {address}: {cause}; see whether the server still runs")]
    Connect {
        /// The server's address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// It broke.
    #[error("the connection to {address} broke: {cause}; its server should have kept it open")]
    Broken {
        /// The server's address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// What came is no reply of one line.
    #[error(
        "{address} answered `{line}`, which is no simple reply; another program may listen there"
    )]
    Nonsense {
        /// The server's address.
        address: SocketAddr,
        /// What came.
        line: String,
    },
    /// The server refused.
    #[error("{address} refused `{request}`: {reason}")]
    Refused {
        /// The server's address.
        address: SocketAddr,
        /// What was asked.
        request: String,
        /// What it says.
        reason: String,
    },
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+TEXT`.
    Simple(String),
    /// `:NUMBER`.
    Integer(i64),
    /// `-REASON`.
    Error(String),
}

impl Reply {
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_suffix("\r\n")?;
        let (kind, rest) = line.split_at_checked(1)?;
        match kind {
            "+" => Some(Self::Simple(rest.to_owned())),
            "-" => Some(Self::Error(rest.to_owned())),
            ":" => rest.parse().ok().map(Self::Integer),
            _ => None,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to `address`.
    pub fn connect(address: SocketAddr) -> Result<Self, ClientError> {
        Self::open(address).map_err(|cause| ClientError::Connect { address, cause })
    }

    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// Sends an inline command.
    pub fn send(&mut self, request: &str) -> Result<(), ClientError> {
        let line = format!("{request}\r\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|cause| self.broken(cause))
    }

    /// Waits for the next reply.
    pub fn receive(&mut self) -> Result<Reply, ClientError> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                Reply::parse(&line).ok_or(ClientError::Nonsense { address: self.address, line })
            }
            Err(cause) => Err(self.broken(cause)),
        }
    }

    /// Sends an inline command and waits for its reply.
    pub fn ask(&mut self, request: &str) -> Result<Reply, ClientError> {
        self.send(request)?;
        self.receive()
    }

    /// Asks for something that is not to fail.
    pub fn order(&mut self, request: &str) -> Result<Reply, ClientError> {
        match self.ask(request)? {
            Reply::Error(reason) => {
                let request = request.to_owned();
                Err(ClientError::Refused { address: self.address, request, reason })
            }
            reply => Ok(reply),
        }
    }

    fn broken(&self, cause: io::Error) -> ClientError {
        ClientError::Broken { address: self.address, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn replies_of_a_line_are_told_apart() {
        assert_eq!(Reply::parse("+PONG\r\n"), Some(Reply::Simple("PONG".into())));
        assert_eq!(Reply::parse(":-3\r\n"), Some(Reply::Integer(-3)));
        assert_eq!(Reply::parse("-ERR no\r\n"), Some(Reply::Error("ERR no".into())));
        for nonsense in ["", "\r\n", "$3\r\n", ":three\r\n", "+PONG", "é\r\n"] {
            assert_eq!(Reply::parse(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_request_and_an_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut request = String::new();
            stream.read_line(&mut request).unwrap();
            stream.get_mut().write_all(b"-ERR unknown\r\n").unwrap();
            request
        });
        let mut client = Client::connect(address).unwrap();
        let error = client.order("FROB 1").unwrap_err().to_string();
        assert_eq!(error, format!("{address} refused `FROB 1`: ERR unknown"));
        assert_eq!(server.join().unwrap(), "FROB 1\r\n");
        let error = client.receive().unwrap_err();
        assert!(matches!(error, ClientError::Broken { .. }), "{error}");
    }
}
