#!/usr/bin/env bash
# Sets Neovim up as docs/editors.md says, in a home of its own, and types in a copy of the policy.
# Usage: tests/editors/check.sh PROGRAM [NVIM]
set -euo pipefail
program=$(realpath "$1") nvim=$(realpath -s "$(command -v "${2:-nvim}")")
cd "$(dirname "$0")/../.."
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
mkdir -p "$home/bin" "$home/config/nvim" "$home/policy"
ln -s "$program" "$home/bin/rulectl"
cp -r rules prompts routing.toml tools.yaml fixtures "$home/policy"
sed -n '/^\*\*Neovim\*\*/,/^\*\*Helix\*\*/p' docs/editors.md | sed -n '/^```/,/^```/{/^```/!p}' > "$home/config/nvim/init.lua"
test -s "$home/config/nvim/init.lua"
script=$PWD/tests/editors/nvim.lua
cd "$home/policy"
for dir in CONFIG DATA STATE CACHE; do export "XDG_${dir}_HOME=$home/${dir,,}"; done
PATH="$home/bin:$PATH" "$nvim" -l "$script"
