//! [`Email`]: the address a person signs in with.

use core::fmt;

/// The longest address there can be (RFC 5321 section 4.5.3.1.3, less the angle brackets).
const LONGEST: usize = 254;

/// A mail address, its domain in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// A text that is no mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mail address looks like name@example.net")]
pub struct BadEmail;

impl Email {
    /// Reads an address: one `@`, something before it, a domain name behind it. Whether somebody reads mail there
    /// only a mail shows, so no more is asked of it.
    ///
    /// # Errors
    /// [`BadEmail`].
    pub fn parse(text: &str) -> Result<Self, BadEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(BadEmail)?;
        let plain =
            |c: char| !c.is_control() && !c.is_whitespace() && !"\"<>@,;:\\()[]".contains(c);
        let label = |part: &str| {
            let letters = |c: char| c.is_alphanumeric() || c == '-';
            !part.is_empty() && part.len() <= 63 && part.chars().all(letters)
        };
        let fits = text.len() <= LONGEST
            && !local.is_empty()
            && local.len() <= 64
            && local.chars().all(plain)
            && domain.contains('.')
            && domain.split('.').all(label);
        if fits { Ok(Self(format!("{local}@{}", domain.to_lowercase()))) } else { Err(BadEmail) }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_other_texts_refused() {
        let read = |text| Email::parse(text).map(|email| email.0);
        assert_eq!(read(" Anna.B+nas@Example.NET ").unwrap(), "Anna.B+nas@example.net");
        for bad in [
            "",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.d",
            "a@b..c",
            "a@b.c\r\nTo: x@y.z",
            "a@b@c.d",
            "a@[::1].x",
        ] {
            assert_eq!(read(bad), Err(BadEmail), "{bad}");
        }
        assert_eq!(read(&format!("a@{}.net", "b".repeat(300))), Err(BadEmail));
    }
}
