#!/bin/sh
# Installs Mesa lavapipe, the faster software adapter, where WebGPU runs on the CPU. Debian and Ubuntu, as root.
# Dawn needs Mesa 25 or later. Debian 13 and recent Ubuntu have it; Debian 12 has it in bookworm-backports, which this
# adds from the mirror that the machine already uses. Without lavapipe everything runs too, on SwiftShader, but slower.
set -eu

NEEDED=25
export DEBIAN_FRONTEND=noninteractive

installed() {
  version=$(dpkg-query -W -f='${Status} ${Version}' mesa-vulkan-drivers 2>/dev/null |
    sed -n 's/^install ok installed \([0-9]*:\)\{0,1\}\([0-9]*\).*/\2/p')
  [ "${version:-0}" -ge "$NEEDED" ] && dpkg-query -W -f='${Status}' libvulkan1 2>/dev/null | grep -q '^install ok installed'
}

# The major version of Mesa that apt would install, from the suite given or by its own choice.
offered() {
  version=$(apt-get install --simulate --quiet=2 ${1:+-t "$1"} mesa-vulkan-drivers 2>/dev/null |
    sed -n 's/^Inst mesa-vulkan-drivers .*(\([0-9]*:\)\{0,1\}\([0-9]*\)\..*/\2/p' | head -n 1)
  echo "${version:-0}"
}

# The first mirror in the machine's sources that serves a suite: one-line files, then deb822 files.
mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n "s/^deb  *\(\[[^]]*\]  *\)\{0,1\}\([^ ]*\)  *$1 .*/\2/p"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    awk -v RS= -v suite="$1" '{
      uri = ""; found = 0
      for (n = split($0, lines, "\n"); n > 0; n--) {
        count = split(lines[n], words, " ")
        if (words[1] == "URIs:") uri = words[2]
        if (words[1] == "Suites:") for (i = 2; i <= count; i++) if (words[i] == suite) found = 1
      }
      if (found && uri != "") print uri
    }' "$file"
  done
}

install() {
  apt-get install --yes --quiet=2 --no-install-recommends ${1:+-t "$1"} libvulkan1 mesa-vulkan-drivers >/dev/null
}

if installed; then
  echo "lavapipe: already installed (Mesa $version)"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo 'lavapipe: not installed, this is no Debian or Ubuntu; SwiftShader runs instead'
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo 'lavapipe: not installed, that needs root; SwiftShader runs instead, several times slower'
  exit 0
fi

apt-get update --quiet=2 >/dev/null || echo 'lavapipe: apt-get update had errors; going on with the lists there are' >&2
suite=''
if [ "$(offered '')" -lt "$NEEDED" ]; then
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  suite="$codename-backports"
  if [ "$(offered "$suite")" -lt "$NEEDED" ]; then
    uri=$(mirror "$codename" | head -n 1)
    if [ -n "$uri" ]; then
      echo "deb $uri $suite main" >"/etc/apt/sources.list.d/$suite.list"
      apt-get update --quiet=2 >/dev/null || true
    fi
  fi
  if [ "$(offered "$suite")" -lt "$NEEDED" ]; then
    echo "lavapipe: not installed, neither $codename nor $suite offers Mesa $NEEDED; SwiftShader runs instead"
    exit 0
  fi
fi
install "$suite"
installed || { echo "lavapipe: apt-get ended, but Mesa $NEEDED is not there" >&2; exit 1; }
echo "lavapipe: installed (Mesa $version)"
