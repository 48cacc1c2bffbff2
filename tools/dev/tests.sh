# Tests of several kinds, with one sum: runs of ctest, checks of the source, the commands of the README. Sourced by dev.

passed=0 failed=0 skipped=0
skips=() reasons=() failures=()

# check LABEL LOG COMMAND…: a check of the source, counted as one test.
check() {
  local label=$1 log=$2 status
  # As a condition it would go on behind a command of its that fails.
  set +e
  (
    set -e
    quietly "$@"
  )
  status=$?
  set -e
  if ((status == 0)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    failures+=("$label ($log)")
  fi
}

# aside COMMAND…: starts checks, each of which keeps one core busy, beside a build, which keeps all. `join_aside` waits for them,
# says what they said and adds them to the sum; tests do not run beside them.
aside=
aside() {
  rm -f build/log/aside.sum
  (
    trap - INT
    terminal='' passed=0 failed=0 skipped=0 skips=() reasons=() failures=()
    "$@"
    {
      printf '((passed += %d, failed += %d, skipped += %d)) || true\n' "$passed" "$failed" "$skipped"
      printf 'skips+=(%s) reasons+=(%s) failures+=(%s)\n' "${skips[*]@Q}" "${reasons[*]@Q}" "${failures[*]@Q}"
    } >build/log/aside.sum
  ) >build/log/aside.log 2>&1 </dev/null &
  aside=$!
}

join_aside() {
  [[ $aside ]] || return 0
  wait "$aside" || true
  aside=
  cat build/log/aside.log
  if [[ -s build/log/aside.sum ]]; then
    source build/log/aside.sum
  else
    failed=$((failed + 1))
    failures+=("what is tried with the program (build/log/aside.log ends early)")
  fi
}

# run_tests PRESET [WRAPPER…]: runs the preset's tests and adds them to the sum.
run_tests() {
  local preset=$1 log=build/log/test-$1.log junit=$PWD/build/log/test-$1.xml start child outcome name reason
  local counts=([0]=0 [1]=0 [2]=0)
  shift
  join_aside
  start=$SECONDS
  rm -f "$junit"
  [[ $terminal ]] || say "test $preset …"
  (
    trap - INT
    "$@" ctest --test-dir "build/$preset" -j "$(nproc)" --output-on-failure --no-tests=error --output-junit "$junit" \
      --test-output-size-passed 100000000 --test-output-size-failed 100000000
  ) >"$log" 2>&1 </dev/null &
  child=$!
  while kill -0 $child 2>/dev/null; do
    [[ $terminal ]] && rewrite "test $preset … $((SECONDS - start)) s $(tail -n 1 "$log")"
    sleep 0.5
  done
  wait $child || true
  [[ $terminal ]] && rewrite ''
  if [[ ! -s $junit ]]; then
    tail -n 40 "$log" >&2
    failed=$((failed + 1))
    failures+=("$preset: ctest itself failed ($log)")
    return
  fi
  while IFS=$'\t' read -r outcome name reason; do
    case $outcome in
      passed) counts[0]=$((counts[0] + 1)) ;;
      failed)
        counts[1]=$((counts[1] + 1))
        failures+=("$preset: $name")
        ;;
      lost)
        counts[1]=$((counts[1] + reason))
        failures+=("$preset: $name")
        ;;
      skipped)
        counts[2]=$((counts[2] + 1))
        skips+=("$preset: $name: ${reason:-no reason given}")
        reasons+=("${reason:-no reason given}")
        ;;
    esac
  done < <(awk -f tools/dev/read_junit.awk "$junit")
  passed=$((passed + counts[0])) failed=$((failed + counts[1])) skipped=$((skipped + counts[2]))
  # What failed, with its output; the lines of the tests that passed stay in the log.
  if ((counts[1])); then
    awk '
      /^\[ RUN      \] / {begun = $0; next}
      /\[       OK \] / {begun = ""; next}
      /^ *[0-9]+\/[0-9]+ Test .* Passed / || /^ *Start +[0-9]+: / {next}
      begun != "" {print begun; begun = ""}
      {print}' "$log"
  fi
  say "test $preset: ${counts[0]} passed, ${counts[1]} failed, ${counts[2]} skipped in $((SECONDS - start)) s"
}

# The commands under "Use" in the README, in a folder that has what the checkout has.
readme_commands() {
  local command folder=build/readme name commands
  commands=$(awk '/^## / {use = $2 == "Use"} use && /^```/ {code = !code; next} use && code' README.md)
  [[ $commands ]] || return 1
  rm -rf "$folder"
  mkdir -p "$folder"
  for name in models examples; do ln -s "$PWD/$name" "$folder"; done
  while read -r command; do
    echo "\$ $command"
    (cd "$folder" && PATH=$OLDPWD/build/release:$PATH bash -euc "$command" <<<'What ship is this?') || return
  done <<<"$commands"
  rm -rf "$folder"
}

# How many tests were skipped for each reason: without their names, and of files beside the project their folder alone.
count_skips() {
  printf '%s\n' "${reasons[@]}" | sed -E '
    s/^[^ ]+ skipped: //
    s/^[^ ]+: neither/neither/
    s#needs .*/shared/([^/,]+)[^,]*,#needs ../shared/\1,#' | sort | uniq -c | sort -rn | sed -E 's/^ *([0-9]+) /skipped: \1 × /'
}
