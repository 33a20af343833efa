//! [`Secret`]: a value that is never printed, never serialised, and wiped when dropped.

use zeroize::Zeroize;

/// Holds key material. It has no `Debug`, no `Display` and no `Serialize`, and overwrites itself on drop.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Lends the value. The name is easy to search for in review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
