#!/bin/bash
# Two "machines" on one: network namespaces with a cable between them, a Ray node in each. The cable is cut in
# the middle of a run, and the time until the loss is noticed and the run is complete is printed.
# Needs root, iproute2, ray and python on the PATH.   bench/distributed/namespaces.sh [--record FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
a=sentei-a-$$ b=sentei-b-$$
temp=$(mktemp -d)
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_USAGE_STATS_ENABLED=0
export RAY_health_check_period_ms=500 RAY_health_check_timeout_ms=1000 RAY_health_check_failure_threshold=3
export PYTHONPATH=$here/../../python${PYTHONPATH:+:$PYTHONPATH}
clean() {
  for n in $a $b; do  # only processes of these two namespaces
    ip netns pids $n 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del $n 2>/dev/null || true
  done
  rm -rf "$temp"
}
trap clean EXIT
ip netns add $a
ip netns add $b
ip link add va$$ netns $a type veth peer name vb$$ netns $b
for n in $a $b; do ip -n $n link set lo up; done
ip -n $a addr add 10.77.0.1/24 dev va$$
ip -n $b addr add 10.77.0.2/24 dev vb$$
ip -n $a link set va$$ up
ip -n $b link set vb$$ up
ip netns exec $a ray start --head --node-ip-address 10.77.0.1 --port 6379 --num-cpus 2 \
  --object-store-memory 100000000 --include-dashboard false --temp-dir "$temp/a" --disable-usage-stats >"$temp/a.log" 2>&1
ip netns exec $b ray start --address 10.77.0.1:6379 --node-ip-address 10.77.0.2 --num-cpus 1 \
  --object-store-memory 100000000 --disable-usage-stats >"$temp/b.log" 2>&1
timeout 150 ip netns exec $a python "$here/machine_loss.py" 10.77.0.1:6379 \
  --cut "ip -n $b link set vb$$ down" "$@"
