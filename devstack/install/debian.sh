# Installs the given Debian packages without starting their system services: devstack runs its own servers.
set -eu
export DEBIAN_FRONTEND=noninteractive

mark='temporarily installed by docmill devstack'
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/docmill-devstack.conf

cleanup() {
	if grep -qs "$mark" "$policy"; then rm -f "$policy"; fi
	rm -f "$no_cluster"
	if [ "$made_dir" ]; then rmdir --ignore-fail-on-non-empty "${no_cluster%/*}"; fi
}
made_dir=
trap cleanup EXIT
trap 'exit 143' INT TERM HUP

# invoke-rc.d runs this script before it starts a service; exit code 101 forbids the start. An existing script is kept.
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
	chmod 755 "$policy"
fi
# Without this, installing postgresql creates a cluster on port 5432, which starts at the next boot.
if [ ! -d "${no_cluster%/*}" ]; then
	made_dir=yes
	mkdir -p "${no_cluster%/*}"
fi
printf '# %s\ncreate_main_cluster = false\n' "$mark" >"$no_cluster"

new_services=
for service in rabbitmq-server postgresql; do
	for package; do
		if [ "$package" = "$service" ] && ! dpkg-query -W -f '${db:Status-Status}' "$service" 2>/dev/null | grep -qx installed; then
			new_services="$new_services $service"
		fi
	done
done

apt-get -o DPkg::Lock::Timeout=600 update
apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@"

if [ -d /run/systemd/system ]; then
	for service in $new_services; do
		systemctl disable --now "$service.service"
	done
fi
