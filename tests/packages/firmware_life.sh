# From a read-only root with nothing but RAM, without disk and network, to a disk and a network.
. /check.sh
INIT=/etc/init.d/S90qcloud-agent
status_json() { qcloud-agent --json status >/dev/status.json 2>/dev/null; }
persistent() { status_json && grep -q "\"persistent\": *$1" /dev/status.json; }
cpu() { awk '{ print $14 + $15 }' "/proc/$(cat /var/run/qcloud-agent/pid)/stat"; }

isnt "the root is read-only" touch /etc/x
# Somebody's link where the pid goes, and a pid that is somebody's.
mkdir /dev/victim && echo 1 >/dev/victim/pid && ln -s /dev/victim /var/run/qcloud-agent
gives 1 sh $INIT status
gives 0 sh $INIT start
is "the link is gone" [ -d /var/run/qcloud-agent -a ! -L /var/run/qcloud-agent ]
is "nothing was written through it" [ "$(cat /dev/victim/pid)" = 1 ]
is "it answers without anything" until_ status_json
is "and says that nothing lasts" until_ persistent false
pid=$(cat /var/run/qcloud-agent/pid)
before=$(cpu)
sleep 10
after=$(cpu)
# In clock ticks, a hundredth of a second each: ten minutes may cost a second.
is "it rests: $((after - before)) ticks in ten seconds" [ $((after - before)) -le 2 ]
mount --bind /disk /var/lib/qcloud-agent
is "state moves to the disk" until_ persistent true
is "and is there" until_ [ -s /disk/device.key ]
switches() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$pid/status"; }
before=$(switches)
touch /dev/line-please
is "a line comes up" until_ grep -q line: /proc/net/dev
woken() { [ "$(switches)" -gt "$before" ]; }
is "the kernel's word of it wakes the agent" until_ woken
is "and it goes on" until_ status_json
is "the same process" [ "$(cat /var/run/qcloud-agent/pid)" = "$pid" ]
gives 0 sh $INIT stop
gives 1 sh $INIT status
echo 1 >/var/run/qcloud-agent/pid
gives 0 sh $INIT stop
is "who has pid 1 lives" [ -d /proc/1 ]
echo "$checks checks of the firmware form"
