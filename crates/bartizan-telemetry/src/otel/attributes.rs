//! Attributes that are made once, and within a limit.

use opentelemetry::KeyValue;

use crate::digits::Digits;
use crate::family::{Family, Place};
use crate::label::{NONE, OTHER};
use crate::limits::Limits;
use crate::measure::{RequestEnd, RequestHead};
use crate::metric::{DECISIONS, LIFECYCLE_EVENTS, Metric, MetricKind};
use crate::series::Series;

type Values = Box<[KeyValue]>;

/// Here, too, the limits are those of a table; its names are OpenTelemetry's.
const HEADS: Metric = Metric {
    name: "http.server.active_requests",
    kind: MetricKind::Gauge,
    labels: &["method", "scheme"],
    help: "",
};

const ENDS: Metric = Metric {
    name: "http.server.request.duration",
    kind: MetricKind::Histogram,
    labels: &["method", "scheme", "route", "status", "error"],
    help: "",
};

/// From here on a status says that the server failed.
const ERROR: u16 = 500;

pub(super) struct Attributes {
    routes: Series<1, ()>,
    decisions: Family<6, Values>,
    lifecycle: Family<3, Values>,
    heads: Family<2, Values>,
    ends: Family<5, Values>,
}

impl Attributes {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            routes: Series::new(limits.routes()),
            decisions: Family::new(DECISIONS, limits.series()),
            lifecycle: Family::new(LIFECYCLE_EVENTS, limits.series()),
            heads: Family::new(HEADS, limits.series()),
            ends: Family::new(ENDS, limits.series()),
        }
    }

    pub(super) fn decision(&self, values: [&str; 6]) -> &[KeyValue] {
        const KEYS: [&str; 6] = [
            "bartizan.layer",
            "bartizan.outcome",
            "bartizan.mode",
            "bartizan.code",
            "bartizan.protocol",
            "http.route",
        ];
        if let Some(known) = self.decisions.find(values) {
            return known;
        }
        let [layer, outcome, mode, code, protocol, route] = values;
        let values = [layer, outcome, mode, code, protocol, self.route(route)];
        known(&self.decisions, values, KEYS)
    }

    pub(super) fn lifecycle(&self, values: [&str; 3]) -> &[KeyValue] {
        const KEYS: [&str; 3] = ["bartizan.layer", "bartizan.kind", "bartizan.code"];
        known(&self.lifecycle, values, KEYS)
    }

    pub(super) fn head(&self, head: RequestHead) -> &[KeyValue] {
        const KEYS: [&str; 2] = ["http.request.method", "url.scheme"];
        known(
            &self.heads,
            [head.method(), head.scheme().unwrap_or(NONE)],
            KEYS,
        )
    }

    pub(super) fn end(&self, end: &RequestEnd<'_>) -> &[KeyValue] {
        const KEYS: [&str; 5] = [
            "http.request.method",
            "url.scheme",
            "http.route",
            "http.response.status_code",
            "error.type",
        ];
        let (head, status) = (end.head(), end.status());
        let digits = Digits::new(status.unwrap_or_default());
        let (code, error) = match status {
            None => (NONE, "abandoned"),
            Some(status) if status >= ERROR => (digits.as_str(), digits.as_str()),
            Some(_) => (digits.as_str(), NONE),
        };
        let scheme = head.scheme().unwrap_or(NONE);
        let values = |route| [head.method(), scheme, route, code, error];
        let route = end.template().unwrap_or(NONE);
        match self.ends.find(values(route)) {
            Some(known) => known,
            None => known(&self.ends, values(self.route(route)), KEYS),
        }
    }

    fn route<'t>(&self, template: &'t str) -> &'t str {
        match self.routes.find_or_add([template], || ()) {
            Some(()) => template,
            None => OTHER,
        }
    }
}

/// The attributes of these values; what there is none of has no attribute.
fn known<'f, const N: usize>(
    family: &'f Family<N, Values>,
    values: [&str; N],
    keys: [&'static str; N],
) -> &'f [KeyValue] {
    let make = |_: &Metric, values: [&str; N]| {
        let present = keys
            .into_iter()
            .zip(values)
            .filter(|(_, value)| *value != NONE);
        present.map(|(key, value)| attribute(key, value)).collect()
    };
    match family.place(values, make) {
        Place::Own(attributes) | Place::Folded(attributes) => attributes,
        Place::Nowhere => &[],
    }
}

fn attribute(key: &'static str, value: &str) -> KeyValue {
    match value.parse::<i64>() {
        Ok(number) if key == "http.response.status_code" => KeyValue::new(key, number),
        _ => KeyValue::new(key, value.to_owned()),
    }
}
