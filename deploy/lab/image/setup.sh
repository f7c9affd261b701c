#!/bin/sh
# Turns a freshly installed Debian into the lab's server image. Runs inside it (chroot or container), as root.
set -eu

# Units that make no sense in a container, or that would wake a small machine for nothing.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    getty.target console-getty.service getty@tty1.service serial-getty@ttyS0.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-logind.service systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-remount-fs.service dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount \
    modprobe@.service kmod-static-nodes.service systemd-modules-load.service wg-quick.target; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done

chmod 755 /usr/lib/lab/*
systemctl enable bird.service ssh.service lab-network.service lab-ssh-keys.service >/dev/null 2>&1
systemctl set-default multi-user.target >/dev/null 2>&1
for unit in bird.service ssh.service lab-network.service lab-ssh-keys.service; do
  systemctl is-enabled --quiet "$unit" || { echo "setup.sh: $unit is not enabled" >&2; exit 1; }
done

# A server without containers runs no engine: whoever declares service/docker starts it.
systemctl disable docker.service docker.socket containerd.service >/dev/null 2>&1

# A registry's image forbids packages to start their services; a server's packages do start them.
rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/docker*

# BIRD cannot make up a router id where there is no IPv4 address; whoever speaks BGP brings a configuration with its own.
cat >/etc/bird/bird.conf <<'END'
log syslog all;
router id 192.0.2.1;
protocol device {}
END

# What must differ from server to server is made at first boot.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id

# The journal survives a restart of the server; its directory makes it persistent.
mkdir -p /var/log/journal

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt /usr/share/doc/* /usr/share/man/* \
  /usr/share/info/* /usr/share/locale/* /usr/share/lintian /tmp/* /debootstrap
