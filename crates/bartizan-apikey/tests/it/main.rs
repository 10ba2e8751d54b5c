//! The layer in front of real services.
