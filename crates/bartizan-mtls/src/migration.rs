//! Plaintext beside TLS, for as long as clients move over.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_core::{CanonicalPath, RouteTable, RouteTableError, SecurityContext, WallTime};
use http::{HeaderMap, HeaderName};

/// Plaintext on a port that otherwise speaks TLS, on certain routes and until a certain day.
///
/// For moving a service's clients over to mutual TLS one after the other. Give the same value to
/// the listener, which then takes both
/// ([`MtlsListenerBuilder::allow_plaintext`](crate::MtlsListenerBuilder::allow_plaintext)), and to
/// the layer, which lets such requests pass
/// ([`MtlsLayerBuilder::allow_plaintext`](crate::MtlsLayerBuilder::allow_plaintext)). A layer that
/// was not given it refuses them.
///
/// # How it decides
///
/// 1. A client whose first byte is a capital letter, as every request's is, speaks plaintext. All
///    else is TLS or nothing. The client may take no longer than a handshake.
/// 2. From the end on, plaintext connections are not taken any more, requests on those that are
///    open are refused, and responses that are under way end.
/// 3. A request passes if its path is listed, in its canonical spelling. Where the outermost layer
///    has a route table, the template that it found must be listed.
/// 4. Such a request has no peer. `X-Forwarded-Client-Cert`, `Client-Cert` and `Client-Cert-Chain`
///    are removed from it. With `Authorization` it is refused, and with a header that is
///    [named as one of a credential](Self::with_credential_headers).
/// 5. Each that passes is a decision with the code `mtls.plaintext`; [`passed`](Self::passed) and
///    [`refused`](Self::refused) count. When no more come, it is time to switch.
///
/// # Deployment notes
///
/// Whoever can reach the port can call these routes, and whoever is on the way can read and change
/// what is said: TLS beside it protects none of it. Credentials in headers of another name than
/// `Authorization` are not known here unless they are named: API keys and cookies. Not even the
/// address is proven to a network that lets it be forged.
///
/// ```
/// use bartizan_core::WallTime;
/// use bartizan_mtls::{Migration, MtlsLayer};
///
/// // Until the first of March 2027.
/// let migration = Migration::until(WallTime::from_unix_seconds(1_803_859_200))
///     .add_routes(["/orders/{id}", "/shop.Orders/Get"])?;
/// let layer = MtlsLayer::builder()
///     .allow_peer("spiffe://example.org/**".parse()?)
///     .allow_plaintext(&migration)
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a migration has an effect once it is given to a listener and a layer"]
pub struct Migration {
    end: WallTime,
    templates: HashSet<Box<str>>,
    routes: RouteTable,
    credentials: Arc<[HeaderName]>,
    tokens: bool,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    passed: AtomicU64,
    refused: AtomicU64,
}

impl Migration {
    /// Plaintext until this moment, on no route yet.
    pub fn until(end: WallTime) -> Self {
        Self {
            end,
            templates: HashSet::new(),
            routes: RouteTable::default(),
            credentials: Arc::default(),
            tokens: false,
            seen: Arc::default(),
        }
    }

    /// Adds routes, in the notation of a [`RouteTable`].
    ///
    /// # Errors
    ///
    /// If a template is malformed or conflicts with another.
    pub fn add_routes<T: AsRef<str>>(
        mut self,
        templates: impl IntoIterator<Item = T>,
    ) -> Result<Self, RouteTableError> {
        let added = templates.into_iter().map(|it| Box::from(it.as_ref()));
        self.templates.extend(added);
        self.routes = RouteTable::new(self.templates.iter())?;
        Ok(self)
    }

    /// Replaces the headers besides `Authorization` that carry credentials, such as `x-api-key` or
    /// `cookie`: requests with one of them are refused. Counts go on where they are.
    pub fn with_credential_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.credentials = names.into_iter().collect();
        self
    }

    /// Lets requests with an `Authorization` header, or with another credential, pass in
    /// plaintext, which anybody on the way can then read and use as their own.
    pub fn insecure_allow_tokens(mut self) -> Self {
        self.tokens = true;
        self
    }

    /// When it ends.
    pub fn end(&self) -> WallTime {
        self.end
    }

    /// How many requests passed in plaintext, through all layers that were given this value or
    /// a clone of it.
    pub fn passed(&self) -> u64 {
        self.seen.passed.load(Ordering::Relaxed)
    }

    /// How many plaintext requests were refused.
    pub fn refused(&self) -> u64 {
        self.seen.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self, now: WallTime) -> bool {
        now >= self.end
    }

    /// Whether a header is there that was named as one of a credential.
    pub(crate) fn has_credential(&self, headers: &HeaderMap) -> bool {
        let mut names = self.credentials.iter();
        names.any(|name| headers.contains_key(name))
    }

    pub(crate) fn allows_tokens(&self) -> bool {
        self.tokens
    }

    pub(crate) fn count(&self, passed: bool) {
        let counter = if passed {
            &self.seen.passed
        } else {
            &self.seen.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the route of this request is listed.
    pub(crate) fn lists(&self, context: &SecurityContext) -> bool {
        if let Some(template) = context.template() {
            return self.templates.contains(template);
        }
        // Routers compare paths as they were sent. One in another spelling than the canonical
        // might lead elsewhere than the template says.
        match CanonicalPath::parse(context.uri().path()) {
            Ok(path) => {
                let listed = self.routes.template(&path).is_some();
                listed && path.into_changed().is_none()
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(migration: &Migration, path: &str, expected: bool) {
        let context = SecurityContext::new(path.parse().unwrap());
        assert_eq!(migration.lists(&context), expected, "{path}");
    }

    #[test]
    fn lists_routes_in_their_canonical_spelling() {
        let migration = Migration::until(WallTime::MAX)
            .add_routes(["/orders/{id}"])
            .and_then(|migration| migration.add_routes(["/files/{*rest}", "/a.B/C"]))
            .unwrap();
        for (path, expected) in [
            ("/orders/7", true),
            ("/orders/7?x=/admin", true),
            ("/files/a/b", true),
            ("/a.B/C", true),
            ("/", false),
            ("/orders", false),
            ("/orders/7/cancel", false),
            ("/orders/7/", false),
            ("/Orders/7", false),
            ("/orders//7", false),
            ("/%6frders/7", false),
            ("/files/../admin", false),
            ("/files/%2e%2e/admin", false),
            ("/files/a%2fb", false),
            ("/a.B/D", false),
        ] {
            check(&migration, path, expected);
        }
        check(&Migration::until(WallTime::MAX), "/orders/7", false);
    }

    #[test]
    fn the_end_is_over() {
        let end = WallTime::from_unix_seconds(100);
        let migration = Migration::until(end);
        for (now, expected) in [(99, false), (100, true), (101, true)] {
            let now = WallTime::from_unix_seconds(now);
            assert_eq!(migration.is_over(now), expected, "{now:?}");
        }
    }

    #[test]
    fn refuses_templates_that_conflict() {
        let migration = Migration::until(WallTime::MAX).add_routes(["/a/{x}", "/a/{y}"]);
        assert!(migration.is_err());
    }
}
