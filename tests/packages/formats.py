"""Each package is read by the rules of its format, by code that shares nothing with what wrote it."""

import gzip
import io
import re
import struct
import sys
import tarfile
import zlib
from pathlib import Path

MACHINES = {"x86_64": 62, "arm64": 183, "aarch64": 183, "arm_64": 183, "arm": 40}


def must(condition, what):
    if not condition:
        raise AssertionError(what)


def members(data, what):
    """The members of a tar by name, in order; what no package may have is refused."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name
            must(not name.startswith("/") and ".." not in name.split("/"), f"{what}: {name} leads out")
            must((member.uid, member.gid) == (0, 0), f"{what}: {name} is not root's")
            must(not member.mode & 0o022 or member.issym(), f"{what}: {name} can be written by others")
            must(not member.mode & 0o6000, f"{what}: {name} is set-uid")
            must(member.isfile() or member.isdir() or member.issym(), f"{what}: {name} is a device")
            if member.issym():
                must(not member.linkname.startswith("/") and ".." not in member.linkname, f"{what}: {name} points out")
            key = name[2:] if name.startswith("./") else name
            found[key] = archive.extractfile(member).read() if member.isfile() else None
    return found


def gunzip(data, what):
    must(data[:3] == b"\x1f\x8b\x08" and data[4:8] == b"\0\0\0\0", f"{what}: the gzip has a time")
    must(not data[3] & 8, f"{what}: the gzip has a name")
    return gzip.decompress(data)


def elf_for(data, machine, what):
    must(data[:4] == b"\x7fELF" and struct.unpack_from("<H", data, 18)[0] == machine, f"{what}: the program is another's")


def shell(text, what):
    must(text.startswith(b"#!/bin/sh"), f"{what}: no shell script")


def qpkg(path):
    data, name = path.read_bytes(), path.name
    tail = data[-100:]
    fields = [tail[a:b].decode() for a, b in [(0, 10), (10, 40), (40, 50), (50, 60), (60, 80), (80, 90), (90, 100)]]
    must(fields[6] == "QNAPQPKG  ", f"{name}: no flag")
    must(fields[2] == str(len(data) * 3589 + 1000000000)[:10], f"{name}: CHECK is {fields[2]}")
    must(fields[4].strip() == "qcloud-agent" and name.split("_")[1] == fields[5].strip(), f"{name}: name or version")
    header = data[: data.index(b"\nexit 1\n") + 8].decode()
    shell(header.encode(), name)
    start = int(re.search(r"^script_len=(\d+)$", header, re.M).group(1))
    sizes = [int(n) for n in re.findall(r"^offset=\$\(/usr/bin/expr \$(?:script_len|offset) \+ (\d+)\)$", header, re.M)]
    must(len(sizes) == 2 and start + sum(sizes) + 100 == len(data), f"{name}: the parts do not fill the file")
    must(all(size % 1024 == 0 for size in [start, *sizes]), f"{name}: a part is not aligned")
    outer = members(data[start : start + sizes[0]], name)
    must(list(outer) == ["control.tar.gz"], f"{name}: the control part holds {list(outer)}")
    control = members(gunzip(outer["control.tar.gz"], name), name)
    for script in ("qinstall.sh", "package_routines", "qpkg.cfg"):
        must(script in control, f"{name}: no {script}")
    config = dict(re.findall(r'^(\w+)="(.*)"$', control["qpkg.cfg"].decode(), re.M))
    must(all(config.get(f"QPKG_{key}") for key in ("NAME", "VER", "AUTHOR")), f"{name}: qpkg.cfg lacks what it must have")
    files = members(gunzip(data[start + sizes[0] : -100], name), name)
    arch = path.stem.split("_", 2)[2]
    elf_for(files["qcloud-agent"], MACHINES.get(arch, 40), name)
    for icon, size in [(".qpkg_icon.gif", 64), (".qpkg_icon_80.gif", 80), (".qpkg_icon_gray.gif", 64)]:
        must(files[icon][:6] == b"GIF89a" and struct.unpack_from("<HH", files[icon], 6) == (size, size), f"{name}: {icon}")


def ipk(path):
    name = path.name
    outer = members(gunzip(path.read_bytes(), name), name)
    must(list(outer) == ["debian-binary", "data.tar.gz", "control.tar.gz"], f"{name}: members {list(outer)}")
    must(outer["debian-binary"] == b"2.0\n", f"{name}: debian-binary")
    control, data = members(gunzip(outer["control.tar.gz"], name), name), members(gunzip(outer["data.tar.gz"], name), name)
    fields = dict(line.split(": ", 1) for line in control["control"].decode().splitlines() if not line.startswith(" "))
    for field in ("Package", "Version", "Architecture", "Maintainer", "License", "Installed-Size", "Description"):
        must(fields.get(field), f"{name}: no {field}")
    must(name.endswith(f"_{fields['Architecture']}.ipk"), f"{name}: for {fields['Architecture']}")
    must(int(fields["Installed-Size"]) == sum(len(d) for d in data.values() if d), f"{name}: Installed-Size")
    for conffile in control["conffiles"].decode().split():
        must(conffile[1:] in data, f"{name}: {conffile} is not there")
    for script in ("postinst", "prerm"):
        shell(control[script], name)
        must(b"IPKG_INSTROOT" in control[script], f"{name}: {script} does not look whether this is an image")
    program = next(d for n, d in data.items() if n.endswith("sbin/qcloud-agent"))
    arch = fields["Architecture"]
    elf_for(program, 62 if arch.startswith("x") else 183 if arch.startswith("aarch64") else 40, name)


def deb(path):
    name, data = path.name, path.read_bytes()
    must(data[:8] == b"!<arch>\n", f"{name}: no ar")
    at, found = 8, {}
    while at < len(data):
        head = data[at : at + 60].decode()
        must(head[58:] == "`\n", f"{name}: a member's head")
        size = int(head[48:58])
        found[head[:16].strip()] = data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    must(list(found) == ["debian-binary", "control.tar.gz", "data.tar.gz"], f"{name}: members {list(found)}")
    control = members(gunzip(found["control.tar.gz"], name), name)
    files = members(gunzip(found["data.tar.gz"], name), name)
    for line in control["md5sums"].decode().splitlines():
        must(files.get(line[34:]), f"{name}: {line[34:]} is not there")
    must(any(n.endswith(".service") for n in files), f"{name}: no unit")


def tarball(path):
    files = members(gunzip(path.read_bytes(), path.name), path.name)
    for end in ("/sbin/qcloud-agent", "/FIRMWARE.md", "/etc/init.d/S90qcloud-agent", "/usr/share/qcloud-agent/vendor.toml"):
        must(any(n.endswith(end) for n in files), f"{path.name}: no {end}")


dist, count = Path(sys.argv[1]), 0
readers = {".qpkg": qpkg, ".ipk": ipk, ".deb": deb, ".gz": tarball}
for path in sorted(dist.iterdir()):
    reader = readers.get(path.suffix)
    if reader:
        try:
            reader(path)
        except (AssertionError, KeyError, ValueError, tarfile.TarError, zlib.error, struct.error, StopIteration) as error:
            sys.exit(f"NOT SO: {path.name}: {error!r}")
        count += 1
must(count > 0, f"no package in {dist}")
print(f"{count} packages are what their formats say")
