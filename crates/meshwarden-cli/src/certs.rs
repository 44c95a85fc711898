//! `meshwarden certs`: an authority for a mesh of several machines, and certificates of their hosts.

mod authority;
mod place;
mod revocation;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::Args;
use meshwarden::transport_tcp::CertName;

use crate::cli::usage_error;
use authority::{Authority, Validity, now};
use place::Place;
use revocation::Revoked;

/// Make certificates for meshes that span machines: an authority, and one certificate for each host.
///
/// The authority is `ca.pem` and `ca.key` in the directory; it is made if it is not there, and used if it
/// is. Each host gets `ROLE-HOST.pem` and `ROLE-HOST.key`. Take those two and `ca.pem` to the host, keep
/// `ca.key` where nobody gets at it. Nothing is overwritten; of a call that fails, nothing is left.
///
/// What must be trusted no more is taken back: `--revoke certs/agent-node7.pem` writes it into `revoked.pem`,
/// which is for all hosts, too.
#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    /// A host, and by which other names and addresses it is dialled.
    #[arg(value_name = "HOST[=NAME,…]", required_unless_present = "revoke")]
    hosts: Vec<HostArg>,

    /// A certificate that is to be trusted no more; may be given more than once.
    #[arg(long, value_name = "FILE", conflicts_with = "hosts")]
    revoke: Vec<PathBuf>,

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

/// A host, and its other names and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostArg {
    host: String,
    others: Vec<String>,
}

impl FromStr for HostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, others) = text.split_once('=').unwrap_or((text, ""));
        let others = others.split(',').filter(|_| !others.is_empty());
        for one in [host].into_iter().chain(others.clone()) {
            // Whatever can be the host of a certificate can be dialled.
            if format!("host/{one}").parse::<CertName>().is_err() {
                return Err(format!(
                    "{one:?} is no host: write node7, node7.example, 10.0.0.7 or fd00::7"
                ));
            }
        }
        Ok(Self { host: host.to_owned(), others: others.map(str::to_owned).collect() })
    }
}

/// One certificate to make.
struct Order<'a> {
    name: CertName,
    others: &'a [String],
    /// The files, without their ending.
    stem: String,
}

impl CertsArgs {
    fn orders(&self) -> Result<Vec<Order<'_>>> {
        let mut orders: Vec<Order<'_>> = Vec::new();
        for HostArg { host, others } in &self.hosts {
            let name: CertName = format!("{}/{host}", self.role).parse()?;
            // An address of IPv6 has colons, which not every system takes in the name of a file.
            let stem = format!("{}-{}", self.role, host.replace(':', "_"));
            ensure!(orders.iter().all(|other| other.stem != stem), "{host} is named twice");
            orders.push(Order { name, others, stem });
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
        (None, None) if !args.revoke.is_empty() => {
            anyhow::bail!("there is no authority in {:?}: name its --dir", args.dir)
        }
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
    if !args.revoke.is_empty() {
        return revoke(&args.revoke, &authority, place);
    }
    let validity = Validity::days(args.days)?.within(authority.until());
    if validity.n_days() + 1 < args.days.into() {
        let mut err = io::stderr().lock();
        writeln!(err, "note: good for {} days, as long as the authority is", validity.n_days())?;
    }
    for order in &orders {
        let made = authority.sign(&order.name, order.others, validity)?;
        place.write(&format!("{}.pem", order.stem), &made.certificate)?;
        place.write_private(&format!("{}.key", order.stem), &made.key)?;
    }
    Ok(place.keep())
}

/// Takes certificates back. Returns where that is written.
fn revoke(files: &[PathBuf], authority: &Authority, mut place: Place) -> Result<Vec<PathBuf>> {
    let list = place.read(REVOKED)?;
    let known = list.map_or_else(|| Ok(Revoked::default()), |list| Revoked::known(&list));
    let mut revoked = known.with_context(|| format!("cannot understand {REVOKED}"))?;
    let now = now();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {file:?}"))?;
        let added = revoked.add(&text, authority.certificate(), now);
        added.with_context(|| format!("cannot take {file:?} back"))?;
    }
    let written = place.replace(REVOKED, &authority.list(&revoked, now)?)?;
    place.keep();
    Ok(vec![written])
}

/// The file of what is trusted no more.
const REVOKED: &str = "revoked.pem";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_and_others() {
        let host = |host: &str, others: &[&str]| {
            let others = others.iter().map(|&one| one.to_owned()).collect();
            Ok(HostArg { host: host.to_owned(), others })
        };
        assert_eq!("node7".parse(), host("node7", &[]));
        let all = "node7=node7.example,10.0.0.7,fd00::7".parse();
        assert_eq!(all, host("node7", &["node7.example", "10.0.0.7", "fd00::7"]));
        assert!("node7=".parse::<HostArg>().is_ok_and(|host| host.others.is_empty()));
        for wrong in ["", "Node7", "node7=Node7", "node7=10.0.0.7,", "node7=10.0.0.7 10.0.0.8"] {
            assert!(wrong.parse::<HostArg>().is_err(), "{wrong}");
        }
    }
}
