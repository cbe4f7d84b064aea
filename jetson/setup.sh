#!/usr/bin/env bash
# Sets up emorec on a Jetson: system packages, an environment that uses JetPack's own TensorRT, a check.
#
#   jetson/setup.sh              looks, says what it will do, asks, does it
#   jetson/setup.sh --dry-run    looks and says what it would do
#   jetson/setup.sh --yes        doesn't ask
#   jetson/setup.sh --camera video0    also installs a service for /dev/video0 that starts with the system;
#                                      --camera csi0 for the CSI camera csi://0
#
# Run again at will: what is done is skipped. Exit code 0 done, 1 failed or not possible here, 2 wrong usage.
#
# Overridable: EMOREC_PREFIX (default /opt/emorec), EMOREC_UNITS (/etc/systemd/system), EMOREC_LOGS
# (/var/log/emorec), EMOREC_LOGROTATE (/etc/logrotate.d), EMOREC_ROOT (root under which the machine is looked at).
set -euo pipefail

root="${EMOREC_ROOT:-}"
prefix="${EMOREC_PREFIX:-/opt/emorec}"
units="${EMOREC_UNITS:-/etc/systemd/system}"
logs="${EMOREC_LOGS:-/var/log/emorec}"
logrotate="${EMOREC_LOGROTATE:-/etc/logrotate.d}"
source_folder="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
needed_mib=4096
dry_run=false
yes=false
camera=""

packages=(
  python3-venv python3-libnvinfer python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-libav v4l-utils
)

usage() { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

fail() {
  printf 'error: %s\n' "$1" >&2
  exit "${2:-1}"
}

say() { printf '%s\n' "$*"; }

# Runs a command, or prints it in a dry run.
run() {
  if "$dry_run"; then
    say "would run: $*"
  else
    "$@"
  fi
}

as_root() {
  if [[ $EUID -eq 0 ]]; then
    run "$@"
  else
    run sudo "$@"
  fi
}

parse_arguments() {
  while (($#)); do
    case "$1" in
      --dry-run) dry_run=true ;;
      --yes | -y) yes=true ;;
      --camera)
        [[ "${2:-}" =~ ^(video|csi)[0-9]+$ ]] || fail "--camera takes a name such as video0 or csi0" 2
        camera="$2"
        shift
        ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) fail "unknown option $1; see --help" 2 ;;
    esac
    shift
  done
}

# Sets l4t_major, jetpack (jp6 or jp7) and release.
look_at_release() {
  local file="$root/etc/nv_tegra_release" line
  [[ "$(uname -m)" == aarch64 ]] || fail "this machine is $(uname -m), not a Jetson (aarch64)"
  [[ -r "$file" ]] || fail "$file is missing: no Jetson Linux here"
  read -r line <"$file" || true
  [[ "$line" =~ R([0-9]+)\ \(release\),\ REVISION:\ ([0-9.]+) ]] || fail "$file names no release: $line"
  l4t_major="${BASH_REMATCH[1]}"
  release="${BASH_REMATCH[1]}.${BASH_REMATCH[2]}"
  case "$l4t_major" in
    36) jetpack=jp6 ;;
    38 | 39) jetpack=jp7 ;;
    *) fail "Jetson Linux $release is not supported: JetPack 6.1 or later, or 7, is needed" ;;
  esac
  [[ "$release" != 36.[0-3]* ]] || fail "Jetson Linux $release (JetPack 6.0) has no TensorRT 10.3: upgrade to 6.1 or later"
}

look_at_machine() {
  local model memory_kib folder
  model="unknown module"
  if [[ -r "$root/proc/device-tree/model" ]]; then
    model="$(tr -d '\0' <"$root/proc/device-tree/model")"
  fi
  memory_kib="$(awk '/^MemTotal:/ {print $2}' "$root/proc/meminfo")"
  memory_mib=$((memory_kib / 1024))
  folder="$prefix"
  while [[ ! -d "$folder" ]]; do folder="$(dirname "$folder")"; done
  free_mib="$(df --output=avail --block-size=M "$folder" | tail -n 1 | tr -dc '0-9')"
  power_mode="unknown"
  if command -v nvpmodel >/dev/null; then
    power_mode="$(nvpmodel -q 2>/dev/null | sed -n 's/.*NV Power Mode: *//p' || true)"
  fi
  say "module:      $model"
  say "release:     Jetson Linux $release ($jetpack)"
  say "memory:      $memory_mib MiB"
  say "free disk:   $free_mib MiB at $folder"
  say "power mode:  ${power_mode:-unknown}"
  ((free_mib >= needed_mib)) || fail "$free_mib MiB free at $folder, $needed_mib needed"
  if ((memory_mib < 6000)); then
    say "note: with less than 6 GB, build plans without a desktop (sudo systemctl isolate multi-user.target)"
  fi
}

# Sets missing to the packages that are not installed.
look_at_packages() {
  local package
  missing=()
  for package in "${packages[@]}"; do
    if [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]]; then
      missing+=("$package")
    fi
  done
}

announce() {
  say ""
  if ((${#missing[@]})); then
    say "will install with apt: ${missing[*]}"
  else
    say "system packages: all there"
  fi
  if [[ -x "$prefix/venv/bin/python" ]]; then
    say "will update the environment $prefix/venv"
  else
    say "will make the environment $prefix/venv (it sees JetPack's packages)"
  fi
  say "will install emorec from $source_folder there; TensorRT, torch and CUDA stay JetPack's"
  if [[ -n "$camera" ]]; then
    say "will install and start emorec-camera@$camera.service, rows in $logs/$camera.jsonl"
  fi
}

confirm() {
  local answer
  if "$yes" || "$dry_run"; then
    return
  fi
  [[ -t 0 ]] || fail "no terminal to ask at; use --yes"
  read -r -p "Go on? [y/N] " answer
  [[ "$answer" == [yY]* ]] || fail "stopped, nothing was changed"
}

install_packages() {
  if ((${#missing[@]})); then
    as_root apt-get update
    as_root apt-get install --yes --no-install-recommends "${missing[@]}"
  fi
}

install_environment() {
  local python="$prefix/venv/bin/python"
  if [[ ! -d "$prefix" ]]; then
    as_root install --directory --owner="$(id -u)" --group="$(id -g)" "$prefix"
  fi
  if [[ ! -x "$python" ]]; then
    run python3 -m venv --system-site-packages "$prefix/venv"
  fi
  run "$python" -m pip install --constraint "$source_folder/jetson/constraints.txt" \
    --requirement "$source_folder/jetson/requirements.$jetpack.txt" "${source_folder}[cpu]"
  run install --directory "$prefix/jetson/emorec_jetson"
  run install --mode=644 "$source_folder"/jetson/emorec_jetson/*.py "$prefix/jetson/emorec_jetson"
  run env PYTHONPATH="$prefix/jetson" "$python" -m emorec_jetson.verify --load
  run env PYTHONPATH="$prefix/jetson" "$python" -m emorec_jetson
}

# Copies a unit with the folders of this installation in it.
install_unit() {
  local name="$1" target="$2"
  write_text "$target/$name" \
    "$(sed -e "s|/opt/emorec|$prefix|g" -e "s|/var/log/emorec|$logs|g" "$source_folder/jetson/$name")"
}

write_text() {
  local file="$1" text="$2"
  if [[ -r "$file" && "$(<"$file")" == "$text" ]]; then
    return
  fi
  if "$dry_run"; then
    say "would write: $file"
  else
    printf '%s\n' "$text" | as_root tee "$file" >/dev/null
  fi
}

# A CSI camera is another source, and its daemon's socket lies in /tmp, which PrivateTmp hides.
install_csi() {
  local folder="$units/emorec-camera@$camera.service.d"
  as_root mkdir -p "$folder"
  write_text "$folder/csi.conf" "[Service]
Environment=EMOREC_SOURCE=csi://${camera#csi}
PrivateTmp=no"
}

install_camera() {
  if ! id emorec >/dev/null 2>&1; then
    as_root useradd --system --no-create-home --home-dir /var/cache/emorec --shell /usr/sbin/nologin emorec
  fi
  as_root usermod --append --groups video emorec
  if getent group render >/dev/null; then
    as_root usermod --append --groups render emorec
  fi
  # Root alone writes there: systemd opens the file of rows, and the service gets it opened.
  as_root install --directory --owner=root --group=emorec --mode=750 "$logs"
  install_unit emorec-camera@.service "$units"
  install_unit emorec-camera-health@.service "$units"
  install_unit emorec-camera-health@.timer "$units"
  install_unit emorec-camera.logrotate "$logrotate"
  [[ "$camera" != csi* ]] || install_csi
  as_root systemctl daemon-reload
  as_root systemctl enable "emorec-camera@$camera.service" "emorec-camera-health@$camera.timer"
  # What runs already shall run what was just installed.
  as_root systemctl restart "emorec-camera@$camera.service" "emorec-camera-health@$camera.timer"
}

main() {
  parse_arguments "$@"
  look_at_release
  look_at_machine
  look_at_packages
  announce
  confirm
  install_packages
  install_environment
  if [[ -n "$camera" ]]; then
    install_camera
  fi
  "$dry_run" || say "done: source $prefix/venv/bin/activate; emorec-rt doctor shows what is there"
}

main "$@"
