# Symptom: the node is NotReady: the runtime loads no network
# Asked: slash32 doctor
# Says: …/05-draft.conf cannot be loaded: …
# Mend: mv …/05-draft.conf …/05-draft.conf.off
echo "{ not JSON" > "$CONF/05-draft.conf"
