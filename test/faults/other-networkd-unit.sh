# Symptom: pods lose their way back when systemd-networkd starts
# Asked: slash32 doctor
# Says: /etc/systemd/network/30-all.network matches host ends
# Mend: printf '[Match]\nName=cali*\n[Link]\nUnmanaged=yes\n' > /etc/systemd/network/05-slash32.network && networkctl reload
mkdir -p "$ROOT/etc/systemd/network" "$ROOT/run/systemd/netif"
touch "$ROOT/run/systemd/netif/state"
printf '[Network]\nManageForeignRoutes=no\n' > "$ROOT/etc/systemd/networkd.conf"
printf '[Match]\nName=*\n[Network]\nDHCP=yes\n' > "$ROOT/etc/systemd/network/30-all.network"
