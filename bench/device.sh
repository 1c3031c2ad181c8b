#!/usr/bin/env bash
# Build, test, check and time sentei on a machine with a CUDA device, offline, in under nine minutes.
#
#   bench/device.sh               all stages; records and a log go to $OUT (default bench/results/new)
#   bench/device.sh STAGE...      only these: build ptxas tests step ops soak memcheck racecheck
#   bench/device.sh --dry [...]   what works without a device: the emulator, tiny shapes, one sample
#
# SENTEI_WHEELS: folder of wheels to install first (pybind11 and pytest, and what this Python lacks of
# the package's dependencies). PYTHON: the interpreter (python3; PyTorch beside it is the peer).
# DEVICE_SECONDS: for everything (530). DEVICE_PATIENCE: factor of the limit of each stage (1).
# A stage that fails or takes too long is reported; later stages still run. Exit status 1 when one failed.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
exec </dev/null
root=$PWD
dry=0
if [[ "${1:-}" == --dry ]]; then
  dry=1
  shift
fi
stages=("$@")
if ((!$#)); then stages=(build ptxas tests step ops soak memcheck racecheck); fi

out=$(realpath -m "${OUT:-$root/bench/results/new}")
python=${PYTHON:-python3}
total=${DEVICE_SECONDS:-530}
patience=${DEVICE_PATIENCE:-1} # factor of all limits, for slower machines
jobs=$(nproc)
build=$root/build/device
if ((dry)); then
  total=${DEVICE_SECONDS:-3600} patience=6
  build=$root/build/device-dry
fi
site=$build/site        # the package as it would be installed
packages=$build/packages # wheels that were carried here
mkdir -p "$out" "$build" "$packages"
log=$out/device.log
: >"$log"
export PATH=$PATH:/usr/local/cuda/bin PYTHONPATH=$site:$packages PYTHONUNBUFFERED=1 NO_COLOR=1
SECONDS=0
names=() states=() took=()

say() { printf '%s\n' "$*" | tee -a "$log"; }

# stage NAME LIMIT: runs do_NAME within its limit and what is left of the total; all output into the log,
# its end onto the screen.
stage() {
  local name=$1 limit=$(($2 * patience)) began=$SECONDS code=0
  local left=$((total - SECONDS))
  if ((limit > left)); then limit=$left; fi
  if ((limit < 5)); then
    names+=("$name") states+=("left out: no time") took+=(0)
    return
  fi
  say "===== $name (at $began s, at most $limit s)"
  export -f "do_$name"
  STAGE_SECONDS=$limit timeout -k 5 "$limit" bash -c "set -u; do_$name" >"$build/$name.log" 2>&1 || code=$?
  cat "$build/$name.log" >>"$log"
  tail -n "${STAGE_LINES:-6}" "$build/$name.log" | cut -c1-200
  local state=ok
  if ((code == 124 || code == 137)); then
    state="FAILED: more than $limit s"
  elif ((code == 99)); then
    state="skipped: $(tail -n 1 "$build/$name.log")"
  elif ((code)); then
    state="FAILED: exit code $code"
  fi
  names+=("$name") states+=("$state") took+=($((SECONDS - began)))
}

do_build() {
  set -e
  local wheels=() options=(-DSENTEI_CUDA=OFF -DSENTEI_CUSIM=ON -DSENTEI_WERROR=ON) tier=v3 launcher=()
  if [[ -n ${SENTEI_WHEELS:-} ]]; then
    wheels=("$SENTEI_WHEELS"/*.whl)
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
      --target "$packages" "${wheels[@]}"
  fi
  if ((!dry)); then
    local capability
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d ' .')
    if [[ $capability == 90 ]]; then capability=90a; fi # with the instructions of this family only
    options=(-DSENTEI_CUDA=ON -DSENTEI_CUSIM=OFF "-DSENTEI_CUDA_ARCHS=$capability-real"
      -DSENTEI_CUDA_REPORT=ON -DSENTEI_CUDA_LINEINFO=ON)
    printf 'sm_%s\n' "$capability" >"$build/arch"
  fi
  if grep -qw avx512vl /proc/cpuinfo; then tier=v4; fi
  if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
    export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  fi
  local generator=()
  if command -v ninja >/dev/null; then generator=(-G Ninja); fi
  cmake -S "$root" -B "$build" "${generator[@]}" "${options[@]}" "${launcher[@]}" \
    "-DSENTEI_TIERS=$tier" "-DPython_EXECUTABLE=$(command -v "$python")"
  cmake --build "$build" --parallel "$jobs"
  cp -r "$root/python/sentei" "$build/fresh"
  find "$build/fresh" -name '*.so' -delete
  rm -rf "$site"
  mkdir -p "$site"
  mv "$build/fresh" "$site/sentei"
  cmake --install "$build" --prefix "$site"
  "$python" -c 'import sentei; print(sentei.__version__, sentei.__file__, sentei.devices())'
}

do_ptxas() {
  if ((dry)); then
    "$python" tools/check_ptxas.py --compile csrc/cuda/add.cu
  else # a build that compiled nothing says nothing: the last full one counts
    if grep -q 'ptxas info' "$build/build.log"; then cp "$build/build.log" "$build/report.log"; fi
    "$python" tools/check_ptxas.py --archs "$(cat "$build/arch")" "$build/report.log"
  fi
}

do_tests() {
  local which=cuda
  if ((dry)); then which="cusim and exact"; fi
  # Other files may want packages that are not here.
  grep -rl --include='test_*.py' 'mark\.devices' tests | sort | xargs \
    "$python" -m pytest -q -p no:cacheprovider -m "devices and not slow" -k "$which" --maxfail=25
}

sanitized() { # sanitized TOOL: the exact tests of all ops under a tool of the CUDA toolkit
  if ((dry)) || ! command -v compute-sanitizer >/dev/null; then
    echo "compute-sanitizer is not here"
    return 99
  fi
  grep -rl --include='test_*.py' 'mark\.devices' tests/ops | sort | xargs \
    compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20 \
    "$python" -m pytest -q -x -p no:cacheprovider -m "devices and not slow" -k "cuda and exact"
}
do_memcheck() { sanitized memcheck; }
do_racecheck() { sanitized racecheck; }

do_soak() {
  if ((dry)); then
    "$python" bench/cuda/soak.py --dry
  else
    "$python" bench/cuda/soak.py --steps 1000
  fi
}

do_step() {
  if ((dry)); then
    "$python" bench/cuda/bench_step.py --dry
  else
    "$python" bench/cuda/bench_step.py --seconds $((STAGE_SECONDS * 7 / 10)) \
      --compile-seconds $((STAGE_SECONDS / 6)) --record "$out"
  fi
}

do_ops() {
  if ((dry)); then
    "$python" bench/cuda/bench_ops.py --dry
  else
    "$python" bench/cuda/bench_ops.py --seconds $((STAGE_SECONDS - 12)) --record "$out"
  fi
}

export -f sanitized
export root python out build site packages jobs dry
say "sentei on $( ((dry)) && echo 'the emulator' || nvidia-smi --query-gpu=name,driver_version --format=csv,noheader), $jobs cores, $(date -u +%FT%TZ)"
for name in "${stages[@]}"; do
  case $name in
    build) stage build 180 ;;
    ptxas) STAGE_LINES=30 stage ptxas 30 ;;
    tests) stage tests 90 ;;
    step) STAGE_LINES=45 stage step 110 ;;
    ops) STAGE_LINES=12 stage ops 150 ;;
    soak) stage soak 40 ;;
    memcheck) stage memcheck 60 ;;
    racecheck) stage racecheck 60 ;;
    *)
      say "device.sh: a stage must be build, ptxas, tests, step, ops, soak, memcheck or racecheck, got $name"
      exit 1
      ;;
  esac
done

say ""
if ((!dry)); then "$python" bench/cuda/summary.py "$out" 2>&1 | tee -a "$log"; fi
failed=0
for i in "${!names[@]}"; do
  say "$(printf '%-10s %4d s  %s' "${names[i]}" "${took[i]}" "${states[i]}")"
  if [[ ${states[i]} != ok && ${states[i]} != skipped* ]]; then failed=1; fi
done
say "all stages: $SECONDS s; log and records: $out"
exit $failed
