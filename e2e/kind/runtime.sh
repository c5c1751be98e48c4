#!/bin/sh
# runc, for docker. Docker gives privileged processes every capability, and runc fails where root lacks one, as root
# does in some containers. A node works without CAP_SYS_RESOURCE.
has=$((0x$(sed -n 's/^CapBnd:\t*//p' /proc/self/status) >> 24 & 1))
previous=
for word in "$@"; do
  case "$has $previous" in
    "0 --bundle") file=$word/config.json ;;
    "0 --process") file=$word ;;
    *) file= ;;
  esac
  test -z "$file" || sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g' "$file"
  previous=$word
done
exec runc "$@"
