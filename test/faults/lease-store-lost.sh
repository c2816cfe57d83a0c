# Symptom: CHECK of every pod says that its lease is missing
# Asked: slash32 doctor
# Says: store in … is missing, though 2 host ends are there, should be one that holds their leases
# Mend: slash32 ipam repair…
rm "$STATE/podnet/leases.db"
