# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that must never become an account or a group, and why."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

# Accounts and groups that Debian, its packages or systemd own or may create. One list for both: every person has a
# private group of the same name, so a person called `sudo` would collide with the group.
_OPERATING_SYSTEM = (
    # base-passwd
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody nogroup "
    "adm tty disk kmem dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev "
    "staff users "
    # systemd, udev, PAM, cron, and what a standard installation adds
    "input sgx kvm render crontab netdev ssh sshd messagebus polkitd dbus uuidd tss landscape avahi colord saned "
    "rtkit pulse geoclue usbmux whoopsie lightdm gdm sddm speech-dispatcher hplip kernoops cups-pk-helper pollinate "
    "fwupd-refresh bluetooth scanner lpadmin wheel nm-openvpn dnsmasq ntp ntpsec chrony ntpd openntpd syslog rsyslog "
    "admin ansible vagrant debian ubuntu ec2-user halt shutdown reboot toor "
    # services that Lyceum or a site next to it runs
    "postgres mysql mariadb redis memcache memcached mongodb elasticsearch opensearch influxdb grafana prometheus "
    "nginx apache apache2 haproxy varnish squid caddy tomcat jenkins git gitea gitlab gogs forgejo vaultwarden "
    "nextcloud jellyfin ldap openldap slapd sssd nslcd krb5 freerad radiusd bind named unbound postfix dovecot "
    "dovenull debian-spamd opendkim exim clamav amavis vmail mailman docker containerd podman lxd incus libvirt "
    "libvirt-qemu libvirt-dnsmasq qemu munge slurm slurmdbd slurmrestd ceph gluster nfsnobody statd rpc rpcuser "
    "nagios icinga zabbix telegraf collectd snmp fetchmail ftp sftp rsync tftp stunnel4 tor i2psvc debian-tor "
    "nvidia-persistenced restic borg sudoers kmod systemd"
)
RESERVED = frozenset(_OPERATING_SYSTEM.split())


def problem(name: str) -> tuple[str, str] | None:
    """(what is wrong, what to do) when `name` must not be the name of a person, group or project; None when it may."""
    if NAME.fullmatch(name):
        if name.startswith("lyceum-"):
            return (
                "is a name that Lyceum keeps for groups of its own",
                "Choose a name that does not begin with lyceum-.",
            )
        if name in RESERVED or name.startswith(("systemd-", "debian-")):
            return (
                "is a name of the operating system",
                "Choose another name; this one has powers or a service of its own.",
            )
        return None
    rule = "Use 1 to 32 of a-z, 0-9, _ and -, beginning with a letter."
    strange = sorted(set(re.findall(r"[^A-Za-z0-9_.@ -]", name.rstrip("$"))))
    if not name:
        return "is empty", rule
    if strange:
        return f"contains characters no login name may have ({' '.join(ascii(char)[1:-1] for char in strange)})", rule
    if " " in name:
        return "contains a space", rule
    if name.endswith("$"):
        return "ends with $, which marks machine accounts", rule
    if "@" in name or "." in name:
        return (
            f"contains {'@' if '@' in name else 'a dot'}",
            f"{rule} Keep this spelling as one of the person's `aliases`.",
        )
    if name != name.lower():
        return "has upper-case letters", f"Write {name.lower()!r}." if NAME.fullmatch(name.lower()) else rule
    if name.isdigit():
        return "consists of digits only, so programs would take it for a uid", rule
    if name.startswith("-"):
        return "begins with a dash, so programs would take it for an option", rule
    if len(name) > 32:
        return f"has {len(name)} characters", rule
    return "does not begin with a letter", rule
