# A package's life below /opt: what opkg does with the scripts is done by hand.
. /check.sh
INIT=/opt/etc/init.d/S60qcloud-agent
status_json() { /opt/sbin/qcloud-agent --state /opt/var/lib/qcloud-agent --json status; }

gives 0 env IPKG_INSTROOT=/image sh /control/postinst
is "in an image nothing is started" [ -z "$(pidof qcloud-agentd)" ]
gives 0 sh /control/postinst
is "it runs by a name of its own" until_ pidof qcloud-agentd
is "the agent answers" until_ status_json
gives 0 $INIT check
is "state is the agent's alone" [ "$(stat -c %a /opt/var/lib/qcloud-agent)" = 700 ]

# A command of the agent's that runs while the daemon is stopped is not stopped with it.
/opt/sbin/qcloud-agent --state /elsewhere run >/dev/null 2>&1 &
other=$!
gives 0 $INIT stop
is "the daemon is stopped" [ -z "$(pidof qcloud-agentd)" ]
is "who has another name lives" kill -0 $other
gives 0 $INIT start
is "it is up again" until_ status_json
gives 0 /opt/sbin/qcloud-agent report cores on
is "the kernel starts it for crashes" grep -q /opt/sbin/qcloud-agent /proc/sys/kernel/core_pattern
gives 0 env IPKG_INSTROOT=/image sh /control/prerm
is "in an image nothing is stopped" pidof qcloud-agentd
gives 0 sh /control/prerm
is "stopped before it is removed" [ -z "$(pidof qcloud-agentd)" ]
is "the kernel starts what it did before" grep -qx core /proc/sys/kernel/core_pattern

chmod 777 /opt/etc/qcloud-agent /opt/var/lib/qcloud-agent
gives 0 sh /control/postinst
is "the configuration's place is root's again" [ "$(stat -c %u:%a /opt/etc/qcloud-agent)" = 0:755 ]
is "state is closed again" [ "$(stat -c %a /opt/var/lib/qcloud-agent)" = 700 ]
gives 0 sh /control/prerm
mv /opt/var/lib/qcloud-agent /saved
mkdir /victim && ln -s /victim /opt/var/lib/qcloud-agent
gives 1 sh /control/postinst
says "symbolic link"
is "nothing runs" [ -z "$(pidof qcloud-agentd)" ]
is "the victim keeps its owner" [ "$(stat -c %u:%a /victim)" = 0:755 ]
echo "$checks checks of a package's life in Entware"
