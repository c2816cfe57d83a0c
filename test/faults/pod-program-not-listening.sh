# Symptom: a connection is refused
# Asked: slash32 trace default/web-1 default/web-0:8080
# Says: sandbox default/web-0: tcp port 8080: nobody listens
# By hand: start the program; ss --listening --numeric --tcp shows in the sandbox who listens
true # nobody ever did
