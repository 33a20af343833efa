//! The report: one archive, made on the box, that never leaves it by itself.

pub mod scrub;
