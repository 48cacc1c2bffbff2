#!/bin/bash
# Everything that needs a GPU: what is refused, kernels against their references, models against what other programs
# computed, times. Lies in the tarball of `./dev dist` beside what it runs, and needs bash, tar and a C library; builds
# need NVRTC too.
set -uo pipefail
export LC_ALL=C.UTF-8
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
incipit=$here/bin/incipit

usage() {
  cat <<'END'
usage: gpu-test [OPTION…]

  --bench         also llama-7b in bf16 and int8, which takes minutes
  --only PARTS    some of refusals,kernels,models,verify,bench,sanitize; all of them but the last otherwise
  --tree FOLDER   a checkout, whose fixtures and models are taken in place of the few that lie here
  --record FILE   where to write what was found (gpu-test.md); logs go into a folder beside it
  --jobs N        test programs at once (a quarter of the cores)
END
}

fail() {
  printf 'gpu-test: %s\n' "$*" >&2
  exit 2
}

bench='' only=refusals,kernels,models,verify,bench tree='' record=$PWD/gpu-test.md jobs=
while (($#)); do
  case $1 in
    --bench) bench=1 ;;
    --only | --tree | --record | --jobs)
      (($# > 1)) || fail "$1 takes a value"
      case $1 in
        --only) only=$2 ;;
        --tree) tree=$(cd -P "$2" && pwd) || fail "--tree: there is no folder $2" ;;
        --record) record=$2 ;;
        --jobs) jobs=$2 ;;
      esac
      shift
      ;;
    -h | --help)
      usage
      exit
      ;;
    *) fail "there is no option '$1'; see --help" ;;
  esac
  shift
done
for part in ${only//,/ }; do
  [[ ,refusals,kernels,models,verify,bench,sanitize, == *",$part,"* ]] || fail "--only: there is no part '$part'; see --help"
done
[[ $record == /* ]] || record=$PWD/$record
cores=$(grep -c '^processor' /proc/cpuinfo 2>/dev/null || echo 4)
[[ $jobs ]] || jobs=$((cores < 8 ? 2 : cores / 4))
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail "--jobs: '$jobs' is no number of 1 or more"

logs=${record%.md}-logs
work=${TMPDIR:-/tmp}/gpu-test.$$
rm -rf "$logs"
mkdir -p "$logs" "$work" || fail "cannot write to $logs and $work"
trap 'rm -rf "$work" "$big"' EXIT
export TMPDIR=$work
# Engines of gigabytes lie in memory where there is room for them.
big=$work/big
if [[ -w /dev/shm ]] && (($(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1) > 32000000)); then
  big=/dev/shm/gpu-test.$$
fi
mkdir -p "$big"
if [[ $tree ]]; then
  rm -rf "$here/tests" "$here/models"
  mkdir -p "$here/tests"
  ln -s "$tree/tests/fixtures" "$here/tests/fixtures"
  ln -s "$tree/models" "$here/models"
  [[ -e $tree/../shared && ! -e $here/../shared ]] && ln -s "$(cd -P "$tree/../shared" && pwd)" "$here/../shared"
fi
fixtures=$here/tests/fixtures

passed=0 failed=0 skipped=0
failures=() skips=()
say() { printf '%s\n' "$*"; }
pass() { passed=$((passed + 1)); }
miss() {
  failed=$((failed + 1))
  failures+=("$1")
  say "FAILED: $1"
}
skip() {
  skipped=$((skipped + 1))
  skips+=("$1")
}
wanted() { [[ ,$only, == *",$1,"* ]]; }
note() { printf '%s\n' "$*" >>"$record"; }

# succeed NAME COMMAND…: a command that must, with its output in a log of that name.
succeed() {
  local name=$1 start=$SECONDS status=0
  shift
  "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
  if ((status)); then
    miss "$name: status $status: $(tail -n 1 "$logs/$name.log")"
    return 1
  fi
  pass
  say "$name: $((SECONDS - start)) s"
}

# refuse NAME TEXT COMMAND…: a command that must fail, and say why in one line that has the text.
refuse() {
  local name=$1 text=$2 said status=0
  shift 2
  said=$("$@" 2>&1 >/dev/null </dev/null) || status=$?
  printf '%s\n' "$said" >"$logs/$name.log"
  said=$(grep -v '^\[warning\]' <<<"$said")
  if ((status == 0)); then
    miss "$name: was not refused"
  elif ((status > 2)); then
    miss "$name: status $status"
  elif [[ $said == *$'\n'* || $said != *"$text"* ]]; then
    miss "$name: not one line with '$text': $said"
  else
    pass
  fi
}

# read_tests LOG NAME STATUS: counts what a test program printed. What is not told has failed.
read_tests() {
  local line test='' ended='' take='' reason='' before=$failed
  while IFS= read -r line; do
    case $line in
      '[ RUN      ] '*) test=${line#'[ RUN      ] '} reason='' ;;
      '[       OK ] '*)
        [[ $test ]] && pass
        test=
        ;;
      '[  SKIPPED ] '*)
        [[ $test ]] && skip "$test: $reason"
        test=
        ;;
      '[  FAILED  ] '*)
        [[ $test ]] && miss "$test"
        test=
        ;;
      '[==========] '*' ran.'*) ended=1 ;;
      *': Skipped') take=1 ;;
      *)
        [[ $take ]] && reason=$line
        take=
        ;;
    esac
  done <"$1"
  [[ $test ]] && miss "$test ($2 ended in it with status $3)"
  [[ $ended ]] || miss "$2: ended early with status $3: $(tail -n 1 "$1")"
  [[ $3 == 0 ]] || ((failed > before)) || miss "$2: status $3 after its tests"
}

# run_tests PROGRAM FILTER SHARDS: as so many processes, some at once: what one breaks on the GPU the others do not see.
run_tests() {
  local program=$1 filter=$2 shards=$3 shard running start=$SECONDS before=("$passed" "$failed" "$skipped")
  for ((shard = 0; shard < shards; ++shard)); do
    while mapfile -t running < <(jobs -rp) && ((${#running[@]} >= jobs)); do wait -n; done
    (
      status=0
      GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard "$here/bin/$program" --gtest_filter="$filter" \
        >"$logs/$program.$shard.log" 2>&1 </dev/null || status=$?
      echo $status >"$work/$program.$shard.status"
    ) &
  done
  wait
  for ((shard = 0; shard < shards; ++shard)); do
    read_tests "$logs/$program.$shard.log" "$program, part $shard," "$(<"$work/$program.$shard.status")"
  done
  say "$program: $((passed - before[0])) passed, $((failed - before[1])) failed, $((skipped - before[2])) skipped in $((SECONDS - start)) s"
  note "| $program | $((passed - before[0])) | $((failed - before[1])) | $((skipped - before[2])) | $((SECONDS - start)) |"
}

# build NAME OPTION…: an engine for this GPU, which lies in $big/NAME.engine. All share what was measured and compiled.
build() {
  local name=$1
  shift
  succeed "build-$name" "$incipit" build "$@" -o "$big/$name.engine" --target cuda --no-baseline \
    --tuning-cache "$work/gpu.tuning"
}

# ---- what is here
gpu='' driver='' has_gpu='' has_nvrtc=''
if command -v nvidia-smi >/dev/null; then
  IFS=, read -r gpu driver < <(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null)
  driver=${driver# }
elif [[ -r /proc/driver/nvidia/version ]]; then
  driver=$(head -n 1 /proc/driver/nvidia/version)
fi
probe=("$incipit" build --geometry classics-16m --no-tune --no-baseline -o "$work/probe.engine" --target)
said=$("${probe[@]}" cuda 2>&1 </dev/null)
if [[ -e $work/probe.engine ]]; then
  has_gpu=1 has_nvrtc=1
elif [[ $said == *NVRTC* ]]; then
  has_gpu=1
elif [[ $said == *'has no GPU for it'* ]]; then
  say "no GPU: $said"
  "${probe[@]}" cuda-sm90 >/dev/null 2>&1 </dev/null && has_nvrtc=1
else
  miss "a first build for this GPU: $said"
  has_gpu=1 has_nvrtc=1
fi
[[ $has_nvrtc ]] || say "no NVRTC: $("${probe[@]}" cuda-sm90 2>&1 </dev/null)"

: >"$record" || fail "cannot write $record"
note "# What \`./dev gpu-test\` found"
note ''
note "$(date -u +%Y-%m-%d), $("$incipit" --version), ${gpu:-no GPU}, driver ${driver:-none}, $cores cores."
note ''
note '| | passed | failed | skipped | s |'
note '|---|---|---|---|---|'

# ---- what is refused
if wanted refusals; then
  before=("$passed" "$failed" "$skipped") start=$SECONDS
  refuse no-gpu 'has no GPU for it' env CUDA_VISIBLE_DEVICES=-1 "${probe[@]}" cuda
  if [[ $has_nvrtc ]]; then
    [[ -e $work/probe.engine ]] || "${probe[@]}" cuda-sm90 >/dev/null 2>&1 </dev/null
    refuse engine-without-gpu 'has no GPU for it' env CUDA_VISIBLE_DEVICES=-1 "$incipit" run "$work/probe.engine" --ids 1
  else
    skip 'engine-without-gpu: no NVRTC'
  fi
  refuse plain-graph 'runs on processors only' \
    "$incipit" build "$fixtures/encoder/encoder.onnx" --no-tune --target cuda-sm90 -o "$work/plain.engine"
  if [[ $has_gpu && $has_nvrtc ]]; then
    "$incipit" build --geometry classics-16m --no-tune --no-baseline --target cuda-sm120 -o "$work/other.engine" \
      >/dev/null 2>&1 </dev/null
    refuse another-gpu cuda-sm120 "$incipit" run "$work/other.engine" --ids 1
    # Pages for that many whole contexts take 400 GB.
    "$incipit" build --geometry llama-0.5b --no-tune --no-baseline --target cuda --max-batch 1024 \
      -o "$big/pages.engine" >/dev/null 2>&1 </dev/null
    refuse too-little-memory 'that are free' "$incipit" run "$big/pages.engine" --ids 1
    rm -f "$big/pages.engine"
  else
    for name in another-gpu too-little-memory; do skip "$name: no GPU"; done
  fi
  say "refusals: $((passed - before[0])) passed, $((failed - before[1])) failed"
  note "| refusals | $((passed - before[0])) | $((failed - before[1])) | $((skipped - before[2])) | $((SECONDS - start)) |"
fi

# ---- kernels, and models step by step
if wanted kernels; then
  run_tests test_base 'CudaDriver.*' 1
  run_tests test_kernels 'EveryKernelOnAGpu*:Cuda*' 20
fi
wanted models && run_tests test_end_to_end 'Gpu*:Cuda*:*OnAGpu:*GpusNotHere' 16

# ---- the command line
if wanted verify; then
  before=("$passed" "$failed" "$skipped") start=$SECONDS
  for precision in f32 bf16; do
    tolerance=$([[ $precision == f32 ]] && echo 2e-4 || echo 5e-2)
    for model in llama-gqa-tied mistral-window qwen2 phi-tiny; do
      name=$model-$precision folder=$fixtures/reference/$model
      if [[ ! $has_gpu || ! $has_nvrtc ]]; then
        skip "verify-$name: no GPU"
      elif [[ ! -e $folder ]]; then
        skip "verify-$name: the model is not here"
      elif build "$name" "$folder" --precision "$precision" --no-tune; then
        succeed "verify-$name" "$incipit" verify "$big/$name.engine" --golden "$folder/golden.safetensors" \
          --tolerance $tolerance
      fi
    done
  done
  name=classics-bf16
  if [[ ! $has_gpu || ! $has_nvrtc || ! -e $here/models/classics-16m ]]; then
    skip "run-$name: no GPU, or no models/classics-16m (--tree)"
  elif build "$name" "$here/models/classics-16m" --precision bf16; then
    succeed "run-$name" "$incipit" run "$big/$name.engine" --greedy --max-tokens 48 'Call me Ishmael.'
    succeed "verify-$name" "$incipit" verify "$big/$name.engine" --golden "$fixtures/classics-16m-golden/golden.json"
    succeed "bench-$name" "$incipit" bench "$big/$name.engine" --prompt 128,512,1024 --steps
  fi
  say "verify: $((passed - before[0])) passed, $((failed - before[1])) failed"
  note "| command line | $((passed - before[0])) | $((failed - before[1])) | $((skipped - before[2])) | $((SECONDS - start)) |"
fi

# ---- the same under NVIDIA's own checks of memory and of races, which takes minutes
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
# sanitize MODEL PRECISION TARGET TOOL: its golden rows, which are prompts in one piece and in chunks, and tokens one by one.
sanitize() {
  local name=$4-$1-$2-$3 folder=$fixtures/reference/$1 status=0
  "$incipit" build "$folder" -o "$work/$name.engine" --precision "$2" --target "$3" --no-tune --no-baseline \
    --tuning-cache "$work/$1-$2-$3-$4.tuning" >"$logs/$name.log" 2>&1 </dev/null &&
    "$sanitizer" --tool "$4" --error-exitcode 3 "$incipit" verify "$work/$name.engine" --golden "$folder/golden.safetensors" \
      --tolerance 0.6 >>"$logs/$name.log" 2>&1 </dev/null || status=$?
  echo $status >"$work/$name.status"
}
if wanted sanitize; then
  before=("$passed" "$failed" "$skipped") start=$SECONDS names=()
  for tool in racecheck memcheck; do
    for target in cuda-sm90 cuda-sm80; do
      for what in llama-gqa-tied:bf16 mistral-window:bf16 llama-gqa-tied:int8 mixtral:bf16 gemma3:fp16 qwen3-moe:int8 \
        phi3-longrope:f32; do
        model=${what%:*} precision=${what#*:} name=$tool-${what%:*}-${what#*:}-$target
        if [[ ! $has_gpu || ! $has_nvrtc || ! -x $sanitizer ]]; then
          skip "$name: no GPU, NVRTC or compute-sanitizer"
        elif [[ ! -e $fixtures/reference/$model/golden.safetensors ]]; then
          skip "$name: the model is not here"
        else
          while mapfile -t running < <(jobs -rp) && ((${#running[@]} >= jobs)); do wait -n; done
          sanitize "$model" "$precision" "$target" "$tool" &
          names+=("$name")
        fi
      done
    done
  done
  wait
  for name in "${names[@]}"; do
    status=$(<"$work/$name.status")
    if ((status)); then
      miss "$name: status $status: $(grep -m 1 '^=========.*\(Invalid\|rror\|azard\)' "$logs/$name.log")"
    else
      pass
    fi
  done
  say "sanitize: $((passed - before[0])) passed, $((failed - before[1])) failed, $((skipped - before[2])) skipped in $((SECONDS - start)) s"
  note "| compute-sanitizer | $((passed - before[0])) | $((failed - before[1])) | $((skipped - before[2])) | $((SECONDS - start)) |"
fi

# ---- times
# measure GEOMETRY PRECISION: builds it, tuned here, and puts what bench says into the record.
measure() {
  local name=$1-$2 start=$SECONDS
  if [[ ! $has_gpu || ! $has_nvrtc ]]; then
    skip "bench-$name: no GPU"
    return
  fi
  build "$name" --geometry "$1" --precision "$2" --max-context 4096 --max-batch 8 || return
  start=$((SECONDS - start))
  succeed "bench-$name" "$incipit" bench "$big/$name.engine" --prompt 128,130,512,700,1024,1025,2048 \
    --decode-context 1024 --steps
  rm -f "$big/$name.engine"
  note ''
  note "\`$1\` in $2, built and tuned in $start s: $(tail -n 1 "$logs/build-$name.log")"
  note ''
  note '```'
  note "$(<"$logs/bench-$name.log")"
  note '```'
}
if wanted bench; then
  measure llama-0.5b bf16
  if [[ $bench ]]; then
    measure llama-7b bf16
    measure llama-7b int8
  fi
fi

[[ -e $work/gpu.tuning ]] && cp "$work/gpu.tuning" "$logs/"
if ((${#skips[@]})); then
  printf '%s\n' "${skips[@]}" >"$logs/skipped.log"
  say "skipped tests by name: $logs/skipped.log"
fi
if ((${#failures[@]})); then
  note ''
  note 'Failed:'
  note ''
  for line in "${failures[@]}"; do note "- $line"; done
fi
note ''
note "$passed passed, $failed failed, $skipped skipped."
say "record: $record"
say "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
