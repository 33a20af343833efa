//! The recipe: every section of a report, in the order of its pages.

use super::bundle::Sensitivity::{self, Low, Personal};
use super::crash::{Binary, CRASH};
use super::options::{Form, Options};
use super::survey::{self, Survey};
use std::io::{self, Write};

/// How a section is made.
pub enum Take {
    /// Files, each under its name. `*` in a path is any part of a name.
    Files(&'static [&'static str]),
    /// Files of one short value, a line each: `path: value`.
    Values(&'static [&'static str]),
    /// The newest part of logs: directories, and what the names begin with.
    Logs(&'static [(&'static str, &'static [&'static str])]),
    /// Something that is put together.
    Made(Make),
    /// Entries of their own below its path, none of them text.
    Binaries(MakeBinaries),
    /// The same, with the files it was made of behind it.
    Both(Make, &'static [&'static str]),
    /// What the box's own programs say, of those that are there: an extra, without which a report is whole.
    Tools(&'static [&'static [&'static str]]),
    /// A picture of what the display shows; without one its text, or why there is none.
    Picture,
}

/// A section.
pub struct Section {
    /// Its path in the archive.
    pub path: &'static str,
    /// Its title in `report.txt`.
    pub title: &'static str,
    /// How freely it may be shown.
    pub sensitivity: Sensitivity,
    /// How it is made.
    pub take: Take,
}

pub(super) const fn files(
    path: &'static str,
    title: &'static str,
    sensitivity: Sensitivity,
    from: &'static [&'static str],
) -> Section {
    Section { path, title, sensitivity, take: Take::Files(from) }
}

pub(super) const fn values(
    path: &'static str,
    title: &'static str,
    from: &'static [&'static str],
) -> Section {
    Section { path, title, sensitivity: Low, take: Take::Values(from) }
}

const fn logs(
    path: &'static str,
    title: &'static str,
    from: &'static [(&'static str, &'static [&'static str])],
) -> Section {
    Section { path, title, sensitivity: Personal, take: Take::Logs(from) }
}

/// Puts a section together.
pub type Make = fn(&Survey<'_>, &mut dyn Write) -> io::Result<()>;
/// Makes entries that are no text.
pub type MakeBinaries = fn(&Survey<'_>) -> io::Result<Vec<Binary>>;

pub(super) const fn made(
    path: &'static str,
    title: &'static str,
    sensitivity: Sensitivity,
    make: Make,
) -> Section {
    Section { path, title, sensitivity, take: Take::Made(make) }
}

const fn tools(
    path: &'static str,
    title: &'static str,
    lines: &'static [&'static [&'static str]],
) -> Section {
    Section { path, title, sensitivity: Personal, take: Take::Tools(lines) }
}

const fn both(
    path: &'static str,
    title: &'static str,
    make: Make,
    from: &'static [&'static str],
) -> Section {
    Section { path, title, sensitivity: Personal, take: Take::Both(make, from) }
}

/// The sections of a report: all of them, or what the kernel says; with the crash part, that one beside them
/// (promise X5).
pub fn chosen(options: &Options) -> Vec<&'static Section> {
    let whole = options.form != Form::Kernel && !crate::sabotage::off("report-recipe");
    let with_crash = options.crash && !crate::sabotage::off("report-crash-part");
    let crash = CRASH.iter().filter(|_| with_crash);
    let server = SERVER.iter().filter(|section| whole || KERNEL.contains(&section.path));
    server.chain(crash).collect()
}

/// What the kernel says, and what it runs on.
const KERNEL: [&str; 6] = [
    "system/release.txt",
    "system/boot.txt",
    "system/kernel_command_line.txt",
    "system/kernel.txt",
    "logs/kernel.txt",
    "logs/pstore.txt",
];

/// Every section of the server report.
#[rustfmt::skip]
pub static SERVER: &[Section] = &[
    made("system/product.txt", "Product", Low, survey::product),
    files("system/release.txt", "Firmware and system", Low, &[
        "/etc/os-release", "/etc/version", "/etc/openwrt_release", "/etc.defaults/VERSION", "/etc/debian_version",
        "/proc/version",
    ]),
    made("system/boot.txt", "Uptime and boots", Low, survey::boot),
    made("system/kernel_command_line.txt", "Kernel command line", Low, survey::command_line),
    values("system/kernel.txt", "Kernel", &[
        "/proc/sys/kernel/ostype", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/tainted",
        "/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops", "/proc/sys/kernel/hung_task_timeout_secs",
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max",
        "/proc/sys/fs/file-nr", "/proc/sys/fs/inotify/max_user_watches", "/proc/sys/vm/swappiness",
        "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/dirty_ratio",
    ]),
    files("system/modules.txt", "Kernel modules", Low, &["/proc/modules"]),
    files("system/cpu.txt", "Processors", Low, &["/proc/cpuinfo"]),
    files("system/memory.txt", "Memory", Low, &[
        "/proc/meminfo", "/proc/vmstat", "/proc/swaps",
    ]),
    files("system/load.txt", "Load and pressure", Low, &[
        "/proc/loadavg", "/proc/pressure/*", "/proc/stat",
    ]),
    files("system/interrupts.txt", "Interrupts", Low, &[
        "/proc/interrupts", "/proc/softirqs",
    ]),
    made("system/processes.txt", "Processes and threads", Personal, survey::processes),
    values("system/sensors.txt", "Temperatures, fans and voltages", &[
        "/sys/class/hwmon/*/name", "/sys/class/hwmon/*/*_input", "/sys/class/hwmon/*/*_label",
        "/sys/class/hwmon/*/*_alarm", "/sys/class/thermal/*/type", "/sys/class/thermal/*/temp",
    ]),
    made("system/temperatures.txt", "Temperatures and their limits", Low, survey::temperatures),
    made("system/situation.txt", "The situation", Low, survey::situation),
    values("system/board.txt", "Board", &[
        "/sys/class/dmi/id/*_vendor", "/sys/class/dmi/id/*_name", "/sys/class/dmi/id/*_version",
        "/sys/class/dmi/id/bios_date", "/proc/device-tree/model", "/proc/device-tree/compatible",
    ]),
    values("system/buses.txt", "PCI and USB devices", &[
        "/sys/bus/pci/devices/*/class", "/sys/bus/pci/devices/*/vendor", "/sys/bus/pci/devices/*/device",
        "/sys/bus/usb/devices/*/idVendor", "/sys/bus/usb/devices/*/idProduct", "/sys/bus/usb/devices/*/product",
        "/sys/bus/usb/devices/*/speed",
    ]),
    files("system/time.txt", "Clock and time servers", Low, &[
        "/proc/driver/rtc", "/etc/timezone", "/etc/adjtime", "/etc/ntp.conf", "/etc/chrony/chrony.conf",
        "/etc/chrony.conf", "/etc/systemd/timesyncd.conf", "/etc/config/ntp.conf",
    ]),
    values("system/watchdog.txt", "Watchdog", &[
        "/sys/class/watchdog/*/identity", "/sys/class/watchdog/*/state", "/sys/class/watchdog/*/bootstatus",
        "/sys/class/watchdog/*/timeout", "/sys/class/watchdog/*/timeleft",
    ]),
    values("system/control_groups.txt", "Control groups", &[
        "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/*/memory.current", "/sys/fs/cgroup/*/memory.peak",
        "/sys/fs/cgroup/*/pids.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ]),
    files("system/kernel_settings.txt", "Kernel settings", Low, &[
        "/etc/sysctl.conf", "/etc/sysctl.d/*", "/etc/modprobe.d/*", "/etc/modules",
    ]),
    values("storage/disks.txt", "Disks", &[
        "/sys/block/*/size", "/sys/block/*/ro", "/sys/block/*/removable", "/sys/block/*/queue/rotational",
        "/sys/block/*/queue/scheduler", "/sys/block/*/device/vendor", "/sys/block/*/device/model",
        "/sys/block/*/device/rev", "/sys/block/*/device/state", "/sys/block/*/device/firmware_rev",
        "/sys/block/*/device/serial", "/sys/block/*/device/wwid", "/sys/block/*/device/ioerr_cnt",
        "/sys/block/mmcblk*/device/life_time", "/sys/block/mmcblk*/device/pre_eol_info",
    ]),
    made("storage/health.txt", "Health of the disks", Low, survey::disk_health),
    files("storage/partitions.txt", "Partitions", Low, &[
        "/proc/partitions", "/proc/diskstats",
    ]),
    files("storage/scsi.txt", "SCSI devices", Low, &["/proc/scsi/scsi"]),
    files("storage/raid.txt", "RAID arrays", Low, &[
        "/proc/mdstat", "/etc/mdadm.conf", "/etc/mdadm/mdadm.conf", "/etc/config/raid.conf",
    ]),
    values("storage/raid_members.txt", "RAID members", &[
        "/sys/block/md*/md/array_state", "/sys/block/md*/md/degraded", "/sys/block/md*/md/level",
        "/sys/block/md*/md/raid_disks", "/sys/block/md*/md/sync_action", "/sys/block/md*/md/sync_completed",
        "/sys/block/md*/md/mismatch_cnt", "/sys/block/md*/md/dev-*/state", "/sys/block/md*/md/dev-*/errors",
    ]),
    files("storage/mounts.txt", "Mounts", Low, &[
        "/proc/self/mountinfo", "/proc/filesystems",
    ]),
    made("storage/space.txt", "Space and inodes", Low, survey::space),
    files("storage/mount_table.txt", "Mount table", Personal, &[
        "/etc/fstab", "/etc/auto.master", "/etc/crypttab",
    ]),
    values("storage/file_systems.txt", "File systems", &[
        "/sys/fs/ext4/*/errors_count", "/sys/fs/ext4/*/first_error_time", "/sys/fs/ext4/*/last_error_time",
        "/sys/fs/ext4/*/lifetime_write_kbytes", "/sys/fs/btrfs/*/label", "/sys/fs/btrfs/*/metadata_uuid",
        "/sys/fs/btrfs/*/devinfo/*/error_stats", "/sys/fs/btrfs/*/devinfo/*/missing",
        "/sys/fs/btrfs/*/allocation/*/bytes_used", "/sys/fs/btrfs/*/allocation/*/total_bytes",
        "/sys/fs/btrfs/*/exclusive_operation",
        "/sys/fs/xfs/*/error/fail_at_unmount",
    ]),
    files("storage/zfs.txt", "ZFS", Low, &[
        "/proc/spl/kstat/zfs/*/state", "/proc/spl/kstat/zfs/arcstats", "/proc/spl/kstat/zfs/*/io",
    ]),
    values("storage/mapper.txt", "Mapped devices and caches", &[
        "/sys/block/dm-*/dm/name", "/sys/block/dm-*/dm/uuid", "/sys/block/dm-*/dm/suspended", "/sys/block/dm-*/size",
        "/sys/block/dm-*/slaves/*/size", "/sys/block/bcache*/bcache/state", "/sys/block/bcache*/bcache/cache_mode",
        "/sys/block/bcache*/bcache/dirty_data",
    ]),
    files("storage/lvm.txt", "LVM", Low, &[
        "/etc/lvm/backup/*", "/etc/lvm/lvm.conf",
    ]),
    tools("storage/tools.txt", "Pools and volumes, by their own programs", &[
        &["zpool", "status", "-v"], &["zfs", "list", "-o", "name,used,avail,mountpoint"], &["pvs"], &["vgs"], &["lvs", "-a"],
        &["btrfs", "filesystem", "show"], &["smartctl", "--scan"],
    ]),
    values("network/interfaces.txt", "Network interfaces", &[
        "/sys/class/net/*/address", "/sys/class/net/*/mtu", "/sys/class/net/*/operstate",
        "/sys/class/net/*/carrier", "/sys/class/net/*/carrier_changes", "/sys/class/net/*/speed",
        "/sys/class/net/*/duplex", "/sys/class/net/*/statistics/*",
    ]),
    both("network/addresses.txt", "Addresses", survey::addresses, &[
        "/proc/net/fib_trie", "/proc/net/if_inet6",
    ]),
    both("network/routes.txt", "Routes", survey::routes, &[
        "/proc/net/route", "/proc/net/ipv6_route", "/etc/iproute2/rt_tables",
    ]),
    files("network/neighbours.txt", "Neighbours", Personal, &["/proc/net/arp"]),
    both("network/sockets.txt", "Sockets and who holds them", survey::sockets, &[
        "/proc/net/sockstat", "/proc/net/sockstat6",
    ]),
    files("network/counters.txt", "Protocol counters", Low, &[
        "/proc/net/dev", "/proc/net/snmp", "/proc/net/snmp6", "/proc/net/netstat",
    ]),
    both("network/names.txt", "Name resolution", survey::names, &[
        "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
    ]),
    files("network/settings.txt", "Network settings", Personal, &[
        "/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/systemd/network/*", "/etc/netplan/*",
        "/etc/config/network", "/etc/config/dhcp", "/etc/sysconfig/network-scripts/ifcfg-*", "/etc/dhcpcd.conf",
    ]),
    files("network/bonds.txt", "Bonds and bridges", Low, &[
        "/proc/net/bonding/*", "/proc/net/vlan/*", "/proc/net/wireless",
    ]),
    files("network/firewall.txt", "Firewall", Low, &[
        "/etc/nftables.conf", "/etc/iptables/rules.v4", "/etc/iptables/rules.v6", "/etc/config/firewall",
        "/etc/ufw/user.rules", "/proc/net/ip_tables_names", "/proc/sys/net/netfilter/nf_conntrack_count",
    ]),
    tools("network/tools.txt", "Firewall and neighbours, by their own programs", &[
        &["nft", "list", "ruleset"], &["iptables-save"], &["ip6tables-save"], &["ip", "neighbour"],
    ]),
    tools("services/tools.txt", "Services, by their own program", &[
        &["systemctl", "--no-pager", "--plain", "--failed"],
        &["systemctl", "--no-pager", "--plain", "list-units", "--type=service"],
    ]),
    made("services/users.txt", "Users and groups", Personal, survey::users),
    made("services/packages.txt", "Packages", Low, survey::packages),
    made("services/units.txt", "Services", Low, survey::units),
    files("services/shares.txt", "File shares", Personal, &[
        "/etc/samba/smb.conf", "/etc/config/smb.conf", "/etc/exports", "/etc/config/nfssetting",
        "/etc/netatalk/afp.conf", "/etc/rsyncd.conf", "/etc/config/rsyncd.conf", "/etc/vsftpd.conf",
        "/etc/proftpd/proftpd.conf",
    ]),
    files("services/shell.txt", "Remote shell", Low, &[
        "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*", "/etc/config/dropbear",
    ]),
    files("services/web.txt", "Web servers", Personal, &[
        "/etc/nginx/nginx.conf", "/etc/nginx/sites-enabled/*", "/etc/apache2/apache2.conf",
        "/etc/apache2/sites-enabled/*", "/etc/lighttpd/lighttpd.conf", "/etc/config/uhttpd",
    ]),
    files("services/monitoring.txt", "Monitoring and power supply", Personal, &[
        "/etc/snmp/snmpd.conf", "/etc/config/snmpd.conf", "/etc/nut/ups.conf", "/etc/nut/upsmon.conf",
        "/etc/smartd.conf", "/etc/smartmontools/run.d/*",
    ]),
    files("services/directory.txt", "Directory services", Personal, &[
        "/etc/nslcd.conf", "/etc/sssd/sssd.conf", "/etc/krb5.conf", "/etc/ldap/ldap.conf", "/etc/pam.d/common-auth",
    ]),
    files("services/mail.txt", "Mail", Personal, &[
        "/etc/postfix/main.cf", "/etc/msmtprc", "/etc/ssmtp/ssmtp.conf", "/etc/aliases",
    ]),
    files("services/virtual.txt", "Containers and storage targets", Personal, &[
        "/etc/docker/daemon.json", "/etc/tgt/conf.d/*", "/etc/config/iscsi_trgt.conf",
        "/etc/iscsi/initiatorname.iscsi",
    ]),
    made("services/schedule.txt", "Scheduled work", Low, survey::schedule),
    made("services/certificates.txt", "Certificates", Low, survey::certificates),
    files("services/parameters.txt", "Parameter lists", Personal, &[
        "/etc/config/uLinux.conf", "/etc/default_config/uLinux.conf", "/etc/synoinfo.conf",
        "/etc.defaults/synoinfo.conf", "/etc/config/system", "/etc/config/qpkg.conf", "/etc/default/*",
    ]),
    made("cloud/agent.txt", "The agent", Personal, survey::agent),
    made("cloud/features.txt", "What is switched on, and what it says", Personal, survey::features),
    made("cloud/health.txt", "The agent's health", Low, survey::health),
    made("cloud/ledger.txt", "What left this device", Personal, survey::ledger),
    made("logs/kernel.txt", "Kernel log", Personal, survey::kernel_log),
    tools("logs/journal.txt", "The journal of this start, and the worst of the one before", &[
        &["journalctl", "--no-pager", "--quiet", "-b", "-n", "4000", "-o", "short-iso"],
        &["journalctl", "--no-pager", "--quiet", "-b", "-1", "-p", "warning", "-n", "500", "-o", "short-iso"],
    ]),
    logs("logs/system.txt", "System log",
        &[("/var/log", &[
        "syslog", "messages", "daemon.log", "kern.log", "log.txt",
    ])],
    ),
    logs("logs/access.txt", "Access log",
        &[("/var/log", &[
        "auth.log", "secure", "faillog", "btmp.txt", "access.log",
    ])],
    ),
    logs("logs/events.txt", "Event logs", &[
            (
                "/var/log", &[
        "event", "boot", "dpkg.log", "alternatives.log", "cron", "user.log", "mail",
        ],
            ),
            ("/etc/logs", &[
        "kmsg", "event",
    ]),
            ("/mnt/HDA_ROOT/.logs", &[
        "kmsg", "event",
    ]),
            ("/var/log/apt", &["history"]),
    ]),
    logs("logs/services.txt", "Logs of services", &[
            ("/var/log/samba", &[
        "log.smbd", "log.nmbd", "log.",
    ]),
            ("/var/log/nginx", &[
        "error", "access",
    ]),
            ("/var/log/apache2", &[
        "error", "access",
    ]),
            ("/var/log/mysql", &["error"]),
            ("/var/log/qcloud-agent", &["agent"]),
    ]),
    files("logs/pstore.txt", "What the kernel said before it stopped", Personal, &[
        "/sys/fs/pstore/*", "/var/lib/systemd/pstore/*",
    ]),
    Section {
        path: "image/screen.png", title: "What the display shows", sensitivity: Personal, take: Take::Picture,
    },
];
