# A package's life on OpenWrt, as far as its scripts and procd's protocol go.
. /check.sh
status_json() { /usr/sbin/qcloud-agent --state /etc/qcloud-agent/state --json status; }

gives 0 env IPKG_INSTROOT=/image sh /control/postinst
is "in an image nothing is started" [ ! -e /var/log/procd ]
gives 0 sh /control/postinst
is "it is enabled" grep -q '^enable' /var/log/procd
is "procd is told how to start it" grep -q '^command /usr/sbin/qcloud-agent' /var/log/procd
is "procd is told of lines that come up" grep -q '^interface_trigger interface' /var/log/procd
is "the agent answers" until_ status_json
is "state is the agent's alone" [ "$(stat -c %a /etc/qcloud-agent/state)" = 700 ]
is "the configuration is root's" [ "$(stat -c %u:%a /etc/qcloud-agent/config.toml)" = 0:644 ]
gives 0 /etc/init.d/qcloud-agent reload
is "a reload is a signal" grep -q '^signal qcloud-agent \* HUP' /var/log/procd
is "and it goes on" until_ status_json
gives 0 /usr/sbin/qcloud-agent report cores on
is "the kernel starts it for crashes" grep -q /usr/sbin/qcloud-agent /proc/sys/kernel/core_pattern
gives 0 env IPKG_INSTROOT=/image sh /control/prerm
is "in an image nothing is stopped" status_json
gives 0 sh /control/prerm
is "stopped before it is removed" [ -z "$(pidof qcloud-agent)" ]
is "the kernel starts what it did before" grep -qx core /proc/sys/kernel/core_pattern

# Left-overs that are open to all are closed again; a link is refused, and nothing done through it.
chmod 777 /etc/qcloud-agent /etc/qcloud-agent/state
gives 0 sh /control/postinst
is "the configuration's place is root's again" [ "$(stat -c %u:%a /etc/qcloud-agent)" = 0:755 ]
is "state is closed again" [ "$(stat -c %a /etc/qcloud-agent/state)" = 700 ]
gives 0 sh /control/prerm
mv /etc/qcloud-agent/state /saved
mkdir /victim && ln -s /victim /etc/qcloud-agent/state
gives 1 sh /control/postinst
says "symbolic link"
is "nothing runs" [ -z "$(pidof qcloud-agent)" ]
is "the victim keeps its owner" [ "$(stat -c %u:%a /victim)" = 0:755 ]
echo "$checks checks of a package's life on OpenWrt"
