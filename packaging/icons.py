"""The icon of the package, drawn: a cloud with a key's hole. GIF, as App Center wants it."""

import struct

CLOUD = [(0.32, 0.56, 0.19), (0.52, 0.42, 0.23), (0.71, 0.57, 0.18)]
HOLE = (0.52, 0.5, 0.075)


def colour(x, y):
    """0 outside, 1 cloud, 2 hole."""
    inside = any((x - a) ** 2 + (y - b) ** 2 < r * r for a, b, r in CLOUD) or (0.3 < x < 0.72 and 0.55 < y < 0.75)
    a, b, r = HOLE
    if (x - a) ** 2 + (y - b) ** 2 < r * r or (abs(x - a) < 0.03 + (y - b) * 0.12 and b < y < 0.66):
        return 2
    return 1 if inside else 0


def icon(size, grey):
    cloud = (0x9A, 0x9A, 0x9A) if grey else (0x1F, 0x6F, 0xB2)
    palette = bytes((255, 255, 255)) + bytes(cloud) + bytes((255, 255, 255)) + bytes(3)
    pixels = [colour((x + 0.5) / size, (y + 0.5) / size) for y in range(size) for x in range(size)]
    head = b"GIF89a" + struct.pack("<HHBBB", size, size, 0xF1, 0, 0) + palette
    # Colour 0 is transparent.
    control = b"\x21\xf9\x04\x01\0\0\0\0"
    return head + control + b"\x2c" + struct.pack("<HHHHB", 0, 0, size, size, 0) + b"\x02" + blocks(lzw(pixels)) + b"\0\x3b"


def lzw(pixels):
    """Codes of three bits only: the table is cleared before it needs a fourth."""
    clear, end = 4, 5
    codes = []
    for n, pixel in enumerate(pixels):
        if n % 2 == 0:
            codes.append(clear)
        codes.append(pixel)
    codes.append(end)
    bits = held = 0
    out = bytearray()
    for code in codes:
        bits |= code << held
        held += 3
        while held >= 8:
            out.append(bits & 255)
            bits >>= 8
            held -= 8
    if held:
        out.append(bits & 255)
    return bytes(out)


def blocks(data):
    out = b"".join(bytes([len(data[n : n + 255])]) + data[n : n + 255] for n in range(0, len(data), 255))
    return out + b"\0"
