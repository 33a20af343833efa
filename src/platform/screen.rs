//! What the box's own display shows: a graphics card's frame (DRM), the frame buffer, or the text console.

use super::kernel::{self, CardFrame, Mapped};
use super::root::Root;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// No screen has more pixels in a line, or lines.
const MOST_SIDE: u32 = 16_384;
/// The most cells of a text console: 512 columns of 256 lines.
const MOST_CELLS: usize = 512 * 256;

/// Where a colour is in a pixel: the lowest bit, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits(pub u32, pub u32);

impl Bits {
    /// The colour of a pixel, 0 to 255.
    fn of(self, pixel: u32) -> u8 {
        let Self(lowest, length) = self;
        let most = 1_u32.checked_shl(length).map_or(u32::MAX, |above| above - 1);
        let value = pixel.checked_shr(lowest).unwrap_or_default() & most;
        let scaled = (u64::from(value) * 255).checked_div(u64::from(most)).unwrap_or_default();
        u8::try_from(scaled).unwrap_or(u8::MAX)
    }
}

/// How a frame lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bytes from one line to the next.
    pub pitch: u32,
    /// Bytes before the first pixel.
    pub offset: u32,
    /// Bytes of a pixel: 2 to 4.
    pub bytes: u32,
    /// Red, green and blue.
    pub colours: [Bits; 3],
}

impl Layout {
    /// Red, green and blue of a pixel.
    pub fn colour(&self, pixel: &[u8]) -> [u8; 3] {
        let word = pixel.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        self.colours.map(|bits| bits.of(word))
    }

    /// Itself, when it can be one of a screen.
    fn believed(self) -> io::Result<Self> {
        let Self { width, height, pitch, bytes, .. } = self;
        let side = 1..=MOST_SIDE;
        let fits = side.contains(&width) && side.contains(&height) && (2..=4).contains(&bytes);
        if fits && pitch >= width * bytes && pitch <= MOST_SIDE * 8 {
            Ok(self)
        } else {
            Err(unknown(&format!("{width} x {height}, {bytes} bytes, lines of {pitch}")))
        }
    }

    /// From `struct fb_var_screeninfo` (`linux/fb.h`) and the length of a line.
    fn of_frame_buffer(words: &[u32; 40], pitch: u32) -> io::Result<Self> {
        let [
            width,
            height,
            _,
            _,
            left,
            top,
            bits,
            _,
            red,
            red_length,
            _,
            green,
            green_length,
            _,
            blue,
            blue_length,
            ..,
        ] = *words;
        let bytes = bits.div_ceil(8);
        let (above, beside) =
            (u64::from(top) * u64::from(pitch), u64::from(left) * u64::from(bytes));
        let before = above.saturating_add(beside);
        let layout = Self {
            width,
            height,
            pitch,
            offset: u32::try_from(before).map_err(|_| unknown("the panning"))?,
            bytes,
            colours: [Bits(red, red_length), Bits(green, green_length), Bits(blue, blue_length)],
        };
        layout.believed()
    }

    /// From what a card says of its frame.
    fn of_card(frame: &CardFrame) -> io::Result<Self> {
        if frame.modifier != 0 {
            return Err(unknown(&format!("memory laid out as {:#x}", frame.modifier)));
        }
        let (bytes, colours) = match (&frame.format.to_le_bytes(), frame.bits) {
            (b"XR24" | b"AR24", _) | (&[0, 0, 0, 0], 32) => {
                (4, [Bits(16, 8), Bits(8, 8), Bits(0, 8)])
            }
            (b"XB24" | b"AB24", _) => (4, [Bits(0, 8), Bits(8, 8), Bits(16, 8)]),
            (b"RX24" | b"RA24", _) => (4, [Bits(24, 8), Bits(16, 8), Bits(8, 8)]),
            (b"XR30" | b"AR30", _) => (4, [Bits(20, 10), Bits(10, 10), Bits(0, 10)]),
            (b"RG24", _) | (&[0, 0, 0, 0], 24) => (3, [Bits(16, 8), Bits(8, 8), Bits(0, 8)]),
            (b"BG24", _) => (3, [Bits(0, 8), Bits(8, 8), Bits(16, 8)]),
            (b"RG16", _) | (&[0, 0, 0, 0], 16) => (2, [Bits(11, 5), Bits(5, 6), Bits(0, 5)]),
            (letters, _) => return Err(unknown(&String::from_utf8_lossy(letters))),
        };
        let CardFrame { width, height, pitch, offset, .. } = *frame;
        Self { width, height, pitch, offset, bytes, colours }.believed()
    }
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("no format that is known: {what}"))
}

/// Something whose lines can be read.
pub trait Screen {
    /// How it lies in memory.
    fn layout(&self) -> Layout;
    /// Reads a line: `width * bytes` bytes.
    ///
    /// # Errors
    /// The system's own.
    fn line(&mut self, number: u32, into: &mut [u8]) -> io::Result<()>;
}

struct Card {
    layout: Layout,
    memory: Mapped,
}

impl Screen for Card {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn line(&mut self, number: u32, into: &mut [u8]) -> io::Result<()> {
        let at = u64::from(number) * u64::from(self.layout.pitch) + u64::from(self.layout.offset);
        let fits = usize::try_from(at).is_ok_and(|at| self.memory.copy(at, into));
        if fits { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

struct FrameBuffer {
    layout: Layout,
    file: File,
}

impl Screen for FrameBuffer {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn line(&mut self, number: u32, into: &mut [u8]) -> io::Result<()> {
        let at = u64::from(number) * u64::from(self.layout.pitch) + u64::from(self.layout.offset);
        self.file.read_exact_at(into, at)
    }
}

/// What is shown now: of the first card that shows something and lets it be read, else of the frame buffer.
///
/// # Errors
/// Why there is none, of each that was tried.
pub fn open(root: &Root) -> Result<Box<dyn Screen>, Vec<String>> {
    let mut why = Vec::new();
    let names = root.names("/dev/dri").unwrap_or_default();
    for name in names.iter().filter(|name| name.starts_with("card")).take(8) {
        let path = format!("/dev/dri/{name}");
        match card(root, &path) {
            Ok(Some(screen)) => return Ok(screen),
            Ok(None) => why.push(format!("{path}: it shows nothing")),
            Err(error) => why.push(format!("{path}: {error}")),
        }
    }
    for path in ["/dev/fb0", "/dev/fb/0", "/dev/graphics/fb0"] {
        match frame_buffer(root, path) {
            Ok(screen) => return Ok(screen),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => why.push(format!("{path}: {error}")),
        }
    }
    if why.is_empty() {
        why.push("this box has no display hardware that the kernel knows".into());
    }
    Err(why)
}

fn card(root: &Root, path: &str) -> io::Result<Option<Box<dyn Screen>>> {
    let file = root.device(path)?;
    let Some(frame) = kernel::card_frames(&file)?.into_iter().next() else { return Ok(None) };
    let layout = Layout::of_card(&frame)?;
    if frame.handle == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let length = u64::from(layout.pitch) * u64::from(layout.height) + u64::from(layout.offset);
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?;
    let memory = Mapped::card(&file, frame.handle, length)?;
    Ok(Some(Box::new(Card { layout, memory })))
}

fn frame_buffer(root: &Root, path: &str) -> io::Result<Box<dyn Screen>> {
    let file = root.device(path)?;
    let (words, pitch) = kernel::frame_buffer(&file)?;
    Ok(Box::new(FrameBuffer { layout: Layout::of_frame_buffer(&words, pitch)?, file }))
}

/// The text of the console that is in front, without the blanks behind its lines; empty when nothing stands there.
///
/// # Errors
/// The system's own.
pub fn console(root: &Root) -> io::Result<String> {
    // Lines, columns and the place of the cursor (`vcs(4)`); letters since Linux 4.19, bytes before.
    let mut head = [0; 4];
    root.device("/dev/vcsa")?.read_exact(&mut head)?;
    let columns = usize::from(head[1]);
    let cells = MOST_CELLS.min(columns * usize::from(head[0]));
    let read = |path: &str, length: usize| {
        let mut bytes = Vec::new();
        let limit = u64::try_from(length).unwrap_or_default();
        root.device(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let letters: Vec<char> = match read("/dev/vcsu", cells * 4) {
        Ok(bytes) if !bytes.is_empty() => bytes
            .chunks_exact(4)
            .filter_map(|four| char::from_u32(u32::from_ne_bytes(four.try_into().ok()?)))
            .collect(),
        _ => read("/dev/vcs", cells)?.into_iter().map(char::from).collect(),
    };
    Ok(page(&letters, columns))
}

fn page(letters: &[char], columns: usize) -> String {
    let line = |cells: &[char]| {
        let text: String = cells.iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
        text.trim_end().to_owned()
    };
    let lines: Vec<String> = letters.chunks(columns.max(1)).map(line).collect();
    lines.join("\n").trim_end().trim_start_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_found_in_every_format() {
        let card = |letters: &[u8; 4], bits| CardFrame {
            width: 2,
            height: 1,
            pitch: 64,
            format: u32::from_le_bytes(*letters),
            bits,
            ..CardFrame::default()
        };
        for (letters, bits, pixel) in [
            (b"XR24", 0, &[0x30, 0x20, 0x10, 0xff][..]),
            (b"XB24", 0, &[0x10, 0x20, 0x30, 0xff]),
            (b"RX24", 0, &[0xff, 0x30, 0x20, 0x10]),
            (b"RG24", 0, &[0x30, 0x20, 0x10]),
            (b"BG24", 0, &[0x10, 0x20, 0x30]),
            (&[0; 4], 32, &[0x30, 0x20, 0x10, 0]),
        ] {
            let layout = Layout::of_card(&card(letters, bits)).unwrap();
            assert_eq!(layout.colour(pixel), [0x10, 0x20, 0x30], "{letters:?}");
        }
        let small = Layout::of_card(&card(b"RG16", 0)).unwrap();
        assert_eq!(small.colour(&0xf800_u16.to_le_bytes()), [255, 0, 0]);
        assert_eq!(small.colour(&0x07e0_u16.to_le_bytes()), [0, 255, 0]);
        let deep = Layout::of_card(&card(b"XR30", 0)).unwrap();
        assert_eq!(deep.colour(&(1023_u32 << 20).to_le_bytes()), [255, 0, 0]);
        assert!(Layout::of_card(&card(b"NV12", 0)).is_err());
        assert!(Layout::of_card(&CardFrame { modifier: 1, ..card(b"XR24", 0) }).is_err());
        assert!(Layout::of_card(&CardFrame { width: 99_999, ..card(b"XR24", 0) }).is_err());
        assert!(Layout::of_card(&CardFrame { pitch: 4, ..card(b"XR24", 0) }).is_err());
    }

    #[test]
    fn a_frame_buffer_that_is_panned_begins_further_down() {
        let mut words = [0; 40];
        words[..8].copy_from_slice(&[640, 480, 640, 960, 0, 480, 16, 0]);
        words[8..17].copy_from_slice(&[11, 5, 0, 5, 6, 0, 0, 5, 0]);
        let layout = Layout::of_frame_buffer(&words, 1280).unwrap();
        assert_eq!((layout.offset, layout.bytes), (480 * 1280, 2));
        words[6] = 1;
        assert!(Layout::of_frame_buffer(&words, 1280).is_err());
        assert!(Layout::of_frame_buffer(&[u32::MAX; 40], u32::MAX).is_err());
    }

    #[test]
    fn the_kernels_structs_have_the_lengths_it_asks_for() {
        // What has no such call says so, and nothing else happens.
        let none = File::open("/dev/null").unwrap();
        assert!(kernel::frame_buffer(&none).is_err());
        assert!(kernel::card_frames(&none).is_err());
        assert!(Mapped::card(&none, 1, 4096).is_err());
    }

    #[test]
    fn a_console_is_a_page_of_text() {
        let letters: Vec<char> = "login:    \u{1b}x        ".chars().collect();
        assert_eq!(page(&letters, 10), "login:\n x");
        assert_eq!(page(&[' '; 40], 10), "");
        assert_eq!(page(&[], 0), "");
    }
}
