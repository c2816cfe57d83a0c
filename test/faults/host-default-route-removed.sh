# Symptom: pods reach each other, and nobody else
# Asked: slash32 doctor
# Says: the host has no IPv4 default route
# Mend: ip route add default via <router> dev <interface>
ip route delete default
