//! The memory image that the kernel makes of a process (`core(5)`), read as it streams by, and what of it is kept:
//! registers and stacks, without anything that leads nowhere.
//!
//! Arguments (`NT_PRPSINFO`), auxiliary values (`NT_AUXV`) and memory other than stacks are passed over. Every
//! number in it is believed only within bounds: whoever crashes may have written its memory.

use super::minidump::{Crash, Module, Thread};
use crate::platform::record::{Arch, deface};
use core::ops::Range;
use std::io::{self, Read};

/// The most threads that are kept.
const THREADS: usize = 256;
/// The most of a stack, and of all of them: a crash of 256 threads stays below 1 MiB with their registers.
const STACK: u64 = 32 * 1024;
const STACKS: u64 = 512 * 1024;
/// The most pieces of memory, and the largest notes: a process with 65,530 mappings has 7 MB of them.
const PIECES: usize = 70_000;
const NOTES: u64 = 8 << 20;
/// The most that is passed over on the way to a stack.
const PASSED: u64 = 8 << 30;
/// The most modules.
const MODULES: usize = 512;

/// A piece of memory in the file.
struct Piece {
    at: u64,
    range: Range<u64>,
    in_file: u64,
}

/// What the notes say.
#[derive(Default)]
struct Notes {
    threads: Vec<Thread>,
    signal: u32,
    code: u32,
    address: u64,
    modules: Vec<Module>,
}

/// Reads an image as far as it is needed. `pid` and `at` (Unix seconds) are the kernel's words.
///
/// # Errors
/// Those of `from`, and `InvalidData` for what is no image, or of another processor.
pub fn read(from: &mut dyn Read, pid: u32, at: u32) -> io::Result<Crash> {
    let mut from = Stream { from, at: 0 };
    let head = from.take(64)?;
    let layout = Layout::of(&head).ok_or_else(|| odd("it is no image of a known processor"))?;
    let (notes, pieces) = layout.headers(&mut from, &head)?;
    from.go_to(notes.start)?;
    let text = from.take(usize::try_from(notes.end - notes.start).unwrap_or_default())?;
    let mut notes = layout.notes(&text);
    let crashed = notes.threads.first().map(|thread| thread.id).unwrap_or(pid);
    stacks(&mut from, layout.arch, &pieces, &mut notes.threads)?;
    Ok(Crash {
        arch: layout.arch,
        pid,
        at,
        signal: notes.signal,
        code: notes.code,
        address: notes.address,
        crashed,
        threads: notes.threads,
        modules: notes.modules,
    })
}

/// Takes the stacks up in the order in which they stream by. What cannot be read any more is left out.
fn stacks(
    from: &mut Stream<'_>,
    arch: Arch,
    pieces: &[Piece],
    threads: &mut [Thread],
) -> io::Result<()> {
    let word = u64::try_from(arch.word()).unwrap_or(8);
    let mut wanted: Vec<(u64, u64, usize)> = Vec::new();
    for (number, thread) in threads.iter_mut().enumerate() {
        let pointer = thread.stack_start / word * word;
        thread.stack_start = pointer;
        let piece = pieces.iter().find(|piece| piece.range.contains(&pointer));
        if let Some(piece) = piece {
            let skip = pointer - piece.range.start;
            let length = piece.in_file.saturating_sub(skip).min(STACK);
            wanted.push((piece.at.saturating_add(skip), length, number));
        }
    }
    // The thread that crashed is the first one.
    let mut left = STACKS;
    for (_, length, _) in &mut wanted {
        *length = (*length).min(left);
        left -= *length;
    }
    wanted.sort_unstable();
    for (at, length, number) in wanted {
        // Two threads on one stack: the first one has it.
        if at < from.at || from.go_to(at).is_err() {
            continue;
        }
        let Ok(mut stack) = from.take(usize::try_from(length).unwrap_or_default()) else { break };
        let mapped = |word: u64| pieces.iter().any(|piece| piece.range.contains(&word));
        if !crate::sabotage::off("core-defaced") {
            deface(&mut stack, arch.word(), mapped);
        }
        if let Some(thread) = threads.get_mut(number) {
            thread.stack = stack;
        }
    }
    Ok(())
}

fn odd(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A stream that knows where it is.
struct Stream<'a> {
    from: &'a mut dyn Read,
    at: u64,
}

impl Stream<'_> {
    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let wanted = u64::try_from(length).unwrap_or(u64::MAX);
        let read = (&mut self.from).take(wanted).read_to_end(&mut bytes)?;
        self.at += u64::try_from(read).unwrap_or_default();
        if read == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn go_to(&mut self, at: u64) -> io::Result<()> {
        let ahead = at.checked_sub(self.at).filter(|ahead| *ahead <= PASSED);
        let ahead = ahead.ok_or_else(|| odd("its parts are not in order"))?;
        let passed = io::copy(&mut (&mut self.from).take(ahead), &mut io::sink())?;
        self.at += passed;
        if passed == ahead { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// How numbers lie in an image.
struct Layout {
    arch: Arch,
}

/// Bytes at a place.
fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    part(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    part(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    part(bytes, at).map(u64::from_le_bytes)
}

impl Layout {
    fn of(head: &[u8]) -> Option<Self> {
        // Little-endian, an image (`ET_CORE`), and the processor with its width.
        let class = head.strip_prefix(b"\x7fELF")?.first().copied()?;
        let is_image = head.get(5) == Some(&1) && u16_at(head, 16)? == 4;
        let arch = match (class, u16_at(head, 18)?) {
            (2, 62) => Arch::X86_64,
            (2, 183) => Arch::Aarch64,
            (1, 40) => Arch::Arm,
            _ => return None,
        };
        is_image.then_some(Self { arch })
    }

    /// A word as wide as the processor's.
    fn word(&self, bytes: &[u8], at: usize) -> Option<u64> {
        match self.arch {
            Arch::X86_64 | Arch::Aarch64 => u64_at(bytes, at),
            Arch::Arm => u32_at(bytes, at).map(u64::from),
        }
    }

    fn wide(&self) -> bool {
        self.arch.word() == 8
    }

    /// Where the notes are, and the memory in the order of the file.
    fn headers(&self, from: &mut Stream<'_>, head: &[u8]) -> io::Result<(Range<u64>, Vec<Piece>)> {
        let (start, count) = if self.wide() { (32, 56) } else { (28, 44) };
        let bad = || odd("its head is not understood");
        let start = self.word(head, start).ok_or_else(bad)?;
        let count = usize::from(u16_at(head, count).ok_or_else(bad)?).min(PIECES);
        let size = if self.wide() { 56 } else { 32 };
        // The 64 bytes read are more than a narrow head has.
        let mut table =
            head.get(usize::try_from(start).unwrap_or(64).min(64)..).unwrap_or_default().to_vec();
        if table.is_empty() {
            from.go_to(start)?;
        }
        table.extend(from.take((count * size).saturating_sub(table.len()))?);
        let (mut notes, mut pieces) = (0..0, Vec::new());
        for entry in table.chunks_exact(size) {
            let [at, address, in_file, in_memory] =
                if self.wide() { [8, 16, 32, 40] } else { [4, 8, 16, 20] };
            let word = |place: usize| self.word(entry, place).unwrap_or_default();
            match u32_at(entry, 0) {
                Some(4) => notes = word(at)..word(at).saturating_add(word(in_file).min(NOTES)),
                Some(1) => pieces.push(Piece {
                    at: word(at),
                    range: word(address)..word(address).saturating_add(word(in_memory)),
                    in_file: word(in_file),
                }),
                Some(_) | None => {}
            }
        }
        Ok((notes, pieces))
    }

    fn notes(&self, text: &[u8]) -> Notes {
        /// `NT_PRSTATUS`, `NT_SIGINFO`, `NT_FILE` of `linux/elf.h`.
        const STATUS: u32 = 1;
        const SIGNAL: u32 = 0x5349_4749;
        const FILES: u32 = 0x4649_4c45;
        let mut notes = Notes::default();
        let mut rest = text;
        while let (Some(name), Some(size), Some(kind)) =
            (u32_at(rest, 0), u32_at(rest, 4), u32_at(rest, 8))
        {
            let [name, size] = [name, size].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            let begin = name.checked_next_multiple_of(4).and_then(|name| name.checked_add(12));
            let Some(begin) = begin else { break };
            let Some(body) = begin.checked_add(size).and_then(|end| rest.get(begin..end)) else {
                break;
            };
            match kind {
                STATUS if notes.threads.len() < THREADS => notes.threads.extend(self.thread(body)),
                SIGNAL => {
                    notes.signal = u32_at(body, 0).unwrap_or_default();
                    notes.code = u32_at(body, 8).unwrap_or_default();
                    let at = if self.wide() { 16 } else { 12 };
                    notes.address = self.word(body, at).unwrap_or_default();
                }
                FILES => notes.modules = self.modules(body),
                _ => {}
            }
            rest = rest.get((begin + size).next_multiple_of(4)..).unwrap_or_default();
        }
        if notes.signal == 0 {
            // The first thread is the one that got it.
            notes.signal =
                u32::from(u16_at(text.get(12 + 8..).unwrap_or_default(), 12).unwrap_or_default());
        }
        notes
    }

    /// `struct elf_prstatus`.
    fn thread(&self, body: &[u8]) -> Option<Thread> {
        let (id, start, count) = match self.arch {
            Arch::X86_64 => (32, 112, 27),
            Arch::Aarch64 => (32, 112, 34),
            Arch::Arm => (24, 72, 17),
        };
        let width = self.arch.word();
        let words: Option<Vec<u64>> =
            (0..count).map(|number| self.word(body, start + number * width)).collect();
        let words = words?;
        let word = |number: usize| words.get(number).copied().unwrap_or_default();
        let registers: Vec<u64> = match self.arch {
            // `user_regs_struct` into the order of `gregs`: r8-r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags.
            Arch::X86_64 => {
                let order = [9, 8, 7, 6, 3, 2, 1, 0, 14, 13, 4, 5, 12, 10, 11, 19, 16, 18];
                order.into_iter().map(word).collect()
            }
            Arch::Aarch64 | Arch::Arm => words,
        };
        let pointer = match self.arch {
            Arch::X86_64 => 15,
            Arch::Aarch64 => 31,
            Arch::Arm => 13,
        };
        let stack_start = registers.get(pointer).copied().unwrap_or_default();
        Some(Thread { id: u32_at(body, id)?, registers, stack_start, stack: Vec::new() })
    }

    /// `NT_FILE`: what is mapped. Of files that are no programs not even the name is kept.
    fn modules(&self, body: &[u8]) -> Vec<Module> {
        let width = self.arch.word();
        let files = self.word(body, 0).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        let files = files.min(body.len() / (3 * width));
        let names = body.get(2 * width + files * 3 * width..).unwrap_or_default();
        let mut modules: Vec<Module> = Vec::new();
        for (number, path) in names.split(|byte| *byte == 0).take(files).enumerate() {
            let at = |field: usize| self.word(body, (2 + number * 3 + field) * width);
            let (Some(start), Some(end)) = (at(0), at(1)) else { break };
            let path = String::from_utf8_lossy(path);
            grow(&mut modules, start..end, &path, |name| number == 0 || name.contains(".so"));
        }
        modules
    }
}

/// Adds a mapping of a file to the modules: to the last one, when it is of the same file.
pub fn grow(
    modules: &mut Vec<Module>,
    range: Range<u64>,
    path: &str,
    is_program: impl FnOnce(&str) -> bool,
) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let length = |base: u64| u32::try_from(range.end.saturating_sub(base)).unwrap_or(u32::MAX);
    let has_room = modules.len() < MODULES;
    if let Some(last) = modules.last_mut().filter(|last| last.name == name) {
        last.size = length(last.base);
    } else if !name.is_empty() && has_room && is_program(name) {
        let base = range.start;
        modules.push(Module { base, size: length(base), name: name.into(), build: Vec::new() });
    }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
