# The tarballs of `./dev dist`: the program, tried in an empty root, and the tests that need a GPU. Sourced by dev.

# A folder and a tarball in build/dist: the program, the libraries that it needs, their licences.
make_tarball() {
  local version name stage
  version=$(sed -n 's/^project(incipit VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  name=incipit-$version-linux-$(uname -m)
  stage=build/dist/$name
  rm -rf "$stage" "$stage.tar.gz"
  cmake --install build/release --prefix "$PWD/$stage" --strip
  take_libraries "$stage" "$incipit"
  tar -C build/dist -czf "$stage.tar.gz" --owner=0 --group=0 --sort=name "$name"
  try_tarball "$stage.tar.gz"
  say "$stage.tar.gz ($(du -h "$stage.tar.gz" | cut -f1)); it needs $(glibc_needed "$stage") or newer"
}

# The same with the test programs that use a GPU, the script that runs them (tools/gpu_test.sh), and as many of the models
# that they are held to as fit; a checkout beside them has the others.
gpu_test_programs=(test_base test_kernels test_end_to_end)
gpu_test_models=(
  apertus-tiny cohere-tiny exaone4-tiny glm4-tiny ministral3-tiny mistral3-wrapper-tiny nemotron-tiny phi-tiny
  llama-gqa-tied
)
make_gpu_tarball() {
  local stage=build/dist/incipit-gpu-test model bytes
  rm -rf "$stage" "$stage.tar.gz"
  cmake --install build/release --prefix "$PWD/$stage" --strip
  cmake --install build/release --prefix "$PWD/$stage" --strip --component gpu_test
  take_libraries "$stage" "$incipit" "${gpu_test_programs[@]/#/build/release/}"
  mkdir -p "$stage/tests/fixtures/reference" "$stage/tests/fixtures/encoder"
  for model in "${gpu_test_models[@]}"; do
    cp -r "tests/fixtures/reference/$model" "$stage/tests/fixtures/reference/"
  done
  cp tests/fixtures/encoder/encoder.onnx "$stage/tests/fixtures/encoder/"
  mkdir "$stage/tests/fixtures/reference/gpt-neox"
  cp tests/fixtures/reference/gpt-neox/plain_dynamo.onnx "$stage/tests/fixtures/reference/gpt-neox/"
  cp tools/gpu_test.sh "$stage/gpu-test"
  tar -C build/dist -cf - --owner=0 --group=0 --sort=name incipit-gpu-test | gzip -9 >"$stage.tar.gz"
  bytes=$(stat -c %s "$stage.tar.gz")
  ((bytes <= 12 << 20)) || fail "$stage.tar.gz has $bytes bytes, and 12 MiB is what it may have: leave a model out"
  # It runs where there is no GPU, and says so.
  "$stage/gpu-test" --only refusals --record build/log/gpu-refusals.md
  say "$stage.tar.gz ($(du -h "$stage.tar.gz" | cut -f1)): ./dev gpu-test, or its script gpu-test, on a machine with a GPU"
}

# link_what_is_the_same FOLDER: packages of one source have one text.
link_what_is_the_same() {
  local file other
  for file in "$1"/*; do
    for other in "$1"/*; do
      [[ $other < $file && ! -L $other ]] && cmp -s "$other" "$file" && ln -sf "$(basename "$other")" "$file" && break
    done
  done
  return 0
}

# take_libraries FOLDER PROGRAM…: what the programs need but the C library, which must match the system's loader.
take_libraries() {
  local stage=$1 library package
  shift
  mkdir -p "$stage/lib" "$stage/share/licenses"
  while read -r library; do
    cp -L "$library" "$stage/lib/"
    strip --strip-unneeded "$stage/lib/$(basename "$library")"
    package=$(package_of "$library") || fail "no package has $library, so its licence is unknown; install Debian's"
    cp -L "/usr/share/doc/$package/copyright" "$stage/share/licenses/$package"
  done < <(ldd "$@" | awk '$3 ~ /^\// && $1 !~ /^lib(c|m|pthread|dl|rt)\.so/ && !seen[$3]++ {print $3}')
  # Header-only libraries, and the classes made from ONNX's messages, are inside the program.
  for package in libboost1.81-dev libcli11-dev libflatbuffers-dev libonnx-dev; do
    cp -L "/usr/share/doc/$package/copyright" "$stage/share/licenses/$package"
  done
  link_what_is_the_same "$stage/share/licenses"
}

# package_of FILE: the Debian package that has it. Where /lib is a link to /usr/lib, dpkg knows a file by either name.
package_of() {
  local real path owner
  real=$(realpath "$1")
  for path in "$real" "${real#/usr}" "/usr$real"; do
    if owner=$(dpkg-query -S "$path" 2>/dev/null); then
      printf '%s\n' "${owner%%:*}"
      return
    fi
  done
  return 1
}

# glibc_needed FOLDER: the newest version of the C library's symbols that the program and its libraries use.
glibc_needed() {
  objdump -T "$1"/bin/incipit "$1"/lib/* | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | tr _ ' '
}

# Starts the tarball in a root that holds nothing else but the system's C library, which is what it says it needs: builds an
# engine of the bundled model there, and compares its first tokens with those of the reference.
try_tarball() {
  local root=build/dist/root library text enter=(chroot)
  ((EUID == 0)) || enter=(unshare --user --map-root-user chroot)
  if ! "${enter[@]}" / true 2>/dev/null; then
    say "the tarball was not tried in an empty root: that takes root or user namespaces"
    return
  fi
  rm -rf "$root"
  mkdir -p "$root/tmp"
  tar -C "$root" -xzf "$1" --strip-components=1
  while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done < <(ldd "$incipit" | awk '
    $1 ~ /^lib(c|m|pthread|dl|rt)\.so/ {print $3}
    $1 ~ /^\/.*ld-linux/ {print $1}')
  mkdir -p "$root/model"
  cp "$model"/*.json "$model"/*.safetensors "$model"/*.jinja "$root/model/"
  "${enter[@]}" "$root" /bin/incipit --version || fail "the program of $1 does not start in an empty root"
  "${enter[@]}" "$root" /bin/incipit build /model -o /tmp/model.engine --precision f32 --no-tune --no-baseline --no-golden
  text=$("${enter[@]}" "$root" /bin/incipit run /tmp/model.engine --greedy --max-tokens 7 'Call me Ishmael.')
  rm -rf "$root"
  # What tests/fixtures/classics-16m-golden/golden.json says.
  [[ $text == " I'm a man of business." ]] || fail "in an empty root the bundled model writes '$text'"
}
