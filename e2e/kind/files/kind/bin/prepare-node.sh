#!/bin/sh
# Runs once in a new node, before its kubelet.
set -e
# The kubelet sets these for the whole machine. It leaves them alone if they are right, in files that only it sees.
pretend() {
  test -e "/proc/sys/$1" || return 0
  mkdir -p "/run/sysctl/$(dirname "$1")"
  echo "$2" >"/run/sysctl/$1"
  mount --bind "/run/sysctl/$1" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000
for archive in /kind/images/*.tar; do
  ctr --namespace=k8s.io images import "$archive"
done
