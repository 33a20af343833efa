//! The features. Adding one is a directory here and a word in this list; the command line, the
//! configuration, the catalogue, the gate, status and erasure follow from its card.

use crate::daemon::feature::Row;

macro_rules! features {
    ($($module:ident :: $feature:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every feature of the agent.
        pub static ALL: &[Row] = &[$(Row::of::<$module::$feature>()),*];
    };
}

features! {
    registration::Registration,
    ddns::Ddns,
    link::Link,
    privacy::Privacy,
    license::License,
}
