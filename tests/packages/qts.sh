# Sourced. What a box with QNAP's QTS has beside busybox, as far as a package sees it.
make_qts() { # ROOT
    make_root "$1"
    mkdir -p "$1"/etc/config "$1"/etc/init.d "$1"/etc/rcS.d "$1"/etc/rcK.d "$1"/home/httpd/RSS/images "$1"/mnt/HDA_ROOT "$1"/share
    : >"$1/etc/config/qpkg.conf"
    printf '[]\nPlatform = ARM_AL\n' >"$1/etc/platform.conf"
    # getcfg [-u] SECTION KEY [-d DEFAULT] [-f FILE]: 250 and the default where the key is not.
    cat >"$1/sbin/getcfg" <<'END'
#!/bin/sh
file=/etc/config/uLinux.conf default= upper= words=
while [ $# -gt 0 ]; do
    case $1 in
    -f) file=$2; shift 2 ;;
    -d) default=$2; shift 2 ;;
    -u) upper=1; shift ;;
    *) words="$words|$1"; shift ;;
    esac
done
section=$(echo "$words" | cut -d'|' -f2) key=$(echo "$words" | cut -d'|' -f3)
value=$(awk -v s="[$section]" -v k="$key" '$0 == s { in_ = 1; next } /^\[/ { in_ = 0 }
    in_ { i = index($0, " = "); if (i && tolower(substr($0, 1, i - 1)) == tolower(k)) { print substr($0, i + 3); f = 1; exit } }
    END { exit !f }' "$file" 2>/dev/null) || { echo "$default"; exit 250; }
[ -z "$upper" ] || value=$(echo "$value" | tr a-z A-Z)
echo "$value"
END
    # setcfg SECTION KEY VALUE -f FILE
    cat >"$1/sbin/setcfg" <<'END'
#!/bin/sh
[ "$4" = -f ] || exit 1
awk -v s="[$1]" -v k="$2" -v v="$3" '
    $0 == s { in_ = 1; print; seen = 1; next }
    /^\[/ { if (in_ && !done) { print k " = " v; done = 1 } in_ = 0 }
    in_ && index($0, k " = ") == 1 { print k " = " v; done = 1; next }
    { print }
    END { if (!seen) print s; if (!done) print k " = " v }' "$5" >"$5.new" && mv "$5.new" "$5"
END
    cat >"$1/sbin/rmcfg" <<'END'
#!/bin/sh
awk -v s="[$1]" '$0 == s { in_ = 1; next } /^\[/ { in_ = 0 } !in_ { print }' "$3" >"$3.new" && mv "$3.new" "$3"
END
    printf '#!/bin/sh\necho "$@" >>/var/log/log_tool\n' >"$1/sbin/log_tool"
    chmod 755 "$1/sbin/getcfg" "$1/sbin/setcfg" "$1/sbin/rmcfg" "$1/sbin/log_tool"
}
