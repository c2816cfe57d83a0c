# Symptom: an interface of slash32 is there that no pod uses
# Asked: slash32 ipam check
# Says: host end cali… is there, with no address to it, should be recorded in the store
# Mend: ip link delete cali…
sqlite3 "$STATE/podnet/leases.db" "DELETE FROM address WHERE held_by = 1; DELETE FROM attachment WHERE id = 1;"
ip -n "$POD" address flush dev eth0
ip route delete 10.20.1.2 proto 32
ip -6 route delete fd00:20::2 proto 32
