#!/bin/sh
# start | stop | restart | status | remove | purge. Written for the shells of QTS: busybox 1.01's and bash 3.2.
#
# Identity and settings are in /etc/config/qcloud-agent and stay when the package is removed; `purge` removes them too,
# and so does `remove` when there is a file /etc/config/qcloud-agent/purge-on-removal. Neither asks the hub to erase
# anything: that is `qcloud-agent unregister`, before.
NAME=qcloud-agent
export QNAP_QPKG=$NAME
umask 022
DIR=$(/sbin/getcfg $NAME Install_Path -d "" -f /etc/config/qpkg.conf 2>/dev/null)
[ -n "$DIR" ] || DIR=$(cd "$(dirname "$0")" && pwd)
BIN=$DIR/qcloud-agent
CONFIG_DIR=/etc/config/$NAME
RUN_DIR=/var/run/$NAME
PID_FILE=$RUN_DIR/pid
LOG=/var/log/$NAME.log
# The most the log grows to before a start begins another one, in KiB. /var/log is in RAM.
LOG_MOST=256

fail() {
    echo "$NAME: $1" >&2
    [ ! -x /sbin/log_tool ] || /sbin/log_tool -t2 -uSystem -p127.0.0.1 -mlocalhost -a "[$NAME] $1"
    exit 1
}

# The pid of the running agent, by its file and by what the kernel says that process is: after a restart of the box
# the number in the file may be anybody's.
pid() {
    [ -f $PID_FILE ] && [ ! -L $PID_FILE ] || return 1
    read -r number <$PID_FILE || return 1
    case $number in '' | *[!0-9]*) return 1 ;; esac
    case $(readlink "/proc/$number/exe" 2>/dev/null) in
    "$BIN" | "$BIN (deleted)") echo "$number" ;;
    *) return 1 ;;
    esac
}

# What QTS forgets at each restart, since / is in RAM.
links() {
    ln -sf "$DIR/$NAME.sh" /etc/init.d/$NAME.sh
    [ ! -d /etc/rcS.d ] || ln -sf /etc/init.d/$NAME.sh /etc/rcS.d/QS101$NAME
    [ ! -d /etc/rcK.d ] || ln -sf /etc/init.d/$NAME.sh /etc/rcK.d/QK899$NAME
    rm -f /usr/bin/$NAME
    cat >/usr/bin/$NAME <<END
#!/bin/sh
exec "$BIN" --state $CONFIG_DIR/state --config $CONFIG_DIR/config.toml "\$@"
END
    chmod 755 /usr/bin/$NAME
}

start() {
    [ "$(/sbin/getcfg $NAME Enable -u -d FALSE -f /etc/config/qpkg.conf 2>/dev/null)" = TRUE ] ||
        fail "it is switched off in App Center"
    if running=$(pid); then
        echo "$NAME: running (pid $running)"
        return 0
    fi
    for path in "$CONFIG_DIR" "$CONFIG_DIR/state" "$CONFIG_DIR/config.toml"; do
        [ ! -L "$path" ] || fail "$path is a symbolic link, which this package never makes; not started"
    done
    [ -d "$CONFIG_DIR" ] || mkdir "$CONFIG_DIR" || fail "cannot make $CONFIG_DIR"
    # Only root makes anything here, so what is no directory of root's is rubbish or a trap.
    [ ! -L $RUN_DIR ] || rm -f $RUN_DIR
    [ -d $RUN_DIR ] || rm -f $RUN_DIR
    mkdir -p $RUN_DIR && chown 0:0 $RUN_DIR && chmod 750 $RUN_DIR || fail "cannot make $RUN_DIR"
    rm -f $PID_FILE
    [ -f $LOG ] && [ ! -L $LOG ] || rm -rf $LOG
    if [ "$(du -k $LOG 2>/dev/null | cut -f1)" -gt $LOG_MOST ] 2>/dev/null; then
        rm -rf $LOG.1
        mv $LOG $LOG.1
    fi
    links
    "$BIN" --state "$CONFIG_DIR/state" --config "$CONFIG_DIR/config.toml" run </dev/null >>$LOG 2>&1 &
    echo $! >$PID_FILE
    sleep 1
    pid >/dev/null || fail "it ended at once: $(tail -n 1 $LOG)"
    echo "$NAME: started (pid $(pid))"
}

stop() {
    running=$(pid) || {
        rm -f $PID_FILE
        echo "$NAME: not running"
        return 0
    }
    kill "$running"
    waited=0
    while pid >/dev/null; do
        [ $waited -lt 15 ] || {
            kill -9 "$running"
            break
        }
        sleep 1
        waited=$((waited + 1))
    done
    rm -f $PID_FILE
    echo "$NAME: stopped"
}

purge() {
    [ ! -L "$CONFIG_DIR" ] || fail "$CONFIG_DIR is a symbolic link, which this package never makes; nothing was removed"
    rm -rf "$CONFIG_DIR"
    echo "$NAME: identity and settings are removed; the hub keeps what it has until it is told otherwise"
}

remove() {
    stop
    # The kernel must not go on starting a program that is gone.
    /usr/bin/$NAME report cores off >/dev/null 2>&1
    rm -f /etc/init.d/$NAME.sh /etc/rcS.d/QS101$NAME /etc/rcK.d/QK899$NAME /usr/bin/$NAME $LOG $LOG.1
    rm -rf $RUN_DIR
    if [ -e "$CONFIG_DIR/purge-on-removal" ]; then purge; fi
}

case $1 in
start) start ;;
stop) stop ;;
restart)
    stop
    start
    ;;
status)
    if running=$(pid); then
        echo "$NAME: running (pid $running)"
    else
        echo "$NAME: not running"
        exit 1
    fi
    ;;
remove) remove ;;
purge)
    stop
    purge
    ;;
*)
    echo "usage: $0 start|stop|restart|status|remove|purge" >&2
    exit 2
    ;;
esac
