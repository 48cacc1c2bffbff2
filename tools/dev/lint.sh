# What `./dev fmt` and `./dev lint` look at: formatting, and clang-tidy of what is new. Sourced by dev.

# Tables that a script wrote stay as it wrote them.
cpp_files() {
  find src tests bench tools \( -name '*.cpp' -o -name '*.h' -o -name '*.inc' \) ! -name '*_tables.inc' -type f | sort
}

check_format() { cpp_files | xargs clang-format-14 --dry-run -Werror; }

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
        [[ -f $source ]] || source=$(grep -rlF --include='*.cpp' "#include \"${file#src/}\"" src | sort | head -n 1) ;;
      *) continue ;;
    esac
    [[ ! -f $source ]] || printf '%s\n' "$source"
  done | awk '!seen[$0]++'
}

# check_tidy [--recent]: looks at a source file again only when it, a header or the list of checks changed since it was last
# found clean. What is recent gets two minutes, which is some forty files on two cores; the log names what is left over.
check_tidy() {
  local newest file stamp todo=() end=$((EPOCHSECONDS + 86400))
  [[ ! ${1:-} ]] || end=$((EPOCHSECONDS + 120))
  mkdir -p build/tidy
  newest=$(find src .clang-tidy \( -name '*.h' -o -name .clang-tidy \) -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
  while read -r file; do
    stamp=build/tidy/${file//\//_}
    [[ $stamp -nt $file && $stamp -nt $newest ]] || todo+=("$file")
  done < <(tidy_files "$@")
  ((${#todo[@]})) || return 0
  printf '%s\n' "${todo[@]}" | xargs -P "$(job_count)" -I{} bash -c '
    if ((EPOCHSECONDS >= $2)); then
      echo "not looked at, for time: $1"
      exit
    fi
    clang-tidy-16 --quiet -p build/lint "$1" 2>&1 | grep -v "warnings generated\|^Suppressed\|^Use -header-filter"
    ((PIPESTATUS[0] == 0)) && touch "build/tidy/${1//\//_}"' check {} "$end"
}

# clang-tidy cannot read GCC's precompiled headers: this preset has none, and only its generated headers are made.
lint_tidy() {
  ninja -C build/lint incipit_generated
  check_tidy "$@"
}
