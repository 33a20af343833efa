//! The picture of what the display shows: a PNG (RFC 2083), a line at a time.

use crate::platform::screen::Screen;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// The most pixels of a picture in a line, and the most lines: of a larger screen every second pixel is taken, or every
/// third.
const MOST: u32 = 1920;
/// The bytes of a piece of the picture.
const PIECE: usize = 32 * 1024;

/// Writes the screen as a PNG.
///
/// # Errors
/// Those of the screen, and those of `to`.
pub fn png(screen: &mut dyn Screen, to: &mut dyn Write) -> io::Result<()> {
    let layout = screen.layout();
    let step = layout.width.max(layout.height).div_ceil(MOST).max(1);
    let (width, height) = (layout.width.div_ceil(step), layout.height.div_ceil(step));
    to.write_all(b"\x89PNG\r\n\x1a\n")?;
    let mut head = Vec::new();
    head.extend_from_slice(&width.to_be_bytes());
    head.extend_from_slice(&height.to_be_bytes());
    // Eight bits, three colours, and the only methods there are.
    head.extend_from_slice(&[8, 2, 0, 0, 0]);
    chunk(to, *b"IHDR", &head)?;
    let pieces = io::BufWriter::with_capacity(PIECE, Pieces(to));
    let mut packed = ZlibEncoder::new(pieces, Compression::new(6));
    let bytes = usize::try_from(layout.bytes).unwrap_or(4);
    let length = usize::try_from(layout.width).unwrap_or_default() * bytes;
    let step_bytes = usize::try_from(step).unwrap_or(1) * bytes;
    let (mut line, mut colours) = (vec![0; length], Vec::new());
    for number in 0..height {
        screen.line(number * step, &mut line)?;
        colours.clear();
        // Each pixel as its difference from the one to the left: what is drawn compresses better so.
        colours.push(1);
        let mut left = [0_u8; 3];
        for pixel in line.chunks_exact(bytes).step_by(step_bytes / bytes) {
            let colour = layout.colour(pixel);
            colours.extend(colour.iter().zip(left).map(|(now, before)| now.wrapping_sub(before)));
            left = colour;
        }
        packed.write_all(&colours)?;
    }
    packed.finish()?.flush()?;
    chunk(to, *b"IEND", &[])
}

/// Each write is a piece of the picture.
struct Pieces<'a>(&'a mut dyn Write);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        chunk(self.0, *b"IDAT", bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn chunk(to: &mut dyn Write, kind: [u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut sum = Crc::new();
    sum.update(&kind);
    sum.update(data);
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&kind)?;
    to.write_all(data)?;
    to.write_all(&sum.sum().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::screen::{Bits, Layout};
    use std::io::Read;

    /// A screen that stands for a card's or a frame buffer's: a slope of red, and of green from the top.
    struct Fake(Layout);

    impl Screen for Fake {
        fn layout(&self) -> Layout {
            self.0
        }

        fn line(&mut self, number: u32, into: &mut [u8]) -> io::Result<()> {
            let green = u8::try_from(number % 256).unwrap();
            for (at, pixel) in into.chunks_exact_mut(4).enumerate() {
                pixel.copy_from_slice(&[7, green, u8::try_from(at % 256).unwrap(), 0xff]);
            }
            Ok(())
        }
    }

    fn fake(width: u32, height: u32) -> Fake {
        let colours = [Bits(16, 8), Bits(8, 8), Bits(0, 8)];
        Fake(Layout { width, height, pitch: width * 4, offset: 0, bytes: 4, colours })
    }

    /// Width, height and pixels of a PNG of this module.
    fn read(png: &[u8]) -> (u32, u32, Vec<[u8; 3]>) {
        let (mut rest, mut packed, mut sides) = (&png[8..], Vec::new(), (0, 0));
        while !rest.is_empty() {
            let length =
                usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
            let (kind, data) = (&rest[4..8], &rest[8..8 + length]);
            let mut sum = Crc::new();
            sum.update(&rest[4..8 + length]);
            assert_eq!(sum.sum().to_be_bytes(), rest[8 + length..12 + length]);
            match kind {
                b"IHDR" => {
                    let side = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
                    sides = (side(0), side(4));
                }
                b"IDAT" => packed.extend_from_slice(data),
                _ => assert_eq!(kind, b"IEND"),
            }
            rest = &rest[12 + length..];
        }
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(&*packed).read_to_end(&mut bytes).unwrap();
        let mut pixels = Vec::new();
        for line in bytes.chunks_exact(1 + usize::try_from(sides.0).unwrap() * 3) {
            let mut left = [0_u8; 3];
            for difference in line[1..].chunks_exact(3) {
                for (colour, difference) in left.iter_mut().zip(difference) {
                    *colour = colour.wrapping_add(*difference);
                }
                pixels.push(left);
            }
        }
        (sides.0, sides.1, pixels)
    }

    #[test]
    fn a_picture_holds_every_pixel_of_the_screen() {
        let mut bytes = Vec::new();
        png(&mut fake(300, 200), &mut bytes).unwrap();
        let (width, height, pixels) = read(&bytes);
        assert_eq!((width, height, pixels.len()), (300, 200, 60_000));
        assert_eq!(
            (pixels[0], pixels[299], pixels[300 * 199]),
            ([0, 0, 7], [43, 0, 7], [0, 199, 7])
        );
    }

    #[test]
    fn a_large_screen_is_made_smaller() {
        let mut bytes = Vec::new();
        png(&mut fake(3840, 2160), &mut bytes).unwrap();
        let (width, height, pixels) = read(&bytes);
        assert_eq!((width, height), (1920, 1080));
        assert_eq!((pixels[1], pixels[1920]), ([2, 0, 7], [0, 2, 7]));
    }
}
