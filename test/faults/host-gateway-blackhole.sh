# Symptom: no new pod reaches anybody
# Asked: slash32 doctor
# Says: the host discards packets to 169.254.1.1 (route 169.254.0.0/16)
# Mend: ip route delete 169.254.0.0/16
ip route add blackhole 169.254.0.0/16
