# Symptom: pods reach each other by IPv6, and nobody else
# Asked: slash32 doctor
# Says: the host has no IPv6 default route
# Mend: ip -6 route add default via <router> dev <interface>
ip -6 route delete default
