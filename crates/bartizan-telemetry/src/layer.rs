//! The layer that measures requests.

use std::sync::Arc;

use bartizan_core::{Clock, Entrance, GuardLayer, Guarded};
use tower_layer::Layer;

use crate::guard::MeterGuard;
use crate::measure::Measure;

/// Measures requests: how many are in flight, how long each takes to the end of its response's
/// body, and how it is answered.
///
/// Put it outside of all layers of the family, so that refusals are measured too, and give it the
/// entrance with the routes then: the outermost layer is the one that asks it. Give the entrance
/// an observer as well: a path that has more than one meaning is refused before anything is
/// measured, and that decision is where it is counted.
///
/// ```
/// use std::sync::Arc;
///
/// use bartizan_core::{Entrance, RouteTable};
/// use bartizan_telemetry::{Measure, MeterLayer, RequestEvent};
///
/// #[derive(Debug)]
/// struct Print;
///
/// impl Measure for Print {
///     fn measure(&self, event: &RequestEvent<'_>) {
///         if let RequestEvent::Ended(end) = event {
///             println!("{:?} took {:?}", end.template(), end.duration());
///         }
///     }
/// }
///
/// let routes = RouteTable::new(["/orders/{id}"])?;
/// let layer = MeterLayer::new(Arc::new(Print)).with_entrance(Entrance::new().with_routes(routes));
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer measures nothing until it is put in front of a service"]
pub struct MeterLayer {
    meters: Vec<Arc<dyn Measure>>,
    clock: Option<Arc<dyn Clock>>,
    entrance: Option<Entrance>,
}

/// A service behind a [`MeterLayer`].
pub type Meter<S> = Guarded<S, MeterGuard>;

impl MeterLayer {
    /// Tells this meter.
    pub fn new(meter: Arc<dyn Measure>) -> Self {
        Self {
            meters: vec![meter],
            clock: None,
            entrance: None,
        }
    }

    /// Tells another one too.
    pub fn add_meter(mut self, meter: Arc<dyn Measure>) -> Self {
        self.meters.push(meter);
        self
    }

    /// Sets the clock that durations are read from.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    pub fn with_entrance(mut self, entrance: Entrance) -> Self {
        self.entrance = Some(entrance);
        self
    }

    /// The guard, to be chained with others.
    pub fn guard(&self) -> MeterGuard {
        MeterGuard::new(self.meters.clone(), self.clock.clone())
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        let layer = GuardLayer::new(self.guard());
        match &self.entrance {
            Some(entrance) => layer.with_entrance(entrance.clone()).layer(inner),
            None => layer.layer(inner),
        }
    }
}
