//! Metrics as Prometheus asks for them: at a path of the service, or at an address of their own.

#[cfg(feature = "prometheus")]
pub(crate) use self::built::Scrape;

/// Nothing, in a program without the feature `prometheus`. It has no value.
#[cfg(not(feature = "prometheus"))]
#[derive(Clone, Debug)]
pub(crate) enum Scrape {}

#[cfg(not(feature = "prometheus"))]
impl Scrape {
    pub(crate) fn path(&self) -> Option<&str> {
        match *self {}
    }

    pub(crate) fn answer(
        &self,
        _: &http::Method,
    ) -> http::Response<http_body_util::Full<bytes::Bytes>> {
        match *self {}
    }

    pub(crate) fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match *self {}
    }
}

#[cfg(feature = "prometheus")]
mod built {
    use std::convert::Infallible;
    use std::fmt;
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
    use http::{HeaderValue, Method, Request, Response, StatusCode};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioIo, TokioTimer};
    use metrics_exporter_prometheus::PrometheusHandle;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;
    use tokio::task::AbortHandle;
    use tokio::time::{interval, sleep, timeout};

    /// Where an address of its own answers, unless another path is named.
    const PATH: &str = "/metrics";

    /// How many connections are open at once: a handful of collectors ask now and then.
    const MOST_CONNECTIONS: usize = 16;

    /// How long a connection may go on. Collectors ask on the next one.
    const LONGEST_CONNECTION: Duration = Duration::from_secs(30);

    /// How long the head of a request may take.
    const LONGEST_HEAD: Duration = Duration::from_secs(5);

    /// How large the head of a request may be, in bytes.
    const LARGEST_HEAD: usize = 16 * 1024;

    /// How often what was measured is taken together, whether or not somebody asks.
    const UPKEEP: Duration = Duration::from_secs(5);

    /// Answers with the metrics. Clones share everything; with the last of them it ends.
    #[derive(Clone)]
    pub(crate) struct Scrape(Arc<Inner>);

    struct Inner {
        handle: PrometheusHandle,
        /// That of the service.
        path: Option<Box<str>>,
        address: Option<SocketAddr>,
        tasks: Vec<AbortHandle>,
    }

    impl Scrape {
        /// Begins to answer at this address, if there is one; there at `/metrics`, if there is no
        /// path.
        pub(crate) async fn begin(
            handle: PrometheusHandle,
            path: Option<&str>,
            address: Option<SocketAddr>,
        ) -> io::Result<Self> {
            let mut tasks = Vec::new();
            let mut bound = None;
            if let Some(address) = address {
                let listener = TcpListener::bind(address).await?;
                bound = Some(listener.local_addr()?);
                let path = Arc::from(path.unwrap_or(PATH));
                let handle = handle.clone();
                tasks.push(tokio::spawn(accept(listener, handle, path)).abort_handle());
            }
            let kept = handle.clone();
            let upkeep = async move {
                let mut ticks = interval(UPKEEP);
                loop {
                    ticks.tick().await;
                    kept.run_upkeep();
                }
            };
            tasks.push(tokio::spawn(upkeep).abort_handle());
            Ok(Self(Arc::new(Inner {
                handle,
                path: path.map(Into::into),
                address: bound,
                tasks,
            })))
        }

        /// The path at which the service answers.
        pub(crate) fn path(&self) -> Option<&str> {
            self.0.path.as_deref()
        }

        pub(crate) fn answer(&self, method: &Method) -> Response<Full<Bytes>> {
            answer(&self.0.handle, method)
        }

        /// The address of its own.
        pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
            self.0.address
        }
    }

    impl Drop for Inner {
        fn drop(&mut self) {
            self.tasks.iter().for_each(AbortHandle::abort);
        }
    }

    impl fmt::Debug for Scrape {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Scrape")
                .field("path", &self.0.path)
                .field("address", &self.0.address)
                .finish_non_exhaustive()
        }
    }

    async fn accept(listener: TcpListener, handle: PrometheusHandle, path: Arc<str>) {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                // Out of files, say: that passes, and not faster by asking again at once.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (handle, path) = (handle.clone(), Arc::clone(&path));
            tokio::spawn(async move {
                let _ = timeout(LONGEST_CONNECTION, serve(stream, handle, path)).await;
                drop(permit);
            });
        }
    }

    async fn serve(stream: TcpStream, handle: PrometheusHandle, path: Arc<str>) {
        let service = service_fn(|request: Request<Incoming>| {
            let answer = match request.uri().path() == &*path {
                true => answer(&handle, request.method()),
                false => empty(StatusCode::NOT_FOUND),
            };
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(LONGEST_HEAD)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // Whoever asked has gone; there is nobody to tell.
        let _ = connection.await;
    }

    fn answer(handle: &PrometheusHandle, method: &Method) -> Response<Full<Bytes>> {
        if *method != Method::GET && *method != Method::HEAD {
            let mut refused = empty(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        let mut response = Response::new(Full::new(Bytes::from(handle.render())));
        for (name, value) in [
            (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
        ] {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn empty(status: StatusCode) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = status;
        response
    }
}
