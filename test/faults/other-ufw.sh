# Symptom: pods time out after ufw is enabled
# Asked: slash32 doctor
# Says: ufw is enabled with DEFAULT_FORWARD_POLICY=DROP, and no route rule for 10.20.1.0/24
# By hand: ufw route allow from 10.20.1.0/24 && ufw route allow to 10.20.1.0/24
mkdir -p "$ROOT/etc/ufw" "$ROOT/etc/default"
echo ENABLED=yes > "$ROOT/etc/ufw/ufw.conf"
echo 'DEFAULT_FORWARD_POLICY="DROP"' > "$ROOT/etc/default/ufw"
