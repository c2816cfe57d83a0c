# Symptom: pods are cut off when systemd-networkd is restarted or upgraded
# Asked: slash32 doctor
# Says: systemd-networkd is in use, with ManageForeignRoutes=yes (its default)
# Mend: mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\nManageForeignRoutes=no\n' > /etc/systemd/networkd.conf.d/slash32.conf && systemctl restart systemd-networkd
mkdir -p "$ROOT/etc/systemd" "$ROOT/run/systemd/netif"
touch "$ROOT/run/systemd/netif/state"
