//! What measures requests, if anything does.

#[cfg(feature = "telemetry")]
pub(crate) type Meter = bartizan_telemetry::MeterGuard;

#[cfg(not(feature = "telemetry"))]
pub(crate) use self::nobody::NoMeter as Meter;

#[cfg(not(feature = "telemetry"))]
mod nobody {
    use bartizan_core::{Check, Duty, Guard, Inspection, Never};

    /// The meter of a program without the feature `telemetry`. It has no value.
    #[derive(Clone, Debug)]
    #[expect(unnameable_types, reason = "nobody can have one")]
    pub enum NoMeter {}

    impl Guard for NoMeter {
        type Pass = ();
        type Inquiry = Never;

        fn duty(&self) -> Option<&Duty> {
            match *self {}
        }

        fn check(&self, _: &mut Inspection<'_>) -> Check<(), Never> {
            match *self {}
        }
    }
}
