//! Certificates of services (RFC 5280): for whom they are and until when they hold. Nothing else of them is read.

use super::Survey;
use crate::clock::Wall;
use core::net::Ipv4Addr;
use data_encoding::BASE64;
use std::io::{self, Write};

/// Where services keep their own.
const PLACES: &[&str] = &[
    "/etc/ssl/*.pem",
    "/etc/ssl/*.crt",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "/etc/config/*.pem",
    "/etc/stunnel/*.pem",
    "/etc/config/stunnel/*.pem",
    "/etc/nginx/*.crt",
    "/etc/nginx/ssl/*.crt",
    "/etc/apache2/ssl/*.crt",
    "/etc/apache2/*.crt",
    "/usr/syno/etc/certificate/*/*/cert.pem",
    "/etc/letsencrypt/live/*/cert.pem",
    "/etc/lighttpd/*.crt",
    "/etc/lighttpd/*.pem",
    "/etc/uhttpd.crt",
];
/// The most certificates of one file: more is a list of authorities.
const MOST: usize = 16;
/// What is left when one is said to end soon.
const SOON: u64 = 14 * 86_400;

/// A certificate.
#[derive(Debug, PartialEq, Eq)]
struct Certificate {
    names: Vec<String>,
    until: u64,
}

/// For whom they are, and until when they hold.
pub fn certificates(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let now = u64::from(survey.source.clock().now().wall);
    for path in PLACES.iter().flat_map(|pattern| survey.source.matches(pattern)) {
        let file = survey.source.root().read(&path, super::MOST).unwrap_or_default();
        for der in ders(&file).iter().take(MOST) {
            let Some(found) = read(der) else { continue };
            let ends = match found.until.checked_sub(now) {
                None => " ENDED",
                Some(left) if left < SOON => " ends soon",
                Some(_) => "",
            };
            let (names, until) = (found.names.join(" "), Wall::from(found.until).rfc3339());
            writeln!(to, "{path}: {names} until {until}{ends}")?;
        }
    }
    Ok(())
}

/// The certificates of a file: as text, or as it is.
fn ders(file: &[u8]) -> Vec<Vec<u8>> {
    if file.first() == Some(&0x30) {
        return vec![file.to_owned()];
    }
    let text = String::from_utf8_lossy(file);
    let bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let body = |pem: &str| {
        let body: String = pem.split("-----END").next()?.split_whitespace().collect();
        BASE64.decode(body.as_bytes()).ok()
    };
    bodies.filter_map(body).collect()
}

/// The first element: tag, what is in it, and what follows (ITU-T X.690 section 8.1).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit)), rest)
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((*tag, inside, after))
}

/// The elements one after the other.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let (tag, inside, after) = element(bytes)?;
        bytes = after;
        Some((tag, inside))
    })
}

fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate, _) = element(der)?;
    let (_, signed, _) = element(certificate)?;
    // A version comes first, in a tag of its own, but for those of version 1.
    let parts: Vec<(u8, &[u8])> = elements(signed).skip_while(|(tag, _)| *tag == 0xa0).collect();
    let (_, validity) = parts.get(3)?;
    let (tag, until) = elements(validity).nth(1)?;
    let mut names =
        alternative_names(parts.iter().find(|(tag, _)| *tag == 0xa3).map(|part| part.1));
    if names.is_empty() {
        names.extend(common_name(parts.get(4)?.1));
    }
    Some(Certificate { names, until: time(tag, until)? })
}

/// UTCTime or GeneralizedTime, always in UTC and to the second (RFC 5280 section 4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |from: usize| text.get(from..from + 2)?.parse::<u64>().ok();
    let (year, at) = match tag {
        0x17 => (number(0).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        0x18 => (text.get(..4)?.parse().ok()?, 4),
        _ => return None,
    };
    let day = format!("{year:04}-{}-{}", text.get(at..at + 2)?, text.get(at + 2..at + 4)?);
    let day = u64::from(Wall::from_date(&day)?);
    Some(day + number(at + 4)? * 3600 + number(at + 6)? * 60 + number(at + 8)?)
}

/// Names and addresses that it is for (section 4.2.1.6).
fn alternative_names(extensions: Option<&[u8]>) -> Vec<String> {
    const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    let find = || {
        let (_, list, _) = element(extensions?)?;
        let mut inside = elements(list).map(|(_, extension)| extension);
        let extension = inside.find(|one| {
            element(one).is_some_and(|(tag, oid, _)| tag == 6 && oid == SUBJECT_ALT_NAME)
        })?;
        let (_, value) = elements(extension).find(|(tag, _)| *tag == 4)?;
        let (_, names, _) = element(value)?;
        let name = |(tag, bytes): (u8, &[u8])| match (tag, bytes) {
            (0x82, name) => plain(name),
            (0x87, &[a, b, c, d]) => Some(Ipv4Addr::new(a, b, c, d).to_string()),
            _ => None,
        };
        Some(elements(names).filter_map(name).take(8).collect())
    };
    find().unwrap_or_default()
}

fn common_name(subject: &[u8]) -> Option<String> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    elements(subject).find_map(|(_, set)| {
        let (_, pair, _) = element(set)?;
        let mut parts = elements(pair);
        let (tag, oid) = parts.next()?;
        (tag == 6 && oid == COMMON_NAME).then(|| plain(parts.next()?.1)).flatten()
    })
}

/// A name without what could deceive a terminal.
fn plain(bytes: &[u8]) -> Option<String> {
    let text: String = core::str::from_utf8(bytes).ok()?.chars().take(128).collect();
    let text = text.replace(|c: char| c.is_control() || c == ' ', "_");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 3, 4);
        params.distinguished_name.push(rcgen::DnType::CommonName, "nas of anna");
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_its_names_and_its_end() {
        let end = u64::from(Wall::from_date("2027-03-04").unwrap());
        let found = read(&made(&["nas.example.net", "192.0.2.7"])).unwrap();
        assert_eq!(
            found,
            Certificate { names: vec!["nas.example.net".into(), "192.0.2.7".into()], until: end }
        );
        assert_eq!(read(&made(&[])).unwrap().names, ["nas_of_anna"]);
        let pem = format!(
            "# one\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n!\n",
            BASE64.encode(&made(&["a.example"]))
        );
        assert_eq!(ders(pem.as_bytes()).len(), 1);
    }

    #[test]
    fn what_is_cut_or_odd_is_no_certificate_and_no_panic() {
        let whole = made(&["nas.example.net"]);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None);
            let mut odd = whole.clone();
            odd[length] ^= 0xff;
            let _ = read(&odd);
        }
        assert_eq!(time(0x17, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(0x17, b"501231235959Z"), None, "before 1970 there is no time");
        assert_eq!(
            time(0x18, b"20270304000000Z"),
            Some(u64::from(Wall::from_date("2027-03-04").unwrap()))
        );
    }
}
