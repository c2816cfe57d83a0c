# Symptom: pods are cut off from their first second
# Asked: slash32 doctor
# Says: /etc/systemd/network/10-veth.link sets MACAddress=02:00:00:00:00:01 on host ends
# Mend: printf '[Match]\nOriginalName=cali*\n[Link]\nMACAddressPolicy=none\n' > /etc/systemd/network/05-slash32.link
mkdir -p "$ROOT/etc/systemd/network"
printf '[Match]\nDriver=veth\n[Link]\nMACAddress=02:00:00:00:00:01\n' > "$ROOT/etc/systemd/network/10-veth.link"
