# Sourced by scripts/dlc and scripts/test: Debian packages, installed only when missing.

build_packages=(g++ cmake ninja-build llvm-22-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  zlib1g-dev libpng-dev libturbojpeg0-dev doctest-dev dataset-fashion-mnist)

# ensure_packages NAME...: installs what is missing; without root it prints the line to run and fails.
ensure_packages() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
      echo "dlc needs packages that are not installed. As root, run:" >&2
      echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}" >&2
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq
    --no-install-recommends "${missing[@]}")
  # A package index that is missing or old makes the first attempt fail; then it is updated once.
  "${install[@]}" >/dev/null 2>&1 && return 0
  "${as_root[@]}" apt-get update -qq >/dev/null && "${install[@]}" >/dev/null && return 0
  echo "installing packages failed; try: apt-get update && apt-get install ${missing[*]}" >&2
  return 1
}
