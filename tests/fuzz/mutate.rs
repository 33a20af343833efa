//! Mutations without a compiler's help: the same for the same seed, so that what fails can be repeated.

/// xorshift64 (Marsaglia 2003).
pub struct Random(u64);

impl Random {
    /// From any seed.
    pub fn new(seed: u64) -> Self {
        // A state of 0 would stay 0; the constant is that of splitmix64.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, 0 for an `end` of 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Words and numbers that formats hang on.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"=",
    b"==",
    b"[",
    b"]",
    b"[[",
    b"{",
    b"}",
    b"{}",
    b"[]",
    b":",
    b"/",
    b"//",
    b"@",
    b"%00",
    b"..",
    b".",
    b"-",
    b"--",
    b" - ",
    b"#",
    b"null",
    b"true",
    b"false",
    b"1e999",
    b"-0",
    b"0",
    b"18446744073709551616",
    b"99999999999999999999",
    b"https://",
    b"http://",
    b"[::1]",
    b"sha256:",
    b"type",
    b"\xe2\x80\xae",
    b"md",
    b" : active raid1 ",
    b"[2/1]",
    b"\\040",
    b"\\777",
    b"nameserver ",
    b"%eth0",
    b"..\0",
    b"\xc0\x0c",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\x10\0\0\0",
    b"\0\x10",
    b"\0\x01",
];

/// The longest input made here.
const LONGEST: usize = 64 * 1024;

/// A changed copy of one input, perhaps with a part of another.
pub fn mutated(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(6) {
        once(random, &mut data, other);
    }
    data.truncate(LONGEST);
    data
}

fn once(random: &mut Random, data: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(data.len() + 1);
    let end = at + random.below((data.len() - at).min(64) + 1);
    match random.below(10) {
        0 => flip(random, data),
        1 => data.insert(at, random.byte()),
        2 => drop(data.drain(at..end)),
        3 => data.truncate(at),
        4 => drop(data.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
        5 => drop(data.splice(at..end, WORDS[random.below(WORDS.len())].iter().copied())),
        6 => {
            let part = data[at..end].to_vec();
            let copies = 1 + random.below(8);
            drop(data.splice(at..at, part.repeat(copies)));
        }
        7 => {
            let from = random.below(other.len() + 1);
            let part = &other[from..(from + random.below(256)).min(other.len())];
            drop(data.splice(at..end, part.iter().copied()));
        }
        8 => {
            if let Some(byte) = data.get_mut(at) {
                *byte = [0, 1, 4, 0x7f, 0x80, 0xff, b'"', b'\n'][random.below(8)];
            }
        }
        _ => {
            if let Some(byte) = data.get_mut(at) {
                *byte = byte.wrapping_add([1, 0xff, 16, 0xf0][random.below(4)]);
            }
        }
    }
}

fn flip(random: &mut Random, data: &mut [u8]) {
    let at = random.below(data.len());
    if let Some(byte) = data.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}
