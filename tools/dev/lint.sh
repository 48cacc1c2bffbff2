# What `./dev fmt` and `./dev lint` look at: formatting, and clang-tidy of what is new. Sourced by dev.

# Tables that a script wrote stay as it wrote them.
cpp_files() {
  find src tests bench tools \( -name '*.cpp' -o -name '*.h' -o -name '*.inc' \) ! -name '*_tables.inc' -type f | sort
}

check_format() { cpp_files | xargs -P "$(nproc)" -n 50 clang-format-14 --dry-run -Werror; }

# The sources of the program, or with --recent those that the last 20 commits and uncommitted changes touched, the latest
# first; for a header, its source or the first that includes it. The first commit of a shallow clone touches everything.
tidy_files() {
  if [[ ! ${1:-} ]]; then
    find src -name '*.cpp' | sort
    return
  fi
  local file source
  {
    git status --porcelain --untracked-files=all -- src | awk '{print $NF}'
    git log -20 --name-only --diff-filter=d --format= -- src
  } | awk '!seen[$0]++' | while read -r file; do
    case $file in
      *.cpp) source=$file ;;
      *.h | *.inc)
        source=${file%.*}.cpp
        # A header that no source includes is no fault here, nor is a list that is cut short.
        [[ -f $source ]] || source=$(grep -rlF --include='*.cpp' "#include \"${file#src/}\"" src | sort | head -n 1) || true ;;
      *) continue ;;
    esac
    [[ ! -f $source ]] || printf '%s\n' "$source"
  done | awk '!seen[$0]++'
}

export tidy_noise='warnings generated\|^Suppressed\|^Use -header-filter'

# tidy_unit each|together DEADLINE FILE…: looks at sources of a folder. What they include takes most of the time, so all checks see
# them as one file; with `each`, every one is also compiled by itself, which finds an #include that is missing. A file without
# others is looked at as it is.
tidy_unit() {
  local how=$1 end=$2 unit flags
  shift 2
  if ((EPOCHSECONDS >= end)); then
    printf 'not looked at, for time: %s\n' "$@"
    return
  fi
  if (($# == 1)); then
    clang-tidy-16 --quiet -p build/lint "$1" 2>&1 | grep -v "$tidy_noise"
    ((PIPESTATUS[0] == 0)) && touch "build/tidy/each_${1//\//_}"
    return
  fi
  unit=build/tidy/unit_${1//\//_}
  printf '#include "%s"\n' "${@/#/$PWD/}" >"$unit"
  flags=$(grep -F -- "-c $PWD/$1\"" build/lint/compile_commands.json | sed -E 's/^ *"command": "[^ ]+ //; s/ -o [^ ]+ -c .*//')
  # shellcheck disable=SC2086  # options, split at spaces
  {
    { [[ $how != each ]] || clang-tidy-16 --quiet '--checks=-*,bugprone-suspicious-include' -p build/lint "$@"; } &&
      clang-tidy-16 --quiet --checks=-bugprone-suspicious-include "$unit" -- $flags
  } 2>&1 | grep -v "$tidy_noise"
  ((PIPESTATUS[0] == 0)) && for unit; do touch "build/tidy/${how}_${unit//\//_}"; done
}

# check_tidy [--recent]: looks at a source file again only when it, a header or the list of checks changed since it was last
# found clean. What is recent gets two minutes, and is not compiled file by file; the log names what is left over.
check_tidy() {
  local newest file stamp unit how=each end=$((EPOCHSECONDS + 86400))
  local -A units=()
  [[ ! ${1:-} ]] || how=together end=$((EPOCHSECONDS + 120))
  mkdir -p build/tidy
  newest=$(find src .clang-tidy \( -name '*.h' -o -name .clang-tidy \) -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
  while read -r file; do
    for stamp in "build/tidy/$how" build/tidy/each; do
      stamp+=_${file//\//_}
      [[ $stamp -nt $file && $stamp -nt $newest ]] && continue 2
    done
    # A folder's sources make one file, but for those that switch on instructions of their own, have definitions of their own or
    # name the same things (CMakeLists.txt).
    case $file in
      src/kernels/cpu/* | src/kernels/table.cpp | src/main.cpp | src/base/version.cpp) unit=$file ;;
      src/primitives/unary.cpp | src/primitives/einsum.cpp) unit=$file ;;
      *) unit=$(cut -d/ -f2 <<<"$file") ;;
    esac
    units[$unit]+=" $file"
  done < <(tidy_files "$@")
  ((${#units[@]})) || return 0
  export -f tidy_unit
  printf '%s\n' "${units[@]}" | awk '{print NF, $0}' | sort -rn | cut -d' ' -f3- |
    with_large_pages xargs -P "$(job_count)" -I{} bash -c "tidy_unit $how $end {}"
}

# clang-tidy cannot read GCC's precompiled headers: this preset has none, and only its generated headers are made.
lint_tidy() {
  ninja -C build/lint incipit_generated
  check_tidy "$@"
}
