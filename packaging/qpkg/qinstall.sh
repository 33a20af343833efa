#!/bin/sh
# Installs or upgrades the package from the directory it was unpacked in. Written for the shells of QTS: busybox 1.01's
# and bash 3.2.
umask 022
. ./qpkg.cfg
NAME=$QPKG_NAME
CONF=/etc/config/qpkg.conf
CONFIG_DIR=/etc/config/$NAME
IMAGES=/home/httpd/RSS/images

say() {
    echo "$NAME: $2"
    [ ! -x /sbin/log_tool ] || /sbin/log_tool -t"$1" -uSystem -p127.0.0.1 -mlocalhost -a "[$NAME] $2"
}
abort() {
    say 2 "$1" >&2
    [ -z "$FRESH" ] || rm -rf "$FRESH"
    exit 1
}
# What qpkg.conf says of this package; getcfg fails when it says nothing.
known() { /sbin/getcfg "$NAME" "$1" -d "" -f $CONF 2>/dev/null; }

check_machine() {
    [ "$(uname -m)" = "$QPKG_MACHINE" ] || abort "this package is for $QPKG_MACHINE; this NAS is $(uname -m)"
    [ -n "$QPKG_PLATFORM" ] || return 0
    platform=$(/sbin/getcfg "" Platform -f /etc/platform.conf -d "" 2>/dev/null)
    [ "$platform" = "$QPKG_PLATFORM" ] || abort "this package is for platform $QPKG_PLATFORM; this NAS is '$platform'"
}

# Where packages are: App Center's choice, where this one was, the volume of the default shares, or any volume.
find_base() {
    BASE=
    was=$(known Install_Path)
    for candidate in "$QINSTALL_PATH" "${was%/*}" \
        "$(/sbin/getcfg SHARE_DEF defVolMP -f /etc/config/def_share.info -d "" 2>/dev/null)/.qpkg" /share/*_DATA/.qpkg; do
        volume=${candidate%/.qpkg}
        case $volume in /share/?*) ;; *) continue ;; esac
        grep " $volume " /proc/mounts >/dev/null 2>&1 || continue
        BASE=$volume/.qpkg
        break
    done
    if [ -z "$BASE" ]; then
        for volume in /share/*_DATA; do
            ! grep " $volume " /proc/mounts >/dev/null 2>&1 || { BASE=$volume/.qpkg && break; }
        done
    fi
    [ -n "$BASE" ] || abort "there is no storage volume to install on; make one in Storage & Snapshots first"
    [ ! -L "$BASE" ] || abort "$BASE is a symbolic link; packages are not installed through links"
    mkdir -p "$BASE" || abort "cannot make $BASE"
}

stop_old() {
    [ ! -x "$SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM" ] || [ -L "$SYS_QPKG_DIR" ] ||
        /bin/sh "$SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM" stop
}

# The package is unpacked beside its place and renamed into it: whatever was there is not written through.
unpack() {
    [ ! -L "$SYS_QPKG_DIR" ] || abort "$SYS_QPKG_DIR is a symbolic link, which this package never makes; remove it and try again"
    FRESH=$BASE/.$NAME.new
    OLD=$BASE/.$NAME.old
    rm -rf "$FRESH" "$OLD"
    mkdir "$FRESH" || abort "cannot make $FRESH"
    tar -xzf data.tar.gz -C "$FRESH" || abort "cannot unpack to $FRESH; is the volume full?"
    chown -R 0:0 "$FRESH"
}

replace() {
    stop_old
    if [ -e "$SYS_QPKG_DIR" ]; then
        mv "$SYS_QPKG_DIR" "$OLD" || abort "cannot move $SYS_QPKG_DIR aside"
    fi
    if ! mv "$FRESH" "$SYS_QPKG_DIR"; then
        [ ! -e "$OLD" ] || mv "$OLD" "$SYS_QPKG_DIR"
        abort "cannot put the package to $SYS_QPKG_DIR"
    fi
    FRESH=
    rm -rf "$OLD"
    cat >"$SYS_QPKG_DIR/.uninstall.sh" <<END
#!/bin/sh
/bin/sh "$SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM" stop
/bin/sh "$SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM" remove
rm -f "$IMAGES/$NAME.gif" "$IMAGES/${NAME}_80.gif" "$IMAGES/${NAME}_gray.gif"
/sbin/rmcfg "$NAME" -f $CONF
rm -rf "$SYS_QPKG_DIR"
END
    chmod 755 "$SYS_QPKG_DIR/.uninstall.sh"
}

icons() {
    [ -d "$IMAGES" ] || return 0
    for pair in .qpkg_icon.gif:$NAME.gif .qpkg_icon_80.gif:${NAME}_80.gif .qpkg_icon_gray.gif:${NAME}_gray.gif; do
        rm -f "$IMAGES/${pair#*:}"
        cp "$SYS_QPKG_DIR/${pair%%:*}" "$IMAGES/${pair#*:}"
    done
}

register() {
    # Who switched it off keeps it off.
    enabled=$(known Enable)
    set_ "$NAME" Name "$NAME"
    set_ "$NAME" Display_Name "$QPKG_DISPLAY_NAME"
    set_ "$NAME" Version "$QPKG_VER"
    set_ "$NAME" Author "$QPKG_AUTHOR"
    set_ "$NAME" QPKG_File "$NAME.qpkg"
    set_ "$NAME" Date "$(date +%Y-%m-%d)"
    set_ "$NAME" Shell "$SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM"
    set_ "$NAME" Install_Path "$SYS_QPKG_DIR"
    set_ "$NAME" RC_Number "$QPKG_RC_NUM"
    set_ "$NAME" Pid_File "$QPKG_SERVICE_PIDFILE"
    set_ "$NAME" Timeout "$QPKG_TIMEOUT"
    set_ "$NAME" Visible "$QPKG_VISIBLE"
    set_ "$NAME" FW_Ver_Min "$QTS_MINI_VERSION"
    set_ "$NAME" Enable "${enabled:-TRUE}"
    set_ "$NAME" Status complete
}
set_() { /sbin/setcfg "$1" "$2" "$3" -f $CONF || abort "cannot write $2 to $CONF"; }

check_machine
find_base
SYS_QPKG_DIR=$BASE/$NAME
. ./package_routines
pkg_pre_install
unpack
replace
pkg_install
icons
register
pkg_post_install
if [ "$(known Enable)" = TRUE ]; then
    /bin/sh "$SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM" start || say 1 "it is installed, but did not start; $SYS_QPKG_DIR/$QPKG_SERVICE_PROGRAM start says why"
fi
say 0 "$QPKG_VER is installed in $SYS_QPKG_DIR"
exit 0
