# A package's life on QTS.
. /check.sh
DIR=/share/CACHEDEV1_DATA/.qpkg/qcloud-agent
INIT=$DIR/qcloud-agent.sh
CONFIG=/etc/config/qcloud-agent
status_json() { qcloud-agent --json status; }
key() { md5sum <$CONFIG/state/device.key; }

gives 10 sh /qcloud-agent.qpkg
is "it is registered" [ "$(getcfg qcloud-agent Status -f /etc/config/qpkg.conf)" = complete ]
is "where it is" [ "$(getcfg qcloud-agent Install_Path -f /etc/config/qpkg.conf)" = $DIR ]
is "it is enabled" [ "$(getcfg qcloud-agent Enable -f /etc/config/qpkg.conf)" = TRUE ]
for icon in qcloud-agent.gif qcloud-agent_80.gif qcloud-agent_gray.gif; do is "$icon" [ -s /home/httpd/RSS/images/$icon ]; done
is "it runs" sh $INIT status
is "the agent answers" until_ status_json
is "links" [ "$(readlink /etc/rcS.d/QS101qcloud-agent)" = /etc/init.d/qcloud-agent.sh ]
is "state is the agent's alone" [ "$(mode $CONFIG/state)" = 700 ]
is "the configuration is root's" [ "$(stat -c %u:%a $CONFIG/config.toml)" = 0:644 ]
isnt "state is not root's" [ "$(stat -c %u $CONFIG/state)" = 0 ]
is "nothing in /tmp" [ -z "$(ls -A /tmp)" ]
is "nothing left in the installer's place" [ -z "$(ls -A /mnt/HDA_ROOT/update_pkg)" ]
pid=$(cat /var/run/qcloud-agent/pid)
is "not root" [ "$(awk '/^Uid:/ { print $2 }' /proc/$pid/status)" = 60653 ]

gives 0 sh $INIT start
is "a second start starts nothing" [ "$(cat /var/run/qcloud-agent/pid)" = "$pid" ]
gives 0 sh $INIT restart
isnt "another process" [ "$(cat /var/run/qcloud-agent/pid)" = "$pid" ]
gives 0 sh $INIT stop
gives 1 sh $INIT status
is "nothing of it runs" [ -z "$(pidof qcloud-agent)" ]

# A box that was switched off: RAM is empty, and the number in a pid file is somebody's.
rm -rf /etc/init.d/* /etc/rcS.d/* /etc/rcK.d/* /usr/bin/qcloud-agent /var/run/qcloud-agent
mkdir /var/run/qcloud-agent
echo 1 >/var/run/qcloud-agent/pid
gives 1 sh $INIT status
gives 0 sh $INIT stop
is "who has pid 1 lives" [ -d /proc/1 ]
gives 0 sh $INIT start
is "links are back" [ -L /etc/init.d/qcloud-agent.sh ]

# Somebody switches it off: an upgrade leaves it so, and keeps settings and identity.
is "a key" until_ [ -s $CONFIG/state/device.key ]
was=$(key)
echo '# mine' >>$CONFIG/config.toml
setcfg qcloud-agent Enable FALSE -f /etc/config/qpkg.conf
gives 10 sh /qcloud-agent.qpkg
is "still off" [ "$(getcfg qcloud-agent Enable -f /etc/config/qpkg.conf)" = FALSE ]
is "the old one was stopped" [ -z "$(pidof qcloud-agent)" ]
gives 1 sh $INIT start
says "switched off"
setcfg qcloud-agent Enable TRUE -f /etc/config/qpkg.conf
gives 0 sh $INIT start
is "same identity" [ "$(key)" = "$was" ]
is "same settings" grep -q '^# mine' $CONFIG/config.toml

n=0
while [ $n -lt 20 ]; do
    gives 10 sh /qcloud-agent.qpkg
    n=$((n + 1))
done
is "it runs after twenty installs" until_ status_json
is "one daemon and its helper" [ "$(pidof qcloud-agent | wc -w)" -le 2 ]
is "same identity after twenty installs" [ "$(key)" = "$was" ]
is "no directory left over" [ "$(ls -A /share/CACHEDEV1_DATA/.qpkg)" = qcloud-agent ]

# A file that was cut on its way.
dd if=/qcloud-agent.qpkg of=/cut.qpkg bs=1024 count=900 2>/dev/null
gives 1 sh /cut.qpkg
says damaged
is "the one there goes on" sh $INIT status

# Hostile left-overs: refused or mended, never followed.
sh $INIT stop
mkdir -p /victim && echo precious >/victim/pid && chmod 755 /victim
rm -rf /var/run/qcloud-agent && ln -s /victim /var/run/qcloud-agent
gives 0 sh $INIT start
is "the link is gone" [ -d /var/run/qcloud-agent -a ! -L /var/run/qcloud-agent ]
is "nothing was written through it" [ "$(cat /victim/pid)" = precious ]
sh $INIT stop
rm -f /var/log/qcloud-agent.log && ln -s /victim/pid /var/log/qcloud-agent.log
gives 0 sh $INIT start
is "the log was not written through a link" [ "$(cat /victim/pid)" = precious ]
sh $INIT stop
chmod 777 $CONFIG/state $CONFIG && chmod 666 $CONFIG/config.toml
gives 10 sh /qcloud-agent.qpkg
is "state is closed again" [ "$(mode $CONFIG/state)" = 700 ]
is "settings are root's again" [ "$(stat -c %u:%a $CONFIG/config.toml)" = 0:644 ]
sh $INIT stop
mv $CONFIG/state /saved && ln -s /victim $CONFIG/state
gives 1 sh /qcloud-agent.qpkg
says "symbolic link"
gives 1 sh $INIT start
is "the victim keeps its owner" [ "$(stat -c %u:%a /victim)" = 0:755 ]
rm $CONFIG/state && mv /saved $CONFIG/state
mv $DIR /aside && ln -s /victim $DIR
gives 1 sh /qcloud-agent.qpkg
says "symbolic link"
is "nothing was unpacked through it" [ "$(ls /victim)" = pid ]
rm $DIR && mv /aside $DIR

# Removal keeps identity and settings; the purge takes them.
gives 0 qcloud-agent report cores on
is "the kernel starts it for crashes" grep -q "$DIR" /proc/sys/kernel/core_pattern
gives 0 sh $DIR/.uninstall.sh
is "the kernel starts what it did before" grep -qx core /proc/sys/kernel/core_pattern
is "gone" [ ! -e $DIR -a ! -e /etc/init.d/qcloud-agent.sh -a ! -e /usr/bin/qcloud-agent -a ! -e /var/run/qcloud-agent ]
is "and not registered" [ -z "$(getcfg qcloud-agent Name -f /etc/config/qpkg.conf)" ]
is "identity stays" [ "$(key)" = "$was" ]
gives 10 sh /qcloud-agent.qpkg
is "the same device again" [ "$(key)" = "$was" ]
touch $CONFIG/purge-on-removal
gives 0 sh $DIR/.uninstall.sh
is "all gone" [ ! -e $CONFIG ]
echo "$checks checks of a QPKG's life"
