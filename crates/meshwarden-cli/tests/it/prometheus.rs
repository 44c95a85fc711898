//! A Prometheus server of our own, and as much HTTP as it takes to ask it.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Outcome;
use crate::fixture::{WITHIN, temporary, until};

/// A server that scrapes one target. Dropping it ends it and removes what it has stored.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
    dir: PathBuf,
}

impl Prometheus {
    /// Starts a server that scrapes `target` five times a second, and waits until it answers.
    pub(crate) fn start(target: &str) -> Result<Self, Box<dyn Error>> {
        let dir = temporary("prometheus");
        fs::create_dir_all(&dir)?;
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs:\n- job_name: run\n  static_configs: [{{targets: ['{target}']}}]\n"
        );
        fs::write(dir.join("prometheus.yml"), config)?;
        // Somebody may take the port in between; then the server ends, and the test says so.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log"))?)
            .spawn()?;
        let mut server = Self { child, address, dir };
        until("a ready Prometheus", WITHIN, || {
            server.child.try_wait().is_ok_and(|end| end.is_some())
                || get(&server.address, "/-/ready").is_ok()
        })?;
        if let Some(status) = server.child.try_wait()? {
            let log = fs::read_to_string(server.dir.join("log"))?;
            return Err(format!("Prometheus ended with {status}: {log}").into());
        }
        Ok(server)
    }

    /// Asks until the one value of a query is as wanted.
    pub(crate) fn until(&self, query: &str, is_it: impl Fn(f64) -> bool) -> Outcome {
        let mut last = None;
        let holds = || {
            last = self.query(query).ok();
            last.flatten().is_some_and(&is_it)
        };
        until(query, WITHIN, holds).map_err(|error| format!("{error}; it was {last:?}"))?;
        Ok(())
    }

    /// The value of a query that has at most one.
    fn query(&self, query: &str) -> Result<Option<f64>, Box<dyn Error>> {
        let path = format!("/api/v1/query?query={}", escape(query));
        let answer: Value = serde_json::from_str(&get(&self.address, &path)?)?;
        let results = answer["data"]["result"].as_array().ok_or("a vector")?;
        match results.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one["value"][1].as_str().ok_or("a number as text")?.parse()?)),
            more => Err(format!("{} values", more.len()).into()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        _ = self.child.kill().is_ok();
        _ = self.child.wait().is_ok();
        _ = fs::remove_dir_all(&self.dir).is_ok();
    }
}

/// The body of what is at `path`, if the answer is 200.
pub(crate) fn get(address: &str, path: &str) -> Result<String, Box<dyn Error>> {
    let answer = request(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the headers")?;
    if head.split_ascii_whitespace().nth(1) != Some("200") {
        return Err(format!("{path}: {head}").into());
    }
    Ok(body.to_owned())
}

/// Sends a request, and reads all that is answered.
pub(crate) fn request(address: &str, request: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn escape(query: &str) -> String {
    query
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

const ANSWER: Duration = Duration::from_secs(10);
