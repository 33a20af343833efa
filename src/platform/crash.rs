//! What this process leaves behind when a signal ends it, written by itself in its last moment.
//!
//! By itself, since nobody else may: its memory is closed to others, it may neither trace nor start a program
//! (promise S20), and a dump must not be the reason to open any of that. The handler allocates nothing, takes no
//! lock and makes only calls that are allowed in a signal handler (`signal-safety(7)`). It costs some untouched
//! pages until then, and no wake-up ever.
//!
//! Of the stack only words that lead somewhere are written ([`super::record`]): whoever reads the file can walk it,
//! and finds no text and no key in it. What lies above the stack's own beginning, arguments and environment, is
//! not looked at.
#![allow(unsafe_code)]

use super::record::{self, Arch, BUILD, HEAD, Head, NAME, REGISTERS, VERSION, WORDS};
use super::root::Root;
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use nix::libc;
use ring::digest::{SHA256, digest};
use std::ffi::CString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The name of the newest record.
pub const NEWEST: &str = "newest.crash";
/// The signals that a defect of the program ends in.
const SIGNALS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS];
/// The most of a stack: the event loop's own is below 20 KiB (x86_64, 2026-11-22).
const STACK_MOST: usize = 64 * 1024;
/// The most of the table of mappings: a linked program has some 100 lines of 100 bytes.
const MAPS_MOST: usize = 32 * 1024;
/// The most mappings.
const RANGES_MOST: usize = 512;
/// The stack is written in pieces of this size.
const PIECE: usize = 4096;

/// What the handler works in.
struct Room {
    maps: [u8; MAPS_MOST],
    ranges: [(usize, usize); RANGES_MOST],
    piece: [u8; PIECE],
    head: [u8; HEAD],
}

struct Shared<T>(UnsafeCell<T>);

// SAFETY: each of them is written by `install` before the handler is set, or used by the one thread whose id is in
// WRITER, which no other thread can take from it.
unsafe impl<T> Sync for Shared<T> {}

static ROOM: Shared<Room> = Shared(UnsafeCell::new(Room {
    maps: [0; MAPS_MOST],
    ranges: [(0, 0); RANGES_MOST],
    piece: [0; PIECE],
    head: [0; HEAD],
}));
static OLD: Shared<[MaybeUninit<libc::sigaction>; SIGNALS.len()]> =
    Shared(UnsafeCell::new([const { MaybeUninit::uninit() }; SIGNALS.len()]));
static BUILD_ID: Shared<([u8; BUILD], usize)> = Shared(UnsafeCell::new(([0; BUILD], 0)));
/// The thread that writes.
static WRITER: AtomicI32 = AtomicI32::new(0);
static INSTALLED: AtomicBool = AtomicBool::new(false);
static PATH: AtomicPtr<c_char> = AtomicPtr::new(null_mut());
static DIR: AtomicPtr<c_char> = AtomicPtr::new(null_mut());
static MAPS_PATH: AtomicPtr<c_char> = AtomicPtr::new(null_mut());
/// Where the first thread's stack begins, with the arguments above it.
static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// Has a record written to [`NEWEST`] in this directory, which is made for it, when a signal ends this process. A
/// later call changes the directory.
///
/// # Errors
/// The system's own, and `InvalidInput` for a path with a NUL.
pub fn install(dir: &Path) -> io::Result<()> {
    let root = Root::system();
    let word = |path: &Path| CString::new(path.as_os_str().as_bytes()).map(CString::into_raw);
    // Never freed: the handler may be reading the one from before. There is one for each place state moves to.
    DIR.store(word(dir)?, Ordering::Release);
    PATH.store(word(&dir.join(NEWEST))?, Ordering::Release);
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    MAPS_PATH.store(word(&root.path("/proc/self/maps"))?, Ordering::Release);
    STACK_END.store(stack_end(&root.read_text("/proc/self/stat", 4096)?), Ordering::Release);
    let mut head = Vec::new();
    root.open_file("/proc/self/exe")?.take(4096).read_to_end(&mut head)?;
    let hash = || digest(&SHA256, &head).as_ref().to_vec();
    let id = record::build_id(&head).unwrap_or_else(hash);
    // SAFETY: INSTALLED lets one call come here, and no handler is set yet that would read it.
    let build = unsafe { &mut *BUILD_ID.0.get() };
    build.1 = id.len().min(BUILD);
    for (to, byte) in build.0.iter_mut().zip(&id) {
        *to = *byte;
    }
    for (signal, number) in SIGNALS.into_iter().zip(0..) {
        set(signal, number)?;
    }
    Ok(())
}

fn set(signal: c_int, number: usize) -> io::Result<()> {
    // SAFETY: all zeros is a `sigaction`: no flags, an empty set, the default action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
    #[expect(clippy::as_conversions, reason = "a function has its address no other way")]
    let address = (handler as *const ()).addr();
    action.sa_sigaction = address;
    // On the stack that std gives each of its threads for this.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let mut old = MaybeUninit::uninit();
    // SAFETY: both are whole and live through the call; the handler has the signature that SA_SIGINFO asks for.
    if unsafe { libc::sigaction(signal, &raw const action, old.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: only `install` writes here, once; a signal in between finds zeros, which is the default action.
    let all = unsafe { &mut *OLD.0.get() };
    if let Some(place) = all.get_mut(number) {
        *place = old;
    }
    Ok(())
}

/// The 28th field of `/proc/PID/stat`, `startstack`; the second one may hold anything in its brackets.
fn stack_end(stat: &str) -> usize {
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    rest.split_whitespace().nth(25).and_then(|field| field.parse().ok()).unwrap_or_default()
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: it takes nothing and cannot fail.
    let me = unsafe { libc::gettid() };
    match WRITER.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: the kernel gave both pointers, and WRITER is ours for good.
        Ok(_) => unsafe { write_record(signal, &*info, &*context.cast::<libc::ucontext_t>()) },
        // It broke while it wrote: what is there is what there will be.
        Err(first) if first == me => {}
        // SAFETY: it takes nothing. The first thread ends all of us.
        Err(_) => loop {
            unsafe { libc::pause() };
        },
    }
    // SAFETY: the kernel gave the pointer.
    let by_fault = unsafe { (*info).si_code } > 0;
    let number = SIGNALS.iter().position(|known| *known == signal).unwrap_or_default();
    // SAFETY: `install` wrote it before this handler was set for the signal; all zeros are the default action.
    unsafe {
        let old = (*OLD.0.get()).get(number);
        let default: libc::sigaction = core::mem::zeroed();
        match old {
            // What was at fault is done again, and meets whom it would have met without us: std tells a stack that
            // was too small from other faults.
            Some(old) if by_fault => libc::sigaction(signal, old.as_ptr(), null_mut()),
            Some(_) | None => {
                libc::sigaction(signal, &raw const default, null_mut());
                // Blocked until this returns.
                c_int::from(libc::syscall(libc::SYS_tgkill, libc::getpid(), me, signal) != 0)
            }
        };
    }
}

/// Writes all of it.
///
/// # Safety
/// In the handler only, by the thread in WRITER.
unsafe fn write_record(signal: c_int, info: &libc::siginfo_t, context: &libc::ucontext_t) {
    let (dir, path) = (DIR.load(Ordering::Acquire), PATH.load(Ordering::Acquire));
    let maps_path = MAPS_PATH.load(Ordering::Acquire);
    if dir.is_null() || path.is_null() || maps_path.is_null() {
        return;
    }
    // SAFETY: the caller is the one thread in WRITER.
    let room = unsafe { &mut *ROOM.0.get() };
    // SAFETY: as above; it was written before any handler was set.
    let build = unsafe { &*BUILD_ID.0.get() };
    let maps = read_maps(maps_path, &mut room.maps);
    let ranges = parse_maps(room.maps.get(..maps).unwrap_or_default(), &mut room.ranges);
    let ranges = room.ranges.get(..ranges).unwrap_or_default();
    let mapped = |word: u64| usize::try_from(word).is_ok_and(|word| within(ranges, word).is_some());
    let (arch, mut registers, count, pointer) = here::registers(context);
    for (number, word) in registers.iter_mut().enumerate() {
        let stays = here::KEPT.contains(&number);
        if !stays && !record::leads_somewhere(*word, size_of::<usize>(), mapped) {
            *word = record::DEFACED;
        }
    }
    let (start, length) = stack(ranges, pointer, STACK_END.load(Ordering::Acquire));
    let head =
        Head { words: words(arch, signal, info, [start, length, maps, count, build.1]), registers };
    encode(&head, &build.0, &mut room.head);
    // SAFETY: both are words that `install` made and nobody frees.
    unsafe {
        libc::mkdir(dir, 0o700);
        libc::unlink(path);
        let flags =
            libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let file = libc::open(path, flags, 0o600);
        if file >= 0 {
            put(file, &room.head);
            put(file, room.maps.get(..maps).unwrap_or_default());
            put_stack(file, &mut room.piece, (start, length), mapped);
            libc::fsync(file);
            libc::close(file);
        }
    }
}

/// The words of the head: `sizes` are where the stack starts, its length, that of the mappings, the number of
/// registers and the length of the build id.
fn words(arch: Arch, signal: c_int, info: &libc::siginfo_t, sizes: [usize; 5]) -> [u64; WORDS] {
    let wide = |size: usize| u64::try_from(size).unwrap_or_default();
    let positive = |number: c_int| u64::from(number.cast_unsigned());
    // SAFETY: of the signals here, the kernel's own have an address, and in others' place it is some number.
    let address = if info.si_code > 0 { unsafe { info.si_addr() }.addr() } else { 0 };
    // SAFETY: they take nothing and cannot fail.
    let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
    let [start, length, maps, count, build] = sizes.map(wide);
    let [signal, code, process, thread] = [signal, info.si_code, process, thread].map(positive);
    let address = wide(address);
    [arch.number(), signal, code, address, process, thread, start, length, maps, count, build]
}

fn encode(head: &Head, build: &[u8; BUILD], into: &mut [u8; HEAD]) {
    let mut name = [0; NAME];
    // SAFETY: it writes at most 16 bytes there.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let mut version = [0; VERSION];
    for (to, byte) in version.iter_mut().zip(env!("CARGO_PKG_VERSION").bytes()) {
        *to = byte;
    }
    head.encode(&[&name, &version, build], into);
}

/// Writes memory that was found mapped and readable, without what leads nowhere.
///
/// # Safety
/// The stack of this very thread, or of nobody.
unsafe fn put_stack(
    file: c_int,
    piece: &mut [u8; PIECE],
    (start, length): (usize, usize),
    mapped: impl Fn(u64) -> bool + Copy,
) {
    let mut done = 0;
    while done < length {
        let size = PIECE.min(length - done);
        let Some(part) = piece.get_mut(..size) else { return };
        // SAFETY: the kernel's table has all of it as readable; the piece is elsewhere. A mapping that another
        // thread takes away just now ends the process here, with what is written by then.
        unsafe {
            let from = core::ptr::with_exposed_provenance::<u8>(start + done);
            core::ptr::copy_nonoverlapping(from, part.as_mut_ptr(), size);
        }
        if !crate::sabotage::off("dump-defaced") {
            record::deface(part, size_of::<usize>(), mapped);
        }
        put(file, part);
        done += size;
    }
}

fn put(file: c_int, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes live through the call.
        let written = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            Ok(_) | Err(_) => return,
        }
    }
}

/// Reads the table of mappings, as much as there is room for.
fn read_maps(path: *const c_char, into: &mut [u8]) -> usize {
    // SAFETY: the path is a word that `install` made.
    let file = unsafe { libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC) };
    let mut length = 0;
    while let Some(rest) = into.get_mut(length..).filter(|rest| file >= 0 && !rest.is_empty()) {
        // SAFETY: it writes at most as much as there is room for.
        let read = unsafe { libc::read(file, rest.as_mut_ptr().cast(), rest.len()) };
        match usize::try_from(read) {
            Ok(read) if read > 0 => length += read,
            Ok(_) | Err(_) => break,
        }
    }
    // SAFETY: it was opened here, or is -1, which is nobody's.
    unsafe { libc::close(file) };
    length
}

/// The ranges that can be read, in order; gives how many.
fn parse_maps(text: &[u8], into: &mut [(usize, usize)]) -> usize {
    let mut count = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| matches!(byte, b'-' | b' '));
        let mut number = || {
            let digits = words.next()?.iter().map(|digit| char::from(*digit).to_digit(16));
            let add = |sum: usize, digit: Option<u32>| {
                Some((sum << 4) | usize::try_from(digit?).unwrap_or_default())
            };
            let mut digits = digits;
            digits.try_fold(0, add)
        };
        let range = number().zip(number()).filter(|(start, end)| start < end);
        let readable = words.next().is_some_and(|rights| rights.first() == Some(&b'r'));
        if let (Some(range), Some(place), true) = (range, into.get_mut(count), readable) {
            *place = range;
            count += 1;
        }
    }
    count
}

fn within(ranges: &[(usize, usize)], address: usize) -> Option<(usize, usize)> {
    ranges.iter().copied().find(|(start, end)| (*start..*end).contains(&address))
}

/// Where the stack of a thread is that has this stack pointer, and how much of it is written.
fn stack(ranges: &[(usize, usize)], pointer: usize, first_end: usize) -> (usize, usize) {
    let pointer = pointer & !(size_of::<usize>() - 1);
    // One that ran over its end points below it.
    let above = ranges
        .iter()
        .copied()
        .find(|(start, _)| *start > pointer && *start - pointer <= STACK_MOST);
    let Some((start, end)) = within(ranges, pointer).or(above) else { return (0, 0) };
    let start = start.max(pointer);
    let is_first = (start..end).contains(&first_end);
    // Without knowing where the arguments begin, nothing is known to be below them.
    let end = if is_first { first_end } else { end };
    if first_end == 0 { (0, 0) } else { (start, STACK_MOST.min(end - start)) }
}

#[cfg(target_arch = "x86_64")]
mod here {
    use super::{Arch, REGISTERS, libc};
    /// Stack pointer, program counter and flags are written as they are.
    pub(super) const KEPT: [usize; 3] = [15, 16, 17];

    pub(super) fn registers(context: &libc::ucontext_t) -> (Arch, [u64; REGISTERS], usize, usize) {
        let mut registers = [0; REGISTERS];
        // The first 18 are those of the program.
        for (to, word) in registers.iter_mut().zip(context.uc_mcontext.gregs.iter().take(18)) {
            *to = word.cast_unsigned();
        }
        let pointer = registers.get(15).copied().unwrap_or_default();
        (Arch::X86_64, registers, 18, usize::try_from(pointer).unwrap_or_default())
    }
}

#[cfg(target_arch = "aarch64")]
mod here {
    use super::{Arch, REGISTERS, libc};
    /// Stack pointer, program counter and flags are written as they are.
    pub(super) const KEPT: [usize; 3] = [31, 32, 33];

    pub(super) fn registers(context: &libc::ucontext_t) -> (Arch, [u64; REGISTERS], usize, usize) {
        let mut registers = [0; REGISTERS];
        let all = &context.uc_mcontext;
        let words = all.regs.iter().copied().chain([all.sp, all.pc, all.pstate]);
        for (to, word) in registers.iter_mut().zip(words) {
            *to = word;
        }
        (Arch::Aarch64, registers, 34, usize::try_from(all.sp).unwrap_or_default())
    }
}

#[cfg(target_arch = "arm")]
mod here {
    use super::{Arch, REGISTERS, libc};
    /// Stack pointer, program counter and flags are written as they are.
    pub(super) const KEPT: [usize; 3] = [13, 15, 16];

    pub(super) fn registers(context: &libc::ucontext_t) -> (Arch, [u64; REGISTERS], usize, usize) {
        let mut registers = [0; REGISTERS];
        let m = &context.uc_mcontext;
        let words = [
            m.arm_r0, m.arm_r1, m.arm_r2, m.arm_r3, m.arm_r4, m.arm_r5, m.arm_r6, m.arm_r7,
            m.arm_r8, m.arm_r9, m.arm_r10, m.arm_fp, m.arm_ip, m.arm_sp, m.arm_lr, m.arm_pc,
            m.arm_cpsr,
        ];
        for (to, word) in registers.iter_mut().zip(words) {
            *to = u64::from(word);
        }
        (Arch::Arm, registers, 17, usize::try_from(m.arm_sp).unwrap_or_default())
    }
}

/// The most frames of a call.
const FRAMES_MOST: usize = 48;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        into: *mut c_void,
    ) -> c_int;
    #[cfg(not(target_arch = "arm"))]
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
    #[cfg(target_arch = "arm")]
    fn _Unwind_VRS_Get(
        frame: *mut c_void,
        class: c_int,
        register: u32,
        kind: c_int,
        to: *mut c_void,
    ) -> c_int;
    /// The program's first byte in memory, as its linker knows it.
    static __ehdr_start: u8;
}

/// Where this thread is, callers last: each the distance of a return address from the program's beginning, which
/// `addr2line` takes. What lies outside the program (a C library) is left out.
pub fn callers() -> Vec<u64> {
    extern "C" fn each(frame: *mut c_void, into: *mut c_void) -> c_int {
        // SAFETY: `callers` gave this very vector, and waits for the call's end.
        let all = unsafe { &mut *into.cast::<Vec<usize>>() };
        // SAFETY: the unwinder gave the frame.
        all.push(unsafe { address(frame) });
        // 0 goes on (`_URC_NO_REASON`), 5 ends (`_URC_END_OF_STACK`).
        if all.len() < FRAMES_MOST { 0 } else { 5 }
    }
    let mut all: Vec<usize> = Vec::with_capacity(FRAMES_MOST);
    // SAFETY: the unwinder is the one that std is linked with; it reads tables and calls `each`, which does not panic.
    unsafe { _Unwind_Backtrace(each, (&raw mut all).cast()) };
    let start = (&raw const __ehdr_start).addr();
    /// Larger than the program with all its symbols.
    const PROGRAM_MOST: usize = 1 << 30;
    let inside = all.into_iter().filter_map(|address| address.checked_sub(start));
    let inside = inside.filter(|distance| *distance < PROGRAM_MOST);
    inside.filter_map(|distance| u64::try_from(distance).ok()).collect()
}

#[cfg(not(target_arch = "arm"))]
unsafe fn address(frame: *mut c_void) -> usize {
    // SAFETY: the caller's.
    unsafe { _Unwind_GetIP(frame) }
}

#[cfg(target_arch = "arm")]
unsafe fn address(frame: *mut c_void) -> usize {
    let mut word = 0_usize;
    // SAFETY: the caller's; class 0 are the core registers, kind 0 is 32 bits, 15 is the program counter.
    unsafe { _Unwind_VRS_Get(frame, 0, 15, 0, (&raw mut word).cast()) };
    // The lowest bit says Thumb.
    word & !1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mappings_is_read_and_a_stack_is_found_in_it() {
        let text = b"1000-3000 r-xp 0 00:00 0 /a\n5000-6000 ---p 0 00:00 0\n6000-9000 rw-p 0 0:0 0 [stack]\nbad";
        let mut ranges = [(0, 0); 4];
        let count = parse_maps(text, &mut ranges);
        let ranges = &ranges[..count];
        assert_eq!(ranges, [(0x1000, 0x3000), (0x6000, 0x9000)]);
        assert_eq!(stack(ranges, 0x7003, 0x8800), (0x7000, 0x1800), "not into the arguments");
        assert_eq!(stack(ranges, 0x7000, 0xf000), (0x7000, 0x2000), "another thread's");
        assert_eq!(stack(ranges, 0x5ff0, 0x8800), (0x6000, 0x2800), "one that ran over its end");
        assert_eq!(stack(ranges, 0x7000, 0), (0, 0), "nothing is known of the arguments");
        assert_eq!(stack(ranges, 0x10_0000, 0x8800), (0, 0), "it points nowhere");
    }

    #[test]
    fn the_beginning_of_the_stack_is_the_kernels_28th_field() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(stack_end(&stat) > 0xffff, "{stat}");
        assert_eq!(stack_end("1 (a) b) S"), 0);
    }

    #[test]
    fn the_callers_of_this_very_test_are_in_this_program() {
        let callers = callers();
        assert!(callers.len() > 3, "{callers:?}");
    }
}
