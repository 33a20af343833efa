//! What a dying process writes of itself ([`super::crash`]), and how it is read again.
//!
//! A head of words, the table of its mappings as the kernel shows it, and one stack. Numbers are little-endian.

use core::ops::Range;

/// What a record begins with.
pub const MAGIC: &[u8; 8] = b"qccrash1";
/// The most registers of a processor here: arm64 has 31, a stack pointer, a program counter and flags.
pub const REGISTERS: usize = 40;
/// Words of the head before its registers.
pub const WORDS: usize = 11;
/// The longest thread's name (`TASK_COMM_LEN`), version and build id.
pub const NAME: usize = 16;
/// See [`NAME`].
pub const VERSION: usize = 32;
/// See [`NAME`].
pub const BUILD: usize = 32;
/// The length of a head.
pub const HEAD: usize = MAGIC.len() + 8 * (WORDS + REGISTERS) + NAME + VERSION + BUILD;
/// What stands where a word was that leads nowhere: text, keys, numbers. Breakpad writes the same.
pub const DEFACED: u64 = 0x0def_aced_0def_aced;

/// A processor whose registers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86_64, registers in the order of the kernel's `gregs`.
    X86_64,
    /// arm64: x0 to x30, sp, pc, pstate.
    Aarch64,
    /// 32-bit ARM: r0 to r15, cpsr.
    Arm,
}

impl Arch {
    /// As it stands in a record.
    pub const fn number(self) -> u64 {
        match self {
            Self::X86_64 => 1,
            Self::Aarch64 => 2,
            Self::Arm => 3,
        }
    }

    /// The bytes of a word of memory.
    pub const fn word(self) -> usize {
        match self {
            Self::X86_64 | Self::Aarch64 => 8,
            Self::Arm => 4,
        }
    }

    fn of(number: u64) -> Option<Self> {
        [Self::X86_64, Self::Aarch64, Self::Arm].into_iter().find(|arch| arch.number() == number)
    }
}

/// A piece of address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// Whether code in it can run.
    pub executable: bool,
    /// The file it is of, empty for none.
    pub path: String,
}

/// How a process ended, as it wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its processor.
    pub arch: Arch,
    /// The signal.
    pub signal: u32,
    /// Why it was sent: `si_code`.
    pub code: u32,
    /// The address that could not be used.
    pub address: u64,
    /// The process.
    pub pid: u32,
    /// The thread that got the signal.
    pub tid: u32,
    /// Its registers, in the order of [`Arch`].
    pub registers: Vec<u64>,
    /// The name of that thread.
    pub thread: String,
    /// The version of the program.
    pub version: String,
    /// The build id of the program, or what stands for it.
    pub build: Vec<u8>,
    /// Its address space.
    pub maps: Vec<Mapping>,
    /// Where its stack begins.
    pub stack_start: u64,
    /// The stack.
    pub stack: Vec<u8>,
}

/// The words of the head, in order.
pub struct Head {
    /// [`Arch::number`], signal, code, address, process, thread, begin of the stack, its length, the length of the
    /// table of mappings, the number of registers, the length of the build id.
    pub words: [u64; WORDS],
    /// The registers.
    pub registers: [u64; REGISTERS],
}

impl Head {
    /// Writes it and the texts behind it without allocating.
    pub fn encode(&self, texts: &[&[u8]], into: &mut [u8; HEAD]) {
        let words = self.words.iter().chain(&self.registers).map(|word| word.to_le_bytes());
        let bytes = MAGIC.iter().copied().chain(words.flatten());
        let texts = texts.iter().flat_map(|text| text.iter().copied());
        for (to, byte) in into.iter_mut().zip(bytes.chain(texts)) {
            *to = byte;
        }
    }
}

impl Record {
    /// Reads a record; nothing for what is none, or cut short before its stack.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let word = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(rest.get(at * 8..at * 8 + 8)?.try_into().ok()?))
        };
        let small = |at: usize| u32::try_from(word(at)?).ok();
        let size = |at: usize| usize::try_from(word(at)?).ok();
        let texts = rest.get(8 * (WORDS + REGISTERS)..)?;
        let (maps_at, maps, stack) = (NAME + VERSION + BUILD, size(8)?, size(7)?);
        let text = |range: Range<usize>| {
            let text = texts.get(range)?.split(|byte| *byte == 0).next()?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let stack_at = maps_at.checked_add(maps)?;
        let map_text = String::from_utf8_lossy(texts.get(maps_at..stack_at)?).into_owned();
        let build = texts.get(NAME + VERSION..)?.get(..size(10)?.min(BUILD))?.to_vec();
        // A disk that is full keeps the beginning.
        let stack = texts.get(stack_at..)?.iter().take(stack).copied().collect();
        Some(Self {
            arch: Arch::of(word(0)?)?,
            signal: small(1)?,
            code: small(2)?,
            address: word(3)?,
            pid: small(4)?,
            tid: small(5)?,
            registers: (0..size(9)?.min(REGISTERS)).filter_map(|n| word(WORDS + n)).collect(),
            thread: text(0..NAME)?,
            version: text(NAME..NAME + VERSION)?,
            build,
            maps: map_text.lines().filter_map(mapping).collect(),
            stack_start: word(6)?,
            stack,
        })
    }
}

/// A line of `/proc/PID/maps`.
fn mapping(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    Some(Mapping { range, executable: rest.as_bytes().get(2) == Some(&b'x'), path: path.into() })
}

/// The build id of a program, out of the beginning of its file (`NT_GNU_BUILD_ID`).
pub fn build_id(head: &[u8]) -> Option<Vec<u8>> {
    // The note's name with its length and type before it; the length of its content stands before those.
    let mark = b"\x03\0\0\0GNU\0";
    let at = head.windows(mark.len()).position(|part| part == mark)?;
    let length = head.get(at.checked_sub(4)?..at)?;
    let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    let begin = at + mark.len();
    head.get(begin..begin.checked_add(length)?).filter(|id| id.len() <= BUILD).map(<[u8]>::to_vec)
}

/// Whether a word of memory may be kept: it leads somewhere, or is a small number. What else it may be (a piece of a
/// text, of a key) is nobody's to read.
pub fn leads_somewhere(word: u64, width: usize, mut mapped: impl FnMut(u64) -> bool) -> bool {
    const SMALL: u64 = 4096;
    let highest = if width == 4 { u64::from(u32::MAX) } else { u64::MAX };
    word <= SMALL || word > highest - SMALL || mapped(word)
}

/// Puts [`DEFACED`] in the place of each word that leads nowhere.
pub fn deface(memory: &mut [u8], width: usize, mut mapped: impl FnMut(u64) -> bool) {
    let mark = DEFACED.to_le_bytes();
    for piece in memory.chunks_mut(width) {
        let mut word = [0; 8];
        for (to, byte) in word.iter_mut().zip(piece.iter()) {
            *to = *byte;
        }
        let whole = piece.len() == width;
        if !whole || !leads_somewhere(u64::from_le_bytes(word), width, &mut mapped) {
            for (to, byte) in piece.iter_mut().zip(mark) {
                *to = byte;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_one_cut_short_keeps_its_beginning() {
        let maps =
            b"1000-2000 r-xp 00000000 00:00 0    /opt/a b\n3000-4000 rw-p 0 00:00 0 [stack]\n";
        let length = u64::try_from(maps.len()).unwrap();
        let mut head = Head {
            words: [1, 11, 1, 0xdead, 42, 43, 0x3100, 16, length, 18, 2],
            registers: [7; REGISTERS],
        };
        head.registers[16] = 0x1234;
        let mut bytes = [0; HEAD];
        let (mut name, mut version, mut build) = ([0; NAME], [0; VERSION], [0; BUILD]);
        name[..4].copy_from_slice(b"main");
        version[..5].copy_from_slice(b"1.2.3");
        build[..3].copy_from_slice(&[9, 8, 7]);
        head.encode(&[&name, &version, &build], &mut bytes);
        let mut whole = bytes.to_vec();
        whole.extend_from_slice(maps);
        whole.extend_from_slice(&[1; 16]);
        let record = Record::read(&whole).unwrap();
        assert_eq!((record.arch, record.signal, record.address), (Arch::X86_64, 11, 0xdead));
        assert_eq!((record.pid, record.tid, record.registers[16]), (42, 43, 0x1234));
        assert_eq!((&*record.thread, &*record.version), ("main", "1.2.3"));
        assert_eq!((record.build.as_slice(), record.stack.len()), ([9, 8].as_slice(), 16));
        assert_eq!(record.maps[0].path, "/opt/a b");
        assert!(record.maps[0].executable && !record.maps[1].executable);
        let cut = Record::read(&whole[..whole.len() - 10]).unwrap();
        assert_eq!(cut.stack.len(), 6);
        for end in 0..whole.len() - 16 {
            assert!(Record::read(&whole[..end]).is_none(), "{end}");
        }
    }

    #[test]
    fn of_memory_only_what_leads_somewhere_stays() {
        let mut memory = Vec::new();
        memory.extend_from_slice(&0x1234_u64.to_le_bytes());
        memory.extend_from_slice(b"password");
        memory.extend_from_slice(&7_u64.to_le_bytes());
        memory.extend_from_slice(&(u64::MAX - 1).to_le_bytes());
        memory.extend_from_slice(b"end");
        deface(&mut memory, 8, |word| (0x1000..0x2000).contains(&word));
        let word = |at: usize| u64::from_le_bytes(memory[at..at + 8].try_into().unwrap());
        assert_eq!([word(0), word(8), word(16), word(24)], [0x1234, DEFACED, 7, u64::MAX - 1]);
        assert_eq!(memory[32..], DEFACED.to_le_bytes()[..3]);
    }

    #[test]
    fn a_build_id_is_found_in_the_beginning_of_a_program() {
        let mut head = vec![0; 100];
        head.extend_from_slice(&[4, 0, 0, 0, 3, 0, 0, 0]);
        head.extend_from_slice(b"GNU\0\x01\x02\x03\x04rest");
        assert_eq!(build_id(&head), Some(vec![1, 2, 3, 4]));
        assert_eq!(build_id(b"no program"), None);
    }
}
