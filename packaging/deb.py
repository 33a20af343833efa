"""Debian packages: the agent for each architecture, and the hub for amd64."""

import hashlib
from pathlib import Path

from archive import Tree, ar, gz
from ipk import DESCRIPTION

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent / "deb"
ARCHITECTURES = {
    "amd64": "x86_64-unknown-linux-musl",
    "arm64": "aarch64-unknown-linux-musl",
    "armhf": "armv7-unknown-linux-musleabihf",
}
HUB = "The other side of qcloud-agent: DNS, the relay and the owners' pages, in one program"


def build(package, arch, version, binary, example, licence, depends=""):
    tree = Tree()
    tree.file(f"usr/bin/{package}", binary, 0o755)
    tree.file(f"usr/lib/systemd/system/{package}.service", (ROOT / f"systemd/{package}.service").read_bytes())
    tree.file(f"usr/share/doc/{package}/copyright", f"qcloud-agent is licensed under MIT or Apache-2.0, as you prefer.\n\n{licence}")
    conffiles = ""
    if package == "qcloud-agent":
        tree.file("etc/qcloud-agent/config.toml", example)
        conffiles = "/etc/qcloud-agent/config.toml\n"
    control = Tree()
    control.file(
        "control",
        f"Package: {package}\n"
        f"Version: {version}-1\n"
        f"Architecture: {arch}\n"
        "Section: net\n"
        "Priority: optional\n"
        "Maintainer: the qcloud-agent project <packages@qcloud-agent.invalid>\n"
        + (f"Depends: {depends}\n" if depends else "")
        + f"Installed-Size: {(tree.installed_bytes() + 1023) // 1024}\n"
        f"Description: {DESCRIPTION if package == 'qcloud-agent' else HUB}\n"
        " Everything it could ever send is declared, can be previewed, passes one gate and\n"
        " stands in a ledger on the device.\n",
    )
    if conffiles:
        control.file("conffiles", conffiles)
    sums = (
        f"{hashlib.md5(data).hexdigest()}  {path}\n"
        for path, (_, _, data) in sorted(tree.entries.items())
        if data and "/" + path + "\n" not in conffiles
    )
    control.file("md5sums", "".join(sums))
    for script in ("postinst", "prerm", "postrm"):
        text = (HERE / script).read_text().replace("@PACKAGE@", package)
        control.file(script, text, 0o755)
    return ar(
        [
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", gz(control.tar())),
            ("data.tar.gz", gz(tree.tar())),
        ]
    )
