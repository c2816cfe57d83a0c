# Symptom: the node is NotReady: no networks found
# Asked: slash32 doctor
# Says: no file in … has a plugin of type slash32
# Mend: mkdir -p … && echo '…' > …/10-slash32.conflist # with the node's own range
mv "$CONFLIST" "$ROOT/aside"
