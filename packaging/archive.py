"""Archives that are the same bytes wherever and whenever they are made: no owner, no clock, one order."""

import gzip
import io
import os
import struct
import tarfile

# When everything in a package was made, in seconds since 1970: the release says it (the date of its commit).
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1767225600"))


class Tree:
    """Files to be packed: path inside the archive -> what is there."""

    def __init__(self):
        self.entries = {}

    def dir(self, path, mode=0o755):
        self.entries[path] = (tarfile.DIRTYPE, mode, b"")

    def file(self, path, data, mode=0o644):
        for parent in parents(path):
            if parent not in self.entries:
                self.dir(parent)
        self.entries[path] = (tarfile.REGTYPE, mode, data.encode() if isinstance(data, str) else data)

    def link(self, path, target):
        for parent in parents(path):
            if parent not in self.entries:
                self.dir(parent)
        self.entries[path] = (tarfile.SYMTYPE, 0o777, target.encode())

    def installed_bytes(self):
        return sum(len(data) for kind, _, data in self.entries.values() if kind == tarfile.REGTYPE)

    def tar(self, order=None, prefix="./"):
        """The tree as an uncompressed GNU tar; by name, or only what `order` names, in that order."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            if order is None:
                archive.addfile(entry("./", tarfile.DIRTYPE, 0o755))
            for path in order or sorted(self.entries):
                kind, mode, data = self.entries[path]
                info = entry(prefix + path, kind, mode)
                if kind == tarfile.SYMTYPE:
                    info.linkname = data.decode()
                    archive.addfile(info)
                elif kind == tarfile.REGTYPE:
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                else:
                    archive.addfile(info)
        return out.getvalue()


def parents(path):
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def entry(name, kind, mode):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, EPOCH
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def gz(data, block=1):
    """gzip without name and time. With `block`, as many bytes of an extra field (RFC 1952, 2.3.1.1) as it takes to
    end at a multiple of it."""
    body = gzip.compress(data, 9, mtime=0)
    deflated, length = body[10:], len(body)
    if block == 1:
        return b"\x1f\x8b\x08\x00\0\0\0\0\x02\xff" + deflated
    # XLEN, and one subfield with its own header of four bytes.
    filling = -(length + 2 + 4) % block
    extra = b"QC" + struct.pack("<H", filling) + b"\0" * filling
    return b"\x1f\x8b\x08\x04\0\0\0\0\x02\xff" + struct.pack("<H", len(extra)) + extra + deflated


def ar(members):
    """The archive that Debian's packages are."""
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{EPOCH:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out
