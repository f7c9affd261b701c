. /etc/beacon/beacon.conf
trap 'exit 0' TERM
while :; do
  echo "$text"
  sleep "$every" &
  wait $!
done
