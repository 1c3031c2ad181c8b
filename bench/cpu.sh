#!/bin/bash
# bench/cpu.sh [--record NAME] [--quick] [PIECE ...]: all CPU measurements, one after another, on an idle machine.
#
# --record NAME  append the records to bench/results/NAME/*.jsonl and write docs/performance.md anew
# --quick        few samples: does everything run?
# PIECE          some of: prepare step conv2d threads scaling scores semi_sync memory loop (default: all)
#
# PYTHON (default python) runs the scripts; QUIET (default nothing) is put before each timed piece, for instance a
# command that stops other work; a piece takes less than 100 s, all of them less than 15 min. `prepare` compiles the
# PyTorch peers into TORCHINDUCTOR_CACHE_DIR and is not timed. A piece that fails is named at the end; the rest runs.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 2
python=${PYTHON:-python}
record=() pieces=() failed=() page=
step=(--samples 15) conv=(--samples 5) threads=() scaling=() other=() loop=()
while [ $# -gt 0 ]; do
  case $1 in
    --record) [ $# -gt 1 ] || { echo "cpu.sh: --record needs a NAME" >&2; exit 2; }
      record=(--record "$2"); page=1; shift ;;
    --quick) step=(--samples 3 --seconds 1) conv=(--samples 1 --layer 16-) threads=(--samples 3 --seconds 1)
      scaling=(--samples 1 --seconds 1) other=(--samples 3) loop=(--rounds 2) ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit ;;
    prepare | step | conv2d | threads | scaling | scores | semi_sync | memory | loop) pieces+=("$1") ;;
    *) echo "cpu.sh: got $1; see cpu.sh --help" >&2; exit 2 ;;
  esac
  shift
done
[ ${#pieces[@]} -gt 0 ] || pieces=(prepare step conv2d threads scaling scores semi_sync memory loop)
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$root/build/inductor}

run() { # run SCRIPT ARGUMENTS: a timed piece
  echo "== $*" >&2
  local start=$SECONDS
  ${QUIET:-} "$python" "bench/$1" "${@:2}" "${record[@]}" || failed+=("$*")
  echo "== $((SECONDS - start)) s" >&2
}

for piece in "${pieces[@]}"; do
  case $piece in
    prepare)
      "$python" bench/train/bench_step.py --prepare --network lenet5_prune vgg13_like resnet18_like vgg16 ||
        failed+=(prepare) ;;
    step)
      for network in lenet5_prune resnet18_like; do
        run train/bench_step.py --network $network "${step[@]}"
      done
      for network in vgg13_like vgg16; do
        for work in train infer infer1; do
          # a step of vgg16 takes seconds: two pieces, each with a part of the peers; the report joins them
          modes=(nchw,channels_last,compile,compile_channels_last) slow=()
          [ $network-$work != vgg16-train ] ||
            { modes=(nchw,compile channels_last,compile_channels_last); slow=(--warmup 0); }
          for some in "${modes[@]}"; do
            run train/bench_step.py --network $network --work $work --modes $some "${step[@]}" "${slow[@]}"
          done
        done
      done ;;
    conv2d) run ops/bench_conv2d.py "${conv[@]}" ;;
    threads) run train/bench_threads.py "${threads[@]}" ;;
    scaling) for sweep in batch width size; do run train/bench_scaling.py --sweep $sweep "${scaling[@]}"; done ;;
    scores) run train/bench_scores.py "${other[@]}" ;;
    semi_sync) run ops/bench_semi_sync.py "${other[@]}" ;;
    memory) [ ! -e bench/train/bench_memory_peak.py ] || run train/bench_memory_peak.py ;;
    loop) for network in lenet5_prune vgg13_like; do run prune/bench_loop.py --network $network "${loop[@]}"; done ;;
  esac
done
[ -z "$page" ] || "$python" bench/report.py --write || failed+=(report.py)
if [ ${#failed[@]} -gt 0 ]; then
  printf 'cpu.sh: failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
