# Symptom: host ends lose their settings a moment after ADD
# Asked: slash32 doctor
# Says: NetworkManager is in use, and no unmanaged-devices names cali*
# Mend: printf '[keyfile]\nunmanaged-devices+=interface-name:cali*\n' > /etc/NetworkManager/conf.d/slash32.conf && systemctl reload NetworkManager
mkdir -p "$ROOT/etc/NetworkManager/conf.d" "$ROOT/run/NetworkManager"
