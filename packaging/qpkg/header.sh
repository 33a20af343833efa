#!/bin/sh
# qcloud-agent @VERSION@ for QNAP's QTS and QuTS hero (@ARCH@). This file is the installer: App Center and `sh FILE` run
# it. Behind this script stand a tar with what installs, a tar.gz with what is installed, and 100 bytes that App Center
# reads. Each begins at a multiple of 1024, so that one dd copies it from this file and no pipe can cut it short.
# /tmp of QTS can be written by anybody, so App Center's progress file there is left alone.
PATH=/bin:/sbin:/usr/bin:/usr/sbin
dir=/mnt/HDA_ROOT/update_pkg/.qcloud-agent.install
refuse() {
    echo "qcloud-agent: $1" >&2
    [ ! -x /sbin/log_tool ] || /sbin/log_tool -t2 -uSystem -p127.0.0.1 -mlocalhost -a "[qcloud-agent] $1"
    rm -rf $dir
    exit 1
}
grep " /mnt/HDA_ROOT " /proc/mounts >/dev/null 2>&1 || refuse "this NAS has no disk to install on yet; set up a volume first"
script_len=@HEADER@
rm -rf $dir
mkdir -p /mnt/HDA_ROOT/update_pkg && mkdir $dir && chmod 700 $dir || refuse "cannot make $dir"
/bin/dd if="${0}" bs=1024 skip=@HEADER_BLOCKS@ count=@CONTROL_BLOCKS@ of=$dir/control.tar 2>/dev/null || refuse "cannot read the control part of ${0}"
tar -xOf $dir/control.tar control.tar.gz >$dir/control.tar.gz && tar -xzf $dir/control.tar.gz -C $dir || refuse "the control part of ${0} is damaged"
offset=$(/usr/bin/expr $script_len + @CONTROL@)
/bin/dd if="${0}" bs=1024 skip=@DATA_SKIP@ count=@DATA_BLOCKS@ of=$dir/data.tar.gz 2>/dev/null || refuse "cannot read the data part of ${0}"
offset=$(/usr/bin/expr $offset + @DATA@)
[ "$(md5sum <$dir/data.tar.gz 2>/dev/null | cut -c1-32)" = @MD5@ ] || refuse "the data part of ${0} is damaged; fetch the file again"
if (cd $dir && /bin/sh ./qinstall.sh); then
    rm -rf $dir
    exit 10
fi
rm -rf $dir
exit 1
