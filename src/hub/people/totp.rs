//! Codes from an app (TOTP, RFC 6238): SHA-1, six digits, a new one each 30 s, as every app can make them.

use crate::clock::Wall;
use crate::hub::keys::{KeyError, random};
use crate::secret::Secret;
use data_encoding::BASE32_NOPAD;
use ring::hmac;

/// How long a code stands, in seconds (RFC 6238 section 5.2).
const STEP_SECONDS: u64 = 30;
/// Codes this many steps early or late are taken: the clocks of phones are not exact.
const WINDOW: u64 = 1;
/// Digits of a code, and the number of codes there are.
const DIGITS: usize = 6;
const CODES: u32 = 1_000_000;
/// Bytes of a secret (RFC 4226 section 4, requirement R6: 160 bits are recommended).
const SECRET: usize = 20;

/// What an app and the hub share.
pub struct Totp {
    secret: Secret<[u8; SECRET]>,
}

impl Totp {
    /// A new secret.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no random bytes.
    pub fn new() -> Result<Self, KeyError> {
        Ok(Self { secret: Secret::new(random()?) })
    }

    /// Reads the secret as people type it into an app: letters and digits, in groups or not.
    pub fn read(base32: &str) -> Option<Self> {
        let plain: String = base32.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes = BASE32_NOPAD.decode(plain.to_ascii_uppercase().as_bytes()).ok()?;
        Some(Self { secret: Secret::new(bytes.try_into().ok()?) })
    }

    /// The secret as people type it into an app.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(self.secret.expose())
    }

    /// The link that apps read from a QR code, after the format of Google Authenticator's "Key Uri Format".
    pub fn link(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (encoded(issuer), encoded(account));
        let secret = self.base32();
        format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}")
    }

    /// The step a code is of, when it is one of now: the code is good for that step only.
    pub fn step_of(&self, typed: &str, now: Wall) -> Option<u64> {
        let digits: String = typed.chars().filter(|c| !c.is_whitespace()).take(16).collect();
        let present = now.unix_seconds() / STEP_SECONDS;
        let mut steps = present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW);
        // Compared by a keyed hash of both, whose timing tells nothing of them.
        let key = self.key();
        let tag = hmac::sign(&key, digits.as_bytes());
        steps.find(|step| hmac::verify(&key, self.code(*step).as_bytes(), tag.as_ref()).is_ok())
    }

    /// The code at a moment, as an app shows it.
    pub fn code_at(&self, now: Wall) -> String {
        self.code(now.unix_seconds() / STEP_SECONDS)
    }

    fn code(&self, step: u64) -> String {
        format!("{:0DIGITS$}", self.number(step) % CODES)
    }

    /// Dynamic truncation (RFC 4226 section 5.3): four bytes of the hash, from where its last half byte says.
    fn number(&self, step: u64) -> u32 {
        let tag = hmac::sign(&self.key(), &step.to_be_bytes());
        let hash = tag.as_ref();
        let offset = usize::from(hash.last().copied().unwrap_or_default() & 0x0f);
        let four = hash.get(offset..).and_then(<[u8]>::first_chunk::<4>).copied();
        u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff
    }

    fn key(&self) -> hmac::Key {
        // SHA-1 is what apps understand; HMAC needs no resistance to collisions (RFC 6194 section 3.3).
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.expose())
    }
}

fn encoded(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            all.push(char::from(byte));
        } else {
            all.push_str(&format!("%{byte:02X}"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc() -> Totp {
        Totp { secret: Secret::new(*b"12345678901234567890") }
    }

    fn at(seconds: u64) -> Wall {
        Wall::from_unix_seconds(seconds)
    }

    /// RFC 4226, appendix D.
    #[test]
    fn the_vectors_of_hotp_come_out() {
        let known = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (step, code) in (0..).zip(known) {
            assert_eq!(rfc().code(step), code, "step {step}");
        }
        assert_eq!(rfc().number(0), 1_284_755_224);
    }

    /// RFC 6238, appendix B: its codes have eight digits.
    #[test]
    fn the_vectors_of_totp_come_out() {
        let known = [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ];
        for (seconds, code) in known {
            assert_eq!(rfc().number(seconds / STEP_SECONDS) % 100_000_000, code, "{seconds}");
            assert_eq!(rfc().code_at(at(seconds)), format!("{:06}", code % CODES));
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_or_late_and_no_further() {
        let totp = rfc();
        let code = totp.code(100);
        for (now, step) in [
            (98 * 30 + 29, None),
            (99 * 30, Some(100)),
            (100 * 30, Some(100)),
            (101 * 30 + 29, Some(100)),
            (102 * 30, None),
        ] {
            assert_eq!(totp.step_of(&code, at(now)), step, "{now}");
        }
        let (left, right) = code.split_at(3);
        assert_eq!(totp.step_of(&format!(" {left} {right} "), at(3000)), Some(100));
        for bad in ["", "0", &code[..5], &format!("{code}0"), "abcdef"] {
            assert_eq!(totp.step_of(bad, at(3000)), None, "{bad}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_is_shown_and_the_link_names_both_sides() {
        let totp = rfc();
        assert_eq!(totp.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let read = Totp::read("gezd gnbv gy3t qojq gezd gnbv gy3t qojq").unwrap();
        assert_eq!(read.base32(), totp.base32());
        assert!(Totp::read("GEZD").is_none() && Totp::read("0189").is_none());
        let link = totp.link("cloud.example.org", "a b&c@mail.example.org");
        assert_eq!(
            link,
            "otpauth://totp/cloud.example.org:a%20b%26c@mail.example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=cloud.example.org"
        );
    }
}
