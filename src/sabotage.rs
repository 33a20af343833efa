//! Proof that tests can fail: in builds with the `sabotage` feature, an environment variable switches off one
//! named guard, or makes one named feature panic. Without the feature these functions are constants
//! and nothing of this is in the program.

/// Whether the guard of this name is switched off (`QCLOUD_SABOTAGE=name`).
#[cfg(feature = "sabotage")]
pub fn off(guard: &str) -> bool {
    std::env::var("QCLOUD_SABOTAGE").is_ok_and(|name| name == guard)
}

/// Whether the guard of this name is switched off: never, in this build.
#[cfg(not(feature = "sabotage"))]
pub const fn off(_guard: &str) -> bool {
    false
}

/// Panics in the feature of this name (`QCLOUD_PANIC=name`), as a defect of it would.
#[cfg(feature = "sabotage")]
pub fn panic_in(feature: &str) {
    assert!(!std::env::var("QCLOUD_PANIC").is_ok_and(|name| name == feature), "told to panic");
}

/// Does nothing, in this build.
#[cfg(not(feature = "sabotage"))]
pub const fn panic_in(_feature: &str) {}

/// What a process of this very program needs to have the same guard switched off.
#[cfg(feature = "sabotage")]
pub fn passed_on() -> Option<(&'static str, std::ffi::OsString)> {
    std::env::var_os("QCLOUD_SABOTAGE").map(|value| ("QCLOUD_SABOTAGE", value))
}

/// Nothing, in this build.
#[cfg(not(feature = "sabotage"))]
pub const fn passed_on() -> Option<(&'static str, std::ffi::OsString)> {
    None
}
