//! A Prometheus endpoint: `GET /metrics`, on loopback, for this machine's scrapers only.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use mesh_runtime::ControlThread;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How often the recorder drains what histograms have gathered, so that an endpoint that nobody
/// scrapes takes no memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Connections that are served at once.
const CONNECTIONS_MAX: usize = 64;

/// How long a peer may take to send its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// How long a request may take as a whole.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The longest request.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The media type of the text format that Prometheus reads.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metrics endpoint that is being served. Dropping it closes it.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

/// Why there is no metrics endpoint.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The address is not on loopback, where anybody could read.
    #[error("{address} is not a loopback address: metrics are served to this machine only")]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened at.
    #[error("cannot serve metrics at {address}: choose another port, or 0 for a free one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said; shared, since an [`io::Error`] is not `Clone`.
        #[source]
        source: Arc<io::Error>,
    },
    /// This program has a recorder of metrics already.
    #[error("a recorder of metrics is installed already")]
    Installed(#[source] Arc<BuildError>),
}

impl Exporter {
    /// Installs the recorder of this program and serves it at `address`, on `thread`; take
    /// [`Root::output`](crate::Root::output), so that scrapers cannot hold up supervision. Call it
    /// before meshes are made: actors that live by then are counted from now on, and processes; what a mesh counts that was made
    /// earlier is never seen. It can be called once in a program: also one that was dropped keeps its recorder.
    ///
    /// # Errors
    ///
    /// See [`ExporterError`]. Nothing was installed, unless it says so.
    pub async fn serve(address: SocketAddr, thread: &ControlThread) -> Result<Self, ExporterError> {
        if !address.ip().is_loopback() {
            return Err(ExporterError::NotLoopback { address });
        }
        let listen =
            |source: io::Error| ExporterError::Listen { address, source: Arc::new(source) };
        let listener = std::net::TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let listener = {
            let _entered = thread.handle().enter();
            TcpListener::from_std(listener).map_err(listen)?
        };
        let handle = install()?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .layer(middleware::from_fn_with_state(address, guard))
            .with_state(handle.clone());
        let serving = thread.spawn(serve(listener, router));
        Ok(Self { address, tasks: [serving, thread.spawn(upkeep(handle))] })
    }

    /// Where it listens: the port that was given, or that was free.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Accepts connections, as many at once as there is room for; the others wait in the kernel's queue.
async fn serve(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // There are no descriptors left, as a rule: a little later there may be.
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .max_buf_size(REQUEST_BYTES_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A peer that is slow or wrong is not answered; nobody else notices.
            _ = timeout(ANSWER_WITHIN, connection).await.is_ok();
            drop(permit);
        });
    }
}

fn install() -> Result<PrometheusHandle, ExporterError> {
    let refused = |error| ExporterError::Installed(Arc::new(error));
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Suffix("_seconds".into()),
            supervise::metrics::BUCKETS_SECONDS,
        )
        .and_then(|builder| {
            mesh_runtime::metrics::SHORT_SECONDS.iter().try_fold(builder, |builder, name| {
                let name = Matcher::Full((*name).to_owned());
                builder.set_buckets_for_metric(name, mesh_runtime::metrics::BUCKETS_SECONDS)
            })
        })
        .map_err(refused)?
        .install_recorder()
        .map_err(refused)?;
    supervise::metrics::describe();
    proc_mesh::metrics::describe();
    mesh_runtime::metrics::describe();
    #[cfg(feature = "actors")]
    {
        mesh_cast::metrics::describe();
        actor_mesh::metrics::describe();
    }
    #[cfg(feature = "tcp")]
    transport_tcp::metrics::describe();
    Ok(handle)
}

async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

async fn metrics(State(handle): State<PrometheusHandle>) -> Response {
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], handle.render()).into_response()
}

/// Lets through what a scraper on this machine sends. A page in a browser may make requests to
/// loopback too: it names a foreign origin, or got here by a foreign name.
async fn guard(State(address): State<SocketAddr>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response();
    }
    if is_foreign(request.headers(), address) {
        return (StatusCode::FORBIDDEN, "for scrapers on this machine only\n").into_response();
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap, address: SocketAddr) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let port = address.port();
    let known = [address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}")];
    headers.contains_key(header::ORIGIN)
        || !host.is_some_and(|host| known.iter().any(|it| it == host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(header::HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_scrapers_that_name_this_endpoint_are_let_in() {
        let address = "127.0.0.1:9464".parse().unwrap();
        assert!(!is_foreign(&headers(&[(header::HOST, "127.0.0.1:9464")]), address));
        assert!(!is_foreign(&headers(&[(header::HOST, "localhost:9464")]), address));
        assert!(is_foreign(&headers(&[]), address));
        assert!(is_foreign(&headers(&[(header::HOST, "evil.example:9464")]), address));
        let page = [(header::HOST, "localhost:9464"), (header::ORIGIN, "http://evil.example")];
        assert!(is_foreign(&headers(&page), address));
    }
}
