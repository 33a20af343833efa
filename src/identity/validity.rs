//! When a certificate ends, read from its DER (RFC 5280 section 4.1): nothing is verified by that.

use super::key::certificates;
use crate::clock::Wall;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of the first certificate of a PEM text; `None` for what is no certificate.
pub fn ends(pem: &str) -> Option<Wall> {
    let chain = certificates(pem).ok()?;
    ends_der(chain.first()?.as_ref())
}

/// The end of a certificate.
pub fn ends_der(der: &[u8]) -> Option<Wall> {
    let (_, certificate, _) = part(der)?;
    let (_, mut body, _) = part(certificate)?;
    if body.first() == Some(&VERSION) {
        body = part(body)?.2;
    }
    // Serial number, signature algorithm, issuer; then the validity.
    for _ in 0..3 {
        body = part(body)?.2;
    }
    let (SEQUENCE, validity, _) = part(body)? else { return None };
    let (_, _, rest) = part(validity)?;
    let (kind, text, _) = part(rest)?;
    time(kind, text)
}

/// Tag, content and what follows of the first element.
fn part(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let count = length - 0x80;
        let (digits, after) = rest.split_at_checked(count).filter(|_| count <= 3)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, the only forms that RFC 5280 section 4.1.2.5 allows.
fn time(kind: u8, text: &[u8]) -> Option<Wall> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let year_digits = match kind {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    if text.len() != year_digits + 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let year = match (kind, number(0, year_digits)?) {
        (UTC_TIME, year) if year >= 50 => 1900 + year,
        (UTC_TIME, year) => 2000 + year,
        (_, year) => year,
    };
    let at = |index: usize| number(year_digits + 2 * index, year_digits + 2 * index + 2);
    let days = days_since_1970(year, at(0)?, at(1)?)?;
    Some(Wall::from_unix_seconds(days * 86_400 + at(2)? * 3600 + at(3)? * 60 + at(4)?))
}

/// The days from 1970-01-01 to a date (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::authority;

    #[test]
    fn the_end_is_the_one_that_was_written() {
        let issuer = authority("an authority").issuer;
        for (year, month, day) in [(2026, 12, 31), (2049, 2, 28), (2050, 1, 1), (2096, 2, 29)] {
            let mut params = rcgen::CertificateParams::new(vec!["box.test".into()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = params.signed_by(&key, &issuer).unwrap().pem();
            let end = ends(&pem).unwrap().rfc3339();
            assert_eq!(end, format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
            // Cut off or turned around, it is no certificate, and never a panic.
            let der = certificates(&pem).unwrap().remove(0).to_vec();
            for at in 0..der.len() {
                let mut bad = der.clone();
                bad[at] ^= 0xff;
                let _ = part(&bad).map(|(_, inside, _)| part(inside));
                let _ = part(&der[..at]);
            }
        }
        assert_eq!(ends(""), None);
        assert_eq!(time(GENERALIZED_TIME, b"20261331000000Z"), None);
        assert_eq!(time(UTC_TIME, b"261231000000"), None);
    }
}
