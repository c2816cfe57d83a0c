# Symptom: a pod that runs is unknown to GC and CHECK
# Asked: slash32 ipam check
# Says: host end cali… is there, with 10.20.1.2 and fd00:20::2, should be recorded in the store
# Mend: slash32 ipam repair
sqlite3 "$STATE/podnet/leases.db" "
  UPDATE address SET held_by = NULL, freed = 1 WHERE held_by = 1;
  DELETE FROM attachment WHERE id = 1;"
