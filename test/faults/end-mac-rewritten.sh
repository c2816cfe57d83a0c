# Symptom: a pod sends, and the host takes nothing of it
# Asked: slash32 check default/web-0
# Says: host end cali… is MAC 02:00:00:00:00:01, should be MAC ee:ee:ee:ee:ee:ee
# Mend: slash32 check default/web-0 --repair
ip link set "$END" address 02:00:00:00:00:01
