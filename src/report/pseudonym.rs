//! Other names for people, machines and addresses, where a report shall not tell them: `[user:1]` is the same one in
//! all of a report, and nobody in another. Nothing tells which.

mod address;

use super::source::Source;
use crate::platform::facts::Facts;
use core::cell::RefCell;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What can get other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// People who have an account.
    User,
    /// Names of machines and their domains.
    Host,
    /// Addresses of either family, but for those that every machine has.
    Ip,
    /// Addresses of network cards.
    Mac,
}

impl Kind {
    /// Each with its name on the command line.
    pub const ALL: [(&'static str, Self); 4] =
        [("users", Self::User), ("hosts", Self::Host), ("ips", Self::Ip), ("macs", Self::Mac)];

    /// The name in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Ip => "ip",
            Self::Mac => "mac",
        }
    }
}

/// How often each kind was renamed.
pub type Counts = BTreeMap<Kind, u64>;

/// People have ids from here on: 500 on some boxes, 1000 on the rest.
const FIRST_PERSON: u32 = 500;
/// What is below it and is nobody.
const NOBODY: u32 = 65_534;
/// The most of a file in which names stand.
const MOST: u64 = 1 << 20;
/// A line that is longer is renamed in parts.
const LONG: usize = 64 * 1024;

/// Gives other names. One of it serves one report.
#[derive(Default)]
pub struct Pseudonyms {
    kinds: Vec<Kind>,
    /// Names by their first letter, the longest first; all in lower case.
    names: BTreeMap<u8, Vec<(Vec<u8>, Kind, usize)>>,
    /// Numbers of addresses, in the order they were met.
    addresses: RefCell<BTreeMap<(Kind, Vec<u8>), usize>>,
}

impl Pseudonyms {
    /// For these kinds, on this box; nothing without any.
    pub fn new(kinds: &[Kind], source: &Source, facts: &Facts) -> Option<Self> {
        if kinds.is_empty() {
            return None;
        }
        let mut all = Self { kinds: kinds.to_vec(), ..Self::default() };
        if kinds.contains(&Kind::Host) {
            let known = hosts(source, facts);
            known.iter().enumerate().for_each(|(at, name)| all.learn(name, Kind::Host, at + 1));
        }
        if kinds.contains(&Kind::User) {
            for (at, names) in users(source).iter().enumerate() {
                names.iter().for_each(|name| all.learn(name, Kind::User, at + 1));
            }
        }
        for names in all.names.values_mut() {
            names.sort_by_key(|(name, ..)| core::cmp::Reverse(name.len()));
        }
        Some(all)
    }

    fn learn(&mut self, name: &str, kind: Kind, number: usize) {
        let name = name.to_lowercase().into_bytes();
        if let Some(first) = name.first().copied() {
            let known = self.names.entry(first).or_default();
            if !known.iter().any(|(other, ..)| *other == name) {
                known.push((name, kind, number));
            }
        }
    }

    /// A line with the other names in it.
    pub fn rename(&self, line: &[u8], counts: &mut Counts, out: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at.checked_sub(1).and_then(|before| line.get(before).copied());
            let found = match before {
                Some(before) if is_word(before) => None,
                Some(_) | None => self.address(rest).or_else(|| self.name(rest)),
            };
            let Some((kind, number, length)) = found else {
                out.extend(rest.first());
                at += 1;
                continue;
            };
            out.extend_from_slice(format!("[{}:{number}]", kind.name()).as_bytes());
            *counts.entry(kind).or_default() += 1;
            at += length;
        }
    }

    /// A text with the other names in it.
    pub fn text(&self, text: &str) -> String {
        let mut out = Vec::new();
        self.rename(text.as_bytes(), &mut Counts::new(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// JSON with the other names in its texts.
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(&text).into(),
            Value::Array(list) => list.into_iter().map(|value| self.json(value)).collect(),
            Value::Object(map) => {
                let one = |(name, value)| (name, self.json(value));
                map.into_iter().map(one).collect::<serde_json::Map<String, Value>>().into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    fn name(&self, rest: &[u8]) -> Option<(Kind, usize, usize)> {
        let first = rest.first()?.to_ascii_lowercase();
        let (name, kind, number) = self.names.get(&first)?.iter().find(|(name, ..)| {
            let begins = rest.get(..name.len()).is_some_and(|part| part.eq_ignore_ascii_case(name));
            begins && !rest.get(name.len()).copied().is_some_and(is_word)
        })?;
        Some((*kind, *number, name.len()))
    }

    fn address(&self, rest: &[u8]) -> Option<(Kind, usize, usize)> {
        if !rest.first()?.is_ascii_hexdigit() && rest.first() != Some(&b':') {
            return None;
        }
        let (kind, bytes, length) = address::begins(rest)?;
        // An address that was made of a card's tells it.
        let tells_card = kind == Kind::Ip && address::holds_card(&bytes);
        let wanted = self.kinds.contains(&kind) || tells_card && self.kinds.contains(&Kind::Mac);
        if !wanted || address::is_everybodys(kind, &bytes) {
            return None;
        }
        let mut known = self.addresses.borrow_mut();
        let next = known.keys().filter(|(other, _)| *other == kind).count() + 1;
        Some((kind, *known.entry((kind, bytes)).or_insert(next), length))
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The people of the box: each with the name of the account and the one beside it.
fn users(source: &Source) -> Vec<Vec<String>> {
    let passwd = source.root().read_text("/etc/passwd", MOST).unwrap_or_default();
    let person = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, id) = (fields.first()?, fields.get(2)?.parse::<u32>().ok()?);
        let full = fields.get(4).and_then(|all| all.split(',').next()).unwrap_or_default().trim();
        let is_person = id >= FIRST_PERSON && id != NOBODY && !name.is_empty();
        let names = [*name, full].into_iter().filter(|name| !name.is_empty());
        is_person.then(|| names.map(str::to_owned).collect())
    };
    passwd.lines().filter_map(person).collect()
}

/// The names of this machine and of those it knows, and the domains they are in.
fn hosts(source: &Source, facts: &Facts) -> Vec<String> {
    let text = |path| source.root().read_text(path, MOST).unwrap_or_default();
    let (hosts, resolver) = (text("/etc/hosts"), text("/etc/resolv.conf"));
    let of_hosts = hosts.lines().flat_map(|line| {
        let known = line.split('#').next().unwrap_or_default();
        known.split_whitespace().skip(1)
    });
    let of_resolver = resolver.lines().flat_map(|line| {
        let is_list = line.starts_with("search") || line.starts_with("domain");
        line.split_whitespace().skip(1).filter(move |_| is_list)
    });
    let own = facts.hostname.value.as_deref();
    let mut all: Vec<String> = Vec::new();
    for name in own.into_iter().chain(of_hosts).chain(of_resolver) {
        let name = name.trim_end_matches('.').to_lowercase();
        let is_everybodys = name.starts_with("localhost") || name.starts_with("ip6-");
        if !is_everybodys && name.len() > 1 && !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Writes what it is given with the other names in it, line by line.
pub struct Renamed<'a, W: Write> {
    names: Option<&'a Pseudonyms>,
    to: W,
    held: Vec<u8>,
    out: Vec<u8>,
    counts: Counts,
}

impl<'a, W: Write> Renamed<'a, W> {
    /// Writes to `to`; without names it only hands on.
    pub fn new(names: Option<&'a Pseudonyms>, to: W) -> Self {
        Self { names, to, held: Vec::new(), out: Vec::new(), counts: Counts::new() }
    }

    /// Writes what is held, and gives back where it wrote to.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(mut self) -> io::Result<(W, Counts)> {
        self.line()?;
        Ok((self.to, self.counts))
    }

    fn line(&mut self) -> io::Result<()> {
        let Some(names) = self.names else { return Ok(()) };
        self.out.clear();
        names.rename(&self.held, &mut self.counts, &mut self.out);
        self.held.clear();
        self.to.write_all(&self.out)
    }
}

impl<W: Write> Write for Renamed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.names.is_none() {
            return self.to.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(part);
            // A long line is cut where no name goes on.
            let is_cut = self.held.len() > LONG && part.last().is_some_and(u8::is_ascii_whitespace);
            if part.ends_with(b"\n") || is_cut || self.held.len() > 2 * LONG {
                self.line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kinds: &[Kind]) -> Pseudonyms {
        let mut all = Pseudonyms { kinds: kinds.to_vec(), ..Pseudonyms::default() };
        for (name, kind, number) in [
            ("anna", Kind::User, 1),
            ("Anna Kranich", Kind::User, 1),
            ("jo", Kind::User, 2),
            ("nas", Kind::Host, 1),
            ("nas.home.example", Kind::Host, 2),
        ] {
            if kinds.contains(&kind) {
                all.learn(name, kind, number);
            }
        }
        all.names
            .values_mut()
            .for_each(|names| names.sort_by_key(|(name, ..)| core::cmp::Reverse(name.len())));
        all
    }

    #[test]
    fn people_machines_and_addresses_get_other_names_and_the_rest_stays() {
        let names = names(&Kind::ALL.map(|(_, kind)| kind));
        for (line, wanted) in [
            ("login of anna from 192.168.1.7:22 ok", "login of [user:1] from [ip:1]:22 ok"),
            (
                "/home/Anna/x ANNA@nas.home.example annabel jo",
                "/home/[user:1]/x [user:1]@[host:2] annabel [user:2]",
            ),
            ("user Anna Kranich; _anna", "user [user:1]; _anna"),
            (
                "nas sshd: 192.168.1.7, fe80::1ff:fe23:4567:890a%eth0.",
                "[host:1] sshd: [ip:1], [ip:2]%eth0.",
            ),
            ("00:11:32:aa:BB:cc is 00-11-32-aa-bb-cc", "[mac:1] is [mac:1]"),
            (
                "127.0.0.1 ::1 0.0.0.0 255.255.255.0 :: std::fs io::be 12:34:56",
                "127.0.0.1 ::1 0.0.0.0 255.255.255.0 :: std::fs io::be 12:34:56",
            ),
            ("nonsense 1.2.3 jobs", "nonsense 1.2.3 jobs"),
        ] {
            assert_eq!(names.text(line), wanted);
        }
    }

    #[test]
    fn the_kernels_own_spellings_are_addresses_too() {
        let names = names(&[Kind::Ip]);
        let native = u32::from_ne_bytes([192, 168, 1, 7]);
        let line = format!("0: {native:08X}:0016 00000000:0000 0A 192.168.1.7");
        assert_eq!(names.text(&line), "0: [ip:1]:0016 00000000:0000 0A [ip:1]");
        let six = "fe800000000000000211 32fffeaabbcc fe80000000000000021132fffeaabbcc 02 40";
        assert_eq!(names.text(six), "fe800000000000000211 32fffeaabbcc [ip:2] 02 40");
    }

    #[test]
    fn an_address_made_of_a_cards_goes_with_the_cards() {
        let names = names(&[Kind::Mac]);
        let line = "10.0.0.1 fe80::211:32ff:feaa:bbcc 2001:db8::1 anna";
        assert_eq!(names.text(line), "10.0.0.1 [ip:1] 2001:db8::1 anna");
    }
}
