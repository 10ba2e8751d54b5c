//! `[bans]`, `[intake]`, `[deadline]` and `[load]`: what is looked at before anybody is known.

use std::time::Duration;

use bartizan_core::{Inspection, IpNetwork, TrustedProxies};
use bartizan_ratelimit::{
    BanLayer, Bans as BanTable, BansBuilder, DeadlineLayer, IntakeLayer, IntakeRules, LoadLayer,
    LoadLimit, Priority,
};

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::{Mode, Size, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// Shuts out who is banned. The service bans, by the handle that it gets from the
    /// configuration; nothing bans by itself.
    Bans {
        /// How many bans there may be at once: 1 to 16777216.
        capacity: usize = "10000",
        /// How long a first ban lasts; each further one twice as long as the one before.
        first: Duration = "60s",
        /// How long a ban lasts at most: up to 366 days.
        longest: Duration = "1d",
        /// How many bans there may be in a minute.
        per_minute: u64 = "100",
        /// Networks that are never banned: probes, your office.
        exempt: Vec<IpNetwork>,
        /// Never bans the trusted proxies of `[entrance]`: that is to ban everybody behind them.
        exempt_proxies: bool = "true",
        /// Refuses at most this share of a minute's requests, in percent from 1 to 100. Any by
        /// default.
        largest_share: Option<u8>,
        /// Begin with `shadow`, which records what would be refused; then enforce.
        mode: Mode = "shadow",
    }
}

section! {
    /// Refuses requests that are too large or of the wrong kind, by their heads.
    Intake {
        /// How many bytes path and query may have.
        max_target: Size = "8KiB",
        /// How many bytes the names and values of all headers may have.
        max_headers: Size = "16KiB",
        /// How many lines of headers there may be.
        max_header_lines: usize = "64",
        /// How large a body may be declared to be.
        max_body: Size = "2MiB",
        /// The media types that bodies may have, such as `application/json`. Any by default.
        content_types: Vec<String>,
        /// Whether refusals reach the client.
        mode: Mode = "enforce",
    }
}

section! {
    /// Ends what takes too long.
    Deadline {
        /// How long a request may take, up to the end of the response.
        limit: Duration,
        /// Limits of their own for some routes.
        route: Vec<DeadlineRoute>,
        /// Whether the end reaches the client.
        mode: Mode = "enforce",
    }
}

section! {
    /// A limit of its own for some routes.
    DeadlineRoute {
        /// Route templates, as `entrance.routes` has them, or gRPC methods.
        templates: Vec<String>,
        /// How long a request may take there.
        limit: Duration,
    }
}

section! {
    /// Serves so many requests at once, and sheds what is beyond.
    Load {
        /// How many requests are served at once, at first: 1 to 1048576.
        limit: usize,
        /// Down to how many the limit may adapt itself. It is fixed unless `target` is set.
        least: Option<usize>,
        /// Up to how many the limit may adapt itself.
        most: Option<usize>,
        /// Within what time responses are to begin; the limit adapts itself to that. Needs `least`
        /// and `most`.
        target: Option<Duration>,
        /// How much requests matter, by route. Once one is given, the others are of priority
        /// `normal`; without any, each may use the whole limit.
        priority: Vec<LoadPriority>,
        /// Whether what is shed is refused.
        mode: Mode = "enforce",
    }
}

section! {
    /// How much requests of some routes matter when there is too much to do.
    LoadPriority {
        /// Route templates, as `entrance.routes` has them, or gRPC methods.
        templates: Vec<String>,
        /// How much they matter.
        priority: Matters,
    }
}

choice! {
    /// How much a request matters.
    Matters {
        /// May use the whole limit.
        Critical = "critical",
        /// Shed once half of the limit is in use.
        Low = "low",
        /// Shed once four fifths of the limit are in use.
        Normal = "normal",
    }
}

/// Gives a layer its enforcement and its observer.
macro_rules! attended {
    ($layer:expr, $mode:expr, $with:expr) => {{
        let layer = $layer.with_enforcement($mode.into());
        match $with.observer() {
            Some(observer) => layer.with_observer(observer),
            None => layer,
        }
    }};
}

pub(crate) use attended;

impl Bans {
    pub(crate) fn builder(&self, proxies: &TrustedProxies, with: &Surroundings) -> BansBuilder {
        let mut bans = BanTable::builder()
            .with_capacity(self.capacity)
            .with_lengths(self.first, self.longest)
            .with_bans_per_minute(self.per_minute)
            .with_clock(with.clock.clone());
        for network in &self.exempt {
            bans = bans.add_exempt(*network);
        }
        if self.exempt_proxies {
            bans = bans.add_exempt_proxies(proxies);
        }
        if let Some(percent) = self.largest_share {
            bans = bans.with_largest_share(percent);
        }
        bans
    }

    pub(crate) fn build(
        &self,
        proxies: &TrustedProxies,
        with: &Surroundings,
        kept: Option<BanTable>,
    ) -> Result<(BanTable, BanLayer), Problem> {
        let bans = match kept {
            Some(bans) => bans,
            None => {
                let bans = self.builder(proxies, with).build();
                bans.map_err(|error| self.refuse("bans", &error))?
            }
        };
        let layer = attended!(BanLayer::new(bans.clone()), self.mode, with);
        Ok((bans, layer))
    }
}

impl Bans {
    /// Whether the table of bans is the same, and the mode at most another.
    pub(crate) fn differs_in_mode_alone(&self, now: &Self) -> bool {
        let mode = now.mode;
        *now == Self {
            mode,
            ..self.clone()
        }
    }
}

impl Intake {
    pub(crate) fn rules(&self) -> Result<IntakeRules, Problem> {
        let mut rules = IntakeRules::builder()
            .with_max_target(self.max_target.bytes())
            .with_max_headers(self.max_headers.bytes(), self.max_header_lines)
            .with_max_body(self.max_body.0);
        for media_type in &self.content_types {
            rules = rules.allow_content_type(media_type);
        }
        rules.build().map_err(|error| self.refuse("intake", &error))
    }

    pub(crate) fn build(&self, with: &Surroundings) -> Result<IntakeLayer, Problem> {
        Ok(attended!(IntakeLayer::new(self.rules()?), self.mode, with))
    }
}

impl Deadline {
    pub(crate) fn build(&self, with: &Surroundings) -> Result<DeadlineLayer, Problem> {
        let layer = DeadlineLayer::try_new(self.limit);
        let mut layer = layer.map_err(|error| self.refuse("deadline", &error))?;
        if let Some(route) = self.route.iter().find(|route| route.limit.is_zero()) {
            let message = "nothing is done within no time";
            return Err(Problem::new(route.stands.0, "deadline.route", message));
        }
        if !self.route.is_empty() {
            let routes = self.route.clone();
            layer = layer.with_limit_for(move |inspection| {
                let route = routes.iter().find(|it| is_at(&it.templates, inspection));
                route.map(|route| route.limit)
            });
        }
        Ok(attended!(layer, self.mode, with))
    }
}

impl Load {
    pub(crate) fn build(&self, with: &Surroundings) -> Result<LoadLayer, Problem> {
        let mut limit = LoadLimit::builder(self.limit).with_clock(with.clock.clone());
        match (self.least, self.most, self.target) {
            (None, None, None) => {}
            (Some(least), Some(most), Some(target)) => {
                limit = limit.with_adaptation(least, most, target);
            }
            _ => {
                let message = "`least`, `most` and `target` go together";
                return Err(Problem::new(self.stands.0, "load", message));
            }
        }
        let limit = limit.build().map_err(|error| self.refuse("load", &error))?;
        let mut layer = LoadLayer::new(limit);
        if !self.priority.is_empty() {
            let priorities = self.priority.clone();
            layer = layer.with_priority(move |inspection| {
                let mut of = priorities.iter();
                match of.find(|it| is_at(&it.templates, inspection)) {
                    Some(found) => found.priority.into(),
                    None => Priority::Normal,
                }
            });
        }
        Ok(attended!(layer, self.mode, with))
    }
}

impl From<Matters> for Priority {
    fn from(matters: Matters) -> Self {
        match matters {
            Matters::Critical => Self::Critical,
            Matters::Low => Self::Low,
            Matters::Normal => Self::Normal,
        }
    }
}

/// Whether a request's route is one of these. Without a route table the path itself is compared,
/// which is what gRPC's methods are.
pub(crate) fn is_at(templates: &[String], inspection: &Inspection<'_>) -> bool {
    let context = inspection.context;
    let template = context.template().or_else(|| context.path().ok());
    template.is_some_and(|template| templates.iter().any(|it| it == template))
}
