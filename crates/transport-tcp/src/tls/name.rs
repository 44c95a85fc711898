//! Whose a certificate is: a role on a host, in its subject alternative names.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use mesh_core::Distrust;
use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Whose a certificate is: `role/host`. The certificate has it as the URI `meshwarden:role/host` among its
/// subject alternative names, once.
///
/// # Examples
///
/// ```
/// use transport_tcp::CertName;
///
/// let name: CertName = "agent/node7.example".parse()?;
/// assert_eq!((name.role(), name.host()), ("agent", "node7.example"));
/// assert_eq!(name.uri(), "meshwarden:agent/node7.example");
/// assert!("agent".parse::<CertName>().is_err());
/// # Ok::<(), transport_tcp::CertNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertName {
    role: String,
    host: String,
}

/// Why something is not the name of a role on a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertNameError {
    /// It is not written so.
    #[error(
        "{0:?} is no role/host: a role has lower-case letters, digits and '-', 63 at most; a host is a lower-case name or an address"
    )]
    Form(String),
    /// The certificate has none, or several.
    #[error("it has {0} names of the form meshwarden:role/host, where one is needed")]
    Count(usize),
    /// It is no certificate.
    #[error("it is no certificate of X.509 version 3")]
    Malformed,
}

impl CertName {
    /// The role: `agent`, `client`, or any other that the mesh has.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How a certificate has it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{self}")
    }

    /// Whose a certificate is.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertNameError> {
        let parsed = EndEntityCert::try_from(certificate).or(Err(CertNameError::Malformed))?;
        let mut names = parsed.valid_uri_names().filter_map(|uri| uri.strip_prefix(SCHEME));
        let first = names.next().ok_or(CertNameError::Count(0))?;
        match names.count() {
            0 => first.parse(),
            more => Err(CertNameError::Count(more + 1)),
        }
    }
}

impl FromStr for CertName {
    type Err = CertNameError;

    fn from_str(text: &str) -> Result<Self, CertNameError> {
        match text.split_once('/') {
            Some((role, host)) if is_role(role) && is_host(host) => {
                Ok(Self { role: role.to_owned(), host: host.to_owned() })
            }
            _ => Err(CertNameError::Form(text.chars().take(HOST_MAX).collect())),
        }
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role, self.host)
    }
}

fn is_role(role: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=ROLE_MAX).contains(&role.len()) && role.bytes().all(is_letter)
}

/// Whether it can be dialled: a name of DNS in lower case, or an address as it is displayed.
fn is_host(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_string() == host;
    }
    let is_name = matches!(ServerName::try_from(host), Ok(ServerName::DnsName(_)));
    is_name && !host.ends_with('.') && !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Who, of all whose certificates the authority has signed, has business here.
///
/// # Examples
///
/// ```
/// use transport_tcp::Peers;
///
/// let peers = Peers::with_roles(["agent"])?.on_hosts(["node7", "node8"])?;
/// assert!(Peers::with_roles(["Agent"]).is_err());
/// # Ok::<(), transport_tcp::CertNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    roles: BTreeSet<String>,
    /// All, if `None`.
    hosts: Option<BTreeSet<String>>,
}

impl Peers {
    /// Whoever has one of these roles, on any host that the authority has signed for.
    ///
    /// # Errors
    ///
    /// [`CertNameError::Form`] if one of them is no role.
    pub fn with_roles(
        roles: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, CertNameError> {
        Ok(Self { roles: all(roles, is_role)?, hosts: None })
    }

    /// The same, on these hosts alone.
    ///
    /// # Errors
    ///
    /// [`CertNameError::Form`] if one of them is no host.
    pub fn on_hosts(
        self,
        hosts: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, CertNameError> {
        Ok(Self { hosts: Some(all(hosts, is_host)?), ..self })
    }

    /// Whether `name` has business here.
    pub(super) fn admit(&self, name: &CertName) -> Result<(), Distrust> {
        if !self.roles.contains(&name.role) {
            return Err(Distrust::Role(name.to_string()));
        }
        match &self.hosts {
            Some(hosts) if !hosts.contains(&name.host) => Err(Distrust::Host(name.to_string())),
            _ => Ok(()),
        }
    }
}

fn all(
    texts: impl IntoIterator<Item = impl Into<String>>,
    is_one: impl Fn(&str) -> bool,
) -> Result<BTreeSet<String>, CertNameError> {
    let each = texts.into_iter().map(Into::into);
    each.map(|text| if is_one(&text) { Ok(text) } else { Err(CertNameError::Form(text)) }).collect()
}

const SCHEME: &str = "meshwarden:";
const ROLE_MAX: usize = 63;
const HOST_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is_one() {
        for text in ["agent/node7", "a-1/10.0.0.7", "client/::1", "x/a.b.example", "x/a_b"] {
            assert_eq!(text.parse::<CertName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        let long = format!("agent/{}", "a.".repeat(127) + "a");
        for text in [
            "",
            "/",
            "agent",
            "agent/",
            "/node7",
            "Agent/node7",
            "agent/Node7",
            "agent/a/b",
            "agent/*.example",
            "agent/a..b",
            "agent/node7 ",
            "agent/0:0:0:0:0:0:0:1",
            "ag ent/a",
            "agent/node7.",
            "agent/node7-",
            "agent/7",
            "agent/10.0.0",
            "agent/010.0.0.7",
            "agent/10.0.0.256",
            &long,
        ] {
            assert!(matches!(text.parse::<CertName>(), Err(CertNameError::Form(_))), "{text}");
        }
    }

    #[test]
    fn whoever_has_another_role_or_host_is_not_let_in() {
        let name = |text: &str| text.parse::<CertName>().unwrap();
        let peers = Peers::with_roles(["agent"]).unwrap();
        assert_eq!(peers.admit(&name("agent/anywhere")), Ok(()));
        let role = Distrust::Role("client/anywhere".to_owned());
        assert_eq!(peers.admit(&name("client/anywhere")), Err(role));
        let peers = peers.on_hosts(["node7"]).unwrap();
        assert_eq!(peers.admit(&name("agent/node7")), Ok(()));
        let host = Distrust::Host("agent/node8".to_owned());
        assert_eq!(peers.admit(&name("agent/node8")), Err(host));
    }
}
