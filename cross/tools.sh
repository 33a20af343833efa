# What the cross builds are made with; sourced by `build`. Everything lands in $TOOLS, and what is there is not
# fetched again. Neither rustup's own directories nor the system's apt are changed, and root is not needed.
#
#   Debian    the sources of the standard library, of exactly our rustc (where `rustup component add rust-src` was done: those)
#   PyPI      ziglang: a C compiler for each target, and the sources of musl and libunwind, in one wheel
#
# Mirrors that apt, pip and cargo are set up with are used as they are.

RUST=1.95.0
# Where Debian has these sources, in the order in which they are tried: suite, version, SHA-256 ("-": apt's signature only).
STD_SOURCES="
trixie-backports 1.95.0+dfsg1-2~bpo13+1 7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b
forky 1.95.0+dfsg1-2 -
sid 1.95.0+dfsg1-2 -
"
# Not newer: zig 0.17.1 puts an allocator in musl's place that takes pages of 32-bit ARM for 4 KiB. musl's own asks the
# kernel, and there are NAS kernels with pages of 32 KiB.
ZIG='ziglang==0.15.2'

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# timed WHAT COMMAND...: says how long it took.
timed() {
    local what=$1 begun=$SECONDS
    shift
    "$@" || return
    say "$what: $((SECONDS - begun)) s"
}

# An apt of our own that knows one more suite, with the mirror the machine's apt uses. Sets APT_CONFIG.
private_apt() { # SUITE
    local dir=$TOOLS/apt mirror
    rm -rf "$dir"
    mkdir -p "$dir"/state/lists/partial "$dir"/cache/archives/partial "$dir/parts"
    : >"$dir/state/status"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | sort -u | grep -v -e -security -e '^$' | head -n 1)
    cat >"$dir/apt.sources" <<END
Types: deb
URIs: ${mirror:-http://deb.debian.org/debian/}
Suites: $1
Components: main
Architectures: amd64
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    cat >"$dir/apt.conf" <<END
Dir::State "$dir/state"; Dir::State::status "$dir/state/status"; Dir::Cache "$dir/cache";
Dir::Etc::SourceList "$dir/apt.sources"; Dir::Etc::SourceParts "$dir/parts"; Dir::Etc::PreferencesParts "$dir/parts";
Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; APT::Sandbox::User "$(id -un)";
END
    export APT_CONFIG=$dir/apt.conf
}

# Puts the standard library's sources into $TOOLS/std-$RUST.
fetch_std() {
    local suite version sum deb
    while read -r suite version sum; do
        [ -n "$suite" ] || continue
        say "sources of the standard library: rust-src $version of Debian's $suite"
        deb=$(
            private_apt "$suite"
            mkdir -p "$TOOLS/download" && cd "$TOOLS/download" && rm -f rust-src_*.deb
            apt-get -qq update && apt-get -qq download "rust-src=$version" && ls "$PWD"/rust-src_*.deb
        ) || { say "not there"; continue; }
        if [ "$sum" != - ] && ! echo "$sum  $deb" | sha256sum -c --quiet - >&2; then
            fail "$deb is not the file it was: its SHA-256 shall be $sum"
        fi
        rm -rf "$TOOLS/std-$RUST.new" && mkdir -p "$TOOLS/std-$RUST.new"
        dpkg-deb --fsys-tarfile "$deb" |
            tar -x -C "$TOOLS/std-$RUST.new" --strip-components=5 --wildcards './usr/src/rustc-*/library'
        [ -e "$TOOLS/std-$RUST.new/std/Cargo.toml" ] || { say "it holds no library/std"; continue; }
        mv "$TOOLS/std-$RUST.new" "$TOOLS/std-$RUST"
        rm -rf "$TOOLS/download" "$TOOLS/apt"
        return
    done <<<"$STD_SOURCES"
    say "error: none of the places of rust-src $RUST had it"
    say "hint: rustup component add rust-src, or unpack library/ of the rustc $RUST sources to $TOOLS/std-$RUST"
    return 1
}

# A sysroot of our own: hard links to rustup's, plus the sources.
make_sysroot() {
    local host std link
    host=$(rustc "+$RUST" --print sysroot 2>/dev/null || rustc --print sysroot)
    [ "$("$host/bin/rustc" -V | cut -d' ' -f2)" = "$RUST" ] || fail "rustc is not $RUST; hint: rustup toolchain install $RUST"
    if [ -e "$host/lib/rustlib/src/rust/library/std/Cargo.toml" ]; then
        std=$host/lib/rustlib/src/rust/library
    else
        std=$TOOLS/std-$RUST
        [ -e "$std" ] || timed "fetched the standard library's sources" fetch_std || exit 1
    fi
    rm -rf "$SYSROOT"
    mkdir -p "$SYSROOT/bin" "$SYSROOT/lib/rustlib/src/rust"
    link() { cp -al "$@" 2>/dev/null || cp -a "$@"; }
    link "$host/bin/rustc" "$host/bin/cargo" "$SYSROOT/bin/"
    link "$host"/lib/*.so* "$SYSROOT/lib/"
    link "$host/lib/rustlib/x86_64-unknown-linux-gnu" "$SYSROOT/lib/rustlib/"
    ln -s "$std" "$SYSROOT/lib/rustlib/src/rust/library"
    : >"$SYSROOT/.done"
}

fetch_zig() {
    rm -rf "$TOOLS/python"
    python3 -m venv "$TOOLS/python" && "$TOOLS/python/bin/pip" -q install "$ZIG" || return
    : >"$TOOLS/python/.done"
}

# The C library for a target, where rustc looks for it: start files, libc.a, libunwind.a, built by zig from the sources
# in its wheel; libzigc.a is a part of musl that zig wrote anew (string functions). rustup's own musl targets have theirs in the same place.
make_libc() { # TRIPLE
    local dir=$SYSROOT/lib/rustlib/$1/lib/self-contained work=$TOOLS/libc-$1 name path
    rm -rf "$dir" "$work"
    mkdir -p "$dir" "$work"
    echo 'int main(void) { return 0; }' >"$work/main.c"
    : >"$work/empty.c"
    "$here/cc" "$1" -c "$work/empty.c" -o "$work/empty.o" || return
    # What zig links says which files of its cache they are.
    ZIG_VERBOSE_LINK=1 "$here/cc" "$1" -static -pie "$work/main.c" -lunwind -o "$work/main" 2>"$work/link.txt" ||
        { cat "$work/link.txt" >&2 && return 1; }
    for name in rcrt1.o libc.a libzigc.a libunwind.a libcompiler_rt.a; do
        path=$(grep '^ld.lld' "$work/link.txt" | tr ' ' '\n' | grep "/$name\$" | head -n 1)
        [ -n "$path" ] || fail "zig links no $name for $1; see $work/link.txt"
        cp "$path" "$dir/$name" || return
    done
    # musl's own start file does all; these exist for other C libraries.
    for name in crti crtn crtbegin crtbeginS crtbeginT crtend crtendS; do cp "$work/empty.o" "$dir/$name.o" || return; done
    : >"$dir/.done"
}

# Makes everything there is to make in $TOOLS, once; two builds at a time wait for each other.
prepare_tools() { # TRIPLE...
    SYSROOT=$TOOLS/sysroot-$RUST
    local target
    mkdir -p "$TOOLS"
    exec 9>"$TOOLS/.lock"
    flock 9
    [ -e "$SYSROOT/.done" ] || timed "made a sysroot" make_sysroot || exit 1
    [ -e "$TOOLS/python/.done" ] || timed "fetched zig" fetch_zig || exit 1
    export QCLOUD_ZIG=$TOOLS/python/bin/python-zig ZIG_GLOBAL_CACHE_DIR=$TOOLS/zig ZIG_LOCAL_CACHE_DIR=$TOOLS/zig
    export QCLOUD_SYSROOT=$SYSROOT
    for target in "$@"; do
        [ -e "$SYSROOT/lib/rustlib/$target/lib/self-contained/.done" ] || timed "built musl for $target" make_libc "$target" || exit 1
    done
    flock -u 9
}
