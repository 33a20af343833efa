#!/usr/bin/env python3
"""pack.py DIST: every package from the binaries that `cross/build` made, into DIST.

    --binaries DIR   with TRIPLE/qcloud-agent (default: target/cross)
    --hub FILE       qcloud-hub for amd64, linked against Debian's libc; without it there is no package of the hub
    --only TRIPLE    packages of this target only
"""

import argparse
import os
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import deb
import ipk
import qpkg
import tarball

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent


def packages(version, binaries, only, hub):
    """Name and bytes of each package."""
    licence = (ROOT / "LICENSE").read_text()
    example = (HERE / "config.toml.example").read_text()

    def binary(triple):
        return (binaries / triple / "qcloud-agent").read_bytes()

    def wanted(triple):
        return only is None or triple == only

    for arch, (triple, *_) in qpkg.ARCHITECTURES.items():
        if wanted(triple):
            yield f"qcloud-agent_{version}_{arch}.qpkg", qpkg.build(arch, version, binary(triple), example, licence)
    for arch, (triple, layout) in ipk.ARCHITECTURES.items():
        if wanted(triple):
            yield f"qcloud-agent_{version}-1_{layout}_{arch}.ipk", ipk.build(arch, version, binary(triple), example)
    for arch, triple in deb.ARCHITECTURES.items():
        if wanted(triple):
            data = deb.build("qcloud-agent", arch, version, binary(triple), example, licence)
            yield f"qcloud-agent_{version}-1_{arch}.deb", data
    if hub:
        data = deb.build("qcloud-hub", "amd64", version, hub.read_bytes(), example, licence, "libc6 (>= 2.36)")
        yield f"qcloud-hub_{version}-1_amd64.deb", data
    for name, triple in tarball.ARCHITECTURES.items():
        if wanted(triple):
            yield f"qcloud-agent-{version}-{name}.tar.gz", tarball.build(name, version, binary(triple), example, licence)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binaries", type=Path, default=target / "cross")
    parser.add_argument("--hub", type=Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    args.dist.mkdir(parents=True, exist_ok=True)
    for name, data in packages(version, args.binaries, args.only, args.hub):
        path = args.dist / name
        path.write_bytes(data)
        path.chmod(0o644)
        print(f"{len(data):>9} {name}")


if __name__ == "__main__":
    main()
