# Symptom: who may log in may see every pod, or give itself an address
# Asked: slash32 doctor
# Says: …/podnet/leases.db can be written by others (0666)
# Mend: chmod 600 …/podnet/leases.db
chmod 666 "$STATE/podnet/leases.db"
