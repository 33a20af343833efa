"""The firmware form: the program, an init script for a firmware's own start, and the page that says where they go."""

from pathlib import Path

from archive import Tree, gz

HERE = Path(__file__).parent / "firmware"
ARCHITECTURES = {
    "x86_64": "x86_64-unknown-linux-musl",
    "aarch64": "aarch64-unknown-linux-musl",
    "armv7": "armv7-unknown-linux-musleabihf",
}


def build(name, version, binary, example, licence):
    top = f"qcloud-agent-{version}-{name}"
    tree = Tree()
    tree.file(f"{top}/sbin/qcloud-agent", binary, 0o755)
    tree.file(f"{top}/etc/init.d/S90qcloud-agent", (HERE / "S90qcloud-agent").read_bytes(), 0o755)
    tree.file(f"{top}/etc/qcloud-agent/config.toml", example)
    tree.file(f"{top}/usr/share/qcloud-agent/vendor.toml", (HERE / "vendor.toml").read_bytes())
    tree.file(f"{top}/FIRMWARE.md", (HERE / "FIRMWARE.md").read_bytes())
    tree.file(f"{top}/LICENSE", licence)
    return gz(tree.tar())
