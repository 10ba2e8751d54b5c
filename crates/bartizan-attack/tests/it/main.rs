//! A service that holds, and services that do not: the attacks have to prove that they can fail.

mod report;
mod servers;
mod strong;
mod support;
mod weak;
