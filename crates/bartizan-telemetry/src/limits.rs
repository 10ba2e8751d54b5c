//! How many label values there may be.

/// How much room label values have, so that no traffic makes the metrics grow without end.
///
/// Layers, codes and outcomes are fixed by the program, and routes by its route table; these
/// limits hold even so, for whatever made them more than was thought. What comes later than the
/// limit is counted all the same, under `other`, and the folding itself is counted in
/// `bartizan_telemetry_folded_total`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    routes: usize,
    series: usize,
    sources: usize,
}

/// No limit goes beyond this: a scrape of more is no use to anybody.
const MOST: usize = 65_536;

impl Limits {
    /// 200 routes, 2048 series per metric, 64 sources: a large service, and some megabytes in the
    /// exporter at worst.
    pub const fn new() -> Self {
        Self {
            routes: 200,
            series: 2048,
            sources: 64,
        }
    }

    /// Sets how many route templates are told apart, at most 65 536; with 0 none is.
    #[must_use]
    pub const fn with_routes(mut self, routes: usize) -> Self {
        self.routes = clamp(routes);
        self
    }

    /// Sets how many combinations of label values one metric may have, at most 65 536.
    #[must_use]
    pub const fn with_series(mut self, series: usize) -> Self {
        self.series = clamp(series);
        self
    }

    /// Sets how many sources (files, issuers, stores) are told apart, at most 65 536.
    #[must_use]
    pub const fn with_sources(mut self, sources: usize) -> Self {
        self.sources = clamp(sources);
        self
    }

    /// How many route templates are told apart.
    pub const fn routes(&self) -> usize {
        self.routes
    }

    /// How many combinations of label values one metric may have.
    pub const fn series(&self) -> usize {
        self.series
    }

    /// How many sources are told apart.
    pub const fn sources(&self) -> usize {
        self.sources
    }
}

const fn clamp(limit: usize) -> usize {
    if limit > MOST { MOST } else { limit }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_goes_beyond_what_can_be_scraped() {
        let limits = Limits::new().with_routes(usize::MAX).with_series(0);
        assert_eq!((limits.routes(), limits.series()), (MOST, 0));
    }
}
