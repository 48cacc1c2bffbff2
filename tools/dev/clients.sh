# The server beside what people have: the official openai package of npm, LangChain's, the proxies of docs/proxies, Prometheus'
# own check of its metrics. Sourced by dev.

clients=(openai@6.30.1 @langchain/openai@0.6.17 @langchain/core@0.3.80)
client_key=key-of-the-test

# Pinned, and without scripts of their own.
have_clients() {
  [[ "$(cat build/clients/installed 2>/dev/null)" != "${clients[*]}" ]] || return 0
  timeout 60 npm install --prefix build/clients --ignore-scripts --no-audit --no-fund --fetch-retries 1 "${clients[@]}" &&
    printf '%s\n' "${clients[*]}" >build/clients/installed
}

# start_server OPTIONS…: with a socket and at a free port; sets server and port.
start_server() {
  local folder=build/clients
  "$incipit" build models/classics-16m -o $folder/classics.engine --precision f32 --no-tune --no-baseline --no-golden
  printf '%s\n' "$client_key" >$folder/keys
  start_serving $folder/classics.engine --port 0 --api-keys $folder/keys "$@"
}

# start_serving ARGUMENTS…: of `incipit serve`; sets server and port.
start_serving() {
  local folder=build/clients tries
  "$incipit" serve "$@" 2>$folder/serve.log &
  server=$!
  for tries in {1..100}; do
    port=$(sed -n 's|^serving .* at http://127.0.0.1:\([0-9]*\)/v1.*|\1|p' $folder/serve.log)
    [[ ! $port ]] || break
    sleep 0.1
  done
}

# A server that drains ends well.
stop_server() {
  local status=0
  kill -TERM $server
  wait $server || status=$?
  cat build/clients/serve.log
  return $status
}

# Lets the clients have their say.
run_clients() {
  local modules=build/clients/node_modules server port status=0
  start_server
  timeout 60 node tests/clients/openai_client.mjs "http://127.0.0.1:$port/v1" $modules $client_key || status=$?
  timeout 60 node tests/clients/langchain_client.mjs "http://127.0.0.1:$port/v1" $modules $client_key || status=$?
  stop_server || status=$?
  return $status
}

# The openai client streams while versions of a store swap and roll back.
run_swaps() {
  local folder=build/clients/swaps modules=build/clients/node_modules server port status=0 precision
  rm -rf $folder
  mkdir -p $folder
  for precision in int8 bf16; do
    "$incipit" build models/classics-16m -o $folder/$precision.engine --precision $precision --no-tune --no-baseline \
      --deterministic --max-context 256
    "$incipit" store add $folder/store chat $folder/$precision.engine
  done
  "$incipit" store promote $folder/store chat 1 --unverified
  printf '%s\n' "$client_key" >build/clients/keys
  start_serving --store $folder/store --port 0 --api-keys build/clients/keys
  timeout 120 node tests/clients/swap_client.mjs "http://127.0.0.1:$port/v1" $modules $client_key "$incipit" $folder/store "${1:-20}" ||
    status=$?
  stop_server || status=$?
  return $status
}

# run_proxy NAME: the openai client through a proxy with the configuration of docs/proxies, at a port of our own.
run_proxy() {
  local name=$1 folder=$PWD/build/clients/$1 server port proxy status=0 own=$((20000 + $$ % 10000))
  rm -rf "$folder"
  mkdir -p "$folder"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
    -keyout "$folder/key.pem" -out "$folder/certificate.pem"
  start_server --socket "$folder/incipit.socket"
  if [[ $name == nginx ]]; then
    cp "$folder/certificate.pem" "$folder/cert.pem"
    sed "s|127.0.0.1:8443|127.0.0.1:$own|; s|unix:incipit.socket|unix:$folder/incipit.socket|" docs/proxies/nginx.conf >"$folder/nginx.conf"
    nginx -p "$folder" -c nginx.conf -g "daemon off; $( ((EUID)) || echo 'user root;')" &
  else
    cat "$folder/certificate.pem" "$folder/key.pem" >"$folder/cert.pem"
    sed "s|127.0.0.1:8443|127.0.0.1:$own|; s|unix@incipit.socket|unix@$folder/incipit.socket|; s|crt cert.pem|crt $folder/cert.pem|" \
      docs/proxies/haproxy.cfg >"$folder/haproxy.cfg"
    haproxy -db -f "$folder/haproxy.cfg" &
  fi
  proxy=$!
  timeout 20 bash -c "until curl -sk https://127.0.0.1:$own/health/ready | grep -q ok; do sleep 0.1; done" || status=$?
  curl -sk --http2 -o /dev/null -w 'HTTP/%{http_version}\n' "https://127.0.0.1:$own/health" || status=$?
  NODE_EXTRA_CA_CERTS=$folder/certificate.pem timeout 60 node tests/clients/openai_client.mjs "https://127.0.0.1:$own/v1" \
    build/clients/node_modules $client_key || status=$?
  kill $proxy || status=$?
  wait $proxy || true
  stop_server || status=$?
  return $status
}

# Names with a colon are vLLM's; promtool finds nothing else to say.
run_promtool() {
  local server port said status=0
  start_server
  said=$(curl -s "http://127.0.0.1:$port/metrics" | promtool check metrics 2>&1 | grep -v "should not contain ':'") || true
  stop_server || status=$?
  printf '%s\n' "$said"
  [[ ! $said ]] && return $status
}

have_all() {
  local name
  for name in "$@"; do command -v "$name" >/dev/null || return 1; done
}

# skip_clients NAME REASON
skip_clients() {
  skipped=$((skipped + 1))
  skips+=("clients: $1: $2")
  reasons+=("$2")
}

# Each is counted as one test; skipped by name where npm or its registry, or a program, is not at hand.
check_clients() {
  local reason= name
  mkdir -p build/clients build/log
  if ! have_all node npm; then
    reason='needs Node and npm, which are not here'
  elif (($(node -p 'process.versions.node.split(".")[0]') < 20)); then
    reason='needs Node 20 or later'
  elif ! have_clients >build/log/clients.log 2>&1 </dev/null; then
    reason="needs ${clients[*]}, which npm cannot get here"
  fi
  if [[ $reason ]]; then
    skip_clients tests/clients "$reason"
    skip_clients 'versions that swap' "$reason"
  else
    check "npm's openai and LangChain against the server" build/log/clients.log run_clients
    check "npm's openai while versions swap" build/log/swaps.log run_swaps
  fi
  for name in nginx haproxy; do
    if [[ $reason ]]; then
      skip_clients "docs/proxies, $name" "$reason"
    elif ! have_all $name curl openssl; then
      skip_clients "docs/proxies, $name" "needs $name, curl and openssl, which are not all here"
    else
      check "the server behind $name" build/log/$name.log run_proxy $name
    fi
  done
  if have_all promtool curl; then
    check "promtool on /metrics" build/log/promtool.log run_promtool
  else
    skip_clients 'promtool check metrics' 'needs promtool (Debian: prometheus) and curl, which are not all here'
  fi
}
