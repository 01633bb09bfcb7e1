# shellcheck shell=bash
# Everything that a node reads: certificates, its network, the programs' configuration.

certificate() { # name subject [subjectAltName]
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -config req.conf \
    -CA ca.crt -CAkey ca.key -subj "$2" ${3:+-addext "subjectAltName=$3"} -keyout "$1.key" -out "$1.crt"
}

pki() (
  mkdir -p "$PKI"
  cd "$PKI"
  local u
  cat >req.conf <<'K'
[req]
distinguished_name = name
x509_extensions = leaf
[name]
[leaf]
basicConstraints = CA:FALSE
keyUsage = digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = digitalSignature,keyCertSign,cRLSign
K
  {
    openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -config req.conf \
      -extensions authority -subj "/CN=$CLUSTER-ca" -keyout ca.key -out ca.crt
    certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:${SVC_CIDR%.0/*}.1"
    certificate admin /O=system:masters/CN=admin
    certificate controller-manager /CN=system:kube-controller-manager
    certificate scheduler /CN=system:kube-scheduler
    certificate proxy /CN=system:kube-proxy
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$NODE_IP"
    certificate apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
    openssl ecparam -name prime256v1 -genkey -noout -out sa.key
    openssl ec -in sa.key -pubout -out sa.pub
  } 2>openssl.log || die "openssl failed (see $PKI/openssl.log)"
  for u in admin controller-manager scheduler proxy kubelet; do
    cat >"$u.conf" <<K
apiVersion: v1
kind: Config
clusters: [{name: $CLUSTER, cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $u, user: {client-certificate-data: $(base64 -w0 "$u.crt"), client-key-data: $(base64 -w0 "$u.key")}}]
contexts: [{name: $CLUSTER, context: {cluster: $CLUSTER, user: $u}}]
current-context: $CLUSTER
K
  done
  chmod 600 ./*.key ./*.conf
)

check_names() {
  [[ $CLUSTER =~ ^[a-z]([a-z0-9-]{0,12}[a-z0-9])?$ ]] || die "CLUSTER must be a short name of small letters, digits and dashes: $CLUSTER"
  [[ $STATE =~ ^/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$ ]] || die "STATE must be an absolute path without special characters: $STATE"
  [[ $NET =~ ^(192\.0\.2|198\.51\.100|203\.0\.113)\.[0-9]+$ && $((${NET##*.} % 4)) == 0 && ${NET##*.} -lt 256 ]] ||
    die "NET must be a /30 of a network for documentation, such as 198.51.100.4: $NET"
}

network() {
  local used
  used=$(ip -o route show match "$NODE_IP" | grep -v '^default' || true)
  [ -z "$used" ] || die "$NET/30 is in use ($used): set NET to another, such as ${NET%.*}.$(((${NET##*.} + 4) % 256))"
  ip netns add "$CLUSTER"
  ip link add "${CLUSTER}0" type veth peer name eth0 netns "$CLUSTER"
  ip addr add "$HOST_IP/30" dev "${CLUSTER}0"
  ip link set "${CLUSTER}0" up
  ip -n "$CLUSTER" addr add "$NODE_IP/30" dev eth0
  ip -n "$CLUSTER" link set lo up
  ip -n "$CLUSTER" link set eth0 up
  # No default route: what is not for this cluster or its host ends here at once, and never leaves.
  # Services need a route only so that the node's own connections get as far as kube-proxy's rules.
  ip -n "$CLUSTER" route add "$SVC_CIDR" via "$HOST_IP"
  # The host knows no way back to a Pod.
  nsenter --net="/run/netns/$CLUSTER" iptables -w -t nat -A POSTROUTING -s "$POD_CIDR" -d "$HOST_IP" -j MASQUERADE
  nsenter --net="/run/netns/$CLUSTER" sysctl -qw net.ipv4.ip_forward=1
}

# A cgroup of our own under every hierarchy of version 1, or under the one of version 2.
cgroups() {
  local h f
  for h in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ ! -w "$h/cgroup.procs" ] || mkdir -p "$h/$CLUSTER"
  done
  h=/sys/fs/cgroup/cpuset
  if [ -f $h/cpuset.cpus ]; then
    for f in cpus mems; do cat $h/cpuset.$f >"$h/$CLUSTER/cpuset.$f"; done
  fi
}

config() {
  local c=$STATE/config h
  mkdir -p "$STATE"/{log,pids,etcd,containerd,kubelet,volumes,registry/{upper,work,data},overlay} "$c"/{cni,certs.d}
  echo "$NET" >"$STATE/net"
  printf '%s' "${APISERVER_ARGS:-}" >"$c/apiserver.args"
  if [ -n "${AUDIT_POLICY:-}" ]; then cp "$AUDIT_POLICY" "$c/audit.yaml"; fi
  cat >"$c/hosts" <<K
127.0.0.1 localhost
$NODE_IP $NODE registry.local
K
  echo "nameserver $DNS_IP" >"$c/resolv.conf"
  registry_config "$STATE/registry/data" 127.0.0.1:5001 >"$c/registry.yml"
  # docker.io is this cluster's own registry, also when it lacks an image.
  for h in registry.local:5000 docker.io; do
    mkdir -p "$c/certs.d/$h"
    cat >"$c/certs.d/$h/hosts.toml" <<K
server = "http://registry.local:5000"
[host."http://registry.local:5000"]
  capabilities = ["pull", "resolve"]
K
  done
  cat >"$c/containerd.toml" <<K
version = 3
root = '$STATE/containerd'
state = '/run/containerd'
[grpc]
  address = '/run/containerd/containerd.sock'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = 'localhost/pause:1'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '$c/certs.d'
[plugins.'io.containerd.cri.v1.runtime']
  # without CAP_SYS_RESOURCE nothing may lower it
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '$BIN/runc'
      SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['/usr/lib/cni', '/opt/cni/bin']
    conf_dir = '$c/cni'
K
  # Point to point, not a bridge: all traffic between Pods is routed, so that a Service's rules see
  # the answers too, whether or not the kernel hands bridged packets to iptables.
  cat >"$c/cni/10-$CLUSTER.conflist" <<K
{"cniVersion": "1.0.0", "name": "$CLUSTER", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_CIDR"}]],
    "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
K
  # An image that was pulled under one name may be loaded or tagged under others; the kubelet would
  # otherwise insist on pulling those too.
  cat >"$c/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$CLUSTER
failCgroupV1: false
enforceNodeAllocatable: []
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
failSwapOn: false
imagePullCredentialsVerificationPolicy: NeverVerify
imageGCHighThresholdPercent: 100
maxPods: 250
podLogsDir: $STATE/log/pods
resolvConf: $c/resolv.conf
serializeImagePulls: false
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
K
  # No forwarding: a name from outside does not exist. It has a block of its own, since CoreDNS asks
  # its template before the other plugins of a block.
  cat >"$c/Corefile" <<K
cluster.local in-addr.arpa ip6.arpa {
    bind $NODE_IP
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig $ADMIN
        pods insecure
    }
}
registry.local {
    bind $NODE_IP
    errors
    hosts {
        $NODE_IP registry.local
    }
}
. {
    bind $NODE_IP
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
K
  cat >"$c/objects.yaml" <<K
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: tektite.dev/directory
reclaimPolicy: Delete
volumeBindingMode: Immediate
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: $DNS_IP
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
---
# CoreDNS is a process of the node, not a Pod.
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$NODE_IP], conditions: {ready: true}}]
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
K
}
