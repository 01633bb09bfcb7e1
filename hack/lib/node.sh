# shellcheck shell=bash
# What runs inside the namespaces: PID 1, which starts the node's programs, takes requests to stop
# and start one of them, and starts again what has ended by itself.

COMPONENTS=(etcd containerd registry registry-proxy apiserver controller-manager scheduler proxy kubelet coredns provisioner)
# Not from the start.
OPTIONAL=(kwok)
declare -A running=()

# The command of a component, in the array `command`.
command_of() {
  local c=$STATE/config args=()
  case $1 in
  etcd)
    # No fsync: right for a cluster that ends with its tests.
    command=(etcd --data-dir "$STATE/etcd" --unsafe-no-fsync
      --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
      --listen-peer-urls http://127.0.0.1:2380)
    ;;
  containerd) command=(containerd -c "$c/containerd.toml") ;;
  registry) command=(docker-registry serve "$c/registry.yml") ;;
  registry-proxy) command=(registry-proxy -user puller -password pull-secret) ;;
  apiserver)
    command=(kube apiserver --etcd-servers=http://127.0.0.1:2379
      --bind-address=0.0.0.0 --advertise-address="$NODE_IP" --secure-port=6443 --endpoint-reconciler-type=lease
      --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key"
      --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key"
      --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP
      --service-cluster-ip-range="$SVC_CIDR" --service-account-issuer=https://kubernetes.default.svc
      --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key"
      --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true)
    if [ -f "$c/audit.yaml" ]; then
      command+=(--audit-policy-file="$c/audit.yaml" --audit-log-path="$STATE/log/audit.log")
    fi
    read -r -d '' -a args <"$c/apiserver.args" || true
    command+=("${args[@]}")
    ;;
  controller-manager)
    # Its own limit would have it spend 5 s on the accounts of its controllers.
    command=(kube controller-manager --kubeconfig="$PKI/controller-manager.conf" --leader-elect=false --bind-address=127.0.0.1
      --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" --use-service-account-credentials
      --cluster-cidr="$POD_CIDR" --allocate-node-cidrs=false
      --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"
      --kube-api-qps=500 --kube-api-burst=1000)
    ;;
  scheduler) command=(kube scheduler --kubeconfig="$PKI/scheduler.conf" --leader-elect=false --bind-address=127.0.0.1) ;;
  proxy)
    # The limits of connection tracking belong to the host.
    command=(kube proxy --kubeconfig="$PKI/proxy.conf" --proxy-mode=iptables --cluster-cidr="$POD_CIDR" --hostname-override="$NODE"
      --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0)
    ;;
  kubelet)
    command=(kube kubelet --kubeconfig="$PKI/kubelet.conf" --config="$c/kubelet.yaml" --hostname-override="$NODE"
      --node-ip="$NODE_IP" --root-dir="$STATE/kubelet" --cert-dir="$STATE/kubelet/pki"
      --node-labels=disktype=ssd,environment=production)
    ;;
  coredns) command=(coredns -conf "$c/Corefile") ;;
  provisioner) command=(provisioner -kubeconfig "$ADMIN" -root "$STATE/volumes" -node "$NODE") ;;
  kwok)
    command=(kwok --kubeconfig="$ADMIN" --config="$BIN/kwok.yaml" --manage-all-nodes=false
      --node-lease-duration-seconds=40 --server-address=127.0.0.1:10247
      --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake)
    [ ! -f "$c/stages.yaml" ] || command+=(--config="$c/stages.yaml")
    ;;
  *) return 1 ;;
  esac
}

# Whether a component serves; called where its loopback addresses are.
healthy() {
  local get=(curl -fsk -m 2 -o /dev/null)
  case $1 in
  etcd) "${get[@]}" http://127.0.0.1:2379/health ;;
  containerd) ctr version ;;
  registry) "${get[@]}" http://127.0.0.1:5001/v2/ ;;
  registry-proxy) "${get[@]}" http://127.0.0.1:5000/v2/_catalog ;;
  apiserver) "${get[@]}" --cert "$PKI/admin.crt" --key "$PKI/admin.key" "https://$NODE_IP:6443/readyz" ;;
  controller-manager) "${get[@]}" https://127.0.0.1:10257/healthz ;;
  scheduler) "${get[@]}" https://127.0.0.1:10259/healthz ;;
  proxy) "${get[@]}" http://127.0.0.1:10256/healthz ;;
  kubelet) "${get[@]}" http://127.0.0.1:10248/healthz ;;
  coredns) "${get[@]}" http://127.0.0.1:8181/ready ;;
  kwok) "${get[@]}" http://127.0.0.1:10247/healthz ;;
  provisioner) kill -0 "$(cat "$STATE/pids/provisioner")" ;;
  *) return 1 ;;
  esac
}

# Files that a node's programs write at fixed places must not reach the host's: these folders are
# copies that end with the mount namespace.
node_mounts() {
  local d o
  mount --make-rshared /
  for d in /etc /var/lib /var/log; do
    o=$STATE/overlay$d
    mkdir -p "$o"/{upper,work}
    if [ $d = /etc ]; then cp "$STATE/config/hosts" "$STATE/config/resolv.conf" "$o/upper/"; fi
    mount -t overlay "$CLUSTER" -o "lowerdir=$d,upperdir=$o/upper,workdir=$o/work" "$d"
  done
  mount -t tmpfs -o mode=755 "$CLUSTER" /run
  mkdir -p /run/containerd
  # A writable copy of the ready-made registry.
  d=$STATE/registry
  mount -t overlay "$CLUSTER" -o "lowerdir=$(cat "$STATE/config/registry-seed"),upperdir=$d/upper,workdir=$d/work" "$d/data"
}

start() {
  local command
  command_of "$1"
  "${command[@]}" </dev/null >>"$STATE/log/$1.log" 2>&1 3>&- &
  running[$1]=$!
  echo $! >"$STATE/pids/$1"
}

stop() { # component, signal
  local pid=${running[$1]:-} i
  unset "running[$1]"
  : >"$STATE/pids/$1"
  [ -n "$pid" ] || return 0
  kill "-$2" "$pid" 2>/dev/null || return 0
  # The API server and etcd would wait much longer for their clients' watches to end.
  for ((i = 0; i < 20; i++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep .1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

node() {
  local c action name signal
  cd /
  node_mounts
  mkfifo "$STATE/control"
  exec 3<>"$STATE/control"
  for c in "${COMPONENTS[@]:0:5}"; do start "$c"; done
  until healthy apiserver 2>/dev/null; do sleep .1; done
  for c in "${COMPONENTS[@]:5}"; do start "$c"; done
  while :; do
    if read -r -t 1 -u 3 action name signal; then
      if [ "$action" = answer ]; then
        echo "$name" >"$STATE/answer"
        continue
      fi
      echo "$action $name"
      [ "$action" = start ] || stop "$name" "$signal"
      [ "$action" = stop ] || [ -n "${running[$name]:-}" ] || start "$name"
    fi
    for c in "${!running[@]}"; do
      kill -0 "${running[$c]}" 2>/dev/null || {
        echo "$c ended: starting it again"
        start "$c"
      }
    done
  done
}
