# Symptom: one pod reaches nobody, though the host has a default route
# Asked: slash32 doctor
# Says: the host routes 169.254.1.1 to a pod (169.254.1.1/32 dev cali…)
# Mend: ip route delete 169.254.1.1/32 dev cali…
ip route add 169.254.1.1 dev "$END"
