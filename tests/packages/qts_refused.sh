# A box with disks and no volume, then one without disks.
. /check.sh
gives 1 sh /qcloud-agent.qpkg
says "no storage volume"
is "nothing is left" [ -z "$(ls -A /mnt/HDA_ROOT/update_pkg)" ]
umount /mnt/HDA_ROOT
gives 1 sh /qcloud-agent.qpkg
says "no disk"
is "nothing was registered" [ ! -s /etc/config/qpkg.conf ]
is "nothing in /tmp" [ -z "$(ls -A /tmp)" ]
echo "$checks checks of refusals"
