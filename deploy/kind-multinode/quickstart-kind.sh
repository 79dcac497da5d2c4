#!/usr/bin/env bash
#
# A cluster of kind with several control planes, each with a proxy; proxies publish leases, agents
# count them. The flags are those of upstream's script of this name.
#
# The manifests are those of ../kind with what several proxies need. `--render-only FOLDER` writes
# them (and the cluster's configuration) there and does nothing else.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
single=$here/../kind

cluster=knp-test-cluster
server_image=konnect/proxy-server:0.1.0
agent_image=konnect/proxy-agent:0.1.0
workers=1
control_planes=2
overwrite=false
sideload=false
server_count=
render=

fail() {
    echo "quickstart-kind.sh: $*" >&2
    exit 2
}

usage() {
    cat <<END
Usage: quickstart-kind.sh [flags]

  --cluster-name NAME          ($cluster)
  --server-image IMAGE         ($server_image)
  --agent-image IMAGE          ($agent_image)
  --num-worker-nodes N         ($workers)
  --num-kcp-nodes N            control planes, each with a proxy ($control_planes)
  --overwrite-cluster          delete a cluster of that name first
  --sideload-images            load both images from this machine into the nodes
  --server-count-override N    agents look for N proxies instead of counting leases
  --render-only FOLDER         write the files there and stop
END
}

number() { [[ $2 =~ ^[1-9][0-9]*$ ]] || fail "$1 must be a number above 0, not '$2'"; }

while [ $# -gt 0 ]; do
    flag=${1%%=*}
    case $flag in
        --overwrite-cluster) overwrite=true; shift; continue ;;
        --sideload-images) sideload=true; shift; continue ;;
        --help | -h) usage; exit 0 ;;
    esac
    if [[ $1 == *=* ]]; then value=${1#*=}; shift; else
        [ $# -ge 2 ] || fail "$flag wants a value"
        value=$2
        shift 2
    fi
    case $flag in
        --cluster-name) cluster=$value ;;
        --server-image) server_image=$value ;;
        --agent-image) agent_image=$value ;;
        --num-worker-nodes) number "$flag" "$value"; workers=$value ;;
        --num-kcp-nodes) number "$flag" "$value"; control_planes=$value ;;
        --server-count-override) number "$flag" "$value"; server_count=$value ;;
        --render-only) render=$value ;;
        *) usage >&2; fail "there is no flag $flag" ;;
    esac
done

work=$render
if [ -z "$work" ]; then
    for tool in kind kubectl; do
        command -v "$tool" >/dev/null || fail "$tool is not installed"
    done
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"

# The node of the single control plane, as often as there are to be some, then the workers.
{
    sed -n '/^ *- role: control-plane$/q; p' "$single/kind.yaml"
    for ((i = 0; i < control_planes; i++)); do
        sed -n '/^ *- role: control-plane$/,/^ *- role: worker$/ { /- role: worker$/! p }' "$single/kind.yaml"
    done
    for ((i = 0; i < workers; i++)); do echo "  - role: worker"; done
} >"$work/kind.yaml"
cp "$single/egress-selector.yaml" "$work/"

# after PATTERN LINE...: repeat the indentation of the line with PATTERN for each LINE after it.
after() {
    local pattern=$1 line program=
    shift
    for line in "$@"; do program+="s|^( *)(- $pattern.*)\$|\\1\\2\\n\\1- $line|;"; done
    sed -E "$program"
}

if [ -n "$server_count" ]; then
    after --mode=grpc "--server-count=$server_count" <"$single/konnectivity-server.yaml"
else
    after --mode=grpc --enable-lease-controller <"$single/konnectivity-server.yaml"
fi | sed "s|image: konnect/proxy-server:.*|image: $server_image|" >"$work/konnectivity-server.yaml"

if [ -n "$server_count" ]; then
    after --probe-interval --sync-forever <"$single/konnectivity-agent.yaml"
else
    # Whoever counts leases asks the API server, with the service account's own token.
    after --probe-interval --count-server-leases --sync-forever <"$single/konnectivity-agent.yaml" |
        sed -e '/# Its token for the proxy is a volume/d' \
            -e 's/automountServiceAccountToken: false/automountServiceAccountToken: true/' \
            -e '/- name: cluster-ca$/,/kube-root-ca.crt$\|readOnly: true$/d'
fi | sed "s|image: konnect/proxy-agent:.*|image: $agent_image|" >"$work/konnectivity-agent.yaml"
[ -n "$server_count" ] || cp "$here/agent-leases.yaml" "$work/"

[ -z "$render" ] || exit 0

[ "$overwrite" = false ] || kind delete cluster --name "$cluster"
(cd "$work" && kind create cluster --name "$cluster" --config kind.yaml)
[ "$sideload" = false ] || kind load docker-image --name "$cluster" "$server_image" "$agent_image"
rm "$work/kind.yaml" "$work/egress-selector.yaml"
kubectl --context "kind-$cluster" apply -f "$work"
kubectl --context "kind-$cluster" -n kube-system rollout status daemonset/konnectivity-server
kubectl --context "kind-$cluster" -n kube-system rollout status daemonset/konnectivity-agent
