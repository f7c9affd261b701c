#!/bin/sh
# netprobe SOURCE TARGET: probes the way to TARGET from SOURCE until it is stopped, ten times and then a pause. What was sent, what came back, and how many
# results were written stand in the run-time directory of its unit, as Prometheus reads them.
set -eu
source=$1 target=$2 counters=$RUNTIME_DIRECTORY/counters
sent=0 replies=0 written=0
while :; do
  # "10 packets transmitted, 10 received, …"; without a route nothing, and ten that went nowhere
  line=$(ping -6 -n -q -c 10 -i 0.2 -W 1 -I "$source" "$target" 2>/dev/null | grep transmitted) || line=
  came=$(printf %s "$line" | sed -n 's/.*, \([0-9]*\) received.*/\1/p')
  sent=$((sent + 10)) replies=$((replies + ${came:-0})) written=$((written + ${came:-0}))
  printf 'sent_total %s\nreplies_total %s\nwritten_total %s\n' "$sent" "$replies" "$written" >"$counters.new"
  mv "$counters.new" "$counters"
  sleep 10
done
