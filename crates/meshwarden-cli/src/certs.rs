//! `meshwarden certs`: an authority for a mesh of several machines, and certificates of their hosts.

mod authority;
mod place;

use std::io::{self, Write};
use std::net::{AddrParseError, IpAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::Args;
use meshwarden::transport_tcp::CertName;

use crate::cli::usage_error;
use authority::{Authority, Validity};
use place::Place;

/// Make certificates for meshes that span machines: an authority, and one certificate for each host.
///
/// The authority is `ca.pem` and `ca.key` in the directory; it is made if it is not there, and used if it
/// is. Each host gets `ROLE-HOST.pem` and `ROLE-HOST.key`. Take those two and `ca.pem` to the host, keep
/// `ca.key` where nobody gets at it. Nothing is overwritten; of a call that fails, nothing is left.
#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    /// A host, and by which addresses it is dialled besides its name.
    #[arg(value_name = "HOST[=ADDRESS,…]", required = true)]
    hosts: Vec<HostArg>,

    /// Where the files are.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,

    /// What the owner of a certificate is: `agent` for a host that runs ranks, `client` for a program that
    /// starts them.
    #[arg(long, value_name = "ROLE", default_value = "agent")]
    role: String,

    /// For how many days the certificates of hosts are good.
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// A host and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostArg {
    host: String,
    addresses: Vec<IpAddr>,
}

impl FromStr for HostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, addresses) = text.split_once('=').unwrap_or((text, ""));
        let each = addresses.split(',').filter(|_| !addresses.is_empty());
        let parsed = each.map(|one| {
            let wrong =
                |error: AddrParseError| format!("{one:?}: {error}: write 10.0.0.7 or fd00::7");
            one.parse().map_err(wrong)
        });
        Ok(Self { host: host.to_owned(), addresses: parsed.collect::<Result<_, _>>()? })
    }
}

/// One certificate to make.
struct Order<'a> {
    name: CertName,
    addresses: &'a [IpAddr],
    /// The files, without their ending.
    stem: String,
}

impl CertsArgs {
    fn orders(&self) -> Result<Vec<Order<'_>>> {
        let mut orders: Vec<Order<'_>> = Vec::new();
        for HostArg { host, addresses } in &self.hosts {
            let name: CertName = format!("{}/{host}", self.role).parse()?;
            // An address of IPv6 has colons, which not every system takes in the name of a file.
            let stem = format!("{}-{}", self.role, host.replace(':', "_"));
            ensure!(orders.iter().all(|other| other.stem != stem), "{host} is named twice");
            orders.push(Order { name, addresses, stem });
        }
        Ok(orders)
    }
}

/// Makes what is asked for.
///
/// # Errors
///
/// If standard output cannot be written. What is asked wrongly, and files that are in the way, are reported
/// here.
pub(crate) fn run(args: &CertsArgs) -> Result<ExitCode> {
    match make(args) {
        Ok(made) => {
            let mut out = io::stdout().lock();
            for path in &made {
                writeln!(out, "{}", path.display())?;
            }
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Ok(usage_error(&error)),
    }
}

/// Makes the files, all or none. Returns their paths.
fn make(args: &CertsArgs) -> Result<Vec<PathBuf>> {
    let orders = args.orders()?;
    let mut place = Place::new(&args.dir)?;
    let authority = match (place.read("ca.pem")?, place.read_private("ca.key")?) {
        (Some(certificate), Some(key)) => Authority::known(&certificate, &key)
            .with_context(|| format!("ca.pem and ca.key in {:?} are no authority", args.dir))?,
        (None, None) => {
            let authority = Authority::new(Validity::of_authority()?)?;
            place.write("ca.pem", authority.certificate())?;
            place.write_private("ca.key", &authority.key())?;
            authority
        }
        (certificate, _) => {
            let (here, missing) = match certificate {
                Some(_) => ("ca.pem", "ca.key"),
                None => ("ca.key", "ca.pem"),
            };
            anyhow::bail!(
                "there is {here} in {:?} and no {missing}: bring it there, or name another --dir",
                args.dir
            );
        }
    };
    let validity = Validity::days(args.days)?;
    for order in &orders {
        let made = authority.sign(&order.name, order.addresses, validity)?;
        place.write(&format!("{}.pem", order.stem), &made.certificate)?;
        place.write_private(&format!("{}.key", order.stem), &made.key)?;
    }
    Ok(place.keep())
}

/// The file `name` in `dir`.
fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_and_addresses() {
        let host = |host: &str, addresses: &[&str]| {
            let addresses = addresses.iter().map(|one| one.parse().unwrap()).collect();
            Ok(HostArg { host: host.to_owned(), addresses })
        };
        assert_eq!("node7".parse(), host("node7", &[]));
        assert_eq!("node7=10.0.0.7,fd00::7".parse(), host("node7", &["10.0.0.7", "fd00::7"]));
        assert!("node7=".parse::<HostArg>().is_ok_and(|host| host.addresses.is_empty()));
        for wrong in ["node7=node7", "node7=10.0.0.7,", "node7=10.0.0.7 10.0.0.8"] {
            assert!(wrong.parse::<HostArg>().is_err(), "{wrong}");
        }
    }
}
