# Sourced in a box. Each check says what must be so, and counts.
checks=0
is() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" >/dev/check.log 2>&1; then
        checks=$((checks + 1))
    else
        echo "NOT SO: $what ($*)"
        cat /dev/check.log
        exit 1
    fi
}
isnt() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" >/dev/check.log 2>&1; then
        echo "NOT SO: $what ($* did not fail)"
        cat /dev/check.log
        exit 1
    fi
    checks=$((checks + 1))
}
gives() { # CODE COMMAND...
    wanted=$1
    shift
    "$@" >/dev/check.log 2>&1
    got=$?
    if [ $got -ne "$wanted" ]; then
        echo "NOT SO: exit code $wanted ($* gave $got)"
        cat /dev/check.log
        exit 1
    fi
    checks=$((checks + 1))
}
says() { grep -q -- "$1" /dev/check.log || { echo "NOT SO: it says '$1', but:"; cat /dev/check.log; exit 1; }; }
# Waits for a condition, at most ten seconds.
until_() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.5
    done
    return 1
}
mode() { stat -c %a "$1"; }
