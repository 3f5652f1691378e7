#!/usr/bin/env bash
# Launches an experiment on all workers of a Cloud TPU VM; see docs/tpu.md.
#
#   experiments/tpu.sh [--print] create
#   experiments/tpu.sh [--print] install
#   experiments/tpu.sh [--print] launch CONFIG WORKDIR [FLAGS...]
#   experiments/tpu.sh [--print] log
#   experiments/tpu.sh [--print] delete
#
# --print shows the commands and runs none. Read from the environment:
#   TPU_NAME     name of the TPU VM (dualgan)
#   TPU_ZONE     its zone (us-central2-b)
#   TPU_TYPE     its accelerator type (v4-8)
#   TPU_IMAGE    its software version (tpu-ubuntu2204-base)
#   TPU_BUCKET   the Cloud Storage bucket that WORKDIR is a folder of
set -euo pipefail

name=${TPU_NAME:-dualgan}
zone=${TPU_ZONE:-us-central2-b}

# What each worker does once: the code, an environment, the bucket.
# shellcheck disable=SC2016 # it is expanded there
setup='set -eu
rm -rf dualgan_jax && mkdir dualgan_jax && tar xzf dualgan_jax.tar.gz -C dualgan_jax
command -v gcsfuse || {
  curl -sSfL https://packages.cloud.google.com/apt/doc/apt-key.gpg |
    sudo tee /usr/share/keyrings/cloud.google.asc > /dev/null
  echo "deb [signed-by=/usr/share/keyrings/cloud.google.asc]" \
    "https://packages.cloud.google.com/apt gcsfuse-$(lsb_release -cs) main" |
    sudo tee /etc/apt/sources.list.d/gcsfuse.list > /dev/null
  sudo apt-get -qq update && sudo apt-get -qq install -y gcsfuse
}
curl -LsSf https://astral.sh/uv/install.sh | sh
cd dualgan_jax
~/.local/bin/uv venv --quiet --clear --python 3.12 .venv
~/.local/bin/uv pip install --quiet --python .venv/bin/python ".[tpu,data]"'

# shellcheck source=experiments/commands.sh
source "${BASH_SOURCE[0]%/*}/commands.sh"

tpu() {
  local action=$1
  shift
  do_ gcloud compute tpus tpu-vm "$action" "$@" "--zone=$zone"
}

everywhere() {
  tpu ssh "$name" --worker=all "--command=$1"
}

print=
if [[ ${1-} == --print ]]; then
  print=yes
  shift
fi
# Whoever writes `delete --print` does not want it deleted.
[[ ${1-} == launch || $# -le 1 ]] || usage
case ${1-} in
  create)
    tpu create "$name" "--accelerator-type=${TPU_TYPE:-v4-8}" \
      "--version=${TPU_IMAGE:-tpu-ubuntu2204-base}"
    ;;
  install)
    do_ git archive --format=tar.gz -o /tmp/dualgan_jax.tar.gz HEAD
    tpu scp /tmp/dualgan_jax.tar.gz "$name:" --worker=all
    everywhere "$setup"
    ;;
  launch)
    [[ $# -ge 3 ]] || usage
    if [[ ! ${TPU_BUCKET-} ]]; then
      echo 'error: TPU_BUCKET: not set; name the bucket of WORKDIR.' >&2
      exit 2
    fi
    printf -v command '%q ' .venv/bin/python -m experiments.main --multihost \
      "--config=experiments/configs/$2" "--workdir=../bucket/$3" "${@:4}"
    # Not inside dualgan_jax, which `install` deletes. Without the bucket, a run
    # would lie in a folder that goes with the machine.
    everywhere "set -e
mkdir -p bucket
mountpoint -q bucket || gcsfuse --implicit-dirs $TPU_BUCKET bucket
cd dualgan_jax
nohup $command > ../run.log 2>&1 < /dev/null &"
    ;;
  log) everywhere 'tail -n 5 run.log' ;;
  delete) tpu delete "$name" ;;
  *) usage ;;
esac
