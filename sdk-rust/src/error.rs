use std::fmt;

/// Why a driver, or a call, could not go on.
#[derive(Debug)]
pub enum Error {
    /// The address is none, or not one of a server.
    Address(String),
    /// The server does not take the driver, and connecting again does not help: what it said.
    Refused(String),
    /// The driver cannot be what it says: no action, a name twice.
    Driver(String),
    /// The server is not there, or the connection broke.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Address(why) => write!(f, "the address cannot be used: {why}"),
            Error::Refused(why) => write!(f, "the server refused the driver: {why}"),
            Error::Driver(why) => write!(f, "the driver cannot be: {why}"),
            Error::Unavailable(why) => write!(f, "the server cannot be reached: {why}"),
        }
    }
}

impl std::error::Error for Error {}
