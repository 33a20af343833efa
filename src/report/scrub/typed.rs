//! Settings files of known formats: shown are the keys that are known to be harmless, and values that are harmless
//! whatever they stand behind. Of everything else the key is shown, and a mark in the place of the value.
//!
//! A file of an unknown format passes the other layers only.

use super::words::{List, is_setting, is_uuid};
use super::{Kind, Layer, Span, find};
use crate::report::source::fits;

/// How a format writes keys and values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `key = value`, `key: value` or `key value`, and nothing else on the line.
    Pairs,
    /// Words: `option key 'value'`, `list key 'value'` (OpenWrt's uci).
    Uci,
    /// `"key": value`, several on a line.
    Json,
    /// Columns, of which one holds options with commas (fstab(5), auto.master(5)).
    Options,
}

/// A format: where its files are, and what of them is shown.
pub struct Format {
    paths: &'static [&'static str],
    syntax: Syntax,
    /// Keys in small letters, blanks as `_`.
    shown: &'static str,
}

const fn format(paths: &'static [&'static str], syntax: Syntax, shown: &'static str) -> Format {
    Format { paths, syntax, shown }
}

/// Every known format.
#[rustfmt::skip]
static FORMATS: &[Format] = &[
    format(&["/etc/samba/smb.conf", "/etc/config/smb.conf"], Syntax::Pairs, "\
        workgroup server_string netbios_name realm security comment path interfaces wins_server name_resolve_order \
        passdb_backend map_to_guest guest_account log_file log_level vfs_objects valid_users invalid_users \
        read_list write_list force_user force_group admin_users hosts_allow hosts_deny create_mask \
        directory_mask idmap_config_* dos_charset unix_charset template_shell template_homedir include \
        winbind_separator ldap_suffix ldap_admin_dn ldap_user_suffix ldap_group_suffix server_role protocol \
        server_min_protocol server_max_protocol client_min_protocol socket_options usershare_path printing \
        fruit:* veto_files hide_files copy case_sensitive kerberos_method"),
    format(&["/etc/snmp/snmpd.conf", "/etc/config/snmpd.conf"], Syntax::Pairs, "\
        syslocation syscontact sysname sysservices sysdescr agentaddress view access group includedir disk load \
        proc extend master agentxsocket rouser rwuser config option"),
    format(&["/etc/nut/ups.conf"], Syntax::Pairs, "driver port desc vendorid productid pollinterval maxretry user"),
    format(&["/etc/nut/upsmon.conf"], Syntax::Pairs, "\
        monitor run_as_user minsupplies shutdowncmd notifycmd powerdownflag notifyflag notifymsg pollfreq deadtime"),
    format(&["/etc/nslcd.conf"], Syntax::Pairs, "\
        uri base binddn scope uid gid ssl tls_reqcert map filter pagesize idle_timelimit ldap_version nss_initgroups_ignoreusers"),
    format(&["/etc/ldap/ldap.conf", "/etc/openldap/ldap.conf"], Syntax::Pairs, "base uri tls_reqcert deref sizelimit timelimit"),
    format(&["/etc/sssd/sssd.conf"], Syntax::Pairs, "\
        domains services config_file_version id_provider auth_provider access_provider chpass_provider ldap_uri \
        ldap_search_base ldap_schema ldap_default_bind_dn krb5_realm krb5_server ad_domain cache_credentials \
        enumerate ldap_default_authtok_type override_homedir default_shell fallback_homedir simple_allow_users \
        simple_allow_groups use_fully_qualified_names ldap_tls_reqcert ad_server realmd_tags debug_level"),
    format(&["/etc/postfix/main.cf"], Syntax::Pairs, "\
        myhostname mydomain myorigin mydestination relayhost mynetworks inet_interfaces inet_protocols biff \
        alias_maps alias_database smtpd_banner compatibility_level mailbox_size_limit recipient_delimiter \
        append_dot_mydomain readme_directory smtp_tls_security_level smtpd_tls_security_level smtp_use_tls \
        smtpd_relay_restrictions smtp_sasl_auth_enable smtp_sasl_security_options smtp_tls_capath smtpd_use_tls"),
    format(&["/etc/msmtprc", "/etc/ssmtp/ssmtp.conf"], Syntax::Pairs, "\
        account host port from user tls auth mailhub hostname rewritedomain usetls usestarttls fromlineoverride \
        root logfile syslog defaults tls_starttls aliases domain"),
    format(&["/etc/rsyncd.conf", "/etc/config/rsyncd.conf"], Syntax::Pairs, "\
        uid gid path comment auth_users read_only list hosts_allow hosts_deny use_chroot log_file \
        pid_file max_connections exclude include port address timeout write_only"),
    format(&["/etc/vsftpd.conf", "/etc/proftpd/proftpd.conf"], Syntax::Pairs, "\
        listen anonymous_enable local_enable write_enable ftpd_banner pasv_min_port servername servertype \
        serverident user group umask maxinstances defaultroot modulepath displaylogin include listoptions \
        sqllogfile authorder tlsprotocol timesgmt"),
    format(&["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*"], Syntax::Pairs, "\
        port listenaddress protocol permitrootlogin allowusers allowgroups denyusers denygroups subsystem match \
        acceptenv ciphers macs kexalgorithms hostkeyalgorithms authenticationmethods include loglevel syslogfacility \
        clientaliveinterval forcecommand authorizedkeyscommand authorizedkeyscommanduser pubkeyacceptedalgorithms"),
    format(&["/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntp.conf", "/etc/config/ntp.conf",
        "/etc/systemd/timesyncd.conf"], Syntax::Pairs, "\
        pool server peer restrict driftfile makestep rtcsync allow local ntp fallbackntp keyfile keys leapsectz \
        statistics filegen logdir sourcedir confdir maxupdateskew dumpdir ntsdumpdir interface disable tinker"),
    format(&["/etc/mdadm.conf", "/etc/mdadm/mdadm.conf"], Syntax::Pairs, "\
        array device mailaddr mailfrom homehost create auto program policy sysfs"),
    format(&["/etc/smartd.conf"], Syntax::Pairs, "devicescan default /dev/*"),
    format(&["/etc/systemd/network/*"], Syntax::Pairs, "\
        name mac type match driver kind address gateway dns domains dhcp vlan bridge bond mode destination \
        publickey allowedips endpoint listenport persistentkeepalive description table macaddress ntp ipv6acceptra \
        linklocaladdressing originalname virtualization"),
    format(&["/etc/sysconfig/network-scripts/ifcfg-*"], Syntax::Pairs, "\
        device bootproto onboot name type ipaddr prefix netmask gateway dns1 dns2 hwaddr uuid defroute \
        master slave bonding_opts bridge essid mode"),
    format(&["/etc/config/network", "/etc/config/dhcp", "/etc/config/system", "/etc/config/firewall", "/etc/config/dropbear",
        "/etc/config/uhttpd"], Syntax::Uci, "\
        device ifname proto name hostname ipaddr netmask gateway dns username zonename timezone log_proto server \
        src dest target src_dport dest_port family src_ip dest_ip icmp_type input output forward network type \
        interface macaddr ports vlan domain local description public_key allowed_ips endpoint_host limit reload \
        leasefile resolvfile ra dhcpv6 localservice trigger sysfs default compat_version listen_http \
        listen_https home cert key commonname country state location duid mode peerdns apn"),
    format(&["/etc/config/wireless"], Syntax::Uci, "\
        type path channel band htmode cell_density country device network mode ssid encryption hwmode macaddr \
        disabled ieee80211w hidden isolate"),
    format(&["/etc/docker/daemon.json"], Syntax::Json, "\
        data-root storage-driver log-driver registry-mirrors insecure-registries dns hosts exec-opts default-runtime \
        bip max-size max-file runtimes live-restore splunk-url mtu fixed-cidr default-address-pools base iptables \
        ipv6 experimental path storage-opts group userland-proxy gelf-address syslog-address fluentd-address"),
    format(&["/etc/target/saveconfig.json"], Syntax::Json, "\
        wwn name dev plugin write_back chap_userid discovery_userid portals ip_address storage_object node_wwn \
        fabric alias"),
    format(&["/etc/fstab", "/etc/auto.master"], Syntax::Options, "\
        defaults size mode uid gid umask dmask fmask user username vers sec subvol compress errors data commit \
        x-* fstype rsize wsize timeo retrans nfsvers proto addr iocharset codepage dir_mode file_mode domain dom \
        workgroup uuid label partuuid pri nofail barrier quota usrjquota grpjquota jqfmt comment subvolid \
        space_cache discard mount_program context allow_other zfsutil retry port mountproto lookupcache"),
    format(&["/etc/crypttab"], Syntax::Options, "uuid luks discard timeout tries keyscript cipher size hash header"),
    format(&["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"], Syntax::Options, ""),
    format(&["/etc/krb5.conf"], Syntax::Pairs, "\
        default_realm kdc admin_server dns_lookup_realm dns_lookup_kdc ticket_lifetime renew_lifetime forwardable \
        master_kdc default_ccache_name includedir rdns ."),
    format(&["/etc/netatalk/afp.conf"], Syntax::Pairs, "\
        path valid_users hosts_allow log_level log_file mimic_model time_machine vol_size_limit afp_listen \
        uam_list basedir_regex home_name server_name hostname vol_preset file_perm directory_perm"),
    format(&["/etc/config/qpkg.conf"], Syntax::Pairs, "\
        name displayname version build author qpkg_file date shell install_path enable status class visible \
        webui web_port web_ssl_port config rc_number volume_select sys_app fwver_min fwver_max store sdk_installed \
        timeout desktopapp desktopappwin use_proxy proxy_path show_mode provide depend open_in digital_signature_time"),
    format(&["/etc/config/uLinux.conf", "/etc/default_config/uLinux.conf"], Syntax::Pairs, "\
        model internal_model version version_extra number build_number server_name server_comment workgroup \
        time_zone ntp_server_ip hostname interface_group default_gw_device ip_address subnet_mask gateway \
        domain_name_server_1 domain_name_server_2 device disk_drive_number base_dn bind_dn ldap_uri sender user \
        username proxy_host smtp_server language web_access_port ssl_port config_date encryption description host \
        network_interface rtrr_server nas_model platform hal_subtype display_name rsync_model uuid switch_port \
        bonding_support latest_version latest_date"),
    format(&["/etc/synoinfo.conf", "/etc.defaults/synoinfo.conf"], Syntax::Pairs, "\
        unique timezone upnpmodelname company_title language maillang codepage defshare support* mailfrom smtp \
        eventmail1 eventmail2 maxdisks buzzeroffen defquota modelname product volume_* usbportcfg esataportcfg \
        internalportcfg ups* http_port secure_admin_port external_port_* runkey ntpdate_* pnpd rss_server"),
    format(&["/etc/default/grub"], Syntax::Pairs, "\
        grub_default grub_timeout grub_distributor grub_terminal grub_cmdline_linux grub_cmdline_linux_default \
        grub_device grub_timeout_style"),
];

impl Format {
    /// The format of a file.
    pub fn of(path: &str) -> Option<&'static Self> {
        let is = |pattern: &&&str| fits(pattern.as_bytes(), path.as_bytes());
        FORMATS.iter().find(|format| format.paths.iter().any(|pattern| is(&pattern)))
    }

    /// What of a line is not shown.
    pub fn spans(&self, line: &[u8], spans: &mut Vec<Span>) {
        let text = line.trim_ascii_end();
        let lead = text.len() - text.trim_ascii_start().len();
        let text = text.get(lead..).unwrap_or_default();
        // What is commented out passes the other layers.
        if text.first().is_none_or(|byte| b"#;[<{}!*".contains(byte)) && self.syntax != Syntax::Json
        {
            return;
        }
        match self.syntax {
            Syntax::Pairs => self.pair(text, lead, spans),
            Syntax::Uci => self.uci(text, lead, spans),
            Syntax::Json => self.json(text, lead, spans),
            Syntax::Options => self.options(text, lead, spans),
        }
    }

    fn shows(&self, key: &[u8]) -> bool {
        let key: Vec<u8> = key
            .trim_ascii()
            .iter()
            .map(|byte| if matches!(byte, b' ' | b'\t') { b'_' } else { byte.to_ascii_lowercase() })
            .collect();
        self.shown.split_ascii_whitespace().any(|known| fits(known.as_bytes(), &key))
    }

    fn hide(&self, key: &[u8], (start, end): (usize, usize), value: &[u8], spans: &mut Vec<Span>) {
        if !self.shows(key) && !is_harmless(value) {
            let (kind, layer) = (Kind::Setting, Layer::Typed);
            spans.push(Span { context: 0, start, end, kind, layer });
        }
    }

    fn pair(&self, text: &[u8], lead: usize, spans: &mut Vec<Span>) {
        let text_start = text.strip_prefix(b"export ").map_or(0, |_| 7);
        let from = text.get(text_start..).unwrap_or_default();
        let sign = from.iter().position(|byte| *byte == b'=').or_else(|| {
            let at = from.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
            Some(from.iter().take(at).position(|byte| *byte == b':').unwrap_or(at))
        });
        let Some(mut sign) = sign else { return };
        let blank = from.iter().take(sign).position(|byte| matches!(byte, b' ' | b'\t'));
        // A key of several words has a blank before its sign: in `binddn cn=nas` the key is the first word.
        if let Some(blank) = blank.filter(|blank| {
            let before = from.get(*blank..sign).unwrap_or_default();
            !before.trim_ascii().is_empty() && !before.ends_with(b" ")
        }) {
            sign = blank;
        }
        let (key, value) =
            (from.get(..sign).unwrap_or_default(), from.get(sign + 1..).unwrap_or_default());
        let blank = value.len() - value.trim_ascii_start().len();
        let (start, end) = unquoted(text, (text_start + sign + 1 + blank, text.len()));
        let value = text.get(start..end).unwrap_or_default();
        self.hide(key, (lead + start, lead + end), value, spans);
    }

    fn uci(&self, text: &[u8], lead: usize, spans: &mut Vec<Span>) {
        let mut words = text.split(|byte| matches!(byte, b' ' | b'\t'));
        let is_option = matches!(words.next(), Some(b"option" | b"list"));
        let Some(key) = words.next().filter(|_| is_option) else { return };
        let head = text.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or_default();
        let from = (head + 1 + key.len() + 1).min(text.len());
        let (start, end) = unquoted(text, (from, text.len()));
        let value = text.get(start..end).unwrap_or_default();
        self.hide(key, (lead + start, lead + end), value, spans);
    }

    /// `"key": "value"`; lists and objects are not values, what is in them is looked at by itself.
    fn json(&self, text: &[u8], lead: usize, spans: &mut Vec<Span>) {
        let mut key: &[u8] = b"";
        let mut at = 0;
        while let Some(open) = text.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'"'))
        {
            let start = at + open + 1;
            let rest = text.get(start..).unwrap_or_default();
            let mut escaped = false;
            let closes = |byte: &u8| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            };
            let end = start + rest.iter().position(closes).unwrap_or(rest.len());
            let word = text.get(start..end).unwrap_or_default();
            let behind = text.get(end + 1..).unwrap_or_default().trim_ascii_start();
            if behind.starts_with(b":") {
                key = word;
            } else {
                self.hide(key, (lead + start, lead + end), word, spans);
            }
            at = end + 1;
        }
    }

    /// Options with a value: `name=value`.
    fn options(&self, text: &[u8], lead: usize, spans: &mut Vec<Span>) {
        let mut start = 0;
        for word in text.split(|byte| byte.is_ascii_whitespace() || *byte == b',') {
            if let Some(sign) = word.iter().position(|byte| *byte == b'=') {
                let (key, value) = word.split_at(sign);
                let key = key.strip_prefix(b"-").unwrap_or(key);
                let from = start + sign + 1;
                let value = value.get(1..).unwrap_or_default();
                self.hide(key, (lead + from, lead + start + word.len()), value, spans);
            }
            start += word.len() + 1;
        }
    }
}

fn unquoted(text: &[u8], (start, end): (usize, usize)) -> (usize, usize) {
    let value = text.get(start..end).unwrap_or_default();
    let quote = value.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    match quote.and_then(|quote| value.iter().skip(1).position(|byte| *byte == quote)) {
        Some(length) => (start + 1, start + 1 + length),
        None => (start, end),
    }
}

/// Words that are values of many settings.
static USUAL: List = List::new(
    "enable disable true false up down eth0 eth1 br0 bond0 lo dhcp static manual ipv4 ipv6 tcp udp",
);

/// Whether a value is none that anybody would keep secret: words of settings, small numbers, addresses, places, or a
/// list of them.
fn is_harmless(value: &[u8]) -> bool {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b';');
    value.split(is_between).filter(|word| !word.is_empty()).all(is_harmless_word)
}

fn is_harmless_word(word: &[u8]) -> bool {
    let all = |class: fn(&u8) -> bool| word.iter().all(class);
    let is_number = word.len() <= 5 && all(|b| b.is_ascii_digit() || b".-".contains(b));
    let is_measure = word.len() <= 6
        && word.first().is_some_and(u8::is_ascii_digit)
        && word.last().is_some_and(|b| b"kKmMgGsh%".contains(b));
    let is_address = all(|b| b.is_ascii_hexdigit() || b".:/".contains(b))
        && word.iter().filter(|b| b".:".contains(b)).count() >= 2;
    let is_place = word.starts_with(b"/") && !word.ends_with(b"=");
    // A host and a port behind a scheme, and no more.
    let host = find(word, b"://").and_then(|at| word.get(at + 3..));
    let is_host = host
        .is_some_and(|host| host.iter().all(|b| b.is_ascii_alphanumeric() || b".:-".contains(b)));
    is_setting(word)
        || USUAL.has(word)
        || is_number
        || is_measure
        || is_address
        || is_place
        || is_host
        || is_uuid(word)
}
