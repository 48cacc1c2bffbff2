# The server beside the clients that people have: the official openai package of npm. Sourced by dev.

clients=(openai@6.30.1)

# Pinned, and without scripts of their own.
have_clients() {
  [[ "$(cat build/clients/installed 2>/dev/null)" != "${clients[*]}" ]] || return 0
  timeout 60 npm install --prefix build/clients --ignore-scripts --no-audit --no-fund --fetch-retries 1 "${clients[@]}" &&
    printf '%s\n' "${clients[*]}" >build/clients/installed
}

# Starts a server at a free port, lets the client have its say, and ends both; a server that drains ends well.
run_clients() {
  local folder=build/clients server port tries status=0
  "$incipit" build models/classics-16m -o $folder/classics.engine --precision f32 --no-tune --no-baseline
  printf 'key-of-the-test\n' >$folder/keys
  "$incipit" serve $folder/classics.engine --port 0 --api-keys $folder/keys 2>$folder/serve.log &
  server=$!
  for tries in {1..100}; do
    port=$(sed -n 's|^serving .* at http://127.0.0.1:\([0-9]*\)/v1.*|\1|p' $folder/serve.log)
    [[ ! $port ]] || break
    sleep 0.1
  done
  timeout 60 node tests/clients/openai_client.mjs "http://127.0.0.1:$port/v1" $folder/node_modules key-of-the-test || status=$?
  kill -TERM $server
  wait $server || status=$?
  cat $folder/serve.log
  return $status
}

# Counted as one test; skipped by name where npm or its registry is not at hand.
check_clients() {
  local reason=
  mkdir -p build/clients build/log
  if ! { command -v node && command -v npm; } >/dev/null; then
    reason='needs Node and npm, which are not here'
  elif (($(node -p 'process.versions.node.split(".")[0]') < 20)); then
    reason='needs Node 20 or later'
  elif ! have_clients >build/log/clients.log 2>&1 </dev/null; then
    reason="needs ${clients[*]}, which npm cannot get here"
  fi
  if [[ $reason ]]; then
    skipped=$((skipped + 1))
    skips+=("clients: tests/clients/openai_client.mjs: $reason")
    reasons+=("$reason")
    return
  fi
  check "npm's openai against the server" build/log/clients.log run_clients
}
