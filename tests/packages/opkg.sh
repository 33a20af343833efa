# Sourced. What Entware and OpenWrt have for a package's scripts.
make_entware() { # ROOT
    make_root "$1"
    mkdir -p "$1"/opt/etc/init.d "$1"/opt/bin "$1"/opt/sbin "$1"/opt/var/lib
    # Entware's rc.func, as far as it matters: everything of the name PROCS is meant.
    cat >"$1/opt/etc/init.d/rc.func" <<'END'
ACTION=$1
case $ACTION in
start) [ "$ENABLED" = yes ] || exit 7; [ -n "$(pidof $PROCS)" ] || { $PREARGS $PROCS $ARGS >/dev/null 2>&1 & } ;;
stop) killall $PROCS 2>/dev/null; for _ in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(pidof $PROCS)" ] || break; sleep 1; done; killall -9 $PROCS 2>/dev/null; true ;;
restart) "$0" stop; "$0" start ;;
check) [ -n "$(pidof $PROCS)" ] ;;
reconfigure) killall -HUP $PROCS ;;
esac
END
}
make_openwrt() { # ROOT
    make_root "$1"
    mkdir -p "$1"/etc/init.d
    # What rc.common and procd make of an init script, written down in /var/log/procd.
    cat >"$1/etc/rc.common" <<'END'
#!/bin/sh
note() { echo "$@" >>/var/log/procd; }
procd_open_instance() { :; }
procd_close_instance() { $COMMAND >/dev/null 2>&1 & echo $! >/var/run/instance; }
procd_set_param() { note "$@"; [ "$1" != command ] || { shift; COMMAND="$*"; }; }
procd_add_reload_trigger() { note reload_trigger "$@"; }
procd_add_interface_trigger() { note interface_trigger "$@"; }
procd_send_signal() { note signal "$@"; kill -"$3" "$(cat /var/run/instance)"; }
. "$1"
case $2 in
start) start_service; service_triggers ;;
restart) "$0" "$1" stop; "$0" "$1" start ;;
stop) [ ! -e /var/run/instance ] || kill "$(cat /var/run/instance)"; rm -f /var/run/instance; sleep 1 ;;
reload) reload_service ;;
enable | disable) note "$2" ;;
esac
END
    chmod 755 "$1/etc/rc.common"
}
