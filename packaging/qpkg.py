"""The .qpkg of QNAP's QTS and QuTS hero, by the format that the QPKG development kit publishes:

    header script | control.tar | data.tar.gz | 100 bytes that App Center reads

Each part begins at a multiple of 1024 bytes, so that one `dd` copies it.
"""

import hashlib
from pathlib import Path

from archive import Tree, gz
from icons import icon

HERE = Path(__file__).parent / "qpkg"
BLOCK = 1024
# QNAP's name of an architecture -> our target, `uname -m`, and the platform where the machine is not enough.
ARCHITECTURES = {
    "x86_64": ("x86_64-unknown-linux-musl", "x86_64", ""),
    "arm_64": ("aarch64-unknown-linux-musl", "aarch64", ""),
    "arm-x41": ("armv7-unknown-linux-musleabihf", "armv7l", "ARM_AL"),
    "arm-x31": ("armv7-unknown-linux-musleabihf", "armv7l", "ARM_MS"),
}


def filled(text, words):
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def padded(data):
    return data + b"\0" * (-len(data) % BLOCK)


def tail(version, size):
    """What App Center looks at: `size` is that of the whole file, tail included. CHECK is no secret: it finds cut files."""
    check = str(size * 3589 + 1_000_000_000)[:10]
    fields = [("", 10), ("", 30), (check, 10), ("", 10), ("qcloud-agent", 20), (version, 10), ("QNAPQPKG", 10)]
    return b"".join(value.encode().ljust(width) for value, width in fields)


def data_part(binary, example, licence):
    tree = Tree()
    tree.file("qcloud-agent", binary, 0o755)
    tree.file("qcloud-agent.sh", (HERE / "qcloud-agent.sh").read_bytes(), 0o755)
    tree.file("config.toml.example", example)
    tree.file("LICENSE", licence)
    for name, size, grey in [(".qpkg_icon.gif", 64, False), (".qpkg_icon_80.gif", 80, False), (".qpkg_icon_gray.gif", 64, True)]:
        tree.file(name, icon(size, grey))
    return gz(tree.tar(), BLOCK)


def control_part(words):
    tree = Tree()
    tree.file("qinstall.sh", (HERE / "qinstall.sh").read_bytes(), 0o755)
    tree.file("package_routines", (HERE / "package_routines").read_bytes())
    tree.file("qpkg.cfg", filled((HERE / "qpkg.cfg").read_text(), words))
    tree.file("built_info", f"qcloud-agent {words['VERSION']} {words['ARCH']}\n")
    outer = Tree()
    outer.file("control.tar.gz", gz(tree.tar()))
    # Named without `./`: the header asks for it by this name.
    return padded(outer.tar(order=["control.tar.gz"], prefix=""))


def header(words):
    """The script, with itself as long as it says it is, and comments as its filling."""
    text = (HERE / "header.sh").read_text()
    room = BLOCK
    while True:
        sizes = {
            "HEADER": room,
            "HEADER_BLOCKS": room // BLOCK,
            "CONTROL_BLOCKS": words["CONTROL"] // BLOCK,
            "DATA_SKIP": (room + words["CONTROL"]) // BLOCK,
            "DATA_BLOCKS": words["DATA"] // BLOCK,
        }
        script = filled(text, words | sizes).encode()
        if len(script) <= room - 2:
            return script + b"#" * (room - len(script) - 1) + b"\n"
        room += BLOCK


def build(arch, version, binary, example, licence):
    if len(version) > 10:
        raise SystemExit(f"error: App Center takes no version of more than 10 characters, such as {version}")
    _, machine, platform = ARCHITECTURES[arch]
    words = {"VERSION": version, "ARCH": arch, "MACHINE": machine, "PLATFORM": platform}
    control, data = control_part(words), data_part(binary, example, licence)
    words |= {"CONTROL": len(control), "DATA": len(data), "MD5": hashlib.md5(data).hexdigest()}
    body = header(words) + control + data
    return body + tail(version, len(body) + 100)
