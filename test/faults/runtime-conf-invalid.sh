# Symptom: no pod starts: InvalidConfig
# Asked: slash32 doctor
# Says: …/10-slash32.conflist: InvalidConfig: …mtu is "big", expected …
# By hand: $EDITOR …/10-slash32.conflist
sed -i 's#"type": "slash32"#&, "mtu": "big"#' "$CONFLIST"
