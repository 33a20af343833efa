use super::*;
use crate::platform::record::DEFACED;

const SECRET: &[u8] = b"hunter2-in-memory";

/// An image as the kernel writes one, for any of the three processors.
fn image(arch: Arch) -> Vec<u8> {
    let wide = arch.word() == 8;
    let word = |number: u64| number.to_le_bytes()[..arch.word()].to_vec();
    let (machine, class): (u16, u8) = match arch {
        Arch::X86_64 => (62, 2),
        Arch::Aarch64 => (183, 2),
        Arch::Arm => (40, 1),
    };
    let notes = notes(arch);
    let stack = [word(0x1010), SECRET.to_vec(), vec![0; 40]].concat();
    let (head, entry): (usize, usize) = if wide { (64, 56) } else { (52, 32) };
    let notes_at = head + 3 * entry;
    let stack_at = (notes_at + notes.len()).next_multiple_of(64);
    let mut out = [b"\x7fELF".as_slice(), &[class, 1, 1], &[0; 9]].concat();
    out.extend_from_slice(&4_u16.to_le_bytes());
    out.extend_from_slice(&machine.to_le_bytes());
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend(word(0));
    out.extend(word(u64::try_from(head).unwrap()));
    out.extend(word(0));
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(&u16::try_from(entry).unwrap().to_le_bytes());
    out.extend_from_slice(&3_u16.to_le_bytes());
    out.resize(head, 0);
    let mut add = |kind: u32, at: usize, address: u64, in_file: usize, in_memory: u64| {
        let (at, in_file) = (u64::try_from(at).unwrap(), u64::try_from(in_file).unwrap());
        out.extend_from_slice(&kind.to_le_bytes());
        if wide {
            out.extend_from_slice(&[0; 4]);
        }
        for number in [at, address, 0, in_file, in_memory] {
            out.extend(word(number));
        }
        if !wide {
            out.extend_from_slice(&[0; 4]);
        }
        out.extend(word(0));
    };
    add(4, notes_at, 0, notes.len(), 0);
    add(1, stack_at, 0x1000, 0, 0x1000);
    add(1, stack_at, 0x7000, stack.len(), 0x1000);
    out.extend(notes);
    out.resize(stack_at, 0);
    out.extend(stack);
    out
}

fn notes(arch: Arch) -> Vec<u8> {
    let word = |number: u64| number.to_le_bytes()[..arch.word()].to_vec();
    let note = |kind: u32, body: Vec<u8>| {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let mut out =
            [&5_u32.to_le_bytes()[..], &length, &kind.to_le_bytes(), b"CORE\0\0\0\0", &body]
                .concat();
        out.resize(out.len().next_multiple_of(4), 0);
        out
    };
    let (id, start, count, pointer, length) = match arch {
        Arch::X86_64 => (32, 112, 27, 19, 336),
        Arch::Aarch64 => (32, 112, 34, 31, 392),
        Arch::Arm => (24, 72, 18, 13, 148),
    };
    let mut status = vec![0; length];
    status[12] = 11;
    status[id..id + 4].copy_from_slice(&77_u32.to_le_bytes());
    for number in 0..count {
        let value = if number == pointer { 0x7000 } else { u64::try_from(number).unwrap() + 100 };
        let at = start + number * arch.word();
        status[at..at + arch.word()].copy_from_slice(&word(value));
    }
    let mut signal = vec![0; 128];
    signal[0] = 11;
    signal[8] = 1;
    let at = if arch.word() == 8 { 16 } else { 12 };
    signal[at..at + arch.word()].copy_from_slice(&word(0xbad0));
    let files: Vec<u8> = [3, 4096, 0x1000, 0x1800, 0, 0x1800, 0x2000, 1, 0x3000, 0x4000, 0]
        .into_iter()
        .flat_map(word)
        .chain(*b"/usr/sbin/smbd\0/usr/sbin/smbd\0/share/anna/hunter2-in-memory.mkv\0")
        .collect();
    let arguments = [&[0; 56][..], b"smbd --password hunter2-in-memory"].concat();
    [
        note(1, status),
        note(3, arguments),
        note(0x5349_4749, signal),
        note(6, SECRET.to_vec()),
        note(0x4649_4c45, files),
    ]
    .concat()
}

#[test]
fn of_an_image_registers_and_stacks_are_kept_and_nothing_that_can_be_read() {
    for arch in [Arch::X86_64, Arch::Aarch64, Arch::Arm] {
        let image = image(arch);
        assert!(image.windows(SECRET.len()).filter(|part| *part == SECRET).count() >= 4);
        let crash = read(&mut image.as_slice(), 70, 1000).unwrap();
        assert_eq!((crash.signal, crash.code, crash.address), (11, 1, 0xbad0), "{arch:?}");
        assert_eq!((crash.crashed, crash.threads.len()), (77, 1));
        let thread = &crash.threads[0];
        assert_eq!(thread.stack_start, 0x7000);
        let (width, word) = (arch.word(), DEFACED.to_le_bytes());
        assert_eq!(thread.stack[..2], [0x10, 0x10], "an address stays");
        assert_eq!(thread.stack[width..2 * width], word[..width], "a text does not");
        let name = |at: usize| crash.modules.get(at).map(|module| &*module.name);
        assert_eq!((name(0), name(1)), (Some("smbd"), None));
        assert_eq!((crash.modules[0].base, crash.modules[0].size), (0x1000, 0x1000));
        let file = crash.write();
        assert!(!file.windows(7).any(|part| part == b"hunter2"), "{arch:?}");
    }
    let x86 = read(&mut image(Arch::X86_64).as_slice(), 70, 1000).unwrap();
    // r8, rsp, rip and flags of the kernel's order.
    let registers = &x86.threads[0].registers;
    assert_eq!(
        [registers[0], registers[15], registers[16], registers[17]],
        [109, 0x7000, 116, 118]
    );
}

#[test]
fn an_image_that_was_made_up_is_refused_or_bounded() {
    let whole = image(Arch::X86_64);
    for end in 0..whole.len() {
        let crash = read(&mut &whole[..end], 1, 1);
        assert!(crash.is_err() || end > 500, "{end}");
    }
    // Every byte of head, table and notes in turn.
    for at in 0..whole.len() - 60 {
        for value in [0, 0x7f, 0xff] {
            let mut odd = whole.clone();
            odd[at] = value;
            if let Ok(crash) = read(&mut odd.as_slice(), 1, 1) {
                assert!(crash.write().len() < 1 << 20, "{at} {value}");
            }
        }
    }
    assert!(read(&mut std::io::repeat(0x41).take(1 << 16), 1, 1).is_err());
}
