//! A crash in the minidump format, which every symbolizer reads.
//!
//! Written by hand: of the format's some forty streams six are needed, and none that holds arguments, environment or
//! auxiliary values. Layouts: Microsoft's `minidumpapiset.h`, and Breakpad's `minidump_format.h` for what Windows
//! has not.

use crate::platform::record::Arch;

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Its processor.
    pub arch: Arch,
    /// The process.
    pub pid: u32,
    /// When, in Unix seconds.
    pub at: u32,
    /// The signal.
    pub signal: u32,
    /// Why it was sent: `si_code`.
    pub code: u32,
    /// The address that could not be used.
    pub address: u64,
    /// The thread that got the signal.
    pub crashed: u32,
    /// Its threads, as far as they are known.
    pub threads: Vec<Thread>,
    /// The program and its libraries.
    pub modules: Vec<Module>,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its id.
    pub id: u32,
    /// Its registers, in the order of [`Arch`].
    pub registers: Vec<u64>,
    /// Where the stack that follows begins.
    pub stack_start: u64,
    /// Its stack.
    pub stack: Vec<u8>,
}

/// A program or library in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its first address.
    pub base: u64,
    /// Its length.
    pub size: u32,
    /// Its name, without directories.
    pub name: String,
    /// Its build id, if that is known.
    pub build: Vec<u8>,
}

const THREADS: u32 = 3;
const MODULES: u32 = 4;
const MEMORY: u32 = 5;
const EXCEPTION: u32 = 6;
const SYSTEM: u32 = 7;
const MISC: u32 = 15;
/// `MD_OS_LINUX`.
const LINUX: u32 = 0x8201;
/// `MD_CVINFOELF_SIGNATURE`.
const ELF: u32 = 0x4270_454c;

/// A length and a place in the file.
type Location = (u32, u32);

/// What grows: every part is appended, and its place remembered.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn at(&self) -> u32 {
        // All parts together are bounded far below.
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    fn location(&mut self, (size, at): Location) {
        self.u32(size);
        self.u32(at);
    }

    /// Something of its own, at an address that any processor likes.
    fn part(&mut self, write: impl FnOnce(&mut Self)) -> Location {
        self.zeros(self.0.len().next_multiple_of(8) - self.0.len());
        let at = self.at();
        write(self);
        (self.at() - at, at)
    }

    fn text(&mut self, text: &str) -> u32 {
        let units: Vec<u16> = text.encode_utf16().collect();
        let (_, at) = self.part(|out| {
            out.u32(count(units.len() * 2));
            units.iter().for_each(|unit| out.u16(*unit));
            out.u16(0);
        });
        at
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Crash {
    /// The whole file.
    pub fn write(&self) -> Vec<u8> {
        const STREAMS: usize = 6;
        let mut out = Out::default();
        // The head and the directory are put here when all places are known.
        let head = 32 + STREAMS * 12;
        out.zeros(head);
        let contexts: Vec<Location> =
            self.threads.iter().map(|thread| self.context(&mut out, thread)).collect();
        let stacks: Vec<Location> = self
            .threads
            .iter()
            .map(|thread| out.part(|out| out.0.extend_from_slice(&thread.stack)))
            .collect();
        let streams = [
            (SYSTEM, self.system(&mut out)),
            (THREADS, self.thread_list(&mut out, &contexts, &stacks)),
            (MODULES, self.module_list(&mut out)),
            (MEMORY, self.memory_list(&mut out, &stacks)),
            (EXCEPTION, self.exception(&mut out, &contexts)),
            (MISC, self.misc(&mut out)),
        ];
        let mut start = Out::default();
        start.0.extend_from_slice(b"MDMP");
        start.u32(0xa793);
        start.u32(count(streams.len()));
        start.u32(32);
        start.u32(0);
        start.u32(self.at);
        start.u64(0);
        for (kind, location) in streams {
            start.u32(kind);
            start.location(location);
        }
        out.0.splice(..head, start.0);
        out.0
    }

    fn context(&self, out: &mut Out, thread: &Thread) -> Location {
        let all = &thread.registers;
        let word = |number: usize| all.get(number).copied().unwrap_or_default();
        let low = |number: usize| u32::try_from(word(number) & 0xffff_ffff).unwrap_or_default();
        out.part(|out| match self.arch {
            Arch::X86_64 => {
                out.zeros(48);
                // CONTEXT_AMD64 with the control and integer registers.
                out.u32(0x0010_0003);
                out.zeros(4 + 6 * 2);
                out.u32(low(17));
                out.zeros(6 * 8);
                // rax rcx rdx rbx rsp rbp rsi rdi r8-r15 rip, from the kernel's order.
                let order = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7, 16];
                order.iter().for_each(|number| out.u64(word(*number)));
                out.zeros(512 + 26 * 16 + 6 * 8);
            }
            Arch::Aarch64 => {
                // CONTEXT_ARM64, the same.
                out.u32(0x0040_0003);
                out.u32(low(33));
                (0..33).for_each(|number| out.u64(word(number)));
                out.zeros(32 * 16 + 8 + 8 * 4 + 8 * 8 + 2 * 4 + 2 * 8);
            }
            Arch::Arm => {
                // CONTEXT_ARM with the integer registers.
                out.u32(0x4000_0002);
                (0..17).for_each(|number| out.u32(low(number)));
                out.zeros(8 + 32 * 8 + 8 * 4);
            }
        })
    }

    fn system(&self, out: &mut Out) -> Location {
        let name = out.text("Linux");
        let number = match self.arch {
            Arch::X86_64 => 9,
            Arch::Aarch64 => 12,
            Arch::Arm => 5,
        };
        out.part(|out| {
            out.u16(number);
            // Level, revision, number of processors, kind of product: nobody needs them to walk a stack.
            out.zeros(6);
            out.zeros(12);
            out.u32(LINUX);
            out.u32(name);
            out.zeros(4 + 24);
        })
    }

    fn thread_list(&self, out: &mut Out, contexts: &[Location], stacks: &[Location]) -> Location {
        out.part(|out| {
            out.u32(count(self.threads.len()));
            for ((thread, context), stack) in self.threads.iter().zip(contexts).zip(stacks) {
                out.u32(thread.id);
                out.zeros(12 + 8);
                out.u64(thread.stack_start);
                out.location(*stack);
                out.location(*context);
            }
        })
    }

    fn module_list(&self, out: &mut Out) -> Location {
        let places: Vec<(u32, Location)> = self
            .modules
            .iter()
            .map(|module| {
                let name = out.text(&module.name);
                let build = out.part(|out| {
                    out.u32(ELF);
                    out.0.extend_from_slice(&module.build);
                });
                (name, if module.build.is_empty() { (0, 0) } else { build })
            })
            .collect();
        out.part(|out| {
            out.u32(count(self.modules.len()));
            for (module, (name, build)) in self.modules.iter().zip(places) {
                out.u64(module.base);
                out.u32(module.size);
                out.zeros(8);
                out.u32(name);
                // The version: Windows alone has one here.
                out.zeros(52);
                out.location(build);
                out.zeros(8 + 16);
            }
        })
    }

    fn memory_list(&self, out: &mut Out, stacks: &[Location]) -> Location {
        let pairs = self.threads.iter().zip(stacks);
        let pairs: Vec<_> = pairs.filter(|(_, (size, _))| *size > 0).collect();
        out.part(|out| {
            out.u32(count(pairs.len()));
            for (thread, stack) in pairs {
                out.u64(thread.stack_start);
                out.location(*stack);
            }
        })
    }

    fn exception(&self, out: &mut Out, contexts: &[Location]) -> Location {
        let number = self.threads.iter().position(|thread| thread.id == self.crashed);
        let context = number.and_then(|number| contexts.get(number)).copied().unwrap_or_default();
        out.part(|out| {
            out.u32(self.crashed);
            out.u32(0);
            out.u32(self.signal);
            out.u32(self.code);
            out.u64(0);
            out.u64(self.address);
            out.zeros(8 + 15 * 8);
            out.location(context);
        })
    }

    fn misc(&self, out: &mut Out) -> Location {
        out.part(|out| {
            out.u32(24);
            // MINIDUMP_MISC1_PROCESS_ID
            out.u32(1);
            out.u32(self.pid);
            out.zeros(12);
        })
    }
}
