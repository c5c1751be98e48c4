#!/bin/sh
# Runs inside the root file system of the node image, which has Debian's packages and kind's files.
# It does what kind's own images/base/Dockerfile does after it has installed packages.
set -e
units=/lib/systemd/system
rm -f "$units"/multi-user.target.wants/* "$units"/local-fs.target.wants/* "$units"/basic.target.wants/*
rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service
rm -f "$units"/sockets.target.wants/*udev* "$units"/sockets.target.wants/*initctl*
rm -rf /etc/systemd/system/*.wants
rm -f /usr/lib/sysctl.d/* # some are of the whole machine
echo ReadKMsg=no >>/etc/systemd/journald.conf
ln -sf /lib/systemd/systemd /sbin/init
systemctl enable containerd kubelet prepare-node undo-mount-hacks
systemctl mask systemd-binfmt.service
ln -s /usr/bin/containerd /usr/bin/ctr /usr/local/bin/ # where kind's units look for them
mkdir -p /etc/kubernetes/manifests /opt/cni
ln -s /usr/lib/cni /opt/cni/bin
# As in kind's entrypoint for other machines where root lacks CAP_SYS_RESOURCE.
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
ctr oci spec |
  jq '.hooks.createContainer = [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
    >/etc/containerd/cri-base.json
