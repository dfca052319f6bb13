#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints what `./lyceum import` needs to know of this host, one `kind:...` line per fact, and changes nothing.
# Run it as root: only root may read expiry dates and other people's public keys. Password hashes stay here.
set -u
LC_ALL=C
export LC_ALL

uid_min=$(awk '$1 == "UID_MIN" { found = $2 } END { print found + 0 ? found : 1000 }' /etc/login.defs)
echo "uid_min:${uid_min}"
[ "$(id -u)" -eq 0 ] || echo "note:not run as root, so expiry dates and keys are missing"

# A directory service may refuse to list its accounts but answers for single names: ask for every home as well.
accounts=$(
  {
    getent passwd
    find /home -mindepth 1 -maxdepth 1 -printf '%f\0' | xargs -0 -r getent passwd
  } | sort -u
)
printf '%s\n' "${accounts}" | sed 's/^/passwd:/'
getent group | sed 's/^/group:/'
getent shadow | awk -F: '{ print "shadow:" $1 ":" (substr($2, 1, 2) == "!$" ? "locked" : "") ":" $8 }'

printf '%s\n' "${accounts}" | while IFS=: read -r name _ uid _ _ home _; do
  [ "${uid}" -ge "${uid_min}" ] || continue
  for file in "${home}/.ssh/authorized_keys" "/etc/ssh/authorized_keys.d/${name}"; do
    # Homes belong to their users: follow no link of theirs, and let nothing through that does not look like a key.
    if [ -f "${file}" ] && [ ! -L "${file}" ] && [ ! -L "${file%/*}" ]; then
      head -c 65536 "${file}" | NAME=${name} awk '/^[^#]*(ssh-|ecdsa-|sk-)/ { print "key:" ENVIRON["NAME"] ":" $0 }'
    fi
  done
done
echo "end:"
