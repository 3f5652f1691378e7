#!/usr/bin/env bash
# Runs on a GPU what needs one: a short run, the benchmark, the comparison with
# PyTorch, and the experiments that are too large for a CPU.
#
#   experiments/gpu.sh [--print] FOLDER [EXPERIMENT...]
#
# Results lie in FOLDER. The same command goes on where it was stopped, also by
# `timeout 9m experiments/gpu.sh ...`; it leaves out what is done. --print shows
# the commands and runs none. EXPERIMENT is an experiment as --config takes it;
# without any: cifar10 cifar10:dafl lenet:dafl_whole. Read from the environment:
#   PYTHON         an interpreter with the extras cuda and torch (.venv/bin/python)
#   JAX_PLATFORMS  where JAX runs (cuda,cpu)
#   CIFAR10_PATH   the folder of CIFAR-10's images (the Hugging Face Hub)
#   MNIST_PATH     the folder of MNIST's images (the Hugging Face Hub)
set -euo pipefail

python=${PYTHON:-.venv/bin/python}
# Or JAX would take the CPU where it finds no GPU, and take weeks. FLOPs are
# counted on the CPU.
export JAX_PLATFORMS=${JAX_PLATFORMS:-cuda,cpu}

# shellcheck source=experiments/commands.sh
source "${BASH_SOURCE[0]%/*}/commands.sh"

# Runs a step, or prints it. A signal may have come to this shell alone.
step() {
  [[ $print || ! $stopped ]] || exit 75
  do_ "$@"
}

# Writes figures to FOLDER/NAME.json, if they are not there yet.
measure() {
  local file=$folder/$1.json
  shift
  [[ -e $file ]] ||
    step "$python" -m experiments.benchmark "$@" "--json=$file"
}

# Trains an experiment in FOLDER/EXPERIMENT.
train() {
  local name=$1 data=() teachers=()
  # The same teachers, a third of the FLOPs of `cifar10`.
  [[ $name != cifar10:dafl || ! $has_cifar10 ]] ||
    teachers=("--init_from=$folder/cifar10")
  [[ $name != cifar10 ]] || has_cifar10=yes
  case $name in
    cifar10*) data=(${CIFAR10_PATH:+"--config.data.cifar10.path=$CIFAR10_PATH"}) ;;
    lenet*) data=(${MNIST_PATH:+"--config.data.mnist.path=$MNIST_PATH"}) ;;
  esac
  step "$python" -m experiments.main "--config=$name" \
    "--workdir=$folder/${name//[:,]/-}" "${data[@]}" "${teachers[@]}"
}

print=
if [[ ${1-} == --print ]]; then
  print=yes
  shift
fi
[[ ${1-} && $1 != -* ]] || usage
folder=$1
shift
[[ $# -gt 0 ]] || set -- cifar10 cifar10:dafl lenet:dafl_whole

has_cifar10=
[[ ! -e $folder/cifar10 ]] || has_cifar10=yes
# Whoever stops a group of processes stops the step, too: it saves and ends with
# 75, and then this script does.
stopped=
trap 'stopped=yes' INT TERM
[[ $print ]] || mkdir -p "$folder"
train digits:smoke
# In parts of a few minutes: what is stopped in one is lost.
for experiment in digits mnist; do
  measure "benchmark-$experiment" "--experiments=$experiment"
done
for stage in pretrain generator dual targetnet refine; do
  measure "benchmark-cifar10-$stage" --experiments=cifar10 "--stage=$stage"
done
for experiment in mnist strangers; do
  measure "peer-$experiment" --peer "--experiments=$experiment"
done
for experiment in "$@"; do
  train "$experiment"
done
