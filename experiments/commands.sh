# shellcheck shell=bash
# What the scripts beside this one share; they source it.

# Prints the lines above a script's first command, and ends it.
usage() {
  sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
}

# Runs a command, or prints it so that it can be pasted.
do_() {
  if [[ $print ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}
