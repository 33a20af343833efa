//! Directories that go with the test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A number that no other part of this test program, and no other one that runs, has: for names.
pub fn unique() -> String {
    format!("{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A directory that is removed with its contents on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty one. Others may pass through it: agents run as users of their own.
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("qcloud-test-{}", unique()));
        std::fs::create_dir(&dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
        Self(dir)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Itself.
    pub fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in a temporary directory breaks no later test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
