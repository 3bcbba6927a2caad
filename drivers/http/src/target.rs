//! Addresses of requests, and where redirects lead.

use crate::failure::permanent;
use conveyor_sdk::Failure;
use http::Uri;
use std::fmt;

/// The longest address, in bytes.
pub(crate) const MAX_URL: usize = 8 << 10;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    /// A name, or an address without brackets; lower-case.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    /// With its question mark; often has what should not be read, so that it is never shown.
    query: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Target, Failure> {
        let invalid = |why: &str| permanent("invalid_url", format!("the address is none: {why}"));
        if text.len() > MAX_URL {
            let len = text.len();
            return Err(invalid(&format!(
                "it has {len} bytes; the limit `url` is {MAX_URL}"
            )));
        }
        let uri: Uri = text.parse().map_err(|error| {
            invalid(&format!(
                "{error}; what is no ASCII, and blanks, are written as %XX"
            ))
        })?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(invalid(&format!("`{other}` is neither http nor https"))),
            None => return Err(invalid("it has to begin with http:// or https://")),
        };
        let authority = uri.authority();
        let authority = authority.ok_or_else(|| invalid("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid(
                "it has a user's name; use the header `Authorization`, with a secret",
            ));
        }
        let host = authority.host().to_ascii_lowercase();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = bare.unwrap_or(&host).to_owned();
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let port = match (authority.port_u16(), tls) {
            (Some(port), _) => port,
            (None, true) => 443,
            (None, false) => 80,
        };
        let path = match uri.path() {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        let query = uri.query().map(|query| format!("?{query}"));
        Ok(Target {
            tls,
            host,
            port,
            path,
            query: query.unwrap_or_default(),
        })
    }

    /// Where `location` leads from here.
    pub(crate) fn follow(&self, location: &str) -> Result<Target, Failure> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.tls { "https" } else { "http" };
        let authority = self.authority();
        let absolute = location.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let text = if absolute {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else if location.is_empty() || location.starts_with('?') {
            format!("{scheme}://{authority}{}{location}", self.path)
        } else {
            let directory = self.path.rsplit_once('/').map_or("", |(before, _)| before);
            format!("{scheme}://{authority}{directory}/{location}")
        };
        Target::parse(&text)
    }

    /// The value of the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// What stands in the request's first line.
    pub(crate) fn path_and_query(&self) -> String {
        format!("{}{}", self.path, self.query)
    }

    /// Whether another address is of the same server, as browsers see it.
    pub(crate) fn same_origin(&self, other: &Target) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_read_as_they_are_written() {
        let from = Target::parse("https://example.org/a/b?x=1").expect("an address");
        for (location, to) in [
            ("http://other.example/y", "http://other.example/y"),
            ("//other.example:8080/y", "https://other.example:8080/y"),
            ("/y?z#part", "https://example.org/y?z"),
            ("c", "https://example.org/a/c"),
            ("?q=2", "https://example.org/a/b?q=2"),
        ] {
            let found = from.follow(location).expect("an address");
            assert_eq!(found, Target::parse(to).expect("an address"), "{location}");
        }
        let elsewhere = from.follow("file:///etc/passwd").expect_err("it is none");
        assert_eq!(elsewhere.code, "invalid_url");
    }

    #[test]
    fn a_user_in_the_address_is_refused_and_not_told() {
        let error = Target::parse("https://ada:swordfish@example.org/").expect_err("refused");
        assert!(!error.message.contains("swordfish"), "{error}");
    }

    #[test]
    fn a_query_is_never_shown() {
        let target = Target::parse("http://[::1]:8080/a?token=swordfish").expect("an address");
        assert_eq!(target.to_string(), "http://[::1]:8080/a");
        assert_eq!(target.path_and_query(), "/a?token=swordfish");
    }
}
