//! How the tables of attacks are written: a row for each, which reads
//! `name [promise] sentence, reference => how it is made`. Without a promise it is `Refused`.

macro_rules! table {
    ($class:ident; $($name:literal $([$promise:ident])? $sentence:literal, $reference:literal => $build:expr;)*) => {
        pub(super) const ATTACKS: &[crate::attack::Attack] = &[$(
            crate::attack::Attack::new(
                crate::attack::Class::$class, $name, $sentence, $reference, $build,
            )$(.promising(crate::attack::Promise::$promise))?
        ),*];
    };
}

pub(crate) use table;

/// What is planted as an identity, so that it is known again in an answer.
pub(crate) const INTRUDER: &str = "bartizan-intruder";
