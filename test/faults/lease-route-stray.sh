# Symptom: an address is free, and is never given
# Asked: slash32 ipam check
# Says: host route to 10.20.1.99/32 is dev uplink0 proto 32, should be gone, as nobody holds the address
# Mend: ip route delete 10.20.1.99/32 dev uplink0 proto 32
ip route add 10.20.1.99 dev uplink0 proto 32
