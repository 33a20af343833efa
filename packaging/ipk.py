"""The .ipk of Entware and of OpenWrt up to 24.10: a gzipped tar of three members, in this order. opkg refuses an `ar`."""

from pathlib import Path

from archive import Tree, gz

HERE = Path(__file__).parent / "opkg"
# opkg's name of an architecture -> our target and whose layout.
ARCHITECTURES = {
    "x64-3.2": ("x86_64-unknown-linux-musl", "entware"),
    "aarch64-3.10": ("aarch64-unknown-linux-musl", "entware"),
    "armv7-3.2": ("armv7-unknown-linux-musleabihf", "entware"),
    "x86_64": ("x86_64-unknown-linux-musl", "openwrt"),
    "aarch64_cortex-a53": ("aarch64-unknown-linux-musl", "openwrt"),
    "arm_cortex-a9_vfpv3-d16": ("armv7-unknown-linux-musleabihf", "openwrt"),
}
DESCRIPTION = "Device agent for cloud services its owner can see through: DDNS and a way in through any NAT, off by default"


def data_tree(layout, binary, example):
    tree = Tree()
    if layout == "entware":
        tree.file("opt/sbin/qcloud-agent", binary, 0o755)
        tree.link("opt/sbin/qcloud-agentd", "qcloud-agent")
        tree.file("opt/etc/init.d/S60qcloud-agent", (HERE / "entware/S60qcloud-agent").read_bytes(), 0o755)
        tree.file("opt/etc/qcloud-agent/config.toml", example)
    else:
        tree.file("usr/sbin/qcloud-agent", binary, 0o755)
        tree.file("etc/init.d/qcloud-agent", (HERE / "openwrt/qcloud-agent.init").read_bytes(), 0o755)
        tree.file("etc/qcloud-agent/config.toml", example)
        # What a firmware upgrade keeps.
        tree.file("lib/upgrade/keep.d/qcloud-agent", "/etc/qcloud-agent/\n")
    return tree


def build(arch, version, binary, example):
    layout = ARCHITECTURES[arch][1]
    tree = data_tree(layout, binary, example)
    control = Tree()
    control.file(
        "control",
        "Package: qcloud-agent\n"
        f"Version: {version}-1\n"
        f"Architecture: {arch}\n"
        "Section: net\n"
        "Priority: optional\n"
        "Maintainer: the qcloud-agent project <packages@qcloud-agent.invalid>\n"
        "License: MIT OR Apache-2.0\n"
        f"Installed-Size: {tree.installed_bytes()}\n"
        f"Description: {DESCRIPTION}\n",
    )
    conffile = "/opt/etc/qcloud-agent/config.toml" if layout == "entware" else "/etc/qcloud-agent/config.toml"
    control.file("conffiles", conffile + "\n")
    control.file("postinst", (HERE / layout / "postinst").read_bytes(), 0o755)
    control.file("prerm", (HERE / layout / "prerm").read_bytes(), 0o755)
    outer = Tree()
    outer.file("debian-binary", "2.0\n")
    outer.file("data.tar.gz", gz(tree.tar()))
    outer.file("control.tar.gz", gz(control.tar()))
    return gz(outer.tar(order=["debian-binary", "data.tar.gz", "control.tar.gz"]))
