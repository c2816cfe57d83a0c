# Symptom: new pods get addresses of another network
# Asked: slash32 doctor
# Says: …/05-other.conflist (network "other") comes before …/10-slash32.conflist
# Mend: mv …/05-other.conflist …/05-other.conflist.off
echo '{ "cniVersion": "1.0.0", "name": "other", "plugins": [{ "type": "loopback" }] }' > "$CONF/05-other.conflist"
